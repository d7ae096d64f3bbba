"""The table of kept rows, where each came from, and the rows that were rejected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.arrays import Ints
from multimodal.core.config import Data
from multimodal.core.config_fields import Decimal

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson")
PARQUET_SUFFIXES = (".parquet", ".pq")
EXCEL_SUFFIXES = (".xlsx", ".xlsm")


class Dialect(NamedTuple):
    """How a file is written: as it is asked for, or, of a table, as it was found.

    Args:
        separator: the character between the values of a text file.
        encoding: how its bytes become text.
        decimal: the mark before the decimals of numbers written as text; of a table, `auto` says
            that the file leaves it open.
        sheet: the sheet of an Excel file; None is the first.
    """

    separator: str = "auto"
    encoding: str = "auto"
    decimal: Decimal = "auto"
    sheet: str | None = None

    @classmethod
    def of(cls, data: Data) -> Dialect:
        """Return what a config asks for.

        Example:
        >>> Dialect.of(Data(decimal=",")).decimal
        ','
        """
        return cls(*(getattr(data, name) for name in cls._fields))


AUTO = Dialect()  # everything as the file says


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


class Parsed(NamedTuple):
    """What a reader gives: kept rows as a frame, their positions and lines, and the rejected rows.

    `dialect` is that of the file, `notes` what there is to say of how it was read, and `faults`
    why rows of the frame must be set aside, by position.
    """

    frame: pd.DataFrame
    rows: Ints
    lines: Ints
    rejected: list[RejectedRow]
    dialect: Dialect = AUTO
    notes: Sequence[str] = ()
    faults: Mapping[int, str] = {}


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
        dialect: how the file is written; `dialect.decimal` holds for columns that do not decide
            themselves where their decimals start.
        notes: what there is to say of how the file was read.
        suffix: what the name of the file ends in, once unpacked; "" for rows from memory.
    """

    frame: pd.DataFrame
    rows: Ints
    lines: Ints
    rejected: list[RejectedRow]
    source: Path | None
    root: Path
    dialect: Dialect = AUTO
    notes: Sequence[str] = ()
    suffix: str = ""

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
        return "line" if self.suffix in (*TEXT_SUFFIXES, *JSON_SUFFIXES) else "row"

    @property
    def holds_texts(self) -> bool:
        """Whether all cells are texts as they were written, since the source knows no other."""
        return self.suffix in TEXT_SUFFIXES

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
        # Rows are counted by position in all arrays: the frame keeps a RangeIndex.
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
