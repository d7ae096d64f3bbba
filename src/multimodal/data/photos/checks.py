"""Photos that cannot be used, and the rows that cannot do without; what photos are like; limits."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.arrays import Bools, Ints
from multimodal.core.config import Group
from multimodal.core.errors import DataError
from multimodal.core.formatting import joined
from multimodal.core.records import Record
from multimodal.core.spec import FittedGroup
from multimodal.data.columns.cells import is_missing
from multimodal.data.features.cell_arrays import Frame, row_count
from multimodal.data.photos.complete import CUT_OFF
from multimodal.data.photos.download import fetch_photos
from multimodal.data.photos.examine import PhotoStatistics, examine
from multimodal.data.photos.locate import PhotoRoot, locate
from multimodal.data.photos.names import Photo, cell_photos, shown
from multimodal.data.photos.read import ABSENT, UNREADABLE
from multimodal.data.read.table import Table

_PHOTO = "photo: "
_SAID = {
    ABSENT: ("its photo is absent", "their photos are absent"),
    CUT_OFF: ("its photo is cut off", "their photos are cut off"),
    UNREADABLE: ("its photo cannot be read", "their photos cannot be read"),
}
_PARTICULARS = re.compile(r",? (?:but )?got .*|,? at character \d+.*", re.DOTALL)
TINY, HUGE = 32, 16_000_000  # pixels of a side, pixels of a photo
_KINDS = ("missing", "unreadable", "addresses", "tiny", "huge", "not_rgb", "rotated")
_FETCH = "--download DIR fetches them"
_LEFT_OUT = {
    "missing": "not there",
    "unreadable": "cannot be read",
    "addresses": f"named by addresses, which are not opened ({_FETCH})",
}
_ABSENT_TOO = (
    "it counts as absent (`data.missing_photo: drop` rejects its row)",
    "they count as absent (`data.missing_photo: drop` rejects their rows)",
)
_CHUNK, _THREADS = 64, os.cpu_count() or 1
_FIRST = 5

Digests = list[list[str | None]]


class PhotoScreening(NamedTuple):
    """What `screen_photos` found.

    Args:
        table: the table without the rows that cannot be used, its cells without such photos.
        digests: of the bytes of each kept row's photos.
        kept: int64 (kept,), the position in the table as it was of each kept row.
        photos: what the photos of each column are like.
    """

    table: Table
    digests: Digests
    kept: Ints
    photos: list[PhotoColumn]


def screen_photos(
    table: Table,
    slots: Mapping[str, int],
    root: PhotoRoot,
    *,
    others: Sequence[str] = (),
    drop: bool = False,
) -> PhotoScreening:
    """Examine every photo once, and leave out those that cannot be used.

    A row that names one keeps what else it has; it is rejected where it has nothing else.

    Args:
        table: the rows.
        slots: the columns of photos, and how many photos of a cell are read.
        root: folder that their paths start from.
        others: the columns of the other modalities.
        drop: whether a row is rejected for any photo that cannot be used.

    Raises:
        DataError: A photo leads out of `root`.
    """
    rows = len(table.frame)
    if not slots:
        return PhotoScreening(table, [[]] * rows, np.arange(rows), [])
    fetch_photos(chain.from_iterable(table.frame[column] for column in slots), root)
    named = {column: _located(table, column, root) for column in slots}
    paths = [[path for row in cells for path in row] for cells in zip(*named.values(), strict=True)]
    statistics = _examined(list(dict.fromkeys(path for row in paths for path in row)))
    faulty = {path for path, found in statistics.items() if found.fault}
    lost = _lost_rows(table.frame, paths, faulty, others, drop=drop)
    faults = {
        row: _PHOTO + str(next(fault for path in paths[row] if (fault := statistics[path].fault)))
        for row in lost
    }
    kept = np.setdiff1d(np.arange(rows), lost)
    digests = [[statistics[path].digest for path in paths[i] if path not in faulty] for i in kept]
    photos = [
        count_photos(column, cells, statistics, slots[column]) for column, cells in named.items()
    ]
    sound = {column: _sound(table.frame[column], cells, faulty) for column, cells in named.items()}
    table = replace(table, frame=table.frame.assign(**sound)) if faulty and not drop else table
    return PhotoScreening(table.drop(faults), digests, kept, photos)


def photo_slots(groups: Sequence[Group | FittedGroup], most: int) -> dict[str, int]:
    """Return how many photos of a cell are read, by column: one where a group has several.

    Args:
        groups: the feature groups.
        most: photos that are read of the cells of a group of one column.

    Example:
    >>> groups = [Group(name="g", modality="image", columns=["p"], encoder="convolutional")]
    >>> photo_slots(groups, 4)
    {'p': 4}
    """
    return {
        column: most if len(group.columns) == 1 else 1
        for group in groups
        if group.modality == "image"
        for column in group.columns
    }


def _lost_rows(
    frame: pd.DataFrame,
    paths: Sequence[Sequence[Photo]],
    faulty: Collection[Photo],
    others: Sequence[str],
    *,
    drop: bool,
) -> list[int]:
    """Return the rows that cannot do without a photo that cannot be used."""
    unite = any if drop else all
    lost = [
        row for row, each in enumerate(paths) if each and unite(path in faulty for path in each)
    ]
    if drop or not lost:
        return lost
    alone = ~has_values(frame.iloc[lost], others)
    return [row for row, nothing_else in zip(lost, alone, strict=True) if nothing_else]


def has_values(frame: Frame, columns: Sequence[str]) -> Bools:
    """Return bool (N,): the row has a value in any of the columns.

    Example:
    >>> has_values(pd.DataFrame({"a": [1, None], "b": ["x", " "]}), ["a", "b"]).tolist()
    [True, False]
    """
    found = np.zeros(row_count(frame), bool)
    for column in columns:
        found |= ~is_missing(frame[column])
    return found


def _sound(
    cells: pd.Series[Any], paths: Sequence[Sequence[Photo]], faulty: Collection[Photo]
) -> pd.Series[Any]:
    """Return a column without the photos that cannot be used, as it is where there are none.

    Cells on disk stay as they are: their photos turn out to be absent when they are decoded.
    """
    rows = [row for row, each in enumerate(paths) if any(path in faulty for path in each)]
    if not rows or cells.dtype != "O":
        return cells
    changed = cells.to_numpy(dtype=object, copy=True)
    for row in rows:
        named = zip(cell_photos(changed[row]), paths[row], strict=True)
        changed[row] = [name for name, path in named if path not in faulty]
    return pd.Series(changed, index=cells.index, dtype=object)


def _located(table: Table, column: str, root: PhotoRoot) -> list[list[Photo]]:
    """Return the photos of each cell of a column; raise DataError with all unsafe paths."""
    found, unsafe, first = [], [], ""
    for row, cell in enumerate(table.frame[column]):
        try:
            found.append([locate(name, root) for name in cell_photos(cell)])
        except DataError as error:
            first = first or f"{table.place(row)}, column '{column}': {error}"
            unsafe.append(int(table.lines[row]))
    if unsafe:
        raise DataError(first + _others(table.unit, unsafe[1:]))
    return found


def _others(unit: str, lines: Sequence[int]) -> str:
    """Return a sentence on further rows with an unsafe path, "" without any."""
    if not lines:
        return ""
    if len(lines) == 1:
        return f" 1 more row has such a path ({unit} {lines[0]})."
    return f" {len(lines):,} more rows have such paths ({unit}s {joined(lines, _FIRST)})."


def _examined(photos: list[Photo]) -> dict[Photo, PhotoStatistics]:
    chunks = [photos[start : start + _CHUNK] for start in range(0, len(photos), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda chunk: [examine(photo) for photo in chunk], chunks)
        return dict(zip(photos, chain.from_iterable(found), strict=True))


def check_any_photo(table: Table, photos: Sequence[PhotoColumn]) -> None:
    """Raise DataError if photos are named, and none of them can be used."""
    named = sum(column.photos for column in photos)
    if not named or named > sum(column.absent for column in photos):
        return
    first = next(path for column in photos for path in column.first.values())
    addresses = all(column.photos == column.addresses for column in photos)
    raise DataError(
        f"{table.name}: none of its {named:,} photos can be used, such as {first}. "
        + (_FETCH if addresses else "Name their folder with --images")
        + ", or leave their columns out."
    )


def check_rejected_fraction(table: Table, limit: float) -> None:
    """Raise DataError if no row is left, or more than the fraction `limit` was rejected."""
    bad = len(table.rejected)
    if len(table.frame) and bad <= limit * table.rows_read:
        return
    first = table.rejected[0]
    raise DataError(
        f"{table.name}: {bad:,} of {table.rows_read:,} rows cannot be used; at most {limit:.0%} "
        f"may be rejected. First: {table.place_of(first)}: {first.reason}. Mend the rows, "
        "or raise `data.max_quarantine`."
    )


def check_row_count(table: Table, read: int) -> None:
    """Make sure that every one of the `read` rows was either kept or rejected, and once."""
    places = [*table.rows.tolist(), *(fault.row for fault in table.rejected)]
    if len(places) != read or len(set(places)) != read:
        raise RuntimeError(f"rows were lost: {read} read, {len(set(places))} accounted for")


def reason_kind(reason: str) -> str:
    """Fold the particulars of a reason away, so that alike reasons count together.

    Example:
    >>> reason_kind("column 'price': expected a number, got 'free'")
    "column 'price': expected a number"
    >>> reason_kind("photo: shoes/7.jpg: no such photo")
    'photo: no such photo'
    """
    if reason.startswith(_PHOTO):
        found = [phrase for phrase in _SAID if f": {phrase}" in reason]
        return _PHOTO + max(found, key=reason.rfind) if found else reason
    return _PARTICULARS.sub("", reason)


def reasons(table: Table, most: int = 20) -> dict[str, int]:
    """Return how many rows were rejected, by kind of reason, the most frequent first."""
    return dict(Counter(reason_kind(fault.reason) for fault in table.rejected).most_common(most))


def notes(table: Table, most: int = 5) -> list[str]:
    """Return a sentence for each of the most frequent kinds of reasons.

    Example: "3 rows rejected: their photos are absent."
    """
    return [f"{_said(kind, count)}." for kind, count in reasons(table, most).items()]


def _said(kind: str, count: int) -> str:
    phrases = _SAID.get(kind.removeprefix(_PHOTO), (kind, kind))
    return f"{count:,} {'row' if count == 1 else 'rows'} rejected: {phrases[count > 1]}"


class PhotoColumn(Record):
    """The photos of one column, as `audit.json` keeps them.

    All counts are of files but for `rows`, `beyond` and `duplicate`.

    Args:
        name: the column.
        rows: rows that name a photo.
        photos: different files that are named.
        missing: no such file.
        unreadable: cut off, damaged, or no photo.
        addresses: named by an address, and not fetched.
        duplicate: namings of a photo whose bytes were named before, in whatever file.
        tiny: a side is shorter than 32 pixels.
        huge: more than 16 megapixels.
        not_rgb: grey, with transparency, with a palette, CMYK or 16 bits; read as RGB.
        rotated: EXIF turns it; read upright.
        beyond: rows that name more photos than `slots`.
        slots: photos of a cell that are read, 0 where nobody said.
        first: the first file of each of these, by the name of its count; of a fault, what it is.
    """

    name: str
    rows: int
    photos: int
    missing: int
    unreadable: int
    duplicate: int
    tiny: int
    huge: int
    not_rgb: int
    rotated: int
    addresses: int = 0
    beyond: int = 0
    slots: int = 0
    first: dict[str, str] = {}

    @property
    def absent(self) -> int:
        """Number of files that cannot be used."""
        return self.missing + self.unreadable + self.addresses


def count_photos(
    name: str,
    rows: Sequence[Sequence[Photo]],
    statistics: Mapping[Photo, PhotoStatistics],
    slots: int = 0,
) -> PhotoColumn:
    """Count what the photos of a column are like.

    Args:
        name: the column.
        rows: for each row, the photos of its cell.
        statistics: what is known of each photo.
        slots: photos of a cell that are read, 0 for any number.

    Example:
    >>> small = PhotoStatistics("x", width=9, height=9)
    >>> known = {"a": small, "b": PhotoStatistics("x", width=64, height=64)}
    >>> found = count_photos("photo", [["a"], ["b", "a"], []], known, slots=1)
    >>> found.rows, found.photos, found.tiny, found.duplicate, found.beyond
    (2, 2, 1, 2, 1)
    """
    photos = list(dict.fromkeys(photo for row in rows for photo in row))
    found: dict[str, list[Photo]] = {key: [] for key in _KINDS}
    for photo in photos:
        for key in _kinds(statistics[photo]):
            found[key].append(photo)
    named = [statistics[photo].digest for row in rows for photo in row]
    digests = [digest for digest in named if digest]
    first = {
        key: statistics[each[0]].fault or shown(each[0]) for key, each in found.items() if each
    }
    return PhotoColumn(
        name=name,
        rows=sum(bool(row) for row in rows),
        photos=len(photos),
        duplicate=len(digests) - len(set(digests)),
        beyond=sum(len(row) > slots for row in rows) if slots else 0,
        slots=slots,
        first=first,
        **{key: len(each) for key, each in found.items()},
    )


def _kinds(photo: PhotoStatistics) -> list[str]:
    """Return the counts of `PhotoColumn` that one photo belongs to."""
    if photo.fault:
        return ["addresses" if photo.address else "missing" if photo.absent else "unreadable"]
    true = {
        "tiny": min(photo.width, photo.height) < TINY,
        "huge": photo.width * photo.height > HUGE,
        "not_rgb": photo.mode != "RGB",
        "rotated": photo.rotated,
    }
    return [key for key, holds in true.items() if holds]


def left_out(column: PhotoColumn, *, drop: bool = False) -> list[str]:
    """Say which photos of a column are not read, each kind in a sentence with the way out.

    Args:
        column: its photos.
        drop: whether rows with photos that cannot be used were rejected, which is told elsewhere.

    Example:
    >>> known = {"a": PhotoStatistics("x"), "b": PhotoStatistics("y")}
    >>> found = count_photos("p", [["a", "b"]], known, slots=1)
    >>> left_out(found)
    ["column 'p': 1 row names more photos than are read of a cell, 1 (`data.max_photos`)."]
    """
    said = []
    for key, what in () if drop else _LEFT_OUT.items():
        if count := getattr(column, key):
            files = "1 photo" if count == 1 else f"{count:,} photos"
            hint = f"; name {('its', 'their')[count > 1]} folder with --images"
            said.append(
                f"{files} of {column.photos:,} {what}; {_ABSENT_TOO[count > 1]}"
                f"{hint if key == 'missing' else ''}. First: {column.first[key]}"
            )
    if column.beyond:
        rows = "1 row names" if column.beyond == 1 else f"{column.beyond:,} rows name"
        said.append(
            f"{rows} more photos than are read of a cell, {column.slots:,} (`data.max_photos`)"
        )
    return [f"column '{column.name}': {each}." for each in said]
