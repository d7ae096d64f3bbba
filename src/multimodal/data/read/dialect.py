"""How a text file is written: what separates its values, and what marks the decimals."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from multimodal.core.errors import DataError

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
SAMPLE_LINES = 200
_DEFAULTS = {".tsv": "\t", ".tab": "\t"}
_DECLARED = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # a first line that Excel reads and writes
_FITS, _MOSTLY = 0.9, 0.5  # fractions of the rows that have as many values as the header
_NUMERIC = re.compile(r"[^\w]*[\d\s.,'’]*\d[\d\s.,'’]*[^\w]*")
_ALIKE = 0.9  # fraction of the cells of a column of numbers
_SPACED = re.compile(r"(?<=\d)[\s'’](?=\d{3})")  # between thousands
DECIDING_ROWS = 2_000  # the first of a file, whose decimal marks are looked at
_NUMBER = re.compile(r"(?:[^\d.,]{0,8}[^\d.,\w])?[+−-]?(\d[\d.,]*)(?:[^\d.,]{0,12})?")


class Layout(NamedTuple):
    """How the values of a text file are laid out.

    Args:
        separator: the character between values.
        skipped: lines before the header.
        width: values of the header.
        numeric: positions of the columns whose cells are numbers.
    """

    separator: str
    skipped: int
    width: int
    numeric: tuple[int, ...]


def find_layout(path: Path, suffix: str, sample: Sequence[str], asked: str = "auto") -> Layout:
    """Find what separates the values of a text file.

    The separator is the one by which the header has most columns and the rows have as many; where
    two give as many, the one by which more of them hold numbers.

    Args:
        path: the file, for messages.
        suffix: what its name ends in.
        sample: its first lines, at most `SAMPLE_LINES`.
        asked: `auto`, or the separator.

    Raises:
        DataError: two separators fit equally well.

    Example:
    >>> find_layout(Path("t.csv"), ".csv", ["size;price\\n", "3;12,50\\n"]).separator
    ';'
    """
    declared = _DECLARED.fullmatch(sample[0]) if sample else None
    skipped = 1 if declared is not None and len(sample) > 1 else 0
    lines = sample[skipped:]
    if asked != "auto" or (declared is not None and skipped):
        chosen = asked if asked != "auto" else str(declared and declared.group(1))
        return _laid_out(lines, chosen, skipped)[0]
    default = _DEFAULTS.get(suffix, ",")
    found = {each: _laid_out(lines, each, 0) for each in SEPARATORS}
    for least in (_FITS, _MOSTLY):
        fitting = [lay for lay, fit in found.values() if lay.width > 1 and fit >= least]
        if fitting:
            return _best(path, fitting)
    # nothing fits: the usual one if the header has it, else what the rows are full of
    usual = found[default][0]
    others = [
        lay
        for lay, _ in found.values()
        if lay.width > 1 and _share(lines[1:], lay.separator) >= _MOSTLY
    ]
    return _best(path, others) if usual.width == 1 and others else usual


def _best(path: Path, fitting: Sequence[Layout]) -> Layout:
    def rank(layout: Layout) -> tuple[int, int, bool]:
        # texts hold commas and semicolons, but hardly ever as many tabs in each row
        return layout.width, len(layout.numeric), layout.separator == "\t"

    ranked = sorted(fitting, key=rank, reverse=True)
    if len(ranked) > 1 and rank(ranked[0]) == rank(ranked[1]):
        first, second = (SEPARATORS[each.separator] for each in ranked[:2])
        raise DataError(
            f"{path}: its values may be separated by {first} or by {second}: both give "
            f"{ranked[0].width} columns in every row. Say which: --separator "
            f"{shown_separator(ranked[0].separator)} or --separator "
            f"{shown_separator(ranked[1].separator)} (YAML `data: {{separator: …}}`, Python "
            "`read_table(…, separator=…)`)."
        )
    return ranked[0]


def shown_separator(separator: str) -> str:
    """Return a separator as a shell takes it."""
    return "tab" if separator == "\t" else f"'{separator}'"


def _laid_out(lines: Sequence[str], separator: str, skipped: int) -> tuple[Layout, float]:
    """Return the layout by one separator, and the fraction of the rows that fit its header."""
    try:
        records = [record for record in csv.reader(lines, delimiter=separator) if record]
    except csv.Error:
        return Layout(separator, skipped, 1, ()), 0.0
    width = len(records[0]) if records else 0
    # A value of several lines may be cut off by the end of the sample.
    rows = records[1:-1] if len(lines) >= SAMPLE_LINES - 1 else records[1:]
    fitting = [row for row in rows if len(row) == width]
    numeric = tuple(at for at in range(width) if is_numeric(row[at] for row in fitting))
    return Layout(separator, skipped, width, numeric), len(fitting) / len(rows) if rows else 1.0


def is_numeric(cells: Iterable[str]) -> bool:
    """Whether nearly all cells that are not empty are numbers, in whatever way written."""
    present = [cell for cell in cells if cell.strip()]
    found = sum(_NUMERIC.fullmatch(cell) is not None for cell in present)
    return bool(present) and found >= _ALIKE * len(present)


def _share(lines: Sequence[str], separator: str) -> float:
    present = [line for line in lines if line.strip()]
    return sum(separator in line for line in present) / len(present) if present else 0.0


def find_decimal_comma(frame: pd.DataFrame) -> bool:
    """Whether the numbers of a file that are written as text have decimal commas.

    They have where a column of numbers says so, as 12,5 does and 1,250 does not, and no column has
    decimal points. Points in one column would tell nothing of another: a program writes 12.5, and
    a person 1.250 beside it.

    Example:
    >>> cells = {"price": ["1.299,00", "8,5"], "size": ["1,250", "2,000"]}
    >>> find_decimal_comma(pd.DataFrame(cells, dtype=object))
    True
    """
    marks = set[str]()
    for name in frame.columns:
        if frame[name].dtype == object:
            cells = {
                cell: None for cell in frame[name].head(DECIDING_ROWS) if isinstance(cell, str)
            }
            marks |= {_mark_of(list(cells))}
    return marks - {""} == {","}


def _mark_of(cells: Sequence[str]) -> str:
    """Return the decimal mark that a column of numbers decides for, "" if it does for none."""
    found = [_NUMBER.fullmatch(_SPACED.sub("", cell.strip())) for cell in cells]
    numbers = [match.group(1) for match in found if match is not None]
    if not numbers or len(numbers) < _ALIKE * len(cells):
        return ""
    marks = {_decisive_mark(number) for number in numbers} - {""}
    return marks.pop() if len(marks) == 1 else ""


def _decisive_mark(number: str) -> str:
    """Return the decimal mark of a number that can be read in one way only, else ""."""
    for mark, group in ((",", "."), (".", ",")):
        grouped = rf"\d{{1,3}}(\{group}\d{{3}})"
        if re.fullmatch(rf"{grouped}+\{mark}\d+|{grouped}{{2,}}", number):
            return mark
        # 1,250 may be either; 12,5 and 0,250 and 1250,500 are not
        if re.fullmatch(rf"\d+\{mark}(\d{{1,2}}|\d{{4,}})|(0|\d{{4,}})\{mark}\d{{3}}", number):
            return mark
    return ""
