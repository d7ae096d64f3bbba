"""Files of tables read in parts: each row as in the whole file, one part in memory at a time.

What a part cannot tell, such as the decimal mark of the file, the columns of JSON Lines, or whether
a column without a name holds row numbers, is found by reading the whole file once before.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd

from multimodal.core.config_fields import Decimal
from multimodal.data.columns.cells import is_record
from multimodal.data.columns.schema import Schema
from multimodal.data.columns.usage import Change, Usage, changed
from multimodal.data.read.delimited import (
    check_any_fits,
    found_dialect,
    open_delimited,
    read_rows,
    told,
)
from multimodal.data.read.dialect import DECIDING_ROWS, find_decimal_comma
from multimodal.data.read.encodings import find_encoding
from multimodal.data.read.formats import (
    check_any_object,
    json_notes,
    json_rows,
    mostly_records,
    parsed_json,
    plain_cell,
)
from multimodal.data.read.header import Unnamed, named_columns
from multimodal.data.read.packed import Content
from multimodal.data.read.parquet import open_parquet, read_parquet_rows
from multimodal.data.read.readers import checked_content, read_table
from multimodal.data.read.rejected import drop_added_columns
from multimodal.data.read.table import (
    EXCEL_SUFFIXES,
    JSON_SUFFIXES,
    PARQUET_SUFFIXES,
    Dialect,
    Parsed,
    RejectedRow,
    Table,
)

logger = logging.getLogger(__name__)

NO_PLACES = np.zeros(0, np.int64), np.zeros(0, np.int64)
PART = 4096  # rows, of a file as of a table in memory: what shares a part shares its last digits
Read = Callable[[int], Iterator[Parsed]]  # the parts from a row on


@dataclass(frozen=True)
class TableFile:
    """A file of a table, read in parts of `PART` rows.

    Args:
        content: the file.
        rows: how many it has, those that cannot be read among them.
        dialect: how it is written.
        read: yields its parts from a row on.
        changes: what is written otherwise than in the rows that were learned from.
        notes: what there is to say of how it was read.
    """

    content: Content
    rows: int
    dialect: Dialect
    read: Read
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> int:
        """How many parts it has, at least one."""
        return number_of_parts(self.rows)

    def tables(self, numbers: range) -> Iterator[Table]:
        """Yield consecutive parts, as `read_table` and `in_known_usage` give the whole."""
        for parsed in islice(self.read(numbers.start * PART), len(numbers)):
            yield changed(self._table(parsed), self.changes)

    def _table(self, parsed: Parsed) -> Table:
        return _as_table(self.content, parsed, self.dialect)


def number_of_parts(rows: int) -> int:
    """Return how many parts so many rows make, at least one.

    Example:
    >>> number_of_parts(0), number_of_parts(4096), number_of_parts(4097)
    (1, 1, 2)
    """
    return max(-(-rows // PART), 1)


def part_of(table: Table, number: int) -> Table:
    """Return a part of a table in memory, by the places of its rows in the source."""
    if table.rows_read <= PART:
        return table
    ends = number * PART, (number + 1) * PART
    first, last = np.searchsorted(table.rows, ends)
    begin, end = (bisect_left(table.rejected, place, key=attrgetter("row")) for place in ends)
    return replace(
        table,
        frame=table.frame.iloc[first:last].reset_index(drop=True),
        rows=table.rows[first:last],
        lines=table.lines[first:last],
        rejected=table.rejected[begin:end],
    )


def open_table_file(path: Path, schema: Schema, asked: Dialect) -> TableFile:
    """Read a file once to know what its parts cannot tell; log what there is to say of it.

    Args:
        path: CSV, TSV, Parquet, JSON Lines, also packed. An Excel file, or Parquet in an archive,
            is kept in memory.
        schema: of the rows that were learned from.
        asked: how the file is written, where it does not decide; see `read_table`.

    Raises:
        DataError: as `read_table`.
    """
    content = checked_content(path.expanduser(), str(path))
    usage = Usage(schema)
    packed = content.suffix != path.suffix.lower()
    if content.suffix in EXCEL_SUFFIXES or (packed and content.suffix in PARQUET_SUFFIXES):
        file = _in_memory(content, asked, usage)
    elif content.suffix in PARQUET_SUFFIXES:
        file = _parquet(content, asked, usage)
    elif content.suffix in JSON_SUFFIXES:
        file = _json_lines(content, asked, usage)
    else:
        file = _delimited(content, asked, usage)
    changes = usage.changes(file.dialect.decimal)
    for note in [*file.notes, *(change.told for change in changes)]:
        logger.info(f"{path}: {note}")
    return replace(file, changes=tuple(changes))


def _as_table(content: Content, parsed: Parsed, dialect: Dialect) -> Table:
    path = content.path
    table = Table(
        parsed.frame,
        parsed.rows,
        parsed.lines,
        parsed.rejected,
        source=path,
        root=path.parent,
        dialect=dialect,
        suffix=content.suffix,
    )
    return drop_added_columns(table.drop(parsed.faults))


def _in_memory(content: Content, asked: Dialect, usage: Usage) -> TableFile:
    table = read_table(content.path, **asked._asdict(), allow_empty=True)
    usage.look_at(table.frame)

    def read(start: int) -> Iterator[Parsed]:
        for number in range(start // PART, number_of_parts(table.rows_read)):
            part = part_of(table, number)
            yield Parsed(part.frame, part.rows, part.lines, part.rejected)

    return TableFile(content, table.rows_read, table.dialect, read)


def _delimited(content: Content, asked: Dialect, usage: Usage) -> TableFile:
    file = open_delimited(content, asked)
    unnamed = {number: Unnamed() for number, name in enumerate(file.names) if not name}
    named = {name: number for number, name in enumerate(file.names) if name}
    head, rows = _Head(), 0
    rejected: list[RejectedRow] = []
    for some in read_rows(file, 0, PART):
        rows += len(some.rows) + len(some.rejected)
        rejected += some.rejected[: 1 - len(rejected)]
        for number, column in unnamed.items():
            column.add(some.columns[number])
        parsed = some.parsed(named)
        head.add(parsed.frame)
        usage.look_at(_as_table(content, parsed, asked).frame)
    check_any_fits(file, head.rows, rejected)
    kept, notes = named_columns(file.names, unnamed, file.place)
    dialect = found_dialect(file, asked, head.frame(list(kept)))

    def read(start: int) -> Iterator[Parsed]:
        for some in read_rows(open_delimited(content, asked), start, PART):
            yield some.parsed(kept)

    empty = Parsed(head.frame(list(kept)), *NO_PLACES, [])
    found = (*told(dialect, file.encoding), *notes)
    return TableFile(content, rows, dialect, read if rows else lambda _: iter([empty]), notes=found)


def _json_lines(content: Content, asked: Dialect, usage: Usage) -> TableFile:
    encoding = find_encoding(content, asked.encoding)
    names: dict[str, None] = {}
    records, present = Counter[str](), Counter[str]()
    rejected: list[RejectedRow] = []
    rows = kept = 0
    for row in json_rows(content, encoding.codec):
        rows += 1
        rejected += [row.rejected] if row.record is None and not rejected else []
        kept += row.record is not None
        for name, value in (row.record or {}).items():
            names[name] = None
            if isinstance(value, dict | list):
                records[name.strip()] += is_record(plain_cell(value))
            present[name.strip()] += value is not None and value == value
    check_any_object(content.path, kept, rejected)
    nested = {name for name, count in records.items() if mostly_records(count, present[name])}

    def read(start: int) -> Iterator[Parsed]:
        numbered = islice(json_rows(content, encoding.codec), start, None)
        while some := list(islice(numbered, PART)):
            yield parsed_json(some, content.path, names=list(names), nested=nested)

    empty = parsed_json([], content.path)
    notes = [*json_notes(encoding), *next(read(0), empty).notes]
    head = _Head()
    for parsed in read(0):
        head.add(parsed.frame)
        if not usage.names and head.rows >= DECIDING_ROWS:
            break
        usage.look_at(_as_table(content, parsed, asked).frame)
    dialect = asked._replace(decimal=head.decimal(asked))
    found = read if rows else lambda _: iter([empty])
    return TableFile(content, rows, dialect, found, notes=tuple(notes))


def _parquet(content: Content, asked: Dialect, usage: Usage) -> TableFile:
    table = open_parquet(content)
    rows = table.file.metadata.num_rows
    looked = {name for name in table.texts if name.strip() in usage.names}
    for parsed in read_parquet_rows(table, 0, PART, looked) if looked else ():
        usage.look_at(parsed.frame)
    head = _Head()
    if table.texts and asked.decimal == "auto":
        for parsed in islice(read_parquet_rows(table, 0, PART, table.texts), 1):
            head.add(parsed.frame)

    def read(start: int) -> Iterator[Parsed]:
        yield from read_parquet_rows(open_parquet(content), start, PART)

    nothing = table.no_rows()
    dialect = asked._replace(decimal=head.decimal(asked))
    found = read if rows else lambda _: iter([nothing])
    return TableFile(content, rows, dialect, found, notes=tuple(nothing.notes))


class _Head:
    """The first rows of a file, by which its decimal mark is found; `rows` counts all."""

    def __init__(self) -> None:
        self.rows = 0
        self._frames: list[pd.DataFrame] = []

    def add(self, frame: pd.DataFrame) -> None:
        if self.rows < DECIDING_ROWS:
            self._frames.append(frame)
        self.rows += len(frame)

    def frame(self, columns: list[str]) -> pd.DataFrame:
        """Return the first rows, of some columns."""
        if not self._frames:
            return pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
        return pd.concat(self._frames, ignore_index=True)[columns]

    def decimal(self, asked: Dialect) -> Decimal:
        """Return the decimal mark that is asked for, or found in cells that are texts."""
        comma = bool(self._frames) and find_decimal_comma(pd.concat(self._frames))
        return "," if asked.decimal == "auto" and comma else asked.decimal
