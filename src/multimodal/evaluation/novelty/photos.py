"""Photos unlike those of the training rows: blank, noise, too dark, of another layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from multimodal.core.spec import FittedSpec
from multimodal.evaluation.novelty.numbers import Finding
from multimodal.evaluation.novelty.photo_layout import NUMBERS, LayoutUsual, fit_layouts, layout

SIDE = 64
"""About as many pixels of each side are looked at."""
_OUTER, _BEYOND, _LEAST_PHOTOS = 0.005, 0.5, 30
_FLAT = 2.0  # grey values: a photo of less contrast has no texture to speak of

Floats = NDArray[np.float32]
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


class PhotoUsual(BaseModel):
    """What the photos of a group are like: limits of each statistic in their order, the layout."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    group: str
    limits: list[Limits] = Field(min_length=len(STATISTICS), max_length=len(STATISTICS))
    layout: LayoutUsual | None = None


def photo_statistics(pixels: NDArray[np.uint8], present: NDArray[np.bool_]) -> Floats:
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
    grey = colours.mean(axis=-1)
    brightness, contrast = grey.mean(axis=(2, 3)), grey.std(axis=(2, 3))
    edges = [np.abs(np.diff(grey, axis=axis)).mean(axis=(2, 3)) for axis in (2, 3)]
    roughness = (edges[0] + edges[1]) / 2 / np.maximum(contrast, _FLAT)
    strength = (colours.max(axis=-1) - colours.min(axis=-1)).mean(axis=(2, 3))
    scalars = np.stack([np.log1p(contrast), roughness, brightness, np.log1p(strength)], axis=-1)
    found = np.concatenate([scalars, layout(colours)], axis=-1)
    return np.where(present[..., None], found, np.nan).astype(np.float32)


def watch_photos(
    spec: FittedSpec, rows: int
) -> tuple[dict[str, Floats], Callable[[NDArray[np.int64], Mapping[str, NDArray[Any]]], None]]:
    """Return room for the statistics of photos by group, and what fills it batch by batch.

    The latter takes the positions of a batch and its inputs, as `Predictor.predict` gives them.
    """
    found = {
        group.name: np.full((rows, group.photos, len(STATISTICS) + NUMBERS), np.nan, np.float32)
        for group in spec.groups
        if group.modality == "image"
    }

    def watch(places: NDArray[np.int64], batch: Mapping[str, NDArray[Any]]) -> None:
        for name, room in found.items():
            room[places] = photo_statistics(batch[f"{name}_pixels"], batch[f"{name}_present"])

    return found, watch


def fit_photos(group: str, statistics: Floats) -> PhotoUsual | None:
    """Learn the limits of statistics (rows, K, 67); None with fewer than 30 photos.

    They lie half as far again from the median as the outermost photo of 200 rows.
    """
    known = statistics[np.isfinite(statistics).all(axis=-1)]
    scalars, layouts = np.split(known, [len(STATISTICS)], axis=-1)
    if len(known) < _LEAST_PHOTOS:
        return None
    outer = _OUTER / statistics.shape[1]
    first, middle, last = np.quantile(scalars, [outer, 0.5, 1 - outer], axis=0)
    lows, highs = first - _BEYOND * (middle - first), last + _BEYOND * (last - middle)
    limits = [(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]
    return PhotoUsual(group=group, limits=limits, layout=fit_layouts(layouts))


def strange_photos(
    usual: PhotoUsual, columns: Sequence[str], statistics: Floats
) -> Iterator[Finding]:
    """Yield photos beyond a limit, each with the first reason.

    Args:
        usual: What `fit_photos` returned.
        columns: Columns of the group: one for each slot, or one for all.
        statistics: Those of the rows (rows, K, 67).
    """
    low, high = np.array(usual.limits).T
    scalars, layouts = np.split(statistics, [len(STATISTICS)], axis=-1)
    with np.errstate(invalid="ignore"):
        below, above = scalars < low, scalars > high
    far = np.zeros(below.shape[:2], bool)
    if usual.layout is not None:
        far = usual.layout.is_far(layouts)
    beyond = np.concatenate([below | above, far[..., None]], axis=-1)
    for row, slot in np.argwhere(beyond.any(axis=-1)):
        first, words = int(np.argmax(beyond[row, slot])), _UNLIKE
        if first < len(STATISTICS):
            known = STATISTICS[first]
            words = known.too_low if below[row, slot, first] else known.too_high
        column = columns[slot] if len(columns) > 1 else columns[0]
        yield Finding(int(row), f"photo:{column}", f"{column}: a photo {words}")
