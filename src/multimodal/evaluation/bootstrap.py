"""Bootstrap confidence intervals of metrics, paired comparisons of models, and a test over folds.

Drawing N rows with replacement gives each row the number of times it was drawn as a further weight.
So one set of draws serves every metric and model, and differences between models are paired. There
are two ways to use the draws:

- `resample` takes statistics that need each row, such as a median: functions of row weights (R, N),
  one line for each of R resamples, with values (R,).
- `bootstrap_metrics` takes metrics that are ratios of sums (see `measures.ratio_terms`). Rows that
  belong together, such as duplicates, are drawn together, and only sums per cluster are kept, so
  that many models and draws fit in memory.

Intervals are percentile intervals. Bayle et al. show that resampling the rows gives valid intervals
for the error that a cross-validation measures, where the fits are stable. The test of Nadeau and
Bengio asks more: it looks at whole folds and allows for the rows that their trainings share.

References:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13.
    Bayle et al., Cross-validation Confidence Intervals for Test Error, NeurIPS 2020.
    Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003.
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
from multimodal.evaluation.metrics import effective_rows

ENDS = (0.025, 0.975)  # of the distribution of resamples: 95 % intervals
LEAST_ROWS = 20  # percentile intervals of fewer rows are too narrow: none is given
# Of many rows fewer resamples are drawn: the ends of an interval then move by a tenth of its width.
MANY_ROWS, RESAMPLES, FEW_RESAMPLES = 5_000, 1000, 200
DRAWS = 2000
_CHUNK = 4_000_000  # weights in memory at once
_TINY = 1e-12
Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class ConfidenceInterval:
    """A value and its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Gain(NamedTuple):
    """The fraction by which one error is smaller than another, its 95 % interval, and a p-value.

    `p` is two-sided, from the same draws as the interval; the null hypothesis is no difference.
    """

    value: float
    low: float
    high: float
    p: float


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
    scikit-learn's would be called once for each resample and label.
    """
    y, p = np.asarray(y_true, bool), np.asarray(probability, np.float64)
    each = [_average_precision(y[:, i], p[:, i]) for i in range(y.shape[1]) if y[:, i].any()]
    return lambda weights: np.asarray(np.nanmean([label(weights) for label in each], axis=0))


def _average_precision(y: Floats, p: Floats) -> Statistic:
    """Return the mean over the rows with the label of the precision at their probability."""
    order = np.argsort(-p, kind="stable")
    hit, ranked = y[order].astype(np.float64), p[order]
    last = np.searchsorted(-ranked, -ranked, side="right") - 1  # equal probabilities are one step

    def average_precision(weights: Floats) -> Floats:
        w = weights[:, order]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = ((w * hit).cumsum(axis=1) / w.cumsum(axis=1))[:, last]
            there = (w * hit).sum(axis=1)
            total = np.nansum(precision * w * hit, axis=1)
            return np.asarray(total / np.where(there, there, np.nan))

    return average_precision


def resample(statistics: Sequence[Statistic], weight: ArrayLike, *, seed: int = 0) -> Floats:
    """Return values (1 + R, S): of the rows as they are, then of R resamples of them.

    Args:
        statistics: S statistics of the same N rows.
        weight: Row weights (N,), which go with their rows.
        seed: Seed of the draws.

    Example:
    >>> values = resample([mean_of([1.0, 3.0])], [1.0, 1.0])
    >>> values.shape, float(values[0, 0]), float(values[1:].min()), float(values[1:].max())
    ((1001, 1), 2.0, 1.0, 3.0)
    """
    w = np.asarray(weight, np.float64)
    n, random = len(w), np.random.default_rng(seed)
    left = RESAMPLES if n <= MANY_ROWS else FEW_RESAMPLES
    found = [_values(statistics, w[None])]
    while left > 0:
        size = min(max(_CHUNK // n, 1), left)
        drawn = random.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        # One count for all resamples: each has numbers of its own.
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        weights = w * times
        # Rows of weight 0 alone have no mean.
        found.append(_values(statistics, weights[weights.sum(axis=1) > 0]))
        left -= size
    return np.concatenate(found)


def _values(statistics: Sequence[Statistic], weights: Floats) -> Floats:
    return np.stack([statistic(weights) for statistic in statistics], axis=1)


def percentile_interval(drawn: ArrayLike) -> tuple[float, float]:
    """Return the middle 95 % of drawn values (B,), of those that are finite; NaN without any.

    Example:
    >>> percentile_interval(np.arange(1001.0))
    (25.0, 975.0)
    """
    values = np.asarray(drawn, np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, ENDS)
    return float(low), float(high)


def confidence_interval(values: ArrayLike) -> ConfidenceInterval:
    """Return the first value with the percentile interval of the others, as `resample` gives them.

    Example:
    >>> found = confidence_interval([2.0, *range(41)])
    >>> found.value, round(found.low, 6), round(found.high, 6)
    (2.0, 1.0, 39.0)
    """
    v = np.asarray(values, np.float64)
    return ConfidenceInterval(float(v[0]), *percentile_interval(v[1:]))


def proportion(right: ArrayLike, weight: ArrayLike | None = None) -> ConfidenceInterval:
    """Return the weighted fraction of true values (N,) and its Wilson interval, of any N above 0.

    Weights count by the effective number of rows.

    References:
        Wilson, Probable Inference, JASA 22, 1927.

    Example:
    >>> found = proportion([True] * 10)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (1.0, 0.722, 1.0)
    """
    hit = np.asarray(right, np.float64)
    w = np.ones_like(hit) if weight is None else np.asarray(weight, np.float64)
    # 95 % of a normal distribution lie within z standard deviations.
    p, n, z = float(np.average(hit, weights=w)), effective_rows(w), 1.959964
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return ConfidenceInterval(p, max(middle - half, 0.0), min(middle + half, 1.0))


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
        series: `ratio_terms` of each of K series, over the same rows.
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
    for start in range(0, draws, block := max(1, _CHUNK // groups)):
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


def _sums(series: Sequence[RatioTerms], weight: ArrayLike, clusters: ArrayLike) -> Floats:
    """Return the weighted numerator and denominator of each series in each cluster, (G, 2K)."""
    w = np.asarray(weight, np.float64)
    # Renumbered: the rows may be some of the table's, with gaps between the numbers of clusters.
    cluster = np.unique(np.asarray(clusters), return_inverse=True)[1]
    columns = [w * column for each in series for column in each]
    return np.stack([np.bincount(cluster, column) for column in columns], axis=1)


def _metric(metric: str, sums: Floats) -> Floats:
    """Return the metric (B, K) from the sums (B, 2K) of `_sums`."""
    numerator, denominator = sums[:, 0::2], sums[:, 1::2]
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return np.asarray(metric_of_ratio(metric, ratio), np.float64)


def relative_gain(mine: float, other: float, mine_drawn: ArrayLike, other_drawn: ArrayLike) -> Gain:
    """Return by which fraction the error `mine` is smaller than `other`, and how certain that is.

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
    value = 1 - (mine + _TINY) / (other + _TINY)
    drawn = 1 - (np.asarray(mine_drawn) + _TINY) / (np.asarray(other_drawn) + _TINY)
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    # One more above and below: no finite number of draws makes a p-value 0.
    p = min(1.0, 2 * (1 + min(below, above)) / (1 + len(drawn)))
    return Gain(float(value), *percentile_interval(drawn), p)


def corrected_t_test(differences: ArrayLike, test_share: float) -> float | None:
    """Return the two-sided p-value of the corrected resampled t-test of Nadeau and Bengio.

    Args:
        differences: Of two models' errors, one per fold (K,), the mean over its seeds.
        test_share: Test rows of a fold over its training rows.

    Returns:
        The p-value; None where there are fewer than two folds, or all differences are the same.

    Example:
    >>> round(corrected_t_test([0.1, 0.2, 0.15, 0.12, 0.18], 0.25), 3)
    0.006
    """
    from scipy.stats import t

    d = np.asarray(differences, np.float64)
    variance = float(d.var(ddof=1)) if len(d) > 1 else 0.0
    if variance <= 0:
        return None
    statistic = float(d.mean()) / np.sqrt((1 / len(d) + test_share) * variance)
    return float(2 * t.sf(abs(statistic), len(d) - 1))
