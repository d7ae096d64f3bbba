"""Rows set aside: those whose photos cannot be used, how many may go, and what to say of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multimodal.data.cells import photo_paths
from multimodal.data.photos import ABSENT, CUT_OFF, UNREADABLE, PhotoFacts, examine, locate
from multimodal.data.table import Table
from multimodal.errors import DataError

_PHOTO = "photo: "
_SAID = {
    ABSENT: ("its photo is absent", "their photos are absent"),
    CUT_OFF: ("its photo is cut off", "their photos are cut off"),
    UNREADABLE: ("its photo cannot be read", "their photos cannot be read"),
}
_PARTICULARS = re.compile(r",? (?:but )?got .*|,? at character \d+.*", re.DOTALL)
_CHUNK, _THREADS = 64, 4

Digests = list[list[str | None]]


def without_bad_photos(
    table: Table, columns: Sequence[str], root: Path
) -> tuple[Table, Digests, NDArray[np.int64]]:
    """Examine every photo once; set aside the rows that name one that cannot be used.

    Args:
        table: the rows.
        columns: the columns of photos.
        root: folder that their paths start from.

    Returns:
        The table without those rows; a digest of the bytes of each kept row's photos; int64
        (kept,), the position in `table` of each kept row.

    Raises:
        DataError: A photo is an address or leads out of `root`.
    """
    paths: list[list[str]] = [[] for _ in range(len(table.frame))]
    for column in columns:
        for row, cell in enumerate(table.frame[column]):
            paths[row] += [_located(name, root, table, row, column) for name in photo_paths(cell)]
    facts = _examined(list(dict.fromkeys(path for row in paths for path in row)))
    faults = {
        row: _PHOTO + next(fault for path in names if (fault := facts[path].fault))
        for row, names in enumerate(paths)
        if any(facts[path].fault for path in names)
    }
    kept = np.setdiff1d(np.arange(len(paths)), list(faults))
    return table.drop(faults), [[facts[path].digest for path in paths[i]] for i in kept], kept


def _located(name: str, root: Path, table: Table, row: int, column: str) -> str:
    try:
        return str(locate(name, root))
    except DataError as error:
        raise DataError(f"{table.place(row)}, column '{column}': {error}") from None


def _examined(paths: list[str]) -> dict[str, PhotoFacts]:
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda chunk: [examine(Path(path)) for path in chunk], chunks)
        return dict(zip(paths, (facts for chunk in found for facts in chunk), strict=True))


def check_share(table: Table, limit: float) -> None:
    """Raise DataError if no row is left, or more than the share `limit` was set aside."""
    bad = len(table.quarantine)
    if len(table.frame) and bad <= limit * table.rows_read:
        return
    first = table.quarantine[0]
    raise DataError(
        f"{table.name}: {bad:,} of {table.rows_read:,} rows cannot be used; at most {limit:.0%} "
        f"may be set aside. First: {table.place_of(first)}: {first.reason}. Mend the rows, "
        "or raise `data.max_quarantine`."
    )


def check_count(table: Table, read: int) -> None:
    """Make sure that every one of the `read` rows was either kept or set aside, and once."""
    places = [*table.rows.tolist(), *(fault.row for fault in table.quarantine)]
    if len(places) != read or len(set(places)) != read:
        raise RuntimeError(f"rows were lost: {read} read, {len(set(places))} accounted for")


def kind_of(reason: str) -> str:
    """Fold the particulars of a reason away, so that alike reasons count together.

    Example:
    >>> kind_of("column 'price': expected a number, got 'free'")
    "column 'price': expected a number"
    >>> kind_of("photo: shoes/7.jpg: no such photo")
    'photo: no such photo'
    """
    if reason.startswith(_PHOTO):
        found = [phrase for phrase in _SAID if f": {phrase}" in reason]
        return _PHOTO + max(found, key=reason.rfind) if found else reason
    return _PARTICULARS.sub("", reason)


def reasons(table: Table, most: int = 20) -> dict[str, int]:
    """Return how many rows were set aside, by kind of reason, the most frequent first."""
    return dict(Counter(kind_of(fault.reason) for fault in table.quarantine).most_common(most))


def notes(table: Table, most: int = 5) -> list[str]:
    """Return a sentence for each of the most frequent kinds of reasons.

    Example: "3 rows set aside: their photos are absent."
    """
    return [f"{_said(kind, count)}." for kind, count in reasons(table, most).items()]


def _said(kind: str, count: int) -> str:
    phrases = _SAID.get(kind.removeprefix(_PHOTO), (kind, kind))
    return f"{count:,} {'row' if count == 1 else 'rows'} set aside: {phrases[count > 1]}"
