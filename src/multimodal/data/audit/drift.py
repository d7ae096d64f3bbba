"""Distribution drift between the splits: the population stability index of each column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.records import Record
from multimodal.data.columns.cells import as_text, is_missing
from multimodal.data.columns.dates import date_parts, parse_dates
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.features.bins import quantile_bins

MIN_PSI = 0.25  # the usual threshold for a large shift
_BINS, _CATEGORIES = 10, 20
_KINDS = ("number", "category", "date", "text", "image")


class Drift(Record):
    """A column of a split beside the training rows; `side`, a key in audit.json, is the split."""

    column: str
    side: str
    psi: float


def drift(frame: pd.DataFrame, schema: Schema, splits: NDArray[Any]) -> list[Drift]:
    """Return the columns whose distribution differs from that of the training rows, worst first.

    The measure is the population stability index, sum((p - q) ln(p / q)) over tenths of the
    training rows (numbers, dates, lengths of texts) or the twenty commonest categories, with
    missing cells as a bin of their own. What chance alone gives, (bins - 1)(1/n + 1/m) for n and m
    rows, is taken off; a column is named from 0.25 on.

    Args:
        frame: the rows.
        schema: the columns to look at.
        splits: (N,) of "train", "validation" and "test".

    References:
        Yurdakul and Naranjo, Statistical properties of the population stability index, 2020.

    Example:
    >>> from multimodal.data.read.readers import read_table
    >>> from multimodal.data.columns.schema import infer_schema
    >>> table = read_table([{"size": i + 0.5} for i in range(200)])
    >>> splits = np.repeat(["train", "test"], 100)
    >>> [each.column for each in drift(table.frame, infer_schema(table), splits)]
    ['size']
    """
    train = splits == "train"
    found = []
    for column in schema.columns:
        if column.kind not in _KINDS:
            continue
        bins = _binned(frame[column.name], column, train)
        for split in ("validation", "test"):
            psi = stability(bins[train], bins[splits == split])
            if psi >= MIN_PSI:
                found.append(Drift(column=column.name, side=split, psi=round(psi, 3)))
    return sorted(found, key=lambda each: -each.psi)


def stability(expected: Ints, found: Ints) -> float:
    """Return the population stability index of two samples of bins, less what chance gives."""
    n, m = len(expected), len(found)
    if not n or not m:
        return 0.0
    size = int(max(expected.max(), found.max())) + 1
    counts = np.stack([np.bincount(each, minlength=size) for each in (expected, found)])
    counts = counts[:, counts.sum(axis=0) > 0]
    # Half a row more in each bin, since the logarithm of an empty one is infinite.
    p, q = ((row + 0.5) / (row.sum() + 0.5 * len(row)) for row in counts)
    chance = float(counts.shape[1] - 1) * (1 / n + 1 / m)
    return max(0.0, float(np.sum((p - q) * np.log(p / q))) - chance)


def _binned(series: pd.Series[Any], column: Column, train: Bools) -> Ints:
    """Return int64 (N,): the bin of each cell, 0 where it is missing."""
    if column.kind == "image":
        return (~is_missing(series)).astype(np.int64)
    if column.kind == "category":
        texts = as_text(series)
        common = pd.Series(texts[train]).value_counts().index[:_CATEGORIES]
        places = {name: place for place, name in enumerate(common, start=1)}
        other = _CATEGORIES + 1
        return np.array([0 if t is None else places.get(t, other) for t in texts], np.int64)
    return 1 + quantile_bins(_numbers(series, column), _BINS, among=train)


def _numbers(series: pd.Series[Any], column: Column) -> Floats:
    if column.kind == "date":
        return date_parts(parse_dates(series, column).values, "days")
    if column.kind == "text":
        return np.array([np.nan if t is None else len(t) for t in as_text(series)], np.float64)
    return parse_numbers(series, column).values
