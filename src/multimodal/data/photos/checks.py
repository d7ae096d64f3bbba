"""Rejection of rows whose photos cannot be used, counts of what photos are like, and the limits."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from multimodal.core.arrays import Ints
from multimodal.core.errors import DataError
from multimodal.core.formatting import joined
from multimodal.core.records import Record
from multimodal.data.columns.cells import photo_paths
from multimodal.data.photos.read import (
    ABSENT,
    CUT_OFF,
    UNREADABLE,
    PhotoStatistics,
    examine,
    locate,
)
from multimodal.data.read.table import Table

_PHOTO = "photo: "
_SAID = {
    ABSENT: ("its photo is absent", "their photos are absent"),
    CUT_OFF: ("its photo is cut off", "their photos are cut off"),
    UNREADABLE: ("its photo cannot be read", "their photos cannot be read"),
}
_PARTICULARS = re.compile(r",? (?:but )?got .*|,? at character \d+.*", re.DOTALL)
TINY, HUGE = 32, 16_000_000  # pixels of a side, pixels of a photo
_KINDS = ("missing", "unreadable", "tiny", "huge", "not_rgb", "rotated")
_CHUNK, _THREADS = 64, os.cpu_count() or 1
_FIRST = 5

Digests = list[list[str | None]]


class PhotoScreening(NamedTuple):
    """What `reject_bad_photos` found.

    Args:
        table: the table without the rows whose photos cannot be used.
        digests: of the bytes of each kept row's photos.
        kept: int64 (kept,), the position in the table as it was of each kept row.
        photos: what the photos of each column are like.
    """

    table: Table
    digests: Digests
    kept: Ints
    photos: list[PhotoColumn]


def reject_bad_photos(table: Table, columns: Sequence[str], root: Path) -> PhotoScreening:
    """Examine every photo once; reject the rows that name one that cannot be used.

    Args:
        table: the rows.
        columns: the columns of photos.
        root: folder that their paths start from.

    Raises:
        DataError: A photo is an address or leads out of `root`.
    """
    if not columns:
        rows = len(table.frame)
        return PhotoScreening(table, [[]] * rows, np.arange(rows), [])
    named = {column: _paths(table, column, root) for column in columns}
    paths = [[path for row in rows for path in row] for rows in zip(*named.values(), strict=True)]
    statistics = _examined(list(dict.fromkeys(path for row in paths for path in row)))
    faults = {
        row: _PHOTO + next(fault for path in names if (fault := statistics[path].fault))
        for row, names in enumerate(paths)
        if any(statistics[path].fault for path in names)
    }
    kept = np.setdiff1d(np.arange(len(paths)), list(faults))
    digests = [[statistics[path].digest for path in paths[i]] for i in kept]
    photos = [count_photos(column, rows, statistics) for column, rows in named.items()]
    return PhotoScreening(table.drop(faults), digests, kept, photos)


def _paths(table: Table, column: str, root: Path) -> list[list[str]]:
    """Return the paths that each cell of a column names; raise DataError with all unsafe ones."""
    found, unsafe, first = [], [], ""
    for row, cell in enumerate(table.frame[column]):
        try:
            found.append([str(locate(name, root)) for name in photo_paths(cell)])
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


def _examined(paths: list[str]) -> dict[str, PhotoStatistics]:
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda chunk: [examine(Path(path)) for path in chunk], chunks)
        return dict(zip(paths, chain.from_iterable(found), strict=True))


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

    All counts are of files but for `rows` and `duplicate`.

    Args:
        name: the column.
        rows: rows that name a photo.
        photos: different files that are named.
        missing: no such file.
        unreadable: cut off, damaged, or no photo.
        duplicate: namings of a photo whose bytes were named before, in whatever file.
        tiny: a side is shorter than 32 pixels.
        huge: more than 16 megapixels.
        not_rgb: grey, with transparency, with a palette, CMYK or 16 bits; read as RGB.
        rotated: EXIF turns it; read upright.
        first: the first file of each of these, by the name of its count.
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
    first: dict[str, str] = {}


def count_photos(
    name: str, rows: Sequence[Sequence[str]], statistics: Mapping[str, PhotoStatistics]
) -> PhotoColumn:
    """Count what the photos of a column are like.

    Args:
        name: the column.
        rows: for each row, the paths that its cell names.
        statistics: what is known of each path.

    Example:
    >>> small = PhotoStatistics("x", width=9, height=9)
    >>> known = {"a": small, "b": PhotoStatistics("x", width=64, height=64)}
    >>> found = count_photos("photo", [["a"], ["b", "a"], []], known)
    >>> found.rows, found.photos, found.tiny, found.duplicate
    (2, 2, 1, 2)
    """
    paths = list(dict.fromkeys(path for row in rows for path in row))
    found: dict[str, list[str]] = {key: [] for key in _KINDS}
    for path in paths:
        for key in _kinds(statistics[path]):
            found[key].append(path)
    named = [statistics[path].digest for row in rows for path in row]
    digests = [digest for digest in named if digest]
    return PhotoColumn(
        name=name,
        rows=sum(bool(row) for row in rows),
        photos=len(paths),
        duplicate=len(digests) - len(set(digests)),
        first={key: each[0] for key, each in found.items() if each},
        **{key: len(each) for key, each in found.items()},
    )


def _kinds(photo: PhotoStatistics) -> list[str]:
    """Return the counts of `PhotoColumn` that one photo belongs to."""
    if photo.fault:
        return ["missing" if photo.absent else "unreadable"]
    true = {
        "tiny": min(photo.width, photo.height) < TINY,
        "huge": photo.width * photo.height > HUGE,
        "not_rgb": photo.mode != "RGB",
        "rotated": photo.rotated,
    }
    return [key for key, holds in true.items() if holds]
