"""Boxes as tensors: raw outputs to corners, and how well two boxes overlap.

A box is `xmin, ymin, xmax, ymax`, as shares of the photo's width and height.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any
_TINY = 1e-7


def corners(raw: Tensor) -> Tensor:
    """Turn raw outputs `(B, 4)` into boxes `(B, 4)` with `xmin <= xmax` and `ymin <= ymax`.

    The sigmoid of the first two is the centre, that of the last two the width and height. A box
    may reach over the edge of the photo.
    """
    shares = ops.sigmoid(raw)
    centre, half = shares[:, :2], shares[:, 2:] / 2
    return ops.concatenate([centre - half, centre + half], axis=-1)


def centre_and_size(boxes: Tensor) -> Tensor:
    """Return boxes `(B, 4)` as centre x, centre y, width, height."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return ops.concatenate([(low + high) / 2, high - low], axis=-1)


def intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    """Return the area that two boxes `(B, 4)` share, over the area they cover: `(B,)`."""
    shared, covered = _areas(ops.convert_to_tensor(first), ops.convert_to_tensor(second))
    return shared / ops.maximum(covered, _TINY)


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalized intersection over union `(B,)`, in [-1, 1].

    From the intersection over union it takes the share of the smallest box around both that
    neither covers, so that boxes which do not touch still have a gradient.

    References:
        Rezatofighi et al., Generalized Intersection over Union, 2019.
    """
    first, second = ops.convert_to_tensor(first), ops.convert_to_tensor(second)
    shared, covered = _areas(first, second)
    low = ops.minimum(first[:, :2], second[:, :2])
    sides = ops.maximum(first[:, 2:], second[:, 2:]) - low
    around = sides[:, 0] * sides[:, 1]
    overlap = shared / ops.maximum(covered, _TINY)
    return overlap - (around - covered) / ops.maximum(around, _TINY)


def _areas(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the areas of the intersection and of the union."""
    low = ops.maximum(first[:, :2], second[:, :2])
    high = ops.minimum(first[:, 2:], second[:, 2:])
    sides = ops.maximum(high - low, 0.0)
    shared = sides[:, 0] * sides[:, 1]
    return shared, _area(first) + _area(second) - shared


def _area(boxes: Tensor) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]
