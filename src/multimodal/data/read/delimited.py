"""CSV and TSV files: every value a string as it was written, every faulty row named by its line.

The standard library's `csv.reader` is used rather than the readers of pandas or pyarrow, because it
tells on which line a record starts, so that a rejected row can be found in the file. Besides,
pandas turns "NA" and "None" into NaN, 00501 into 501 and 1e400 into infinity, pads short rows, and
takes the first column for the index where every row has a surplus field.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.arrays import Ints
from multimodal.core.errors import DataError
from multimodal.data.read.encodings import text_lines
from multimodal.data.read.table import RejectedRow

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_FIELD_LIMIT = 100_000_000  # the csv module's own limit of 131,072 characters refuses long texts
_SHORT = 24  # characters up to which a value is likely to come again and is kept once


class Parsed(NamedTuple):
    """Kept rows as a frame, their positions and lines, and the rejected rows."""

    frame: pd.DataFrame
    rows: Ints
    lines: Ints
    rejected: list[RejectedRow]


def read_delimited(path: Path, encoding: str = "utf-8", separator: str | None = None) -> Parsed:
    """Read a text file with a header and one row per record.

    Values stay strings ("NA" and "00501" too); an empty cell is None. Blank lines are no rows.
    A row with too few or too many values is rejected. Blanks around column names go.

    Args:
        path: an existing file.
        encoding: how its bytes become text.
        separator: one character; None takes tabs for `.tsv`, tabs or commas for `.txt` by its
            header, and commas otherwise.

    Raises:
        DataError: no header, an empty or repeated column name, an unclosed quote, the wrong
            separator, no row that fits the header, or bytes that are not text.
    """
    lines = text_lines(path, encoding)
    first = next(lines, "")
    suffix = path.suffix.lower()
    tabs = suffix == ".tsv" or (suffix == ".txt" and "\t" in first)
    chosen = separator or ("\t" if tabs else ",")
    records = _records(path, chain([first], lines), chosen)
    start, header = next(records, (1, []))
    if not header:
        raise DataError(f"{path}: the file is empty. Expected a header line with column names.")
    names = check_names([name.strip() for name in header], f"{path}, line {start}")
    if separator is None:
        _check_separator(path, start, names, chosen)
    return _collect(path, names, records)


def check_names(names: list[str], place: str) -> list[str]:
    """Return `names`; raise DataError if one is empty or occurs twice."""
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(
                f"{place}: column {number} of {len(names)} has no name. Name it, or delete it "
                "(a table saved with its row numbers has such a first column)."
            )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        at = [number for number, name in enumerate(names, start=1) if name == twice[0]]
        raise DataError(
            f"{place}: column name '{twice[0]}' occurs {len(at)} times (columns "
            f"{', '.join(map(str, at))}). Rename all but one."
        )
    return names


def _records(path: Path, lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (starting line, cells) of each record that is not a blank line."""
    # Without strict=True a quote left open swallows the rest of the file in silence.
    reader = csv.reader(lines, delimiter=separator, strict=True)
    limit, start = csv.field_size_limit(_FIELD_LIMIT), 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(_quote_fault(path, start, reader.line_num, str(error))) from None
    finally:
        csv.field_size_limit(limit)  # it is one for the whole process


def _quote_fault(path: Path, start: int, line: int, error: str) -> str:
    if "expected after" in error:
        return (
            f"{path}, row starting at line {start}: a quoted value goes on after its closing "
            f"quote (line {line}). Either a quote is left open on line {start}, or a quote inside "
            'a value is not doubled ("").'
        )
    return (
        f"{path}, row starting at line {start}: a quote is opened and never closed (read on to "
        f'line {line}). Close it, or double a quote that belongs to the text ("").'
    )


def _check_separator(path: Path, line: int, names: list[str], chosen: str) -> None:
    for other, plural in SEPARATORS.items():
        if len(names) == 1 and other != chosen and other in names[0]:
            raise DataError(
                f"{path}, line {line}: expected columns separated by {SEPARATORS[chosen]}, but "
                f"the header is one column with {plural} in it: {names[0][:60]!r}. Save the file "
                f"with {SEPARATORS[chosen]}, or read it from Python with separator={other!r} "
                "(`multimodal.read_table`)."
            )


def _collect(path: Path, names: list[str], records: Iterator[tuple[int, list[str]]]) -> Parsed:
    columns: list[list[str | None]] = [[] for _ in names]
    memo: dict[str, str] = {}  # one object per short repeated value
    rows, lines, rejected = [], [], []
    for row, (line, cells) in enumerate(records):
        if len(cells) != len(names):
            reason = f"expected {len(names)} values, got {len(cells)}"
            raw = io.StringIO()
            csv.writer(raw, lineterminator="").writerow(cells)
            rejected.append(RejectedRow(row, line, reason, raw=raw.getvalue()))
            continue
        rows.append(row)
        lines.append(line)
        for column, cell in zip(columns, cells, strict=True):
            column.append(memo.setdefault(cell, cell) if len(cell) < _SHORT else cell)
    if rejected and not rows:
        raise DataError(
            f"{path}: the header names {len(names)} columns, but no row has as many values "
            f"(line {rejected[0].line}: {rejected[0].reason}). Name every column in the "
            "header, or quote values that contain the separator."
        )
    series = {
        name: pd.Series([cell or None for cell in column], dtype=object)
        for name, column in zip(names, columns, strict=True)
    }
    frame = pd.DataFrame(series, index=pd.RangeIndex(len(rows)))
    return Parsed(frame, np.array(rows, np.int64), np.array(lines, np.int64), rejected)
