"""What stays together in splits, folds and calibration: duplicates, near duplicates, a column."""

from __future__ import annotations

from typing import NamedTuple

from multimodal.core.arrays import Ints
from multimodal.core.config import Split
from multimodal.core.errors import DataError, choices
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.schema import Schema
from multimodal.data.photos.checks import Digests
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.sampling import repeated_content
from multimodal.data.read.table import Table
from multimodal.data.split.duplicates import duplicate_groups, photo_keys
from multimodal.data.split.near_duplicates import near_duplicate_groups, near_duplicates


class RowGroups(NamedTuple):
    """What belongs together.

    Args:
        duplicates: int64 (N,), rows of one content or photo.
        together: int64 (N,), rows that no split or fold parts: duplicates, near duplicates, and
            rows of one value of the split's `group` column.
        notes: A sentence on near duplicates, where there are any.
    """

    duplicates: Ints
    together: Ints
    notes: list[str]

    def of(self, rows: Ints) -> RowGroups:
        """Return the groups of some of the rows."""
        return RowGroups(self.duplicates[rows], self.together[rows], self.notes)


def row_groups(split: Split, table: Table, schema: Schema, digests: Digests) -> RowGroups:
    """Find what belongs together.

    Near duplicates are not looked for in a table larger than memory.

    Args:
        split: Names the column of groups, and says whether near duplicates count.
        table: The rows.
        schema: Kinds of its columns.
        digests: Those of each row's photos.

    Raises:
        DataError: There is no column of the name that `split.group` has.
    """
    frame = table.frame
    keys = [photo_keys(digests), repeated_content(frame, schema)]
    # Both kinds of keys have judged already what is a coincidence, and so always join.
    duplicates = duplicate_groups(keys, len(frame), always=(0, 1))
    together, notes = duplicates, list[str]()
    if split.near_duplicates and not on_disk(frame):
        together = near_duplicate_groups(frame, schema, duplicates)
        alike = int(near_duplicates(duplicates, together).sum())
        notes = [_note(alike)] if alike else []
    if split.group is not None:
        together = _with_column(split.group, table, together)
    return RowGroups(duplicates, together, notes)


def _note(rows: int) -> str:
    return (
        f"{rows:,} rows share a long text up to some words, or all values but one, with another "
        "and are kept together in splits made here and in folds; --no-near-duplicates "
        "(`data.split.near_duplicates: false`) parts them."
    )


def _with_column(column: str, table: Table, groups: Ints) -> Ints:
    names = [str(name) for name in table.frame]
    if column not in names:
        raise DataError(f"{table.name}: no column '{column}' to group by. {choices(column, names)}")
    told = as_text(table.frame[column]).tolist()
    joined = [[str(group) for group in groups], told]
    return duplicate_groups(joined, len(table.frame), always=(0, 1))
