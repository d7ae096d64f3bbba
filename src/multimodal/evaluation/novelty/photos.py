"""Novelty of photos: blank, noise, too dark, or of another layout than the training photos.

Limits on a few statistics find what can be named. The layout, where a photo is light, coloured and
edged, finds the rest by its Mahalanobis distance from the training photos.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from multimodal.core.arrays import Bools, Ints, decode, encode
from multimodal.core.records import Record
from multimodal.core.spec import FittedSpec
from multimodal.evaluation.novelty.numbers import NoveltyReason

SIDE = 64  # about as many pixels of each side are looked at
_OUTER, _BEYOND, _LEAST_PHOTOS = 0.005, 0.5, 30
_UNIFORM = 2.0  # grey values: a photo of less contrast has no texture to speak of

CELLS, DIRECTIONS = 3, 4
NUMBERS = CELLS * CELLS * (3 + DIRECTIONS)  # of a layout
_SHRINKAGE, _LEAST_LAYOUTS = 0.1, 100
_FOLDS, _LIMIT_AT, _MARGIN = 5, 0.995, 0.15

_Base64 = Annotated[str, StringConstraints(max_length=8 * NUMBERS * NUMBERS)]
Float32s = NDArray[np.float32]
Limits = tuple[float, float]


class _Statistic(NamedTuple):
    name: str
    too_low: str
    too_high: str


STATISTICS = (
    _Statistic("contrast", "nearly blank", "of harsher contrast than the training photos"),
    _Statistic("roughness", "smoother than the training photos", "as rough as noise"),
    _Statistic("brightness", "darker than the training photos", "brighter than them all"),
    _Statistic("colour", "greyer than the training photos", "of stronger colours than them all"),
)

_UNLIKE = "that looks unlike the training photos: light, colours and edges lie elsewhere"


class PhotoNovelty(Record):
    """Photos of a group: limits of each statistic in the order of `STATISTICS`, and layouts."""

    group: str
    limits: list[Limits] = Field(min_length=len(STATISTICS), max_length=len(STATISTICS))
    layout: LayoutNovelty | None = None


def photo_statistics(pixels: NDArray[np.uint8], present: Bools) -> Float32s:
    """Return the statistics (rows, K, 67) of photos, NaN where there is none.

    They are the logarithm of the contrast (deviation of grey values), the roughness (distance of
    neighbouring pixels against the contrast, 1.13 for noise), the brightness, the logarithm of the
    strength of colours, and the layout.

    Args:
        pixels: uint8 (rows, K, height, width, 3).
        present: bool (rows, K).

    Example:
    >>> black = np.zeros((1, 1, 8, 8, 3), np.uint8)
    >>> photo_statistics(black, np.array([[True]]))[..., :4].tolist()
    [[[0.0, 0.0, 0.0, 0.0]]]
    """
    step = max(pixels.shape[2] // SIDE, 1)
    colours = pixels[:, :, ::step, ::step].astype(np.float32)
    grey = _grey(colours)
    brightness, contrast = grey.mean(axis=(2, 3)), grey.std(axis=(2, 3))
    edges = [np.abs(np.diff(grey, axis=axis)).mean(axis=(2, 3)) for axis in (2, 3)]
    roughness = (edges[0] + edges[1]) / 2 / np.maximum(contrast, _UNIFORM)
    red, green, blue = np.moveaxis(colours, -1, 0)
    most = np.maximum(np.maximum(red, green), blue)
    least = np.minimum(np.minimum(red, green), blue)
    strength = (most - least).mean(axis=(2, 3))
    scalars = np.stack([np.log1p(contrast), roughness, brightness, np.log1p(strength)], axis=-1)
    found = np.concatenate([scalars, layout(colours)], axis=-1)
    return np.where(present[..., None], found, np.nan).astype(np.float32)


def watch_photos(
    spec: FittedSpec, rows: int
) -> tuple[dict[str, Float32s], Callable[[Ints, Mapping[str, NDArray[Any]]], None]]:
    """Return room for the statistics of photos by group, and what fills it batch by batch.

    The latter takes the positions of a batch and its inputs, as `Predictor.predict` gives them.
    """
    found = {
        group.name: np.full((rows, group.photos, len(STATISTICS) + NUMBERS), np.nan, np.float32)
        for group in spec.groups
        if group.modality == "image"
    }

    def watch(places: Ints, batch: Mapping[str, NDArray[Any]]) -> None:
        for name, room in found.items():
            room[places] = photo_statistics(batch[f"{name}_pixels"], batch[f"{name}_present"])

    return found, watch


def fit_photos(group: str, statistics: Float32s) -> PhotoNovelty | None:
    """Fit the limits of statistics (rows, K, 67); None with fewer than 30 photos.

    They lie half as far again from the median as the outermost photo of 200 rows.
    """
    known = statistics[np.isfinite(statistics).all(axis=-1)]
    scalars, layouts = np.split(known, [len(STATISTICS)], axis=-1)
    if len(known) < _LEAST_PHOTOS:
        return None
    # A row is odd where any of its photos is: each slot has its part of the false alarms.
    outer = _OUTER / statistics.shape[1]
    first, middle, last = np.quantile(scalars, [outer, 0.5, 1 - outer], axis=0)
    lows, highs = first - _BEYOND * (middle - first), last + _BEYOND * (last - middle)
    limits = [(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]
    return PhotoNovelty(group=group, limits=limits, layout=fit_layouts(layouts))


def novel_photos(
    known: PhotoNovelty, columns: Sequence[str], statistics: Float32s
) -> Iterator[NoveltyReason]:
    """Yield photos beyond a limit, each with the first reason.

    Args:
        known: What `fit_photos` returned.
        columns: Columns of the group: one for each slot, or one for all.
        statistics: Those of the rows (rows, K, 67).
    """
    low, high = np.array(known.limits).T
    scalars, layouts = np.split(statistics, [len(STATISTICS)], axis=-1)
    with np.errstate(invalid="ignore"):
        below, above = scalars < low, scalars > high
    far = np.zeros(below.shape[:2], bool)
    if known.layout is not None:
        far = known.layout.is_far(layouts)
    beyond = np.concatenate([below | above, far[..., None]], axis=-1)
    for row, slot in np.argwhere(beyond.any(axis=-1)):
        first, words = int(np.argmax(beyond[row, slot])), _UNLIKE
        if first < len(STATISTICS):
            each = STATISTICS[first]
            words = each.too_low if below[row, slot, first] else each.too_high
        column = columns[slot] if len(columns) > 1 else columns[0]
        yield NoveltyReason(int(row), f"photo:{column}", f"{column}: a photo {words}")


class LayoutNovelty(Record):
    """Layouts of photos: their mean, and the inverse of their covariance, each as base64.

    `limit` is on the squared Mahalanobis distance from the mean.
    """

    mean: _Base64
    inverse: _Base64
    limit: float = Field(gt=0)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        mean, inverse = decode(self.mean, "<f4"), decode(self.inverse, "<f4")
        if (len(mean), len(inverse)) != (NUMBERS, NUMBERS**2):
            raise ValueError(f"a layout has {NUMBERS} numbers")
        if not (np.isfinite(mean).all() and np.isfinite(inverse).all()):
            raise ValueError("expected finite numbers")
        return self

    def is_far(self, layouts: Float32s) -> Bools:
        """Return which layouts (..., 63) lie beyond the limit; NaN ones do not."""
        inverse = decode(self.inverse, "<f4").reshape(NUMBERS, NUMBERS)
        with np.errstate(invalid="ignore"):
            return _mahalanobis(layouts, decode(self.mean, "<f4"), inverse) > self.limit


# Statistics alone found a fifth of product photos among photos of houses, with layouts it is half.
def layout(colours: Float32s) -> Float32s:
    """Return the layout (..., 63) of photos (..., height, width, 3) of 0 to 255.

    It has the mean colour of each of nine cells, and how much of the photo's edges lies in each, by
    four directions: a coarse thumbnail beside a histogram of oriented gradients.

    References:
        Dalal & Triggs, Histograms of Oriented Gradients for Human Detection, 2005.

    Example:
    >>> layout(np.zeros((2, 8, 8, 3), np.float32)).shape
    (2, 63)
    """
    down, right = np.gradient(_grey(colours), axis=(-2, -1))
    strength, turn = np.hypot(down, right), np.arctan2(down, right)
    turn = np.where(turn < 0, turn + np.pi, turn) / np.pi
    direction = (turn * DIRECTIONS).astype(np.int64) % DIRECTIONS
    parts = _by_direction(strength, direction)
    shares = np.sqrt(parts / (parts.sum(axis=-1, keepdims=True) + 1))
    return np.concatenate([_flat(_by_cell(colours)) / 255, 2 * shares], axis=-1, dtype=np.float32)


def fit_layouts(layouts: Float32s) -> LayoutNovelty | None:
    """Fit the mean, covariance and limit of layouts (N, 63); None with fewer than 100 photos.

    The limit lies a little beyond that of 199 in 200 photos, each measured without its fold.
    """
    if len(layouts) < _LEAST_LAYOUTS:
        return None
    fold = np.random.default_rng(0).permutation(len(layouts)) % _FOLDS
    distances = np.concatenate(
        [
            _mahalanobis(layouts[fold == k], *_mean_and_precision(layouts[fold != k]))
            for k in range(_FOLDS)
        ]
    )
    middle, last = np.quantile(distances, [0.5, _LIMIT_AT])
    mean, inverse = (encode(each, "<f4") for each in _mean_and_precision(layouts))
    return LayoutNovelty(
        mean=mean, inverse=inverse, limit=max(last + _MARGIN * (last - middle), 1.0)
    )


def _mean_and_precision(layouts: Float32s) -> tuple[Float32s, Float32s]:
    """Return the mean, and the inverse of the covariance, shrunk so that few photos will do."""
    # Not scikit-learn's ShrunkCovariance, which also scales the covariance itself down.
    covariance = np.cov(layouts.astype(np.float64), rowvar=False)
    variance = max(float(np.trace(covariance)) / NUMBERS, 1e-4)
    inverse = np.linalg.inv(covariance + _SHRINKAGE * variance * np.eye(NUMBERS))
    return layouts.mean(axis=0), inverse.astype(np.float32)


def _mahalanobis(layouts: Float32s, mean: Float32s, inverse: Float32s) -> Float32s:
    moved = layouts - mean
    return np.asarray(np.einsum("...i,...i", moved @ inverse, moved), np.float32)


def _grey(colours: Float32s) -> Float32s:
    """Return the mean of the three colours; `mean` over an axis of three takes far longer."""
    red, green, blue = np.moveaxis(colours, -1, 0)
    return np.asarray((red + green + blue) / 3)


def _by_direction(strength: Float32s, direction: Ints) -> Float32s:
    """Return the mean strength (..., 36) of edges (..., height, width) by cell and direction."""
    bounds = [np.arange(CELLS + 1) * size // CELLS for size in strength.shape[-2:]]
    rows, columns = (np.repeat(np.arange(CELLS), np.diff(each)) for each in bounds)
    photos, numbers = math.prod(strength.shape[:-2]), CELLS * CELLS * DIRECTIONS
    place = direction + DIRECTIONS * (CELLS * rows[:, None] + columns)
    place += numbers * np.arange(photos).reshape(*strength.shape[:-2], 1, 1)
    sums = np.bincount(place.ravel(), strength.ravel(), photos * numbers)
    pixels = np.diff(bounds[0])[:, None] * np.diff(bounds[1])
    means = sums.reshape(-1, CELLS, CELLS, DIRECTIONS) / pixels[..., None]
    return np.asarray(means.reshape(*strength.shape[:-2], numbers), np.float32)


def _by_cell(values: Float32s) -> Float32s:
    """Return the means (..., 3, 3, C) of values (..., height, width, C) over nine cells."""
    for axis in (-3, -2):
        edges = np.arange(CELLS + 1) * values.shape[axis] // CELLS
        sums = np.add.reduceat(values, edges[:-1], axis=axis)
        shape = [CELLS if i == axis % values.ndim else 1 for i in range(values.ndim)]
        values = sums / np.diff(edges).reshape(shape)
    return values


def _flat(values: Float32s) -> Float32s:
    return values.reshape(*values.shape[:-3], -1)
