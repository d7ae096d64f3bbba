"""Whether probabilities are as high as the share of rows in which they are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.errors import DataError
from multimodal.core.records import MeasuredRecord
from multimodal.evaluation.metrics import best_class, check_pair, check_weights

BINS = 15


class ConfidenceBin(BaseModel):
    """Answers of like probability: its mean, the share that was right, how many there were."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: float
    right: float
    n: int


class ConfidenceCheck(BaseModel):
    """Probabilities of one head on the test rows, after and before their temperature.

    `ece` is the expected calibration error: the mean distance of probability and share right over
    15 bins of equally many answers. `bins` are those after.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    temperature: float
    n: int
    ece: float
    ece_before: float
    log_loss: float
    log_loss_before: float
    bins: list[ConfidenceBin] = []


def confidence_bins(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    ordered: bool = False,
    bins: int = BINS,
) -> list[ConfidenceBin]:
    """Sort answers by their probability into bins of equally many.

    Of classes, an answer is the class named in each row, with its probability; of labels, each
    label of each row with the probability of the side that is named.

    Args:
        y_true: Classes (N,), or labels (N, C) of 0 and 1.
        probabilities: (N, C).
        weight: Row weights (N,).
        ordered: Whether classes are grades, of which the median is named.
        bins: How many; fewer where there are fewer answers.

    Example:
    >>> confidence_bins([0, 1], [[0.9, 0.1], [0.7, 0.3]], bins=1)
    [ConfidenceBin(probability=0.8, right=0.5, n=2)]
    """
    y, p = np.asarray(y_true), np.asarray(probabilities, np.float64)
    w = np.ones(len(y)) if weight is None else check_weights(weight, len(y))
    if y.ndim == 1:
        best = best_class(p, ordered=ordered)
        sure, right = p[np.arange(len(p)), best], best == y
    else:
        sure, right = np.maximum(p, 1 - p).ravel(), ((p >= 0.5) == (y > 0.5)).ravel()
        w = np.repeat(w, p.shape[1])
    sure, right, w = sure[w > 0], right[w > 0], w[w > 0]
    order = np.argsort(sure, kind="stable")
    return [
        ConfidenceBin(
            probability=float(np.average(sure[rows], weights=w[rows])),
            right=float(np.average(right[rows], weights=w[rows])),
            n=len(rows),
        )
        for rows in np.array_split(order, min(bins, len(order)))
    ]


def expected_calibration_error(bins: list[ConfidenceBin]) -> float:
    """Return the mean distance of probability and share right, by the size of the bins.

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
    y, p = np.asarray(y_true), np.asarray(probabilities, np.float64)
    if y.ndim == 1:
        share = p[np.arange(len(y)), y.astype(int)] / np.maximum(p.sum(axis=1), 1e-12)
    else:
        share = np.where(y > 0.5, p, 1 - p)
    losses = -np.log(np.clip(share, 1e-7, 1.0)).reshape(len(y), -1).mean(axis=1)
    return float(np.average(losses, weights=weight))


PARTS, CONFIDENCE = 3, 0.99


class IntervalPart(MeasuredRecord):
    """Rows whose prediction lies in [lower, upper]: the share held, and the mean width."""

    lower: float
    upper: float
    n: int
    coverage: float
    band: tuple[float, float]
    width: float


class IntervalCheck(MeasuredRecord):
    """Intervals of one level on the test rows, in the user's units.

    `coverage` is the share of truths held, which should be `level`; with exact intervals it lies in
    `band` 99 times in 100. `score` is the mean width plus 2 / (1 - level) times the mean distance
    of a truth from its interval (Winkler, 1972); lower is better. `constant_…` are those of
    intervals of one width in the head's space. `parts` are thirds of the rows by prediction,
    `coverages` the shares held at other levels.
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
    """Lower and upper ends (N,) of intervals, in the user's units."""

    low: ArrayLike
    high: ArrayLike


def check_intervals(
    y_true: ArrayLike,
    prediction: ArrayLike,
    ends: Mapping[float, PredictionInterval],
    constant: PredictionInterval,
    level: float,
    weight: ArrayLike | None = None,
    *,
    parts: int = PARTS,
) -> IntervalCheck:
    """Compare intervals with the truth, both finite and (N,) in the user's units.

    Args:
        y_true: What came true.
        prediction: What was predicted; it sorts rows into parts.
        ends: Intervals by level; one of them is `level`.
        constant: Intervals of `level` that have one width in the head's space.
        level: The level to look at closely.
        weight: Row weights (N,).
        parts: Number of parts, of equally many rows.

    Raises:
        DataError: As `regression_metrics`.

    Example:
    >>> ends = {0.9: PredictionInterval([0.0, 0.0], [2.0, 2.0])}
    >>> constant = PredictionInterval([0, 0], [4, 4])
    >>> check_intervals([1.0, 3.0], [1.0, 1.0], ends, constant, 0.9).coverage
    0.5
    """
    y, p = check_pair(y_true, prediction)
    w = np.ones_like(y) if weight is None else check_weights(weight, len(y))
    low, high = _checked(ends[level], len(y))
    flat = _checked(constant, len(y))
    part = _parts(p, parts)
    return IntervalCheck(
        level=level,
        **_measured(y, low, high, w, level),
        score=float(np.average(interval_score(y, low, high, level), weights=w)),
        constant_coverage=float(np.average(_held(y, *flat), weights=w)),
        constant_width=float(np.average(flat[1] - flat[0], weights=w)),
        constant_score=float(np.average(interval_score(y, *flat, level), weights=w)),
        parts=[
            IntervalPart(
                lower=float(p[rows].min()),
                upper=float(p[rows].max()),
                **_measured(y[rows], low[rows], high[rows], w[rows], level),
            )
            for rows in (part == i for i in range(parts))
            if w[rows].any()
        ],
        coverages={
            each: float(np.average(_held(y, *_checked(found, len(y))), weights=w))
            for each, found in sorted(ends.items())
        },
    )


def interval_score(y_true: ArrayLike, low: ArrayLike, high: ArrayLike, level: float) -> Floats:
    """Return the interval score (N,) of intervals at `level`; lower is better.

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
    """Return where the share of `n` rows lies that each have the chance `share`, most often.

    Example:
    >>> [round(end, 2) for end in binomial_band(100, 0.9)]
    [0.82, 0.97]
    """
    from scipy.stats import binom

    count = max(round(n), 1)
    low, high = binom.interval(confidence, count, share)
    return float(low / count), float(high / count)


def _measured(y: Floats, low: Floats, high: Floats, w: Floats, level: float) -> dict[str, Any]:
    effective = float(w.sum() ** 2 / (w**2).sum())
    return {
        "n": int((w > 0).sum()),
        "coverage": float(np.average(_held(y, low, high), weights=w)),
        "band": binomial_band(effective, level),
        "width": float(np.average(high - low, weights=w)),
    }


def _held(y: Floats, low: Floats, high: Floats) -> Bools:
    return np.asarray((low <= y) & (y <= high))


def _checked(ends: PredictionInterval, rows: int) -> tuple[Floats, Floats]:
    low, high = check_pair(ends.low, ends.high)
    if len(low) != rows:
        raise DataError(f"there must be one interval per row. Received: {len(low)} for {rows} rows")
    return low, high


def _parts(prediction: Floats, parts: int) -> Ints:
    edges = np.quantile(prediction, np.arange(1, parts) / parts)
    return np.asarray(np.searchsorted(edges, prediction, side="left"), np.int64)
