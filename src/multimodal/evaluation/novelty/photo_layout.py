"""Where a photo is light, coloured and edged: how far it lies from those of the training rows."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from multimodal.core.encoded import decode, encode

CELLS, DIRECTIONS = 3, 4
NUMBERS = CELLS * CELLS * (3 + DIRECTIONS)
"""How many numbers tell the layout of a photo."""
_SHRINKAGE, _LEAST_LAYOUTS = 0.1, 100
_FOLDS, _LIMIT_AT, _MARGIN = 5, 0.995, 0.15

Floats = NDArray[np.float32]
_Written = Annotated[str, StringConstraints(max_length=8 * NUMBERS * NUMBERS)]


class LayoutUsual(BaseModel):
    """What the layout of photos is like: their mean, and the inverse of how they scatter.

    `limit` is on the squared Mahalanobis distance from the mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mean: _Written
    inverse: _Written
    limit: float = Field(gt=0)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        mean, inverse = decode(self.mean, "<f4"), decode(self.inverse, "<f4")
        if (len(mean), len(inverse)) != (NUMBERS, NUMBERS**2):
            raise ValueError(f"a layout has {NUMBERS} numbers")
        if not (np.isfinite(mean).all() and np.isfinite(inverse).all()):
            raise ValueError("expected finite numbers")
        return self

    def is_far(self, layouts: Floats) -> NDArray[np.bool_]:
        """Return which layouts (..., 63) lie beyond the limit; NaN ones do not."""
        inverse = decode(self.inverse, "<f4").reshape(NUMBERS, NUMBERS)
        with np.errstate(invalid="ignore"):
            return _distances(layouts, decode(self.mean, "<f4"), inverse) > self.limit


def layout(colours: Floats) -> Floats:
    """Return the layout (..., 63) of photos (..., height, width, 3) of 0 to 255.

    It has the mean colour of each of nine cells, and how much of the photo's edges lies in each, by
    four directions: a coarse thumbnail beside a histogram of oriented gradients.

    References:
        Dalal & Triggs, Histograms of Oriented Gradients for Human Detection, 2005.

    Example:
    >>> layout(np.zeros((2, 8, 8, 3), np.float32)).shape
    (2, 63)
    """
    grey = colours.mean(axis=-1)
    down, right = np.gradient(grey, axis=(-2, -1))
    strength, turn = np.hypot(down, right), (np.arctan2(down, right) % np.pi) / np.pi
    direction = (turn * DIRECTIONS).astype(np.int64) % DIRECTIONS
    edges = strength[..., None] * (direction[..., None] == np.arange(DIRECTIONS))
    parts = _flat(_by_cell(edges))
    shares = np.sqrt(parts / (parts.sum(axis=-1, keepdims=True) + 1))
    return np.concatenate([_flat(_by_cell(colours)) / 255, 2 * shares], axis=-1, dtype=np.float32)


def fit_layouts(layouts: Floats) -> LayoutUsual | None:
    """Learn what layouts (N, 63) are like; None with fewer than 100 photos.

    The limit lies a little beyond that of 199 in 200 photos, each measured without its fold.
    """
    if len(layouts) < _LEAST_LAYOUTS:
        return None
    fold = np.random.default_rng(0).permutation(len(layouts)) % _FOLDS
    distances = np.concatenate(
        [_distances(layouts[fold == k], *_scatter(layouts[fold != k])) for k in range(_FOLDS)]
    )
    middle, last = np.quantile(distances, [0.5, _LIMIT_AT])
    mean, inverse = (encode(each, "<f4") for each in _scatter(layouts))
    return LayoutUsual(
        mean=mean, inverse=inverse, limit=max(last + _MARGIN * (last - middle), 1.0)
    )


def _scatter(layouts: Floats) -> tuple[Floats, Floats]:
    """Return the mean, and the inverse of the covariance, shrunk so that few photos will do."""
    covariance = np.cov(layouts.astype(np.float64), rowvar=False)
    usual = max(float(np.trace(covariance)) / NUMBERS, 1e-4)
    inverse = np.linalg.inv(covariance + _SHRINKAGE * usual * np.eye(NUMBERS))
    return layouts.mean(axis=0), inverse.astype(np.float32)


def _distances(layouts: Floats, mean: Floats, inverse: Floats) -> Floats:
    moved = layouts - mean
    return np.asarray(np.einsum("...i,...i", moved @ inverse, moved), np.float32)


def _by_cell(values: Floats) -> Floats:
    """Return the means (..., 3, 3, C) of values (..., height, width, C) over nine cells."""
    for axis in (-3, -2):
        edges = np.arange(CELLS + 1) * values.shape[axis] // CELLS
        sums = np.add.reduceat(values, edges[:-1], axis=axis)
        shape = [CELLS if i == axis % values.ndim else 1 for i in range(values.ndim)]
        values = sums / np.diff(edges).reshape(shape)
    return values


def _flat(values: Floats) -> Floats:
    return values.reshape(*values.shape[:-3], -1)
