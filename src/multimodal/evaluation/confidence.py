"""Checks of calibration on test rows: of probabilities, and of prediction intervals.

Probabilities are calibrated where those of 80 % are right in 80 % of the rows; intervals where they
hold as many labels as their level says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Bools, Floats
from multimodal.core.errors import DataError
from multimodal.core.records import MeasuredRecord
from multimodal.evaluation.metrics import (
    best_class,
    check_pair,
    check_weights,
    deciles,
    effective_rows,
    log_losses,
)

BINS = 15
PARTS, CONFIDENCE = 3, 0.99


class ConfidenceBin(MeasuredRecord):
    """Predictions of like probability: its mean, the fraction that was right, their number."""

    probability: float
    right: float
    n: int


class ConfidenceCheck(MeasuredRecord):
    """Probabilities of one head on the test rows, after and before temperature scaling.

    `ece` is the expected calibration error: the mean distance of probability and fraction right
    over 15 bins of equally many predictions. `bins` are those after.
    """

    temperature: float
    n: int
    ece: float
    ece_before: float
    log_loss: float
    log_loss_before: float
    bins: list[ConfidenceBin] = []


class IntervalPart(MeasuredRecord):
    """Rows whose prediction lies in [lower, upper]: the coverage there, and the mean width."""

    lower: float
    upper: float
    n: int
    coverage: float
    band: tuple[float, float]
    width: float


class IntervalCheck(MeasuredRecord):
    """Prediction intervals of one level on the test rows, in the user's units.

    `coverage` is the fraction of labels inside, which should be `level`; with exact intervals it
    lies in `band` 99 times in 100. `score` is the mean interval score; lower is better.
    `constant_…` are those of intervals of one width in the head's space. `parts` are thirds of the
    rows by prediction, `coverages` those of other levels.
    """

    level: float
    n: int
    coverage: float
    band: tuple[float, float]
    width: float
    score: float
    constant_coverage: float
    constant_width: float
    constant_score: float
    parts: list[IntervalPart] = []
    coverages: dict[float, float] = {}


class PredictionInterval(NamedTuple):
    """Lower and upper ends (N,) in the user's units; NaN in rows without a prediction."""

    low: Floats
    high: Floats


def confidence_bins(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    ordered: bool = False,
    bins: int = BINS,
) -> list[ConfidenceBin]:
    """Sort predictions by their probability into bins of equally many.

    Of classes, a prediction is the class named in each row; of labels, each label of each row, with
    the probability of what is said of it, yes or no.

    Args:
        y_true: Classes (N,), or labels (N, C) of 0 and 1.
        probabilities: (N, C).
        weight: Row weights (N,).
        ordered: Whether classes are ordered, so that the median is named.
        bins: How many; fewer where there are fewer predictions.

    Example:
    >>> confidence_bins([0, 1], [[0.9, 0.1], [0.7, 0.3]], bins=1)
    [ConfidenceBin(probability=0.8, right=0.5, n=2)]
    """
    y, p = np.asarray(y_true), np.asarray(probabilities, np.float64)
    w = check_weights(weight, len(y))
    if y.ndim == 1:
        best = best_class(p, ordered=ordered)
        confidence, right = p[np.arange(len(p)), best], best == y
    else:
        confidence, right = np.maximum(p, 1 - p).ravel(), ((p >= 0.5) == (y > 0.5)).ravel()
        w = np.repeat(w, p.shape[1])
    confidence, right, w = confidence[w > 0], right[w > 0], w[w > 0]
    order = np.argsort(confidence, kind="stable")
    return [
        ConfidenceBin(
            probability=float(np.average(confidence[rows], weights=w[rows])),
            right=float(np.average(right[rows], weights=w[rows])),
            n=len(rows),
        )
        # Bins of equal width would leave some nearly empty, and their error to chance.
        for rows in np.array_split(order, min(bins, len(order)))
    ]


def expected_calibration_error(bins: list[ConfidenceBin]) -> float:
    """Return the mean distance of probability and fraction right, by the size of the bins.

    Example:
    >>> expected_calibration_error([ConfidenceBin(probability=0.75, right=0.5, n=2)])
    0.25

    References:
        Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015; Nguyen
        and O'Connor, Posterior Calibration, 2015 (bins of equally many).
    """
    gaps = np.array([abs(each.probability - each.right) for each in bins])
    return float(np.average(gaps, weights=[each.n for each in bins]))


def log_loss(y_true: ArrayLike, probabilities: ArrayLike, weight: Floats) -> float:
    """Return the mean negative log-likelihood of classes (N,), or of labels (N, C).

    Example:
    >>> round(log_loss([0], [[0.5, 0.5]], np.ones(1)), 4)
    0.6931
    """
    return float(np.average(log_losses(y_true, probabilities), weights=weight))


def check_intervals(
    y_true: ArrayLike,
    prediction: ArrayLike,
    intervals: Mapping[float, PredictionInterval],
    constant: PredictionInterval,
    level: float,
    weight: ArrayLike | None = None,
    *,
    parts: int = PARTS,
) -> IntervalCheck:
    """Compare prediction intervals with labels, both finite and (N,) in the user's units.

    Args:
        y_true: Labels.
        prediction: Predictions, which sort rows into parts.
        intervals: Intervals by level; one of them is `level`.
        constant: Intervals of `level` that have one width in the head's space.
        level: The level to look at closely.
        weight: Row weights (N,).
        parts: Number of parts, of equally many rows.

    Raises:
        DataError: As `regression_metrics`.

    Example:
    >>> ends = {0.9: PredictionInterval(np.zeros(2), np.full(2, 2.0))}
    >>> constant = PredictionInterval(np.zeros(2), np.full(2, 4.0))
    >>> check_intervals([1.0, 3.0], [1.0, 1.0], ends, constant, 0.9).coverage
    0.5
    """
    y, p = check_pair(y_true, prediction)
    w = check_weights(weight, len(y))
    low, high = _checked(intervals[level], len(y))
    same = _checked(constant, len(y))
    part = deciles(p, parts)
    return IntervalCheck(
        level=level,
        **_measured(y, low, high, w, level),
        score=float(np.average(interval_score(y, low, high, level), weights=w)),
        constant_coverage=float(np.average(_inside(y, *same), weights=w)),
        constant_width=float(np.average(same[1] - same[0], weights=w)),
        constant_score=float(np.average(interval_score(y, *same, level), weights=w)),
        parts=[
            IntervalPart(
                lower=float(p[rows].min()),
                upper=float(p[rows].max()),
                **_measured(y[rows], low[rows], high[rows], w[rows], level),
            )
            for rows in (part == i for i in range(1, parts + 1))
            if w[rows].any()
        ],
        coverages={
            each: float(np.average(_inside(y, *_checked(found, len(y))), weights=w))
            for each, found in sorted(intervals.items())
        },
    )


def interval_score(y_true: ArrayLike, low: ArrayLike, high: ArrayLike, level: float) -> Floats:
    """Return the interval score (N,) of intervals at `level`; lower is better.

    It is the width, plus 2 / (1 - level) times the distance of a label outside.

    Example:
    >>> interval_score([1.0, 5.0], [0.0, 0.0], [4.0, 4.0], 0.9).round(6).tolist()
    [4.0, 24.0]

    References:
        Winkler, A Decision-Theoretic Approach to Interval Estimation, 1972; Gneiting and Raftery,
        Strictly Proper Scoring Rules, 2007.
    """
    y, a, b = (np.asarray(each, np.float64) for each in (y_true, low, high))
    outside = np.maximum(a - y, 0) + np.maximum(y - b, 0)
    return np.asarray(b - a + 2 / (1 - level) * outside, np.float64)


def binomial_band(n: float, share: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return where the fraction of `n` rows lies, most often, each of which has the chance `share`.

    Example:
    >>> [round(end, 2) for end in binomial_band(100, 0.9)]
    [0.82, 0.97]
    """
    from scipy.stats import binom

    count = max(round(n), 1)
    low, high = binom.interval(confidence, count, share)
    return float(low / count), float(high / count)


def _measured(y: Floats, low: Floats, high: Floats, w: Floats, level: float) -> dict[str, Any]:
    return {
        "n": int((w > 0).sum()),
        "coverage": float(np.average(_inside(y, low, high), weights=w)),
        "band": binomial_band(effective_rows(w), level),
        "width": float(np.average(high - low, weights=w)),
    }


def _inside(y: Floats, low: Floats, high: Floats) -> Bools:
    return np.asarray((low <= y) & (y <= high))


def _checked(interval: PredictionInterval, rows: int) -> tuple[Floats, Floats]:
    low, high = check_pair(interval.low, interval.high)
    if len(low) != rows:
        raise DataError(f"there must be one interval per row. Received: {len(low)} for {rows} rows")
    return low, high
