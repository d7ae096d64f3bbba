"""Targets and raw outputs: the user's units to the space a head works in, and back."""

from __future__ import annotations

from typing import Any, Literal, get_args

from keras import ops

Tensor = Any
Transform = Literal["none", "standardise", "log1p"]
TRANSFORMS: tuple[str, ...] = get_args(Transform)


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

    The bounds keep one bold extrapolation in log space from becoming an astronomic price.
    """
    if transform == "none":
        return raw
    values = raw * scale + mean
    if transform == "standardise":
        return values
    if bounds is not None:
        values = ops.clip(values, bounds[0], bounds[1])
    return ops.expm1(values)


def grade_probabilities(raw: Tensor) -> Tensor:
    """Turn logits `(B, C - 1)` of being above each grade into probabilities `(B, C)` of the grades.

    The logits must not rise along a row; the probabilities then sum to 1.
    """
    above = ops.sigmoid(raw)
    first = above[:, :1]
    at_least = ops.concatenate([ops.ones_like(first), above], axis=-1)
    return at_least - ops.concatenate([above, ops.zeros_like(first)], axis=-1)
