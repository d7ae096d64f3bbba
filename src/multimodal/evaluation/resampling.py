"""How sure a comparison is: metrics of rows drawn again, and a test over folds.

The intervals come from a paired bootstrap over the rows of out-of-fold predictions: all models are
measured on the same draws, rows that belong together are drawn together, and the same rows for
every seed. Bayle et al. show that the rows' own spread gives valid intervals for the error that a
cross-validation measures, where the fits are stable. The test of Nadeau and Bengio asks more: it
looks at whole folds and allows for the rows that their trainings share.

References:
    Bayle et al., Cross-validation Confidence Intervals for Test Error, NeurIPS 2020.
    Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multimodal.evaluation.per_row import Parts, whole

Floats = NDArray[np.float64]
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


def drawn_metrics(
    metric: str,
    series: Sequence[Parts],
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
    >>> value, drawn = drawn_metrics("mae", [errors], np.ones(4), np.arange(4))
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


def metric_by(
    metric: str, series: Sequence[Parts], weight: ArrayLike, clusters: ArrayLike
) -> Floats:
    """Return a metric of each series in each cluster, such as a fold: (clusters, K).

    Example:
    >>> errors = np.array([0.0, 1.0, 4.0, 9.0]), np.ones(4)
    >>> metric_by("mae", [errors], np.ones(4), [0, 0, 1, 1]).tolist()
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


def gain(mine: float, other: float, mine_drawn: ArrayLike, other_drawn: ArrayLike) -> Gain:
    """Return by which share the error `mine` is smaller than `other`, and how sure that is.

    Args:
        mine: An error.
        other: The error to compare it with.
        mine_drawn: The first over rows drawn again (B,).
        other_drawn: The second over the same rows (B,).

    Example:
    >>> found = gain(3.0, 4.0, np.array([2.9, 3.1]), np.array([4.0, 4.0]))
    >>> [round(value, 2) for value in (found.value, found.low, found.high)]
    [0.25, 0.23, 0.27]
    """
    first, second = np.asarray(mine_drawn, np.float64), np.asarray(other_drawn, np.float64)
    drawn = _share(first, second)
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    p = min(1.0, 2 * (1 + min(below, above)) / (1 + len(drawn)))
    return Gain(float(_share(np.array(mine), np.array(other))), *percentile_interval(drawn), p)


def folds_p_value(differences: ArrayLike, test_share: float) -> float | None:
    """Return the two-sided p-value of the corrected resampled t-test of Nadeau and Bengio.

    Args:
        differences: Of two models' errors, one per fold (K,), the mean over its seeds.
        test_share: Rows of a fold's test side over those of its training side.

    Returns:
        The p-value; None where there are fewer than two folds, or all differences are the same.

    Example:
    >>> round(folds_p_value([0.1, 0.2, 0.15, 0.12, 0.18], 0.25), 3)
    0.006
    """
    from scipy.stats import t

    d = np.asarray(differences, np.float64)
    spread = float(d.var(ddof=1)) if len(d) > 1 else 0.0
    if spread <= 0:
        return None
    statistic = float(d.mean()) / np.sqrt((1 / len(d) + test_share) * spread)
    return float(2 * t.sf(abs(statistic), len(d) - 1))


def _sums(series: Sequence[Parts], weight: ArrayLike, clusters: ArrayLike) -> Floats:
    """Return what each series adds and counts in each cluster, (clusters, 2K)."""
    w = np.asarray(weight, np.float64)
    member = np.unique(np.asarray(clusters), return_inverse=True)[1]
    columns = [w * column for each in series for column in each]
    return np.stack([np.bincount(member, column) for column in columns], axis=1)


def _metric(metric: str, sums: Floats) -> Floats:
    """Return the metric (B, K) from sums (B, 2K) of what was added and counted."""
    added, counted = sums[:, 0::2], sums[:, 1::2]
    ratio = np.divide(added, counted, out=np.zeros_like(added), where=counted > 0)
    return np.asarray(whole(metric, ratio), np.float64)


def _share(mine: Floats, other: Floats) -> Floats:
    return np.asarray(1 - (mine + _TINY) / (other + _TINY), np.float64)
