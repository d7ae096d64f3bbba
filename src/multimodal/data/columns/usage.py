"""Rows written by another country's usage than those that a schema was made from.

A run that learned from 12.5 may get a file with 12,5, of another country's spreadsheet, or days
before months. Read as the training rows are, 1,250 would be a thousand times as much and 03/04 a
month off, and nobody would be told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.data.columns.date_format import date_format
from multimodal.data.columns.dates import parse_dates
from multimodal.data.columns.number_format import number_format
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.reading import Reading
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.read.table import Table

_MARK = re.compile(r"(?<=\d)[.,](?=\d)|(?<![\w.,])[.,](?=\d)")
_SWAPPED = {".": ",", ",": "."}
_LEAST = 0.5  # fraction of the cells that must be numbers with the other mark
_KINDS = ("number", "target", "weight", "date")
MOST_TEXTS = 200_000  # different ones of a column, up to the last of which its cells decide


def in_known_usage(table: Table, schema: Schema) -> tuple[Table, list[str]]:
    """Return a table whose numbers and dates are written as in a schema, and what was changed.

    A column is changed where its own cells decide for the other decimal mark, or the other order of
    day and month, or where they leave it open and the file has decimal commas.

    Args:
        table: rows to predict.
        schema: of the rows that were learned from.

    Example:
    >>> from multimodal.data.columns.schema import infer_schema
    >>> from multimodal.data.read.readers import read_table
    >>> known = read_table([{"size": f"{i / 4}"} for i in range(40)])
    >>> other = read_table([{"size": "1,250"}, {"size": "2,5"}])
    >>> in_known_usage(other, infer_schema(known))[0].frame["size"].tolist()
    ['1.250', '2.5']
    """
    usage = Usage(schema)
    usage.look_at(table.frame)
    changes = usage.changes(table.dialect.decimal)
    return changed(table, changes), [change.told for change in changes]


class Change(NamedTuple):
    """How the cells of a column are to be read, unlike those that were learned from.

    `dates` are those of a column of dates, None of numbers, whose decimal marks are the others.
    """

    column: Column
    told: str
    dates: Reading | None = None


class Usage:
    """How columns of a file are written, from their cells as they come: all at once, or in parts.

    Args:
        schema: of the rows that were learned from.
    """

    def __init__(self, schema: Schema) -> None:
        self._columns = [each for each in schema.columns if each.wide and each.kind in _KINDS]
        self._texts: dict[str, Counter[str]] = {each.name: Counter() for each in self._columns}
        self._full: set[str] = set()

    @property
    def names(self) -> list[str]:
        """The columns whose cells are looked at."""
        return list(self._texts)

    def look_at(self, frame: pd.DataFrame) -> None:
        """Count the texts of further rows, of each column as long as there are not too many."""
        for name in self._texts.keys() - self._full:
            if name in frame and not isinstance(frame[name].dtype, np.dtype):
                cells = iter(frame[name])
            elif name in frame and frame[name].dtype == object:
                cells = iter(frame[name].tolist())
            else:
                continue
            self._count(name, cells)

    def _count(self, name: str, cells: Iterable[Any]) -> None:
        texts = self._texts[name]
        for cell in cells:
            if isinstance(cell, str):
                texts[cell] += 1
                if len(texts) >= MOST_TEXTS:
                    self._full.add(name)
                    return

    def changes(self, decimal: str) -> list[Change]:
        """Return what must be changed, by all cells that were looked at.

        Args:
            decimal: the decimal mark of the file, which decides where a column leaves it open.
        """
        found = []
        for column in self._columns:
            texts = self._texts[column.name]
            kind = _of_dates if column.kind == "date" else _of_numbers
            change = kind(texts, column, decimal) if texts else None
            found += [change] if change is not None else []
        return found


def changed(table: Table, changes: Sequence[Change]) -> Table:
    """Return a table, or a part of one, with its cells written as those that were learned from."""
    cells = {c.column.name: _rewritten(table.frame[c.column.name], c) for c in changes}
    return replace(table, frame=table.frame.assign(**cells)) if cells else table


def _of_numbers(texts: Counter[str], column: Column, decimal: str) -> Change | None:
    if not any(_MARK.search(text) for text in texts):
        return None
    told = Reading(missing_words=column.missing_words)
    found = number_format(texts, told, decimal, guess=False)
    if found.doubt or found.read < _LEAST or found.reading.decimal == column.decimal:
        return None
    return Change(
        column, _told(column, f"decimal {'point' if column.decimal == ',' else 'comma'}s")
    )


def _of_dates(texts: Counter[str], column: Column, decimal: str) -> Change | None:
    found = date_format(texts, Reading())
    first = found.reading.day_first
    if found.doubt or first is None or first == column.day_first:
        return None
    return Change(column, _told(column, f"the {'day' if first else 'month'} first"), found.reading)


def _told(column: Column, what: str) -> str:
    return f"column '{column.name}' has {what}, unlike the rows learned from"


def _rewritten(cells: pd.Series[Any], change: Change) -> list[Any]:
    """Return cells as numbers with the column's decimal mark, or as ISO dates."""
    if change.dates is not None:
        days = parse_dates(cells, change.dates).values
        return [old if np.isnat(day) else str(day) for old, day in zip(cells, days, strict=True)]
    swapped = [_MARK.sub(_other, cell) if isinstance(cell, str) else cell for cell in cells]
    # what cannot be read either way stays as it was written
    unread = np.isnan(parse_numbers(swapped, change.column).values).tolist()
    return [old if bad else new for old, new, bad in zip(cells, swapped, unread, strict=True)]


def _other(mark: re.Match[str]) -> str:
    return _SWAPPED[mark.group()]
