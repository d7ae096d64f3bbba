"""The table of kept rows, where each came from, and the rows that were rejected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Ints

BINARY_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True)
class RejectedRow:
    """One row that cannot be used.

    Args:
        row: 0-based position among all data rows of the source.
        line: 1-based line in a text file; 1-based row number for other sources.
        reason: what was expected and what came.
        cells: its value in each column of the table, read when they are asked for; empty where it
            could not be parsed.
        raw: its text, where it could not be parsed.
    """

    row: int
    line: int
    reason: str
    cells: Iterable[Any] = field(default=(), compare=False, repr=False)
    raw: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class Table:
    """Rows of a file or frame; `len(frame) + len(rejected)` is the number of rows read.

    Args:
        frame: the kept rows under a RangeIndex.
        rows: int64 (kept,), position in the source of each kept row.
        lines: int64 (kept,), line (text files) or row number of each kept row.
        rejected: the rows set aside, in source order.
        source: the file, or None for rows from memory.
        root: folder that relative photo paths start from.
    """

    frame: pd.DataFrame
    rows: Ints
    lines: Ints
    rejected: list[RejectedRow]
    source: Path | None
    root: Path

    @property
    def name(self) -> str:
        """The file as it was given, or `table`: what messages start with."""
        return "table" if self.source is None else str(self.source)

    @property
    def rows_read(self) -> int:
        """Number of data rows in the source, kept and rejected."""
        return len(self.frame) + len(self.rejected)

    @property
    def unit(self) -> str:
        """What `lines` counts: the lines of a text file, else rows."""
        return "row" if self.source is None or self.source.suffix in BINARY_SUFFIXES else "line"

    def place(self, position: int) -> str:
        """Name the source and line of the row at `position` of the frame.

        Example:
        >>> rows = np.arange(2)
        >>> table = Table(pd.DataFrame({"a": [1, 2]}), rows, rows + 1, [], None, Path())
        >>> table.place(1)
        'table, row 2'
        """
        return f"{self.name}, {self.unit} {self.lines[position]}"

    def place_of(self, fault: RejectedRow) -> str:
        """Name the source and line of a rejected row."""
        return f"{self.name}, {self.unit} {fault.line}"

    def drop(self, faults: Mapping[int, str]) -> Table:
        """Return a table that rejects the rows at the frame positions in `faults`.

        Args:
            faults: position in the frame -> reason.

        Example:
        >>> rows = np.arange(2)
        >>> table = Table(pd.DataFrame({"a": [1, 2]}), rows, rows + 1, [], None, Path())
        >>> table.drop({0: "photo is absent"}).rejected
        [RejectedRow(row=0, line=1, reason='photo is absent')]
        """
        if not faults:
            return self
        keep = np.ones(len(self.frame), dtype=bool)
        keep[list(faults)] = False
        gone = self.frame.iloc[list(faults)]
        moved = [
            RejectedRow(int(self.rows[i]), int(self.lines[i]), why, _Cells(gone, at))
            for at, (i, why) in enumerate(faults.items())
        ]
        return replace(
            self,
            frame=self.frame[keep].reset_index(drop=True),
            rows=self.rows[keep],
            lines=self.lines[keep],
            rejected=sorted([*self.rejected, *moved], key=lambda fault: fault.row),
        )


@dataclass(frozen=True)
class _Cells:
    """The cells of one row of a frame, read on iteration since texts may lie on disk."""

    frame: pd.DataFrame
    row: int

    def __iter__(self) -> Iterator[Any]:
        for number in range(self.frame.shape[1]):
            yield self.frame.iloc[self.row, number]
