"""Prediction intervals by split-conformal prediction: the record, and the intervals it gives.

On calibration rows, which the model did not learn from, the nonconformity score of a row is its
error divided by the error that is expected in such a row. A quantile of these scores, times the
expected error of a new row, is the half-width of its interval. That is done in the space that the
head learns in, so that a price gets an interval that is a factor wide. `calibration.conformal`
learns the record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from multimodal.core.arrays import Floats
from multimodal.core.errors import ConfigError, RunError
from multimodal.core.records import Record
from multimodal.core.spec import FittedSpec
from multimodal.core.target_transform import TargetTransform
from multimodal.evaluation.calibration.scale import ConditionalScale
from multimodal.evaluation.confidence import PredictionInterval

MOST_SCORES, MOST_COLUMNS = 5000, 1000
MOST_FEATURES, MOST_NAMES = 48, 12
LEAST_SHARE = 0.03  # a category that fewer rows have, or fewer have not, is no feature
Inputs = Mapping[str, NDArray[Any]]
_Scores = Annotated[list[float], Field(max_length=MOST_SCORES)]


class NonconformityScore(Record):
    """How an error becomes a score, as far as the outputs of a head tell.

    `middle` is the column of the prediction. Of a head with quantiles on both sides of it, `outer`
    are the columns of the outermost: an error is divided by the distance of the one on its side, as
    in scaled conformalized quantile regression, and `least` are the smallest distances that are
    believed.
    """

    middle: int = Field(0, ge=0, lt=MOST_COLUMNS)
    outer: tuple[int, int] | None = None
    least: tuple[float, float] = (1.0, 1.0)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        low, high = self.outer or (self.middle - 1, self.middle + 1)
        if not (low < self.middle < high < MOST_COLUMNS and min(self.least) > 0):
            raise ValueError("the middle must lie between the outer columns, at a distance above 0")
        return self

    @property
    def width(self) -> int:
        """The least number of columns that outputs must have."""
        return max(self.middle, *(self.outer or (0,))) + 1

    def distances(self, values: Floats) -> tuple[Floats, Floats]:
        """Return what errors below and above the prediction are divided by, of outputs (N, W)."""
        if self.outer is None:
            return np.ones(len(values)), np.ones(len(values))
        middle, (low, high) = values[:, self.middle], self.outer
        down = np.maximum(middle - values[:, low], self.least[0])
        return down, np.maximum(values[:, high] - middle, self.least[1])

    def features(self, values: Floats) -> Floats:
        """Return what tells how large errors are (N, F): prediction, and log of the distances."""
        middle = values[:, self.middle]
        if self.outer is None:
            return middle[:, None]
        return np.stack([middle, np.log(sum(self.distances(values)))], axis=1)


class NumberCalibration(Record):
    """What the prediction intervals of one head are made of.

    `upper` and `lower` are rising scores of errors upwards and downwards: quantiles at 1/m, 2/m …
    1 of those of the calibration rows. Where `lower` is empty, intervals are symmetric and `upper`
    are scores of the larger side. `rows` is the number of calibration rows.
    """

    space: TargetTransform
    shape: NonconformityScore  # `shape` and `spread` are keys of saved runs
    spread: ConditionalScale
    rows: int = Field(ge=1)
    upper: _Scores = Field(min_length=1)
    lower: _Scores = []

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if any(sorted(scores) != scores for scores in (self.upper, self.lower)):
            raise ValueError("scores must rise")
        if self.lower and len(self.lower) != len(self.upper):
            raise ValueError("there must be as many lower as upper scores")
        return self

    @property
    def most(self) -> float:
        """The highest level that the calibration rows allow."""
        scores = len(self.upper)
        return (scores - 1) / (scores + 1) if self.lower else scores / (scores + 1)


def prediction_interval(
    record: NumberCalibration, outputs: ArrayLike, level: float, features: ArrayLike | None = None
) -> PredictionInterval:
    """Return intervals that hold the labels of at least a fraction `level` of new rows.

    That is so over all rows, where new ones are like the calibration rows, and about so for rows of
    any predicted value. An interval holds its prediction.

    Args:
        record: What `multimodal.evaluation.calibration.conformal.calibrate_intervals` returned.
        outputs: Decoded outputs (N, width) of the head, in the user's units.
        level: Between 0 and 1, such as 0.9.
        features: Further features (N, F), where calibration was given some.

    Raises:
        ConfigError: `level` is not between 0 and 1.
        RunError: There were too few calibration rows for so high a level, or the record is of
            another head.

    Example:
    >>> record = NumberCalibration(
    ...     space=TargetTransform(),
    ...     shape=NonconformityScore(),
    ...     spread=ConditionalScale(),
    ...     rows=9,
    ...     upper=list(range(1, 10)),
    ... )
    >>> prediction_interval(record, [[100.0]], 0.9)
    PredictionInterval(low=array([91.]), high=array([109.]))
    """
    values, score = record.space.encode(outputs), record.shape
    seen = score.features(values) if values.shape[1] >= score.width else values[:, :0]
    if features is not None and len(record.spread.knots) > seen.shape[1]:
        seen = np.hstack([seen, np.asarray(features, np.float64)])
    if not seen.shape[1] or 0 < len(record.spread.knots) != seen.shape[1]:
        raise RunError("the calibration is not of this model's head. Train the run anew.")
    below, above = score_quantiles(record, level)
    scale, (down, up) = record.spread.of(seen), score.distances(values)
    middle, prediction = (each[:, score.middle] for each in (values, np.asarray(outputs)))
    low = record.space.decode(middle - below * down * scale)
    high = record.space.decode(middle + above * up * scale)
    # Of skewed errors both ends may lie on one side of the prediction: nobody would believe that.
    return PredictionInterval(np.minimum(low, prediction), np.maximum(high, prediction))


def score_quantiles(record: NumberCalibration, level: float) -> tuple[float, float]:
    """Return the nonconformity scores at which an interval of a level ends, below and above.

    Raises:
        ConfigError, RunError: As `prediction_interval`.
    """
    if not (isinstance(level, int | float) and 0 < level < 1):
        raise ConfigError(
            f"the level of intervals must be between 0 and 1, such as 0.9. Received: {level!r}"
        )
    if level > record.most + 1e-9:
        raise RunError(
            f"intervals at level {level:g} take more than the {record.rows:,} rows there were to "
            f"calibrate on; they allow {math.floor(1000 * record.most) / 1000:g} at most."
        )
    # Each side misses half of what may be missed: 95 % upwards and downwards make 90 %.
    if record.lower:
        q = (1 + level) / 2
        return conformal_quantile(record.lower, q), conformal_quantile(record.upper, q)
    return conformal_quantile(record.upper, level), conformal_quantile(record.upper, level)


def conformal_quantile(scores: Sequence[float], q: float) -> float:
    """Return the score that a fraction `q` of all rows, a new one among them, does not exceed.

    Of n rising scores it is number ceil((n + 1) * q), the largest where there are too few.

    Example:
    >>> conformal_quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    3.0
    """
    # The tolerance is for rounding: 100 * 0.55 is 55.00000000000001, whose rank would be 56.
    rank = math.ceil((len(scores) + 1) * q - 1e-9)
    return scores[min(max(rank, 1), len(scores)) - 1]


class RowFeature(Record):
    """A column of an input: its number, 0 where missing, or whether it is the category `code`."""

    key: str
    column: int = Field(ge=0, lt=100_000)
    code: int | None = None


def choose_features(spec: FittedSpec, inputs: Inputs) -> list[RowFeature]:
    """Return the numbers and the frequent categories of tabular groups, at most 48.

    They may tell how large an error is; nothing is learned from labels here.

    Args:
        spec: The fitted spec.
        inputs: Arrays of rows, such as those to calibrate on.
    """
    found: list[RowFeature] = []
    for group in (group for group in spec.groups if group.modality == "tabular"):
        for i in range(len(group.numeric)):
            found.append(RowFeature(key=f"{group.name}_numeric", column=i))
        for i in range(len(group.categorical)):
            key = f"{group.name}_categorical"
            found += [RowFeature(key=key, column=i, code=c) for c in _frequent(inputs[key][:, i])]
    return found[:MOST_FEATURES]


def row_features(chosen: Sequence[RowFeature], inputs: Inputs) -> Floats:
    """Return the features (rows, F) as finite numbers.

    Example:
    >>> inputs = {"t_numeric": np.array([[1.5], [np.nan]]), "t_categorical": np.array([[2], [3]])}
    >>> name = RowFeature(key="t_categorical", column=0, code=3)
    >>> row_features([RowFeature(key="t_numeric", column=0), name], inputs).tolist()
    [[1.5, 0.0], [0.0, 1.0]]
    """
    rows = len(next(iter(inputs.values()))) if inputs else 0
    columns = [
        np.nan_to_num(np.asarray(inputs[each.key][:, each.column], np.float64))
        if each.code is None
        else (inputs[each.key][:, each.column] == each.code).astype(np.float64)
        for each in chosen
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0))


def features_fit(chosen: Sequence[RowFeature], spec: FittedSpec) -> bool:
    """Return whether every feature is of a column that the spec knows."""
    widths = {f"{group.name}_numeric": len(group.numeric) for group in spec.groups}
    widths |= {f"{group.name}_categorical": len(group.categorical) for group in spec.groups}
    return all(each.column < widths.get(each.key, 0) for each in chosen)


def _frequent(codes: NDArray[Any]) -> list[int]:
    values, counts = np.unique(codes, return_counts=True)
    frequency = counts / max(len(codes), 1)
    order = np.argsort(-counts, kind="stable")[:MOST_NAMES]
    return [int(values[i]) for i in order if LEAST_SHARE <= frequency[i] <= 1 - LEAST_SHARE]
