"""Split-conformal calibration: learn nonconformity scores from rows the model did not learn from.

Written here, since scikit-learn has no conformal prediction and the scores take row weights and a
scale of errors that is learned beside them. Each choice (which score, whether further features tell
the size of errors, whether both sides share one quantile) goes by the interval score over the
calibration rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Bools, Floats, Ints
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
from multimodal.evaluation.confidence import interval_score
from multimodal.evaluation.metrics import effective_rows, nearest_to_median

LEAST_TWO_SIDED = 200  # calibration rows: fewer tell no lower and upper quantile apart
JUDGED = (0.8, 0.9, 0.95)  # levels at which candidates are compared
_LEAST_SHARE, _TINY = 0.05, 1e-9  # of the median distance between quantiles


class _Candidate(NamedTuple):
    """A score to choose from: errors (N,), and their expected sizes downwards and upwards.

    The sizes of a row are fitted without it; `scale` is for new rows.
    """

    score: NonconformityScore
    scale: ConditionalScale
    error: Floats
    down: Floats
    up: Floats

    @property
    def scores(self) -> tuple[Floats, Floats]:
        """Signed scores (N,) of errors upwards and downwards."""
        return self.error / self.up, -self.error / self.down


def calibrate_intervals(
    outputs: ArrayLike,
    y_true: ArrayLike,
    weights: ArrayLike,
    space: TargetTransform,
    *,
    quantiles: Sequence[float] = (),
    features: ArrayLike | None = None,
    groups: Ints | None = None,
) -> NumberCalibration | None:
    """Learn the record that `prediction_interval` takes, from calibration rows.

    The expected size of an error follows from the predicted value, and from further features where
    they help; of a quantile head it starts from the distances of its outer quantiles from the
    middle one, where those help. It is fitted in folds, so that no row's score is made with a size
    that the row had a part in.

    Args:
        outputs: What `decode` returned, (N, width), in the user's units.
        y_true: Numbers (N,), NaN where missing.
        weights: Row weights (N,): a row of weight 2 counts as two. Rows of weight 0 are left out.
        space: The space the head learns in.
        quantiles: What the outputs of a quantile head stand for.
        features: What else may tell how large an error is (N, F), finite numbers.
        groups: Rows of one number (N,) are in one fold; without it, each row is its own group.

    Returns:
        The record; None where no row has a prediction, a label and a weight.

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
    >>> low, high = prediction_interval(record, [[5.0]], 0.9)
    >>> bool(2.8 < high[0] - low[0] < 3.8)
    True
    """
    known = _known(outputs, y_true, weights, space)
    if known is None:
        return None
    values, y, w, kept = known
    scores, none = _scores_to_try(values, quantiles), np.zeros((len(y), 0))
    together = np.arange(len(y)) if groups is None else groups[kept]
    best = _fit(values, y, w, scores[0], none, together)
    for score in scores[1:]:
        best = _better(best, _fit(values, y, w, score, none, together), w)
    if features is not None and np.shape(features)[1]:
        more = np.asarray(features, np.float64)[kept]
        best = _better(best, _fit(values, y, w, best.score, more, together), w)
    above, below = best.scores
    if _is_skewed(best, w, folds_of(together)):
        upper, lower = _weighted_quantiles(above, w), _weighted_quantiles(below, w)
    else:
        upper, lower = _weighted_quantiles(np.maximum(above, below), w), []
    return NumberCalibration(
        space=space, shape=best.score, spread=best.scale, rows=len(y), upper=upper, lower=lower
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

    Takes and returns what `calibrate_intervals` does.
    """
    known = _known(outputs, y_true, weights, space)
    if known is None:
        return None
    values, y, w, _ = known
    score = _scores_to_try(values, quantiles)[-1]
    scores = _weighted_quantiles(np.abs(y - values[:, score.middle]), w)
    return NumberCalibration(
        space=space, shape=score, spread=ConditionalScale(), rows=len(y), upper=scores
    )


def _known(
    outputs: ArrayLike, y_true: ArrayLike, weights: ArrayLike, space: TargetTransform
) -> tuple[Floats, Floats, Floats, Bools] | None:
    """Return outputs, labels and weights of the rows that have all, and which these are."""
    values, y = space.encode(outputs), space.encode(y_true)
    w = np.asarray(weights, np.float64)
    kept = np.isfinite(values).all(axis=1) & np.isfinite(y) & np.isfinite(w) & (w > 0)
    return (values[kept], y[kept], w[kept], kept) if kept.any() else None


def _scores_to_try(values: Floats, quantiles: Sequence[float]) -> list[NonconformityScore]:
    """Return scores: of a quantile head the scaled one first, then that of a plain number."""
    middle, last = nearest_to_median([*quantiles] or [0.5]), values.shape[1] - 1
    plain = NonconformityScore(middle=middle)
    if not 0 < middle < last:
        return [plain]
    gaps = (values[:, middle] - values[:, 0], values[:, last] - values[:, middle])
    low, high = (max(_LEAST_SHARE * float(np.median(gap)), _TINY) for gap in gaps)
    return [NonconformityScore(middle=middle, outer=(0, last), least=(low, high)), plain]


def _fit(
    values: Floats, y: Floats, w: Floats, score: NonconformityScore, more: Floats, groups: Ints
) -> _Candidate:
    """Fit the sizes of errors; with more than 5,000 rows, on that many of them."""
    # One width for all rows holds too many of the small numbers and too few of the large ones, even
    # in the space of logarithms.
    error, (down, up) = y - values[:, score.middle], score.distances(values)
    relative = np.where(error > 0, error / up, error / down)
    features = np.hstack([score.features(values), more])
    # Evenly spread: the same rows every time.
    some = np.flatnonzero(np.arange(len(y)) % max(-(-len(y) // MOST_ROWS), 1) == 0)
    fold = folds_of(groups[some])
    # Chosen once for all folds: one number, which single rows hardly move.
    penalty = best_penalty(relative[some], features[some], w[some], fold)
    scale = fit_conditional_scale(relative[some], features[some], w[some], penalty)
    size = scale.of(features)
    for left_out in range(FOLDS) if scale.knots else ():
        kept, rest = some[fold != left_out], some[fold == left_out]
        part = fit_conditional_scale(relative[kept], features[kept], w[kept], penalty)
        size[rest] = part.of(features[rest])
    return _Candidate(score, scale, error, down * size, up * size)


def _better(first: _Candidate, other: _Candidate, w: Floats) -> _Candidate:
    """Return the first, or the other where its interval score is better by more than chance."""
    gain = np.zeros(len(w))
    for level in JUDGED:
        for each, sign in ((first, 1), (other, -1)):
            scores = _weighted_quantiles(np.maximum(*each.scores), w)
            quantile = conformal_quantile(scores, level)
            gain += sign * _interval_score(each, slice(None), quantile, quantile, level)
    return other if _above_chance(gain, w) else first


def _is_skewed(candidate: _Candidate, w: Floats, fold: Ints) -> bool:
    """Return whether a quantile for each side has a better score than one, by more than chance."""
    if effective_rows(w) < LEAST_TWO_SIDED:  # each side has half of the scores
        return False
    gain = np.zeros(len(w))
    above, below = candidate.scores
    for left_out in range(FOLDS):
        kept, rest = fold != left_out, fold == left_out
        both, up, down = (
            _weighted_quantiles(scores[kept], w[kept])
            for scores in (np.maximum(above, below), above, below)
        )
        for level in JUDGED:
            one, q = conformal_quantile(both, level), (1 + level) / 2
            two = conformal_quantile(down, q), conformal_quantile(up, q)
            gain[rest] += _interval_score(candidate, rest, one, one, level)
            gain[rest] -= _interval_score(candidate, rest, *two, level)
    return _above_chance(gain, w)


def _above_chance(gain: Floats, w: Floats) -> bool:
    """Return whether the mean gain is larger than its standard error."""
    mean = np.average(gain, weights=w)
    error = math.sqrt(np.average((gain - mean) ** 2, weights=w) / effective_rows(w))
    return bool(mean > error)


def _interval_score(
    candidate: _Candidate, rows: slice | Bools, below: float, above: float, level: float
) -> Floats:
    """Return the interval score of errors, whose intervals end at two quantiles of the scores."""
    low, high = -below * candidate.down[rows], above * candidate.up[rows]
    return interval_score(candidate.error[rows], low, high, level)


def _weighted_quantiles(scores: Floats, w: Floats) -> list[float]:
    """Return the weighted quantiles at 1/m, 2/m … 1, for m rows of equal weight as good as these.

    Of rows of equal weight these are the scores themselves; of more than 5,000, so many of them
    that no level is missed. Each is a score that occurred, never the middle of two: the guarantee
    of conformal prediction is about ranks.
    """
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(w[order]) / w.sum()
    count = int(min(max(math.floor(effective_rows(w) + 1e-6), 1), MOST_SCORES))
    places = np.searchsorted(below, np.arange(1, count + 1) / count - 1e-9)
    return [float(score) for score in scores[order][np.minimum(places, len(order) - 1)]]
