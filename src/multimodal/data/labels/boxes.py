"""Boxes in pixels and as fractions of their photo, their overlap and mean average precision.

A box is `xmin, ymin, xmax, ymax`, one for each photo. A file states it in pixels of the original
photo; a head learns fractions of the photo's width and height, since photos are stretched to one
size before a model sees them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Bools, Floats
from multimodal.core.config import Group
from multimodal.core.errors import DataError
from multimodal.core.spec import FittedGroup
from multimodal.data.features.cell_arrays import Frame, photo_names, row_count
from multimodal.data.photos.locate import PhotoRoot, locate
from multimodal.data.photos.names import Photo
from multimodal.data.photos.read import photo_size

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def photo_sizes(frame: Frame, groups: Sequence[Group | FittedGroup], root: PhotoRoot) -> Floats:
    """Return the width and height of each row's first photo, to which its box refers.

    The photo is that in the first slot of the first image group; its size is that of the photo as
    `photos.read.decode` sees it: a photo that EXIF turns has the size it has upright.

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
    known: dict[Photo, tuple[int, int]] = {}
    for row, names in enumerate(photo_names(columns, frame) if columns else []):
        if not names or names[0] is None:
            continue
        path = locate(names[0], root)
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


def checked_fractions(
    boxes: Floats, sizes: Floats, columns: Sequence[str]
) -> tuple[Floats, dict[int, str]]:
    """Turn boxes from pixels to fractions; return them with what is wrong, by row.

    A box may reach one pixel over the photo's edge, as those that count pixels from 1 do; it is
    cut off there. One that reaches further, or has no photo, is a fault.
    """
    fractions = to_fractions(boxes, sizes).clip(0, 1)
    there = np.isfinite(boxes).all(axis=1)
    lost = there & ~np.isfinite(sizes).all(axis=1)
    out = there & ((boxes < -1).any(axis=1) | (boxes > np.tile(sizes, 2) + 1).any(axis=1))
    out |= (fractions[:, 2:] <= fractions[:, :2]).any(axis=1)
    names = ", ".join(columns)
    faults = {int(row): f"columns {names}: a box without a photo" for row in np.flatnonzero(lost)}
    for row in np.flatnonzero(out):
        came = ", ".join(f"{value:g}" for value in boxes[row])
        width, height = sizes[row]
        faults[int(row)] = (
            f"columns {names}: expected a box inside the photo of {width:g} x {height:g} pixels, "
            f"got {came}"
        )
    fractions[list(faults)] = np.nan
    return fractions, faults


def to_pixels(boxes: ArrayLike, sizes: ArrayLike) -> Floats:
    """Turn boxes (N, 4) in fractions into pixels of photos of `sizes` (N, 2): width, height.

    A NaN, of a missing box or photo, stays one.

    Example:
    >>> to_pixels([[0.25, 0.5, 0.5, 1.0]], [[640, 480]]).tolist()
    [[160.0, 240.0, 320.0, 480.0]]
    """
    return _boxes(boxes, "boxes") * _scales(boxes, sizes)


def to_fractions(boxes: ArrayLike, sizes: ArrayLike) -> Floats:
    """Turn boxes (N, 4) in pixels into fractions of photos of `sizes` (N, 2): width, height.

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
    corners = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = _area(np.hstack(corners))
    union = _area(a) + _area(b) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


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
    the true ones is left out.

    Args:
        boxes: Predicted boxes (N, 4).
        classes: Predicted classes (N,).
        scores: The probability of each predicted class, (N,).
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
    y_pred, y_true = np.asarray(classes), np.asarray(true_classes)
    probability = np.asarray(scores, dtype=np.float64)
    for name, array in (("classes", y_pred), ("true_classes", y_true), ("scores", probability)):
        if array.shape != overlap.shape:
            raise DataError(f"`{name}` must have shape {overlap.shape}. Received: {array.shape}")
    if not len(overlap):
        raise DataError("there are no boxes to evaluate. Received: 0 rows")
    right = (y_pred == y_true) & (overlap >= threshold)
    each = [
        _average_precision(right[y_pred == one], probability[y_pred == one], np.sum(y_true == one))
        for one in np.unique(y_true)
    ]
    return float(np.mean(each))


def _average_precision(right: Bools, scores: Floats, positives: int) -> float:
    """Return the area under precision over recall; equal scores count as one step."""
    order = np.argsort(-scores, kind="stable")
    # Between equal scores the order is that of the rows, which must not change a metric.
    ends = np.append(np.diff(scores[order]) != 0, True)[: len(order)]
    hits = np.cumsum(right[order])[ends]
    precision = hits / (np.flatnonzero(ends) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0)
    return float(np.sum(falling * gained) / positives)


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
    return np.asarray(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1))
