"""What intervals reach, learned from rows that the model did not learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Bools, Floats
from multimodal.core.target_transform import TargetTransform
from multimodal.evaluation.calibration.intervals import (
    MOST_SCORES,
    NonconformityScore,
    NumberCalibration,
    conformal_quantile,
)
from multimodal.evaluation.calibration.scale import (
    FOLDS,
    MOST_ROWS,
    ConditionalScale,
    best_penalty,
    fit_conditional_scale,
    folds_of,
)

LEAST_TWO_SIDED = 200
"""Fewer calibration rows than this tell no lower and upper reach apart."""
JUDGED = (0.8, 0.9, 0.95)
"""Levels at which ways to make intervals are compared."""
_LEAST_SHARE, _TINY = 0.05, 1e-9  # of the usual distance between quantiles


def calibrate_intervals(
    outputs: ArrayLike,
    y_true: ArrayLike,
    weights: ArrayLike,
    space: TargetTransform,
    *,
    quantiles: Sequence[float] = (),
    features: ArrayLike | None = None,
) -> NumberCalibration | None:
    """Learn how far intervals must reach.

    The expected size of an error follows from the predicted value, and from further features where
    they help; of a quantile head it starts from the distances of its outer quantiles from the
    middle one, where those help. It is learned in folds, so that no row's score is made with a size
    that the row had a part in. Each choice, and whether an interval reaches as far down as up, goes
    by the interval score in cross-validation.

    Args:
        outputs: What `decode` returned, (N, width), in the user's units.
        y_true: Numbers (N,), NaN where missing.
        weights: Row weights (N,): a row of weight 2 counts as two. Rows of weight 0 are left out.
        space: The space the head learns in.
        quantiles: What the outputs of a quantile head stand for.
        features: What else may tell how large an error is (N, F), finite numbers.

    Returns:
        The record; None where no row has a prediction, a truth and a weight.

    References:
        Lei et al., Distribution-Free Predictive Inference for Regression, 2018 (section 5.2);
        Romano et al., Conformalized Quantile Regression, 2019; Sesia and Candès, A Comparison of
        Some Conformal Quantile Regression Methods, 2020 (scaled distances).

    Example:
    >>> from multimodal.evaluation.calibration.intervals import prediction_interval
    >>> random = np.random.default_rng(0)
    >>> guess = random.uniform(0, 9, 500)
    >>> y_true = guess + random.normal(size=500)
    >>> record = calibrate_intervals(guess[:, None], y_true, np.ones(500), TargetTransform())
    >>> interval = interval_of(record, [[5.0]], 0.9)
    >>> bool(2.8 < interval.high[0] - interval.low[0] < 3.8)
    True
    """
    known = _known(outputs, y_true, weights, space)
    if known is None:
        return None
    values, y, w, kept = known
    shapes, more = _shapes(values, quantiles), np.zeros((len(y), 0))
    best = _way(values, y, w, shapes[0], more)
    for shape in shapes[1:]:
        best = _better(best, _way(values, y, w, shape, more), w)
    if features is not None and np.shape(features)[1]:
        more = np.asarray(features, np.float64)[kept]
        best = _better(best, _way(values, y, w, best.shape, more), w)
    upper, lower = _scores(best, w)
    return NumberCalibration(
        space=space, shape=best.shape, spread=best.spread, rows=len(y), upper=upper, lower=lower
    )


def calibrate_constant_width(
    outputs: ArrayLike,
    y_true: ArrayLike,
    weights: ArrayLike,
    space: TargetTransform,
    *,
    quantiles: Sequence[float] = (),
) -> NumberCalibration | None:
    """Learn intervals of one width in the head's space, to compare others with.

    Args:
        outputs, truth, weights, space, quantiles: As `calibrate_intervals` takes them.
    """
    known = _known(outputs, y_true, weights, space)
    if known is None:
        return None
    values, y, w, _ = known
    shape = _shapes(values, quantiles)[-1]
    scores = _quantiles(np.abs(y - values[:, shape.middle]), w)
    return NumberCalibration(
        space=space, shape=shape, spread=ConditionalScale(), rows=len(y), upper=scores
    )


def _known(
    outputs: ArrayLike, y_true: ArrayLike, weights: ArrayLike, space: TargetTransform
) -> tuple[Floats, Floats, Floats, Bools] | None:
    """Return outputs, truths and weights of the rows that have all, and which these are."""
    values, y = space.encode(outputs), space.encode(y_true)
    w = np.asarray(weights, np.float64)
    kept = np.isfinite(values).all(axis=1) & np.isfinite(y) & np.isfinite(w) & (w > 0)
    return (values[kept], y[kept], w[kept], kept) if kept.any() else None


def _shapes(values: Floats, quantiles: Sequence[float]) -> list[NonconformityScore]:
    """Return the shapes to try: of a quantile head its own first, then that of a plain number."""
    middle = int(np.argmin(np.abs(np.asarray([*quantiles] or [0.5]) - 0.5)))
    last, plain = values.shape[1] - 1, NonconformityScore(middle=middle)
    if not 0 < middle < last:
        return [plain]
    gaps = (values[:, middle] - values[:, 0], values[:, last] - values[:, middle])
    low, high = (max(_LEAST_SHARE * float(np.median(gap)), _TINY) for gap in gaps)
    return [NonconformityScore(middle=middle, outer=(0, last), least=(low, high)), plain]


class _Way(NamedTuple):
    """A way to make intervals: errors (N,), and the sizes expected of them downwards and upwards.

    The sizes of a row are fitted without it; `spread` is for new rows.
    """

    shape: NonconformityScore
    spread: ConditionalScale
    error: Floats
    down: Floats
    up: Floats


def _way(values: Floats, y: Floats, w: Floats, shape: NonconformityScore, more: Floats) -> _Way:
    """Fit the sizes of errors; with more than 5,000 rows, on that many of them."""
    error, (down, up) = y - values[:, shape.middle], shape.distances(values)
    relative = np.where(error > 0, error / up, error / down)
    features = np.hstack([shape.features(values), more])
    some = np.flatnonzero(np.arange(len(y)) % max(-(-len(y) // MOST_ROWS), 1) == 0)
    penalty = best_penalty(relative[some], features[some], w[some])
    spread = fit_conditional_scale(relative[some], features[some], w[some], penalty)
    size, fold = spread.of(features), folds_of(len(some))
    for left_out in range(FOLDS) if spread.knots else ():
        kept, rest = some[fold != left_out], some[fold == left_out]
        part = fit_conditional_scale(relative[kept], features[kept], w[kept], penalty)
        size[rest] = part.of(features[rest])
    return _Way(shape, spread, error, down * size, up * size)


def _better(first: _Way, other: _Way, w: Floats) -> _Way:
    """Return the first way, or the other where its interval score is better by more than chance."""
    gain = np.zeros(len(w))
    for level in JUDGED:
        for way, sign in ((first, 1), (other, -1)):
            larger = np.maximum(way.error / way.up, -way.error / way.down)
            reach = conformal_quantile(_quantiles(larger, w), level)
            gain += sign * _interval_score(way, slice(None), reach, reach, level)
    return other if _above_chance(gain, w) else first


def _scores(way: _Way, w: Floats) -> tuple[list[float], list[float]]:
    """Return upper and lower scores, or those of the larger side and none."""
    above, below = way.error / way.up, -way.error / way.down
    if _is_skewed(way, w):
        return _quantiles(above, w), _quantiles(below, w)
    return _quantiles(np.maximum(above, below), w), []


def _is_skewed(way: _Way, w: Floats) -> bool:
    """Whether two reaches have a better interval score than one, by more than chance."""
    if effective_rows(w) < LEAST_TWO_SIDED:
        return False
    fold, gain = folds_of(len(w)), np.zeros(len(w))
    above, below = way.error / way.up, -way.error / way.down
    for left_out in range(FOLDS):
        kept, rest = fold != left_out, fold == left_out
        one, up, down = (
            _quantiles(scores[kept], w[kept]) for scores in (np.maximum(above, below), above, below)
        )
        for level in JUDGED:
            reach, share = conformal_quantile(one, level), (1 + level) / 2
            two = conformal_quantile(down, share), conformal_quantile(up, share)
            gain[rest] += _interval_score(way, rest, reach, reach, level)
            gain[rest] -= _interval_score(way, rest, *two, level)
    return _above_chance(gain, w)


def _above_chance(gain: Floats, w: Floats) -> bool:
    """Whether the mean gain is larger than its standard error."""
    mean = np.average(gain, weights=w)
    deviation = math.sqrt(np.average((gain - mean) ** 2, weights=w) / effective_rows(w))
    return bool(mean > deviation)


def _interval_score(
    way: _Way, rows: slice | Bools, below: float, above: float, level: float
) -> Floats:
    """Return the width of each interval plus 2 / (1 - level) times what the error is outside."""
    error, low, high = way.error[rows], -below * way.down[rows], above * way.up[rows]
    outside = np.maximum(low - error, 0) + np.maximum(error - high, 0)
    return np.asarray(high - low + 2 / (1 - level) * outside, np.float64)


def effective_rows(w: Floats) -> float:
    """Return the number of rows of equal weight that are as good as these (Kish, 1965).

    Example:
    >>> effective_rows(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    return float(w.sum() ** 2 / (w**2).sum())


def _quantiles(scores: Floats, w: Floats) -> list[float]:
    """Return the weighted quantiles at 1/m, 2/m … 1, for m rows of equal weight as good as these.

    Of rows of equal weight these are the scores themselves; of more than 5,000, so many of them
    that no level is missed.
    """
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(w[order]) / w.sum()
    count = int(min(max(math.floor(effective_rows(w) + 1e-6), 1), MOST_SCORES))
    places = np.searchsorted(reached, np.arange(1, count + 1) / count - 1e-9)
    return [float(score) for score in scores[order][np.minimum(places, len(order) - 1)]]
