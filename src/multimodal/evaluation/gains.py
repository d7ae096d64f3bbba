"""What something adds to a model: a paired comparison of two models of the same rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Floats
from multimodal.evaluation.bootstrap import DRAWS, ENDS, bootstrap_metrics
from multimodal.evaluation.measures import RatioTerms, measure_of

SURE = 0.005  # of the resamples, may at most find no gain where one is said to be sure
# Of many rows fewer resamples are drawn, as in `bootstrap`.
MANY_ROWS, FEW_DRAWS = 5_000, 1000
_TINY = 1e-12


class PairedGain(NamedTuple):
    """By how much one model is better than another.

    Attributes:
        value: The fraction by which the error is smaller; the difference where higher is better.
        low: Lower end of its 95 % interval.
        high: Upper end.
        least: Lower end of its 99 % interval.
        score: The metric of the first model.
        other: The metric of the second one.
    """

    value: float
    low: float
    high: float
    least: float
    score: float
    other: float


def paired_gain(
    metric: str, mine: RatioTerms, other: RatioTerms, weight: ArrayLike, clusters: ArrayLike
) -> PairedGain:
    """Return by how much a model is better than another on the same rows.

    Args:
        metric: One of `compared_metrics`.
        mine: `ratio_terms` of the first model.
        other: Those of the second one.
        weight: Row weights (N,).
        clusters: What is drawn together (N,), such as groups of duplicates.

    Example:
    >>> one, two, there = np.full(50, 1.0), np.full(50, 4.0), np.ones(50)
    >>> found = paired_gain("rmse", (one, there), (two, there), there, np.arange(50))
    >>> [round(each, 3) for each in found[:3]]
    [0.5, 0.5, 0.5]
    """
    draws = DRAWS if len(np.asarray(clusters)) <= MANY_ROWS else FEW_DRAWS
    value, drawn = bootstrap_metrics(metric, [mine, other], weight, clusters, draws=draws)
    gains = _gain(metric, drawn)
    low, high, least = np.quantile(gains, [*ENDS, SURE])
    scores = float(value[0]), float(value[1])
    gain = float(_gain(metric, value[None])[0])
    return PairedGain(gain, float(low), float(high), float(least), *scores)


def _gain(metric: str, pairs: Floats) -> Floats:
    mine, other = pairs[:, 0], pairs[:, 1]
    if measure_of(metric).better == "higher":
        return np.asarray(mine - other)
    return np.asarray(1 - (mine + _TINY) / (other + _TINY))
