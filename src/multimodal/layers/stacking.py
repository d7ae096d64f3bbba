"""Stacking in the graph: a weighted sum of networks and a linear model of sparse features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import Shape, Tensor, check_positive, constructor_arguments
from multimodal.layers.registry import register


@register("layer", "blend")
class Blend(keras.layers.Layer):
    """Stacking of networks and a linear model of sparse features: `(B, units)`, raw outputs.

    Computes `a * mean(networks) + b * (sum_t weight_t kernel[id_t] + bias)`, with a stacking weight
    a and b per output; both are 0.5 until `models.stack` sets them from out-of-fold predictions.

    The arithmetic is float32 under every dtype policy, and ids escape autocast: bfloat16 would
    turn the feature 2013 into 2016.

    Args:
        units: Number of raw outputs of the head.
        num_terms: Number of sparse features; an id is 1 + the position of its feature, 0 is
            padding.

    Call arguments:
        inputs: The raw outputs of the networks, each `(B, units)`, then ids int32 `(B, L)` and
            weights float32 `(B, L)` of the features that a row has.

    Example:
    >>> import numpy as np
    >>> ids, weights = np.array([[1, 0]]), np.array([[2.0, 0.0]], "float32")
    >>> tuple(Blend(1, 5)([np.ones((1, 1), "float32"), ids, weights]).shape)
    (1, 1)

    References:
        Cheng et al., Wide & Deep Learning for Recommender Systems, 2016 (a linear model of sparse
        features beside a network); Wolpert, Stacked Generalization, 1992 (the weights).
    """

    def __init__(self, units: int, num_terms: int, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, "dtype": "float32", **kwargs})
        check_positive(units=units, num_terms=num_terms)
        self.units = units
        self.num_terms = num_terms

    def build(self, input_shape: Sequence[Shape]) -> None:
        self.kernel = self._weight("kernel", (self.num_terms + 1, self.units), "zeros")
        self.bias = self._weight("bias", (self.units,), "zeros")
        half = keras.initializers.Constant(0.5)
        # the stacking weights; the attribute and the weight are called so in saved models
        self.shares = self._weight("shares", (2, self.units), half)

    def _weight(self, name: str, shape: Shape, initializer: Any) -> Any:
        return self.add_weight(shape=shape, initializer=initializer, name=name, autocast=False)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        *networks, ids, weights = inputs
        kernel, bias, shares = map(ops.convert_to_tensor, (self.kernel, self.bias, self.shares))
        raw = [ops.cast(network, self.variable_dtype) for network in networks]
        mean = sum(raw[1:], raw[0]) / len(raw)
        weights = ops.cast(weights, self.variable_dtype)
        linear = ops.einsum("bl,blu->bu", weights, ops.take(kernel, ids, axis=0)) + bias
        return ops.cast(shares[0] * mean + shares[1] * linear, self.compute_dtype)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return (input_shape[0][0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **constructor_arguments(self)}
