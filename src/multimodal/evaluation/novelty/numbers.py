"""Novelty of numbers and categories: far outside the training range, or unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.records import Record
from multimodal.core.spec import OUT_OF_VOCABULARY, FittedGroup, NumericColumn
from multimodal.data.columns.cells import as_text
from multimodal.data.features.cell_arrays import Frame, Readings, numbers

FAR = 3.0  # times as far from the median as the outermost hundredth of the rows
_OUTER, _OFTEN, _MARGIN = 0.01, 0.001, 0.1
_SHOWN = 40


class NoveltyReason(NamedTuple):
    """Why a row is out of distribution: its position, the check, the reason in words."""

    row: int
    check: str
    reason: str


class NumberRange(Record):
    """Range of the numbers of a column: below `low` or above `high` is far outside.

    `least` and `greatest` are the ends of those that were seen.
    """

    source: str
    part: str | None = None
    low: float
    high: float
    least: float
    greatest: float

    @property
    def words(self) -> str:
        """The column in words, such as `year of sold`."""
        return self.source if self.part is None else f"{self.part} of {self.source}"


def fit_range(column: NumericColumn, values: Floats) -> NumberRange | None:
    """Return the range of a column from its numbers (N,), NaN where missing; None without any.

    Far outside is three times as far from the median as the outermost hundredth; where more than
    one row in a thousand is, it is a tenth of the whole range beyond its ends. Where no number is
    negative, every negative one is outside.

    Example:
    >>> column = NumericColumn(name="n", source="n")
    >>> found = fit_range(column, np.arange(101.0))
    >>> found.low, found.high
    (0.0, 246.0)
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    least, greatest = float(known.min()), float(known.max())
    first, middle, last = np.quantile(known, [_OUTER, 0.5, 1 - _OUTER])
    low, high = first - FAR * (middle - first), last + FAR * (last - middle)
    if ((known < low) | (known > high)).mean() > _OFTEN or low == high:
        margin = _MARGIN * (greatest - least)
        low, high = least - margin, greatest + margin
    if least >= 0:
        low = max(low, 0.0)
    return NumberRange(
        source=column.source,
        part=column.part,
        low=float(low),
        high=float(high),
        least=least,
        greatest=greatest,
    )


def novel_numbers(
    ranges: Sequence[NumberRange], group: FittedGroup, readings: Readings, frame: Frame
) -> Iterator[NoveltyReason]:
    """Yield the numbers of a group that lie far outside their range."""
    known = {(each.source, each.part): each for each in ranges}
    columns = [column for column in group.numeric if (column.source, column.part) in known]
    if not columns:
        return
    found = numbers(columns, readings, frame).values
    for i, column in enumerate(columns):
        limits = known[column.source, column.part]
        with np.errstate(invalid="ignore"):
            outside = (found[:, i] < limits.low) | (found[:, i] > limits.high)
        for row in np.flatnonzero(outside):
            yield NoveltyReason(
                int(row),
                f"number:{limits.words}",
                f"{limits.words}: {found[row, i]:,.6g} is far outside the training rows "
                f"({limits.least:,.6g} to {limits.greatest:,.6g})",
            )


def novel_categories(
    sources: Sequence[str], group: FittedGroup, codes: NDArray[np.integer], frame: Frame
) -> Iterator[NoveltyReason]:
    """Yield the categories in the columns `sources` that the model does not know.

    Args:
        sources: Columns in which unknown categories are rare.
        group: The group.
        codes: Its categorical input (rows, columns).
        frame: The rows.
    """
    for i, column in enumerate(group.categorical):
        if column.source not in sources:
            continue
        rows = np.flatnonzero(codes[:, i] == OUT_OF_VOCABULARY)
        if len(rows):
            names = as_text(frame[column.source])
            for row in rows:
                yield NoveltyReason(
                    int(row),
                    f"name:{column.source}",
                    f"{column.source}: '{names[row] or '':.{_SHOWN}}' is unknown",
                )
