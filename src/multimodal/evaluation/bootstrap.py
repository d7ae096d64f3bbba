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

import numpy as np
from numpy.typing import ArrayLike

from multimodal.evaluation.metrics import Floats

LEVEL = 0.95
LEAST = 20
"""Rows below which no interval is given: percentiles of so few are too narrow."""
# of more rows fewer draws are made: the ends of an interval then move by a tenth of its width
MANY_ROWS, RESAMPLES, FEWER = 5_000, 1000, 200
_CHUNK = 4_000_000
Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Interval:
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


def precision_of(truth: ArrayLike, probability: ArrayLike) -> Statistic:
    """Return the mean average precision of labels as a statistic, both (N, C).

    As in :func:`multimodal.evaluation.metrics.label_metrics`, labels that nobody has are left out.
    """
    y, p = np.asarray(truth, bool), np.asarray(probability, np.float64)
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
            share = ((w * hit).cumsum(axis=1) / w.cumsum(axis=1))[:, last]
            there = (w * hit).sum(axis=1)
            return np.asarray(np.nansum(share * w * hit, axis=1) / np.where(there, there, np.nan))

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


def interval(values: ArrayLike) -> Interval:
    """Return the first value with the percentile interval of the others, which `resample` drew.

    Example:
    >>> found = interval([2.0, *range(41)])
    >>> found.value, round(found.low, 6), round(found.high, 6)
    (2.0, 1.0, 39.0)
    """
    v = np.asarray(values, np.float64)
    rest = v[1:][np.isfinite(v[1:])]
    if not len(rest):
        return Interval(float(v[0]), math.nan, math.nan)
    low, high = np.quantile(rest, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(v[0]), float(low), float(high))


def share(right: ArrayLike, weight: ArrayLike | None = None) -> Interval:
    """Return the weighted share of true values (N,) and its Wilson interval, of any N above 0.

    Weights count by Kish's effective number of rows. Source: Wilson, JASA 22 (1927) 209-212.

    Example:
    >>> found = share([True] * 10)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (1.0, 0.722, 1.0)
    """
    hit = np.asarray(right, np.float64)
    w = np.ones_like(hit) if weight is None else np.asarray(weight, np.float64)
    p, n, z = float(np.average(hit, weights=w)), float(w.sum() ** 2 / (w**2).sum()), 1.959964
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(p, max(middle - half, 0.0), min(middle + half, 1.0))
