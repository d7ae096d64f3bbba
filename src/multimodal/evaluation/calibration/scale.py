"""Conditional scale of errors: how large they are expected to be in a row, from a few features.

A generalised additive model of the log scale: linear splines, penalised, with the likelihood of a
Laplace distribution. It is bounded and has few knots, because calibration rows may be few.
"""

from __future__ import annotations

import math
from typing import Annotated, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.records import Record

MOST_FEATURES, MOST_KNOTS, MOST_ROWS = 64, 16, 5000
LEAST_ROWS = 60  # fewer calibration rows tell one scale, the same for all rows
KNOTS = (0.02, 0.26, 0.5, 0.74, 0.98)
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
FOLDS, _STEPS = 5, 25
_LARGEST = 8.0  # times the median: larger errors are cut to it, so that no outlier rules the fit
_RANGE = 3.0  # of the log scale: no row's errors are expected to be 20 times those of another

_Knots = Annotated[list[float], Field(min_length=2, max_length=MOST_KNOTS)]
_Heights = Annotated[list[float], Field(min_length=2, max_length=MOST_KNOTS)]


class ConditionalScale(Record):
    """The expected absolute error of a row, the same for all rows where there are no features.

    Its logarithm is `level` plus, for each feature, a broken line through (`knots`, `heights`),
    constant beyond the outer knots.
    """

    level: float = Field(0.0, ge=-700, le=700)
    knots: list[_Knots] = Field([], max_length=MOST_FEATURES)
    heights: list[_Heights] = Field([], max_length=MOST_FEATURES)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if [len(each) for each in self.knots] != [len(each) for each in self.heights]:
            raise ValueError("knots and heights must have the same lengths")
        if any(b <= a for each in self.knots for a, b in zip(each, each[1:], strict=False)):
            raise ValueError("knots must rise")
        return self

    def of(self, features: ArrayLike) -> Floats:
        """Return the expected absolute error (N,) of rows with `features` (N, F).

        Example:
        >>> scale = ConditionalScale(knots=[[0.0, 1.0]], heights=[[0.0, 0.7]])
        >>> scale.of([[-9.0], [0.0], [9.0]]).round(2)
        array([1.  , 1.  , 2.01])
        """
        values = np.asarray(features, np.float64)
        logs = np.zeros(len(values))
        for i, (knots, heights) in enumerate(zip(self.knots, self.heights, strict=True)):
            logs += np.interp(values[:, i], knots, heights)
        return np.asarray(np.exp(self.level + logs.clip(-_RANGE, _RANGE)), np.float64)


def fit_conditional_scale(
    errors: ArrayLike, features: ArrayLike, weights: ArrayLike, penalty: float
) -> ConditionalScale:
    """Fit the expected absolute value of `errors` (N,) to `features` (N, F).

    The likelihood is that of a Laplace distribution, whose scale is the mean absolute error; its
    logarithm is a sum of broken lines with knots at quantiles of the features, with a penalty on
    the differences of neighbouring knots.

    Args:
        errors: Errors, of either sign, on rows that the model did not learn from.
        features: What may tell how large they are, such as the predicted value; finite.
        weights: Row weights (N,).
        penalty: In rows; an infinite one makes the scale the same for all.

    Example:
    >>> x = np.linspace(0, 1, 400)
    >>> errors = np.where(x < 0.5, 1.0, 4.0) * np.tile([1, -1], 200)
    >>> scale = fit_conditional_scale(errors, x[:, None], np.ones(400), 3.0)
    >>> [low, high] = scale.of([[0.1], [0.9]])
    >>> bool(3 < high / low < 5)
    True
    """
    size, x, w = _sizes(errors), np.asarray(features, np.float64), np.asarray(weights, np.float64)
    knots = [_knots(column) for column in x.T]
    if np.isinf(penalty) or all(len(each) < 2 for each in knots):
        return ConditionalScale(level=_level(size, w))
    level, heights = _fit(size, _basis(x, knots), w, penalty)
    return ConditionalScale(
        level=level,
        knots=[each if len(each) > 1 else [0.0, 1.0] for each in knots],
        heights=[each.tolist() if len(each) > 1 else [0.0, 0.0] for each in heights],
    )


def best_penalty(
    errors: ArrayLike, features: ArrayLike, weights: ArrayLike, fold: Ints | None = None
) -> float:
    """Return the penalty of `fit_conditional_scale` with the best likelihood in cross-validation.

    It is infinite where the features tell nothing, or there are fewer than 60 rows. `fold` (N,)
    numbers the fold of each row, 0 to 4; without it, rows go to folds one by one.
    """
    size, x, w = _sizes(errors), np.asarray(features, np.float64), np.asarray(weights, np.float64)
    knots = [_knots(column) for column in x.T]
    if len(size) < LEAST_ROWS or all(len(each) < 2 for each in knots):
        return math.inf
    basis = _basis(x, knots)
    fold = folds_of(np.arange(len(size))) if fold is None else fold
    losses = dict.fromkeys((*PENALTIES, math.inf), 0.0)
    for left_out in range(FOLDS):
        kept = fold != left_out
        for penalty in losses:
            losses[penalty] += _loss(size, basis, w, kept, penalty)
    return min(losses, key=lambda penalty: losses[penalty])


def folds_of(groups: Ints, folds: int = FOLDS) -> Ints:
    """Number the fold (N,) of each row: at random, the same every time, one for each group."""
    found, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(found)) % folds
    return np.asarray(fold[group], np.int64)


def _sizes(errors: ArrayLike) -> Floats:
    """Return absolute errors, none of them 0 or an outlier."""
    size = np.abs(np.asarray(errors, np.float64))
    middle = float(np.median(size)) or float(size.mean()) or 1.0
    return np.asarray(size.clip(1e-3 * middle, _LARGEST * middle), np.float64)


def _level(size: Floats, w: Floats) -> float:
    return float(np.log(np.average(size, weights=w)))


def _knots(column: Floats) -> list[float]:
    """Return rising knots at quantiles; a single one where the feature does not vary."""
    found = np.unique(np.quantile(column, KNOTS))
    apart = np.diff(found, prepend=-np.inf) > 1e-6 * max(float(np.ptp(found)), 1e-12)
    return [float(knot) for knot in found[apart]]


def _fit(
    size: Floats, basis: list[Floats], w: Floats, penalty: float
) -> tuple[float, list[Floats]]:
    """Maximise the penalised likelihood by Fisher scoring.

    The Fisher information of a log scale does not depend on it: its inverse is computed once.
    """
    hats, widths = np.hstack(basis), [part.shape[1] for part in basis]
    # so that the penalty is in rows, whatever the unit of the weights
    w = w / w.mean()
    tie = np.zeros((sum(widths), sum(widths)))
    for start, width in zip(np.cumsum([0, *widths[:-1]]), widths, strict=True):
        # Differences do not see a constant: the tiny penalty on heights makes the matrix
        # invertible.
        steps = np.diff(np.eye(width), axis=0) * np.sqrt(width - 1)
        tie[start : start + width, start : start + width] = steps.T @ steps + 1e-6 * np.eye(width)
    level, heights = _level(size, w), np.zeros(sum(widths))
    centre = np.average(hats, axis=0, weights=w)
    hats = hats - centre
    matrix = np.linalg.inv((hats * w[:, None]).T @ hats + penalty * tie)
    for _ in range(_STEPS):
        logs = (hats @ heights).clip(-_RANGE, _RANGE)
        level = float(np.log(np.average(size * np.exp(-logs), weights=w)))
        slope = hats.T @ (w * (size * np.exp(-level - logs) - 1)) - penalty * (tie @ heights)
        step = matrix @ slope
        # Half a unit of the logarithm at most: far from the optimum a whole step overshoots.
        heights = heights + step * min(1.0, 0.5 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-4:
            break
    cuts = np.cumsum(widths)[:-1]
    return level - float(centre @ heights), np.split(heights, cuts)


def _basis(x: Floats, knots: list[list[float]]) -> list[Floats]:
    """Return the linear spline basis (N, K) of each feature: the weight of each knot in a row."""
    return [
        np.stack([np.interp(x[:, i], each, unit) for unit in np.eye(len(each))], axis=1)
        for i, each in enumerate(knots)
    ]


def _loss(size: Floats, basis: list[Floats], w: Floats, kept: Bools, penalty: float) -> float:
    """Return the negative log-likelihood of the rows that are not kept."""
    expected = np.full((~kept).sum(), _level(size[kept], w[kept]))
    if np.isfinite(penalty):
        level, heights = _fit(size[kept], [part[kept] for part in basis], w[kept], penalty)
        expected = level + np.hstack(basis)[~kept] @ np.concatenate(heights)
    return float(np.sum(w[~kept] * (expected + size[~kept] * np.exp(-expected))))
