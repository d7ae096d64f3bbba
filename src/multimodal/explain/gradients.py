"""Gradients of a function on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import Tensor

BACKENDS = ("tensorflow", "jax", "torch")
Function = Callable[[Tensor], Tensor]


def value_and_gradient(function: Function, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values `(B,)` of a function of rows, and each row's gradient, shaped as `inputs`.

    Rows must not depend on each other, so that the gradient of the sum holds that of each row.

    Args:
        function: Tensor `(B, ...)` to `(B,)`.
        inputs: Float tensor `(B, ...)`.

    Raises:
        ValueError: The backend computes no gradients, as the NumPy one.

    Example:
    >>> values, gradient = value_and_gradient(lambda x: ops.sum(x * x, axis=1), ops.ones((1, 2)))
    >>> ops.convert_to_numpy(values).tolist(), ops.convert_to_numpy(gradient).tolist()
    ([2.0], [[2.0, 2.0]])
    """
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise ValueError(
            f"gradients need one of the backends {', '.join(BACKENDS)}. Received: "
            f"KERAS_BACKEND={name!r}"
        )
    found: tuple[Tensor, Tensor] = _WAYS[name](function, ops.convert_to_tensor(inputs))
    return found


def _tensorflow(function: Function, inputs: Tensor) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        values = function(inputs)
    return values, tape.gradient(values, inputs, unconnected_gradients="zero")


def _jax(function: Function, inputs: Tensor) -> tuple[Tensor, Tensor]:
    import jax

    def total(x: Any) -> tuple[Any, Any]:
        values = function(x)
        return values.sum(), values

    (_, values), gradient = jax.value_and_grad(total, has_aux=True)(inputs)
    return values, gradient


def _torch(function: Function, inputs: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    with torch.enable_grad():
        inputs = inputs.detach().requires_grad_(True)
        values = function(inputs)
        (gradient,) = torch.autograd.grad(
            values.sum(), inputs, allow_unused=True, materialize_grads=True
        )
    return values.detach(), gradient


_WAYS: dict[str, Callable[[Function, Tensor], Any]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}
