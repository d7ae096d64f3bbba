"""Boxes as tensors: raw outputs to corners, intersection over union (IoU) and generalized IoU.

A box is `xmin, ymin, xmax, ymax`, as fractions of the photo's width and height. The IoU stands here
on tensors, for losses and metrics on every backend, and once more in `data.labels.boxes` on arrays,
which must load without Keras.
"""

from __future__ import annotations

from keras import ops

from multimodal.layers.base import Tensor

_TINY = 1e-7  # an area: two empty boxes have an IoU of 0, not NaN


def corners(raw: Tensor) -> Tensor:
    """Turn raw outputs `(B, 4)` into boxes `(B, 4)` with `xmin <= xmax` and `ymin <= ymax`.

    The sigmoid of the first two is the centre, that of the last two the width and height. A box
    may reach over the edge of the photo.
    """
    fractions = ops.sigmoid(raw)
    centre, half = fractions[:, :2], fractions[:, 2:] / 2
    return ops.concatenate([centre - half, centre + half], axis=-1)


def centre_and_size(boxes: Tensor) -> Tensor:
    """Return boxes `(B, 4)` as centre x, centre y, width, height."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return ops.concatenate([(low + high) / 2, high - low], axis=-1)


def intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    """Return the area of the overlap of two boxes `(B, 4)` over that of their union: `(B,)`."""
    intersection, union = _areas(ops.convert_to_tensor(first), ops.convert_to_tensor(second))
    return intersection / ops.maximum(union, _TINY)


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalized intersection over union `(B,)`, in [-1, 1].

    From the intersection over union it takes the fraction of the smallest box around both that
    neither covers, so that boxes which do not touch still have a gradient.

    References:
        Rezatofighi et al., Generalized Intersection over Union, 2019.
    """
    first, second = ops.convert_to_tensor(first), ops.convert_to_tensor(second)
    intersection, union = _areas(first, second)
    low = ops.minimum(first[:, :2], second[:, :2])
    sides = ops.maximum(first[:, 2:], second[:, 2:]) - low
    around = sides[:, 0] * sides[:, 1]
    overlap = intersection / ops.maximum(union, _TINY)
    return overlap - (around - union) / ops.maximum(around, _TINY)


def _areas(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the areas of the intersection and of the union."""
    low = ops.maximum(first[:, :2], second[:, :2])
    high = ops.minimum(first[:, 2:], second[:, 2:])
    sides = ops.maximum(high - low, 0.0)
    intersection = sides[:, 0] * sides[:, 1]
    return intersection, _area(first) + _area(second) - intersection


def _area(boxes: Tensor) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]
