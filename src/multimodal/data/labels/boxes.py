"""Boxes in pixels of the original photo, and as shares of its width and height."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.errors import DataError
from multimodal.data.features.cell_arrays import Frame, photo_names, row_count
from multimodal.data.photos.read import locate, photo_size

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _Columns(Protocol):
    """A feature group, declared or fitted."""

    @property
    def modality(self) -> str: ...
    @property
    def columns(self) -> list[str]: ...


def photo_sizes(frame: Frame, groups: Sequence[_Columns], root: Path) -> Floats:
    """Return the width and height of each row's first photo, to which its box refers.

    The photo is that in the first slot of the first image group; its size is that of the photo as
    `photos.decode` sees it, so a photo that is stored lying counts as it stands.

    Args:
        frame: the rows.
        groups: the feature groups of a config or of a spec.
        root: folder that photo paths start from.

    Returns:
        float64 (N, 2); NaN where a row has no photo, or one that is not there or not readable.

    Raises:
        DataError: A path leads out of `root`.
    """
    columns = next((group.columns for group in groups if group.modality == "image"), [])
    sizes = np.full((row_count(frame), 2), np.nan)
    known: dict[str, tuple[int, int]] = {}
    for row, names in enumerate(photo_names(columns, frame) if columns else []):
        if not names or names[0] is None:
            continue
        path = str(locate(names[0], root))
        try:
            sizes[row] = known[path] if path in known else known.setdefault(path, photo_size(path))
        except DataError:
            continue
    return sizes


def box_faults(boxes: Floats, columns: Sequence[str]) -> dict[int, str]:
    """Return what is wrong with boxes (N, 4) in themselves, by row; NaN is passed over."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    faults = {}
    for row in np.flatnonzero((width <= 0) | (height <= 0)):
        wrong = (0, 2) if width[row] <= 0 else (1, 3)
        low, high = (f"{columns[i]} {boxes[row, i]:g}" for i in wrong)
        faults[int(row)] = (
            f"columns {', '.join(columns)}: expected a box with an area, got {low} and {high}"
        )
    return faults


def place_boxes(
    boxes: Floats, sizes: Floats, columns: Sequence[str]
) -> tuple[Floats, dict[int, str]]:
    """Turn boxes from pixels to shares; return them with what is wrong, by row.

    A box may reach one pixel over the photo's edge, as those that count pixels from 1 do; it is
    cut off there. One that reaches further, or has no photo, is a fault.
    """
    shares = to_fractions(boxes, sizes).clip(0, 1)
    there = np.isfinite(boxes).all(axis=1)
    lost = there & ~np.isfinite(sizes).all(axis=1)
    out = there & ((boxes < -1).any(axis=1) | (boxes > np.tile(sizes, 2) + 1).any(axis=1))
    out |= (shares[:, 2:] <= shares[:, :2]).any(axis=1)
    names = ", ".join(columns)
    faults = {int(row): f"columns {names}: a box without a photo" for row in np.flatnonzero(lost)}
    for row in np.flatnonzero(out):
        came = ", ".join(f"{value:g}" for value in boxes[row])
        width, height = sizes[row]
        faults[int(row)] = (
            f"columns {names}: expected a box inside the photo of {width:g} x {height:g} pixels, "
            f"got {came}"
        )
    shares[list(faults)] = np.nan
    return shares, faults


def to_pixels(boxes: ArrayLike, sizes: ArrayLike) -> Floats:
    """Turn boxes (N, 4) in shares into pixels of photos of `sizes` (N, 2): width, height.

    A NaN, of a missing box or photo, stays one.

    Example:
    >>> to_pixels([[0.25, 0.5, 0.5, 1.0]], [[640, 480]]).tolist()
    [[160.0, 240.0, 320.0, 480.0]]
    """
    return _boxes(boxes, "boxes") * _scales(boxes, sizes)


def to_fractions(boxes: ArrayLike, sizes: ArrayLike) -> Floats:
    """Turn boxes (N, 4) in pixels into shares of photos of `sizes` (N, 2): width, height.

    Example:
    >>> to_fractions([[160, 240, 320, 480]], [[640, 480]]).tolist()
    [[0.25, 0.5, 0.5, 1.0]]
    """
    return _boxes(boxes, "boxes") / _scales(boxes, sizes)


def iou(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return the intersection over union (N,) of boxes (N, 4), pair by pair; 0 for empty ones.

    Example:
    >>> iou([[0, 0, 2, 2]], [[1, 0, 3, 2]]).round(3).tolist()
    [0.333]
    """
    a, b = _boxes(first, "first"), _boxes(second, "second")
    if len(a) != len(b):
        raise DataError(f"boxes must come in pairs. Received: {len(a)} and {len(b)}")
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared: Floats = np.maximum(sides, 0).prod(axis=1)
    covered = _area(a) + _area(b) - shared
    result: Floats = np.divide(shared, covered, out=np.zeros_like(shared), where=covered > 0)
    return result


def mean_average_precision(
    boxes: ArrayLike,
    classes: ArrayLike,
    scores: ArrayLike,
    true_boxes: ArrayLike,
    true_classes: ArrayLike,
    *,
    threshold: float = 0.5,
) -> float:
    """Return the mean over the true classes of the average precision, one object in each photo.

    A prediction is right where its class is the true one and the boxes overlap by at least
    `threshold`. Within a class the predictions are ordered by score; the average precision is the
    area under the precision, made to fall only, over the recall. A class that never occurs among
    the true ones does not count.

    Args:
        boxes: Predicted boxes (N, 4).
        classes: Predicted classes (N,).
        scores: How sure each prediction is, (N,).
        true_boxes: True boxes (N, 4), in the same units.
        true_classes: True classes (N,).
        threshold: Least intersection over union.

    Example:
    >>> box = [[0, 0, 1, 1], [0, 0, 1, 1]]
    >>> mean_average_precision(box, ["cat", "cat"], [0.9, 0.8], box, ["cat", "dog"])
    0.5

    References:
        Everingham et al., The Pascal Visual Object Classes Challenge, 2010.
    """
    overlap = iou(boxes, true_boxes)
    guess, y_true, sure = _labels(classes, true_classes, scores, len(overlap))
    right = (guess == y_true) & (overlap >= threshold)
    return float(
        np.mean(
            [
                _average_precision(
                    right[guess == each], sure[guess == each], np.sum(y_true == each)
                )
                for each in np.unique(y_true)
            ]
        )
    )


def bootstrap_interval(
    photo_size: Callable[[Ints], float],
    rows: int,
    *,
    level: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a percentile interval of `photo_size`, over rows drawn with replacement.

    Args:
        photo_size: Takes positions of rows, with repetitions, and returns a number.
        rows: How many rows there are.
        level: Share of the draws inside the interval.
        repeats: Number of draws.
        seed: Seed of the draws.

    Example:
    >>> values = np.arange(100)
    >>> low, high = bootstrap_interval(lambda taken: float(values[taken].mean()), 100)
    >>> bool(low < 49.5 < high)
    True
    """
    if rows < 1:
        raise DataError(f"`rows` must be at least 1. Received: rows={rows}")
    random = np.random.default_rng(seed)
    draws = [photo_size(random.integers(0, rows, rows)) for _ in range(repeats)]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _average_precision(right: Bools, sure: Floats, wanted: int) -> float:
    """Return the area under precision over recall; equal scores count as one step."""
    order = np.argsort(-sure, kind="stable")
    ends = np.append(np.diff(sure[order]) != 0, True)[: len(order)]
    hits = np.cumsum(right[order])[ends]
    precision = hits / (np.flatnonzero(ends) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0)
    return float(np.sum(falling * gained) / wanted)


def _boxes(values: ArrayLike, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 4:
        raise DataError(f"`{name}` must have shape (N, 4). Received: {array.shape}")
    return array


def _scales(boxes: ArrayLike, sizes: ArrayLike) -> Floats:
    array = np.asarray(sizes, dtype=np.float64)
    if array.shape != (len(np.asarray(boxes)), 2) or np.any(array <= 0):
        raise DataError(
            f"`sizes` must hold width and height, above 0, for each box. Received: {array.shape}"
        )
    return np.concatenate([array, array], axis=1)


def _area(boxes: Floats) -> Floats:
    sides: Floats = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def _labels(
    classes: ArrayLike, true_classes: ArrayLike, scores: ArrayLike, rows: int
) -> tuple[NDArray[np.generic], NDArray[np.generic], Floats]:
    guess, y_true = np.asarray(classes), np.asarray(true_classes)
    sure = np.asarray(scores, dtype=np.float64)
    for name, array in (("classes", guess), ("true_classes", y_true), ("scores", sure)):
        if array.shape != (rows,):
            raise DataError(f"`{name}` must have shape ({rows},). Received: {array.shape}")
    if not rows:
        raise DataError("there are no boxes to evaluate. Received: 0 rows")
    return guess, y_true, sure
