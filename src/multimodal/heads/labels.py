"""Targets and raw outputs: missing labels, shapes, transforms of numbers, ordinal probabilities.

What losses and metrics do first with a batch, and how heads get from the user's units to the space
they learn in and back. `core.target_transform` does the last on NumPy arrays, without Keras.
"""

from __future__ import annotations

import math

from keras import ops

from multimodal.layers.base import Tensor

TRANSFORMS = ("none", "standardise", "log1p")


def known(y_true: Tensor, sample_weight: Tensor | None, missing: float = 0.0) -> Tensor:
    """Return the targets with `missing` in each row of weight 0.

    Whatever stands in such a row, a NaN too, then reaches no sum: a NaN times 0 is a NaN.
    """
    y_true = ops.convert_to_tensor(y_true)
    if sample_weight is None:
        return y_true
    there = ops.convert_to_tensor(sample_weight) > 0
    if len(there.shape) != len(y_true.shape):
        there = ops.reshape(there, (-1,) + (1,) * (len(y_true.shape) - 1))
    return ops.where(there, y_true, ops.full_like(y_true, missing))


def split_raw(raw: Tensor, learned_weight: bool) -> tuple[Tensor, Tensor | None]:
    """Return the raw outputs `(B, N)`, and the log variance `(B,)` where a head learns its weight.

    A head that does emits its log variance as one more, last column.
    """
    raw = ops.convert_to_tensor(raw)
    return (raw[:, :-1], raw[:, -1]) if learned_weight else (raw, None)


def columns(y_true: Tensor, width: int) -> Tensor:
    """Return targets as float32 `(B, width)`; `(B,)` serves where `width` is 1.

    Raises:
        ValueError: The targets have another shape. Keras would broadcast them in silence.
    """
    shape = tuple(y_true.shape)
    if width == 1 and len(shape) == 1:
        y_true = ops.expand_dims(y_true, -1)
    elif len(shape) != 2 or shape[1] not in (None, width):
        raise ValueError(f"targets must have shape (batch, {width}). Received: shape={shape}")
    # where TensorFlow has traced for any width, a wrong one fails here instead of broadcasting
    return ops.reshape(ops.cast(y_true, "float32"), (ops.shape(y_true)[0], width))


def class_ids(y_true: Tensor) -> Tensor:
    """Return targets `(B,)` or `(B, 1)` as int32 `(B,)`; -1 for what is negative or NaN.

    Raises:
        ValueError: The targets have another shape, such as one column for each class.
    """
    shape = tuple(y_true.shape)
    if len(shape) == 2 and shape[1] in (None, 1):
        y_true = ops.reshape(y_true, (ops.shape(y_true)[0],))
    elif len(shape) != 1:
        raise ValueError(
            f"targets must be class ids of shape (batch,). Received: shape={shape}; "
            "from one column for each class, take `argmax(axis=1)`"
        )
    numbers = ops.cast(y_true, "float32")
    return ops.cast(ops.where(numbers >= 0, numbers, ops.full_like(numbers, -1)), "int32")


def flat(y_true: Tensor, width: int) -> Tensor:
    """Return targets of any shape `(B, ...)` as float32 `(B, width)`.

    Raises:
        ValueError: A row does not hold `width` numbers.
    """
    shape = tuple(y_true.shape)
    size = math.prod(length or 1 for length in shape[1:])
    if len(shape) < 2 or (None not in shape[1:] and size != width):
        raise ValueError(f"targets must hold {width} numbers in a row. Received: shape={shape}")
    return ops.reshape(ops.cast(y_true, "float32"), (ops.shape(y_true)[0], width))


def encode(values: Tensor, transform: str, mean: float, scale: float) -> Tensor:
    """Turn targets in the user's units into the head's space.

    `none` leaves them, `standardise` gives `(y - mean) / scale`, `log1p` gives
    `(log(1 + y) - mean) / scale`; `mean` and `scale` belong to the transformed values.
    """
    if transform == "none":
        return values
    if transform == "log1p":
        values = ops.log1p(ops.maximum(values, 0.0))
    return (values - mean) / scale


def decode(
    raw: Tensor, transform: str, mean: float, scale: float, bounds: tuple[float, float] | None
) -> Tensor:
    """Undo `encode`. Under `log1p` the logarithm is first clipped to `bounds`.

    The bounds keep an extrapolation in log space from becoming an astronomic price.
    """
    if transform == "none":
        return raw
    values = raw * scale + mean
    if transform == "standardise":
        return values
    if bounds is not None:
        values = ops.clip(values, bounds[0], bounds[1])
    return ops.expm1(values)


def ordinal_probabilities(raw: Tensor) -> Tensor:
    """Turn logits `(B, C - 1)` of being above each class into class probabilities `(B, C)`.

    The logits must not rise along a row; the probabilities then sum to 1.
    """
    above = ops.sigmoid(raw)
    first = above[:, :1]
    at_least = ops.concatenate([ops.ones_like(first), above], axis=-1)
    return at_least - ops.concatenate([above, ops.zeros_like(first)], axis=-1)
