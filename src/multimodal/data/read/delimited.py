"""CSV and TSV files: every value a string as it was written, every faulty row named by its line.

The standard library's `csv.reader` is used rather than the readers of pandas or pyarrow, because it
tells on which line a record starts, so that a rejected row can be found in the file. Besides,
pandas turns "NA" and "None" into NaN, 00501 into 501 and 1e400 into infinity, pads short rows, and
takes the first column for the index where every row has a surplus field.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.config_fields import Decimal
from multimodal.core.errors import DataError
from multimodal.data.read.dialect import (
    SAMPLE_LINES,
    SEPARATORS,
    Layout,
    find_decimal_comma,
    find_layout,
    is_numeric,
)
from multimodal.data.read.encodings import (
    Encoding,
    find_encoding,
    mended,
    shown_encoding,
    spoiled,
    text_lines,
)
from multimodal.data.read.header import Unnamed, named_columns
from multimodal.data.read.packed import Content
from multimodal.data.read.table import AUTO, Dialect, Parsed, RejectedRow

_FIELD_LIMIT = 100_000_000  # the csv module's own limit of 131,072 characters refuses long texts
_SHORT = 24  # characters up to which a value is likely to come again and is kept once
_MOST_QUOTES = 1_000  # quotes that may be mended by reading lines again, before it is an error
_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')
_REST = 0.8  # fraction of the lines behind a stray quote that must be rows by themselves


class _Record(NamedTuple):
    """A record of a file: the line it starts on, its values, or why it has none, and its text."""

    line: int
    cells: list[str]
    fault: str = ""
    raw: str = ""


class Delimited(NamedTuple):
    """An open text file: what its header says, and its records as they are read.

    Args:
        path: the file.
        place: its header, for messages.
        names: of the columns, "" where there is none.
        records: the rows below the header.
        layout: how values are laid out.
        encoding: how bytes become text.
    """

    path: Path
    place: str
    names: list[str]
    records: Iterator[_Record]
    layout: Layout
    encoding: Encoding


class Rows(NamedTuple):
    """Rows as they were read: the cells of those that fit the header, by column, and the others.

    `rows` and `lines` tell where in the file those that fit are, counted from 0 and from 1.
    """

    columns: list[list[str | None]]
    rows: list[int]
    lines: list[int]
    rejected: list[RejectedRow]

    def parsed(self, kept: Mapping[str, int]) -> Parsed:
        """Return the columns at the positions `kept`, an empty cell as None."""
        series = {
            name: pd.Series([cell or None for cell in self.columns[number]], dtype=object)
            for name, number in kept.items()
        }
        frame = pd.DataFrame(series, index=pd.RangeIndex(len(self.rows)))
        places, lines = (np.array(each, np.int64) for each in (self.rows, self.lines))
        return Parsed(frame, places, lines, self.rejected)


def read_delimited(content: Content, asked: Dialect = AUTO) -> Parsed:
    """Read a text file with a header and one row per record.

    Values stay strings ("NA" and "00501" too); an empty cell is None. Blank lines are no rows.
    Blanks around column names go. A row is rejected that has too few or too many values, a faulty
    quote, a NUL, or a byte that is no text.

    Args:
        content: an existing file.
        asked: its separator and encoding, where the file does not decide.

    Raises:
        DataError: no header, an empty or repeated column name, no row that fits the header, or a
            separator or encoding that the file does not decide.
    """
    with _long_fields():
        file = open_delimited(content, asked)
        found = _collect(file.names, enumerate(file.records))
    check_any_fits(file, len(found.rows), found.rejected)
    unnamed = {number: Unnamed() for number, name in enumerate(file.names) if not name}
    for number, column in unnamed.items():
        column.add(found.columns[number])
    kept, notes = named_columns(file.names, unnamed, file.place)
    parsed = found.parsed(kept)
    dialect = found_dialect(file, asked, parsed.frame)
    return parsed._replace(dialect=dialect, notes=[*told(dialect, file.encoding), *notes])


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let the csv module read long texts; its limit is one for the whole process."""
    limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def open_delimited(content: Content, asked: Dialect = AUTO) -> Delimited:
    """Find out how a text file is written, and read its header.

    Raises:
        DataError: as `read_delimited`, of the file as a whole.
    """
    encoding = find_encoding(content, asked.encoding)
    lines = text_lines(content, encoding.codec)
    sample = list(islice(lines, SAMPLE_LINES))
    layout = find_layout(content.path, content.suffix, sample, asked.separator)
    records = _Records(content.path, chain(sample, lines), layout, encoding.codec)
    start, header, fault, _ = next(records, _Record(1, []))
    if not any(name.strip() for name in header) and not fault:
        raise DataError(
            f"{content.path}: the file is empty. Expected a header line with column names."
        )
    place = f"{content.path}, line {start}"
    if fault:
        raise DataError(f"{place}, the header: {fault}.")
    names = [name.strip() for name in header]
    return Delimited(content.path, place, names, records, layout, encoding)


def read_rows(file: Delimited, start: int, size: int) -> Iterator[Rows]:
    """Yield the rows of a file from number `start` on, `size` at a time, the last ones fewer."""
    numbered = enumerate(file.records)
    with _long_fields():
        for _ in islice(numbered, start):
            pass
    while True:
        with _long_fields():
            some = list(islice(numbered, size))
        if not some:
            return
        yield _collect(file.names, iter(some))


def found_dialect(file: Delimited, asked: Dialect, frame: pd.DataFrame) -> Dialect:
    """Return how a file is written, its decimal mark by the cells of a frame that begins it."""
    comma = asked.decimal == "auto" and find_decimal_comma(frame)
    decimal: Decimal = "," if comma else asked.decimal
    return Dialect(file.layout.separator, shown_encoding(file.encoding.codec).lower(), decimal)


def check_any_fits(file: Delimited, kept: int, rejected: Sequence[RejectedRow]) -> None:
    """Raise DataError where there are rows, and none fits the header."""
    if rejected and not kept:
        raise DataError(
            f"{file.path}: the header names {len(file.names)} columns, but no row has as many "
            f"values (line {rejected[0].line}: {rejected[0].reason}). Name every column in the "
            "header, or quote values that contain the separator; the separator is set by "
            "--separator."
        )


def told(found: Dialect, encoding: Encoding) -> list[str]:
    """Say in a line how a file is written, where it is not as most are: commas and UTF-8."""
    parts = []
    if found.separator != ",":
        parts.append(f"separated by {SEPARATORS.get(found.separator, repr(found.separator))}")
    if found.encoding != "utf-8":
        parts.append(f"encoding {found.encoding} {encoding.note}".strip())
    if found.decimal == ",":
        parts.append("decimal commas")
    return [", ".join(parts)] if parts else []


class _Records:
    """The records of a file that are no blank lines, with the reason where one cannot be read.

    Where a quote is open or closed amid a value, its line is set aside and those behind it, which
    the quote has swallowed, are read again, as far as they are rows.
    """

    def __init__(self, path: Path, lines: Iterator[str], layout: Layout, codec: str) -> None:
        self._path, self._layout, self._codec = path, layout, codec
        self._lines = islice(lines, layout.skipped, None)
        self._again: list[str] = []  # lines to read before others, the last one first
        self._taken: list[str] = []  # lines of the record that is being read
        self._read = layout.skipped
        self._mended = 0
        self._reader = self._new_reader()

    def _new_reader(self) -> Iterator[list[str]]:
        # Without strict=True a quote left open swallows the rest of the file in silence.
        return csv.reader(self._next_lines(), delimiter=self._layout.separator, strict=True)

    def _next_lines(self) -> Iterator[str]:
        while True:
            line = self._again.pop() if self._again else next(self._lines, None)
            if line is None:
                return
            self._taken.append(line)
            self._read += 1
            yield line

    def __iter__(self) -> Iterator[_Record]:
        return self

    def __next__(self) -> _Record:
        while True:
            self._taken.clear()
            start, fault, cells = self._read + 1, "", []
            try:
                cells = next(self._reader)
                if len(self._taken) > 1 and self._has_swallowed(cells):
                    fault = "closed in a line that is a row by itself"
            except csv.Error as error:
                fault = _fault(str(error))
            if fault or cells and len(cells) != self._layout.width:
                escaped = self._with_escaped_quotes()
                cells, fault = escaped or cells, "" if escaped else fault
            if fault:
                return self._set_aside(start, fault)
            found = next((why for line in self._taken if (why := spoiled(line, self._codec))), "")
            if found:
                return _Record(start, [], found, self._text(self._taken))
            if cells:
                return _Record(start, cells)

    def _with_escaped_quotes(self) -> list[str]:
        r"""Return the values of a record that has \" for its quotes, as databases do, or []."""
        text = "".join(self._taken)
        if '\\"' not in text:
            return []
        doubled = _ESCAPED_QUOTE.sub(r'\1""', text).splitlines(keepends=True)
        try:
            found = list(csv.reader(doubled, delimiter=self._layout.separator, strict=True))
        except csv.Error:
            return []
        if len(found) != 1 or len(found[0]) != self._layout.width:
            return []
        self._reader = self._new_reader()
        return found[0]

    def _set_aside(self, start: int, fault: str) -> _Record:
        """Return the faulty record, and go back to the line behind the one it starts on."""
        taken = list(self._taken)
        last = start + len(taken) - 1
        self._mended += 1
        if self._mended > _MOST_QUOTES:
            raise DataError(
                f"{self._path}, line {start}: a quote is opened and {fault}, as in "
                f'{_MOST_QUOTES:,} lines before. Double each quote that belongs to a text ("").'
            )
        reason = f"a quote is opened and {fault}"
        if len(taken) > 1 and self._are_rows(taken[1:]):
            reason += f"; lines {start + 1} to {last} are read as rows of their own"
            self._again += reversed(taken[1:])
            self._read = start
            taken = taken[:1]
        elif len(taken) > 1:
            reason += f"; lines {start} to {last} are set aside with it"
        self._reader = self._new_reader()
        advice = 'close it, or double a quote that belongs to the text ("")'
        return _Record(start, [], f"{reason}. To mend it, {advice}", self._text(taken))

    def _text(self, lines: list[str]) -> str:
        return mended("".join(lines)).rstrip("\r\n")

    def _are_rows(self, lines: list[str]) -> bool:
        """Whether lines that one value has taken up are rows, not lines of its text."""
        if self._layout.width < 2:
            return False
        # up to the quote at which the value ended there is none in them
        plain = [line for line in lines[:-1] if line.strip()]
        fits = sum(len(_split(line, self._layout)) == self._layout.width for line in plain)
        return fits >= _REST * len(plain)

    def _has_swallowed(self, cells: list[str]) -> bool:
        """Whether a record of several lines holds rows in a value that a stray quote opens.

        It has as many values as the header, and so has each of its lines, with numbers where the
        table has them.
        """
        numeric = self._layout.numeric
        if len(cells) != self._layout.width or not numeric:
            return False
        rows = [_split(line, self._layout) for line in self._taken if line.strip()]
        return len(rows) > 1 and all(
            len(row) == self._layout.width and all(is_numeric([row[at]]) for at in numeric)
            for row in rows
        )


def _split(line: str, layout: Layout) -> list[str]:
    """Split a line at each separator, whatever its quotes."""
    return line.rstrip("\r\n").split(layout.separator)


def _fault(error: str) -> str:
    if "expected after" in error:
        return "goes on after its closing quote"
    return "never closed" if "end of data" in error else error


def _collect(names: Sequence[str], records: Iterator[tuple[int, _Record]]) -> Rows:
    found = Rows([[] for _ in names], [], [], [])
    memo: dict[str, str] = {}  # one object per short repeated value
    for row, (line, cells, fault, raw) in records:
        if fault or len(cells) != len(names):
            reason = fault or f"expected {len(names)} values, got {len(cells)}"
            found.rejected.append(RejectedRow(row, line, reason, raw=raw or _written(cells)))
            continue
        found.rows.append(row)
        found.lines.append(line)
        for column, cell in zip(found.columns, cells, strict=True):
            column.append(memo.setdefault(cell, cell) if len(cell) < _SHORT else cell)
    return found


def _written(cells: list[str]) -> str:
    raw = io.StringIO()
    csv.writer(raw, lineterminator="").writerow(cells)
    return raw.getvalue()
