"""Base classes of the parts, and the argument checks they share."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras

from multimodal import registry
from multimodal.config import Component
from multimodal.spec import FittedGroup, FittedHead

Tensor = Any
Shape = tuple[int | None, ...]


def check_fraction(name: str, value: float) -> None:
    """Raise ValueError unless `value` is in [0, 1)."""
    if not isinstance(value, Real) or not 0 <= value < 1:
        raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value!r}")


def check_positive(name: str, value: int) -> None:
    """Raise ValueError unless `value` is an integer of at least 1."""
    if type(value) is not int or value < 1:
        raise ValueError(f"`{name}` must be an integer of at least 1. Received: {name}={value!r}")


def check_sizes(name: str, values: Sequence[int]) -> None:
    """Raise ValueError unless `values` is a list of at least one integer of at least 1."""
    listed = values if isinstance(values, Sequence) else ()
    if not listed or any(type(value) is not int or value < 1 for value in listed):
        raise ValueError(
            f"`{name}` must be a list of integers of at least 1. Received: {name}={values!r}"
        )


def check_choice(name: str, value: object, valid: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `valid`."""
    if value not in valid:
        raise ValueError(f"`{name}` must be one of {list(valid)}. Received: {name}={value!r}")


class Encoder(keras.layers.Layer):
    """Base of all encoders: inputs to tokens `(B, T, D)`, or to a vector `(B, D)`.

    A subclass builds its sublayers in `build`, calls `super().build` there, and implements
    `token_shape`, `encode` and, where tokens can be padding, `token_mask`. With
    `pooling=None` the tokens come out together with their Keras mask; with the name of a registered
    pooling one vector comes out, without a mask.

    Attributes:
        gains_from_bfloat16: Whether the encoder runs faster under `mixed_bfloat16` on a processor
            that multiplies it natively, as convolutions do and recurrent layers do not.
    """

    gains_from_bfloat16 = False

    def __init__(self, *, pooling: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pooling = pooling
        self.supports_masking = True
        self._pool = None
        if pooling is not None:
            part = Component(name=pooling)
            self._pool = registry.create("pooling", part, name="pooling", dtype=self.dtype_policy)

    @classmethod
    def from_group(cls, group: FittedGroup) -> dict[str, Any]:
        """Return the constructor arguments that the fitted group decides."""
        return {}

    def token_shape(self, input_shape: Any) -> Shape:
        """Return the shape `(B, T, D)` of the tokens."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        if self._pool is not None:
            self._pool.build(self.token_shape(input_shape))

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        """Return tokens `(B, T, D)`."""
        raise NotImplementedError

    def token_mask(self, inputs: Tensor, mask: Tensor | None) -> Tensor | None:
        """Return the mask `(B, T)` of the tokens, True where one counts, or None."""
        return None

    def call(
        self, inputs: Tensor, mask: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        tokens = self.encode(inputs, mask, training)
        if self._pool is None:
            return tokens
        return self._pool(tokens, mask=self.token_mask(inputs, mask))

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> Tensor | None:
        return None if self._pool is not None else self.token_mask(inputs, previous_mask)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        tokens = self.token_shape(input_shape)
        return tokens if self._pool is None else (tokens[0], tokens[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooling": self.pooling}


class Fusion(keras.layers.Layer):
    """Base of all fusions: a dict of group name -> vector `(B, D_g)` to one vector `(B, D)`.

    `call` takes the dict and, for the groups that can be absent, `presence`: a dict of group
    name -> bool `(B,)`.
    """


class HeadLayer(keras.layers.Layer):
    """Base of all heads: a vector `(B, D)` to raw outputs, with their loss, metrics and meaning."""

    @classmethod
    def from_head(cls, head: FittedHead) -> dict[str, Any]:
        """Return the constructor arguments that the fitted head decides."""
        return {}

    def make_loss(self) -> keras.losses.Loss:
        """Return the loss between targets in the user's units and raw outputs."""
        raise NotImplementedError

    def make_metrics(self) -> list[keras.metrics.Metric]:
        """Return metrics that compare targets with decoded outputs, in the user's units."""
        raise NotImplementedError

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into the user's units."""
        raise NotImplementedError
