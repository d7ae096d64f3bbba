"""Rows written by another country's usage than those that a schema was made from.

A run that learned from 12.5 may get a file with 12,5, of another country's spreadsheet, or days
before months. Read as the training rows are, 1,250 would be a thousand times as much and 03/04 a
month off, and nobody would be told.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

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
    changed, told = {}, []
    for column in schema.columns:
        if not column.wide or column.kind not in _KINDS or column.name not in table.frame:
            continue
        cells = table.frame[column.name]
        if column.kind == "date":
            found, what = _dates(cells, column)
        else:
            found, what = _numbers(cells, column, table.dialect.decimal)
        if what:
            changed[column.name] = found
            told.append(f"column '{column.name}' has {what}, unlike the rows learned from")
    return replace(table, frame=table.frame.assign(**changed)) if changed else table, told


def _numbers(cells: pd.Series[Any], column: Column, decimal: str) -> tuple[Any, str]:
    """Return cells with the column's decimal mark, and what they have instead, if so."""
    texts = Counter(cell for cell in cells if isinstance(cell, str))
    if not any(_MARK.search(text) for text in texts):
        return cells, ""
    told = Reading(missing_words=column.missing_words)
    found = number_format(texts, told, decimal, guess=False)
    if found.doubt or found.read < _LEAST or found.reading.decimal == column.decimal:
        return cells, ""
    swapped = [_MARK.sub(_other, cell) if isinstance(cell, str) else cell for cell in cells]
    # what cannot be read either way stays as it was written
    unread = np.isnan(parse_numbers(swapped, column).values).tolist()
    kept = [old if bad else new for old, new, bad in zip(cells, swapped, unread, strict=True)]
    return kept, "decimal points" if column.decimal == "," else "decimal commas"


def _other(mark: re.Match[str]) -> str:
    return _SWAPPED[mark.group()]


def _dates(cells: pd.Series[Any], column: Column) -> tuple[Any, str]:
    """Return cells as ISO dates where day and month are the other way round than the column's."""
    found = date_format(cells, Reading())
    first = found.reading.day_first
    if found.doubt or first is None or first == column.day_first:
        return cells, ""
    days = parse_dates(cells, found.reading).values
    kept = [old if np.isnat(day) else str(day) for old, day in zip(cells, days, strict=True)]
    return kept, f"the {'day' if first else 'month'} first"
