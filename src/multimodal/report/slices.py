"""Where a model errs: its result by part of the predicted value and by value of a category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from multimodal.core.arrays import Floats
from multimodal.core.config import LabelKind
from multimodal.evaluation.bootstrap import (
    LEAST_ROWS,
    ConfidenceInterval,
    Statistic,
    confidence_interval,
    mean_of,
    median_of,
    proportion,
    resample,
)
from multimodal.evaluation.metrics import deciles
from multimodal.report.head_rows import all_labels_right, box_overlap

MOST_VALUES, MOST_COLUMNS, LEAST_SHOWN = 5, 8, 5  # per column; columns; rows of a value
OTHERS, MISSING = "all others", "missing"
Flag = Literal["", "few", "worse", "better"]


@dataclass(frozen=True)
class Measured:
    """How right rows are, in one number of each.

    `relative` says that these are shares of the truth, `right` that they are 0 or 1, `higher` that
    more is better.
    """

    label: str
    values: Floats
    weight: Floats
    relative: bool = False
    right: bool = False

    higher: bool = False

    @cached_property
    def overall(self) -> float:
        """The result of all rows."""
        return float(self._statistic(slice(None))(self.weight[None])[0])

    def on(self, chosen: Any) -> ConfidenceInterval:
        """Return the result of some rows: median of relative errors, else weighted mean."""
        if self.right:
            return proportion(self.values[chosen], self.weight[chosen])
        return confidence_interval(resample([self._statistic(chosen)], self.weight[chosen])[:, 0])

    def _statistic(self, chosen: Any) -> Statistic:
        values = self.values[chosen]
        return median_of(values) if self.relative else mean_of(values)


@dataclass(frozen=True)
class Slice:
    """Some rows: how many, how right they are, and whether that differs from all rows.

    `few` flags less than 20 rows; `worse` and `better` that the interval leaves out the result of
    all rows. Of numbers, `lower` and `upper` are the range of what is predicted, `bias` the median
    of prediction minus truth and `mae` the mean absolute error, in the user's unit.
    """

    name: str
    rows: int
    result: ConfidenceInterval
    flag: Flag
    lower: float = np.nan
    upper: float = np.nan
    bias: float = np.nan
    mae: float = np.nan


def measured(rows: pd.DataFrame, kind: LabelKind, classes: Sequence[str]) -> Measured:
    """Return how right each of the rows of a head is, as its kind has it.

    Numbers: the relative error where every truth is above 0, else the absolute one. Classes and
    labels: whether all is right. Boxes: the IoU.
    """
    weight = rows["weight"].to_numpy(float)
    if kind == "number":
        y, p = rows["true"].to_numpy(float), rows["prediction"].to_numpy(float)
        if (y > 0).all():
            return Measured("median relative error", np.abs(p - y) / y, weight, relative=True)
        return Measured("mean absolute error", np.abs(p - y), weight)
    if kind == "class":
        right = np.asarray(rows["true"] == rows["prediction"], np.float64)
        return Measured("accuracy", right, weight, right=True, higher=True)
    if kind == "labels":
        hit = all_labels_right(rows, classes)
        return Measured(
            "rows with all labels right", hit.astype(float), weight, right=True, higher=True
        )
    return Measured("mean IoU", box_overlap(rows), weight, higher=True)


def by_prediction(rows: pd.DataFrame, found: Measured) -> list[Slice]:
    """Return equal parts of the predicted number, lowest first; empty ones are left out.

    There are ten, or fewer that have 20 rows each. They go by the prediction, which is what one
    knows of a new row: parts of the truth would show the lowest truths overestimated and the
    highest underestimated by any model with errors.
    """
    y, p = rows["true"].to_numpy(float), rows["prediction"].to_numpy(float)
    part = deciles(p, num_parts(len(rows)))
    return [_slice(f"part {number}", part == number, found, y, p) for number in np.unique(part)]


def num_parts(rows: int) -> int:
    """Return into how many parts rows are cut: ten, or as many as have 20 rows, at least three.

    Example:
    >>> num_parts(1000), num_parts(157), num_parts(9)
    (10, 7, 3)
    """
    return min(10, max(3, rows // LEAST_ROWS))


def by_category(
    rows: pd.DataFrame, raw: pd.DataFrame, columns: Sequence[str], found: Measured
) -> dict[str, list[Slice]]:
    """Return the results of the five most frequent values of each category column.

    The rest of the values are taken together, and rows without a value as one more; what has less
    than 5 rows is not listed, nor is a column with one entry only.

    Args:
        rows: As `head_rows` returns them.
        raw: The raw test rows, by their position in the predictions.
        columns: The category columns; the first eight there are count.
        found: How right each row is.
    """
    result: dict[str, list[Slice]] = {}
    for column in [name for name in columns if name in raw][:MOST_COLUMNS]:
        names = _names(raw[column].iloc[rows.index])
        slices = [
            _slice(str(name), (names == name).to_numpy(), found)
            for name, count in names.value_counts().items()
            if count >= LEAST_SHOWN
        ]
        if len(slices) > 1:
            last = {OTHERS: 1, MISSING: 2}
            result[column] = sorted(slices, key=lambda each: last.get(each.name, 0))
    return result


def reliability_bins(probability: ArrayLike, right: ArrayLike) -> Floats:
    """Return mean probability, fraction that came true, and rows of each tenth that has rows.

    Args:
        probability: Predicted probabilities (N,).
        right: Whether each came true (N,), 0 or 1.

    Example:
    >>> reliability_bins([0.25, 0.05, 0.95], [1, 0, 1])[-1].tolist()
    [0.95, 1.0, 1.0]
    """
    p, hit = np.asarray(probability, float), np.asarray(right, float)
    # 1 itself belongs to the last tenth
    tenth = np.minimum((p * 10).astype(int), 9)
    chosen = [tenth == i for i in np.unique(tenth)]
    return np.array([[p[rows].mean(), hit[rows].mean(), rows.sum()] for rows in chosen])


def flagged(slices: Mapping[str, Sequence[Slice]], flag: Flag) -> list[tuple[str, Slice]]:
    """Return the slices with a flag, with their column, the largest first."""
    found = [(name, each) for name, several in slices.items() for each in several]
    return sorted(
        ((name, each) for name, each in found if each.flag == flag), key=lambda pair: -pair[1].rows
    )


def _names(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return the name of the slice of each row."""
    words = cells.map(lambda cell: MISSING if _absent(cell) else str(cell))
    counts = words[words != MISSING].value_counts()
    kept = {*counts.index[:MOST_VALUES], MISSING}
    return words.where(words.isin(kept), OTHERS)


def _absent(cell: Any) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell) or cell == ""


def _slice(
    name: str, chosen: Any, found: Measured, y_true: Any = None, prediction: Any = None
) -> Slice:
    rows, result = int(chosen.sum()), found.on(chosen)
    shown: dict[str, float] = {}
    if y_true is not None:
        y, p = y_true[chosen], prediction[chosen]
        shown = {
            "lower": float(p.min()),
            "upper": float(p.max()),
            "bias": float(np.median(p - y)),
            "mae": float(np.average(np.abs(p - y), weights=found.weight[chosen])),
        }
    return Slice(name, rows, result, _flag(rows, result, found), **shown)


def _flag(rows: int, result: ConfidenceInterval, found: Measured) -> Flag:
    if rows < LEAST_ROWS:
        return "few"
    above, below = result.low > found.overall, result.high < found.overall
    if not (above or below):
        return ""
    return "better" if above == found.higher else "worse"
