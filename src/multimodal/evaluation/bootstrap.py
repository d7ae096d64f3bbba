"""Intervals by resampling the test rows: how far a result would move on other rows like these.

A statistic here is a function of row weights: it takes weights (R, N), one line per resample, and
returns its values (R,). Drawing N rows with replacement is giving each row the number of times it
was drawn as its weight, so one set of weights serves every model, and differences are paired.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Floats
from multimodal.evaluation.measures import RatioTerms, metric_of_ratio

LEVEL = 0.95
LEAST_ROWS = 20
"""Rows below which no interval is given: percentiles of so few are too narrow."""
# of more rows fewer draws are made: the ends of an interval then move by a tenth of its width
MANY_ROWS, RESAMPLES, FEWER = 5_000, 1000, 200
_CHUNK = 4_000_000
Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class ConfidenceInterval:
    """A value and the 95 % interval around it."""

    value: float
    low: float
    high: float


def mean_of(values: ArrayLike) -> Statistic:
    """Return the weighted mean of values (N,) as a statistic.

    Example:
    >>> mean_of([1.0, 4.0])(np.array([[1.0, 1.0], [2.0, 0.0]])).tolist()
    [2.5, 1.0]
    """
    v = np.asarray(values, np.float64)
    return lambda weights: np.asarray(weights @ v / weights.sum(axis=1), np.float64)


def root_mean_of(values: ArrayLike) -> Statistic:
    """Return the square root of the weighted mean of squares (N,) as a statistic."""
    mean = mean_of(values)
    return lambda weights: np.sqrt(mean(weights))


def median_of(values: ArrayLike) -> Statistic:
    """Return the weighted median of values (N,) as a statistic, the lower one of two."""
    v = np.asarray(values, np.float64)
    order = np.argsort(v, kind="stable")

    def median(weights: Floats) -> Floats:
        below = weights[:, order].cumsum(axis=1)
        place = (below < below[:, -1:] / 2).sum(axis=1)
        return np.asarray(v[order][place])

    return median


def precision_of(y_true: ArrayLike, probability: ArrayLike) -> Statistic:
    """Return the mean average precision of labels as a statistic, both (N, C).

    As in :func:`multimodal.evaluation.metrics.label_metrics`, labels that nobody has are left out.
    """
    y, p = np.asarray(y_true, bool), np.asarray(probability, np.float64)
    parts = [_average_precision(y[:, i], p[:, i]) for i in range(y.shape[1]) if y[:, i].any()]
    return lambda weights: np.asarray(np.nanmean([part(weights) for part in parts], axis=0))


def _average_precision(y: Floats, p: Floats) -> Statistic:
    """Return the mean over the rows with the label of the precision at their probability."""
    order = np.argsort(-p, kind="stable")
    hit, ranked = y[order].astype(np.float64), p[order]
    last = np.searchsorted(-ranked, -ranked, side="right") - 1  # equal probabilities are one step

    def precision(weights: Floats) -> Floats:
        w = weights[:, order]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision_here = ((w * hit).cumsum(axis=1) / w.cumsum(axis=1))[:, last]
            there = (w * hit).sum(axis=1)
            return np.asarray(
                np.nansum(precision_here * w * hit, axis=1) / np.where(there, there, np.nan)
            )

    return precision


def resample(statistics: Sequence[Statistic], weight: ArrayLike, *, seed: int = 0) -> Floats:
    """Return values (1 + R, S): of the rows as they are, then of R resamples of them.

    Args:
        statistics: S statistics of the same N rows.
        weight: Row weights (N,), which go with their rows.
        seed: Seed of the drawing.

    Example:
    >>> values = resample([mean_of([1.0, 3.0])], [1.0, 1.0])
    >>> values.shape, float(values[0, 0]), float(values[1:].min()), float(values[1:].max())
    ((1001, 1), 2.0, 1.0, 3.0)
    """
    w = np.asarray(weight, np.float64)
    n, random = len(w), np.random.default_rng(seed)
    left = RESAMPLES if n <= MANY_ROWS else FEWER
    found = [_values(statistics, w[None])]
    while left > 0:
        size = min(max(_CHUNK // n, 1), left)
        drawn = random.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        weights = w * times
        found.append(_values(statistics, weights[weights.sum(axis=1) > 0]))
        left -= size
    return np.concatenate(found)


def _values(statistics: Sequence[Statistic], weights: Floats) -> Floats:
    return np.stack([statistic(weights) for statistic in statistics], axis=1)


def confidence_interval(values: ArrayLike) -> ConfidenceInterval:
    """Return the first value with the percentile interval of the others, which `resample` drew.

    Example:
    >>> found = confidence_interval([2.0, *range(41)])
    >>> found.value, round(found.low, 6), round(found.high, 6)
    (2.0, 1.0, 39.0)
    """
    v = np.asarray(values, np.float64)
    rest = v[1:][np.isfinite(v[1:])]
    if not len(rest):
        return ConfidenceInterval(float(v[0]), math.nan, math.nan)
    low, high = np.quantile(rest, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return ConfidenceInterval(float(v[0]), float(low), float(high))


def proportion(right: ArrayLike, weight: ArrayLike | None = None) -> ConfidenceInterval:
    """Return the weighted share of true values (N,) and its Wilson interval, of any N above 0.

    Weights count by Kish's effective number of rows. Source: Wilson, JASA 22 (1927) 209-212.

    Example:
    >>> found = proportion([True] * 10)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (1.0, 0.722, 1.0)
    """
    hit = np.asarray(right, np.float64)
    w = np.ones_like(hit) if weight is None else np.asarray(weight, np.float64)
    p, n, z = float(np.average(hit, weights=w)), float(w.sum() ** 2 / (w**2).sum()), 1.959964
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return ConfidenceInterval(p, max(middle - half, 0.0), min(middle + half, 1.0))


DRAWS = 2000
_TINY = 1e-12
_BLOCK = 1 << 22  # counts in memory at once


class Gain(NamedTuple):
    """By which share one error is smaller than another, its 95 % interval, and a p-value.

    `p` is two-sided, from the same draws as the interval; no difference is 0.
    """

    value: float
    low: float
    high: float
    p: float


def bootstrap_metrics(
    metric: str,
    series: Sequence[RatioTerms],
    weight: ArrayLike,
    clusters: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Return a metric of several series of predictions, as it is and over rows drawn again.

    Args:
        metric: One of `compared_metrics`.
        series: `parts` of each series, over the same rows.
        weight: Row weights (N,).
        clusters: What is drawn together (N,), such as groups of duplicates.
        draws: How often the rows are drawn, with replacement.
        seed: Seed of the draws; the same one gives the same rows.

    Returns:
        (K,) as it is, and (draws, K).

    Example:
    >>> errors = np.array([0.0, 1.0, 4.0, 9.0]), np.ones(4)
    >>> value, drawn = bootstrap_metrics("mae", [errors], np.ones(4), np.arange(4))
    >>> float(value[0]), drawn.shape, bool(abs(drawn.mean() - 3.5) < 0.2)
    (3.5, (2000, 1), True)
    """
    sums = _sums(series, weight, clusters)
    value = _metric(metric, sums.sum(axis=0)[None])[0]
    random, groups, found = np.random.default_rng(seed), len(sums), []
    for start in range(0, draws, block := max(1, _BLOCK // groups)):
        size = min(block, draws - start)
        counts = random.multinomial(groups, np.full(groups, 1 / groups), size=size)
        found.append(_metric(metric, counts.astype(np.float64) @ sums))
    return value, np.concatenate(found)


def metric_by_cluster(
    metric: str, series: Sequence[RatioTerms], weight: ArrayLike, clusters: ArrayLike
) -> Floats:
    """Return a metric of each series in each cluster, such as a fold: (clusters, K).

    Example:
    >>> errors = np.array([0.0, 1.0, 4.0, 9.0]), np.ones(4)
    >>> metric_by_cluster("mae", [errors], np.ones(4), [0, 0, 1, 1]).tolist()
    [[0.5], [6.5]]
    """
    return _metric(metric, _sums(series, weight, clusters))


def percentile_interval(drawn: ArrayLike) -> tuple[float, float]:
    """Return the middle 95 % of drawn values (B,).

    Example:
    >>> percentile_interval(np.arange(1001.0))
    (25.0, 975.0)
    """
    low, high = np.quantile(np.asarray(drawn, np.float64), [0.025, 0.975])
    return float(low), float(high)


def relative_gain(mine: float, other: float, mine_drawn: ArrayLike, other_drawn: ArrayLike) -> Gain:
    """Return by which share the error `mine` is smaller than `other`, and how sure that is.

    Args:
        mine: An error.
        other: The error to compare it with.
        mine_drawn: The first over rows drawn again (B,).
        other_drawn: The second over the same rows (B,).

    Example:
    >>> found = relative_gain(3.0, 4.0, np.array([2.9, 3.1]), np.array([4.0, 4.0]))
    >>> [round(value, 2) for value in (found.value, found.low, found.high)]
    [0.25, 0.23, 0.27]
    """
    first, second = np.asarray(mine_drawn, np.float64), np.asarray(other_drawn, np.float64)
    drawn = _share(first, second)
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    p = min(1.0, 2 * (1 + min(below, above)) / (1 + len(drawn)))
    return Gain(float(_share(np.array(mine), np.array(other))), *percentile_interval(drawn), p)


def corrected_t_test(differences: ArrayLike, test_share: float) -> float | None:
    """Return the two-sided p-value of the corrected resampled t-test of Nadeau and Bengio.

    Args:
        differences: Of two models' errors, one per fold (K,), the mean over its seeds.
        test_share: Rows of a fold's test side over those of its training side.

    Returns:
        The p-value; None where there are fewer than two folds, or all differences are the same.

    Example:
    >>> round(corrected_t_test([0.1, 0.2, 0.15, 0.12, 0.18], 0.25), 3)
    0.006
    """
    from scipy.stats import t

    d = np.asarray(differences, np.float64)
    spread = float(d.var(ddof=1)) if len(d) > 1 else 0.0
    if spread <= 0:
        return None
    statistic = float(d.mean()) / np.sqrt((1 / len(d) + test_share) * spread)
    return float(2 * t.sf(abs(statistic), len(d) - 1))


def _sums(series: Sequence[RatioTerms], weight: ArrayLike, clusters: ArrayLike) -> Floats:
    """Return what each series adds and counts in each cluster, (clusters, 2K)."""
    w = np.asarray(weight, np.float64)
    member = np.unique(np.asarray(clusters), return_inverse=True)[1]
    columns = [w * column for each in series for column in each]
    return np.stack([np.bincount(member, column) for column in columns], axis=1)


def _metric(metric: str, sums: Floats) -> Floats:
    """Return the metric (B, K) from sums (B, 2K) of what was added and counted."""
    added, counted = sums[:, 0::2], sums[:, 1::2]
    ratio = np.divide(added, counted, out=np.zeros_like(added), where=counted > 0)
    return np.asarray(metric_of_ratio(metric, ratio), np.float64)


def _share(mine: Floats, other: Floats) -> Floats:
    return np.asarray(1 - (mine + _TINY) / (other + _TINY), np.float64)
