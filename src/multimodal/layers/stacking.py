"""Stacking in the graph: a weighted sum of networks and what is fitted beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.core.spec import SPARSE_KEYS
from multimodal.layers.base import Composite, Shape, Tensor, check_flag, check_positive
from multimodal.layers.kernel_regression import KernelRegression
from multimodal.layers.registry import register


@register("layer", "blend")
class Blend(Composite):
    """Stacking of networks, a linear model and kernel regressions: `(B, units)`, raw outputs.

    Computes `a * mean(networks) + b * (sum_t weight_t kernel[id_t] + bias)`, with a stacking weight
    a and b per output, and a weight more for each kernel regression of frozen features; all are
    alike until `models.stack` sets them from out-of-fold predictions.

    The arithmetic is float32 under every dtype policy, and ids escape autocast: bfloat16 would
    turn the feature 2013 into 2016.

    Args:
        units: Number of raw outputs of the head.
        num_terms: Number of sparse features; an id is 1 + the position of its feature, 0 is
            padding. With 0 there is no linear model.
        head: The head whose raw outputs these are, as `keras.saving.serialize_keras_object` writes
            it, which `decode` asks; None, the default, decodes nothing.
        features: For each kernel regression, the names of the inputs that it reads, such as
            `[["photos_features"]]`; none by default.
        landmarks: Number of landmarks of each kernel regression.
        maps: Whether these features are the cells of a photo's map; False by default.

    Call arguments:
        inputs: The raw outputs of the networks, each `(B, units)`, then what `input_keys` names:
            frozen features `(B, K, F)` of all kernel regressions, then ids int32 `(B, L)` and
            weights float32 `(B, L)` of the sparse features that a row has.

    Example:
    >>> import numpy as np
    >>> ids, weights = np.array([[1, 0]]), np.array([[2.0, 0.0]], "float32")
    >>> tuple(Blend(1, 5)([np.ones((1, 1), "float32"), ids, weights]).shape)
    (1, 1)

    References:
        Cheng et al., Wide & Deep Learning for Recommender Systems, 2016 (a linear model of sparse
        features beside a network); Wolpert, Stacked Generalization, 1992 (the weights).
    """

    def __init__(
        self,
        units: int,
        num_terms: int,
        head: dict[str, Any] | None = None,
        *,
        features: Sequence[Sequence[str]] = (),
        landmarks: int = 1,
        maps: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, "dtype": "float32", **kwargs})
        check_positive(units=units, num_terms=num_terms or 1, landmarks=landmarks)
        if head is not None and not isinstance(head, dict):
            raise TypeError(f"`head` must be a serialized head, a dict. Received: {head!r}")
        if isinstance(features, str) or any(isinstance(keys, str) for keys in features):
            raise TypeError(f"`features` must be lists of names. Received: features={features!r}")
        check_flag(maps=maps)
        self.units = units
        self.num_terms = num_terms
        self.head = head
        self.features = features
        self.landmarks = landmarks
        self.maps = maps
        self.kernel_regressions = [
            KernelRegression(units, landmarks, maps=maps, name=f"kernel_regression_{i}")
            for i in range(len(features))
        ]

    @property
    def input_keys(self) -> list[str]:
        """Names of what the layer reads beside the networks' outputs, in order."""
        keys = [key for keys in self.features for key in keys]
        return [*keys, *SPARSE_KEYS] if self.num_terms else keys

    def build(self, input_shape: Sequence[Shape]) -> None:
        if self.num_terms:
            self.kernel = self._weight("kernel", (self.num_terms + 1, self.units), "zeros")
            self.bias = self._weight("bias", (self.units,), "zeros")
        models = 1 + bool(self.num_terms) + len(self.features)
        alike = keras.initializers.Constant(1 / models)
        # the stacking weights; the attribute and the weight are called so in saved models
        self.shares = self._weight("shares", (models, self.units), alike)
        _, features, _ = self._divided(input_shape)
        for regression, shapes in zip(self.kernel_regressions, features, strict=True):
            regression.build(shapes)

    def _weight(self, name: str, shape: Shape, initializer: Any) -> Any:
        return self.add_weight(shape=shape, initializer=initializer, name=name, autocast=False)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        networks, features, sparse = self._divided(inputs)
        raw = [ops.cast(network, self.variable_dtype) for network in networks]
        outputs = [sum(raw[1:], raw[0]) / len(raw)]
        if self.num_terms:
            outputs.append(self._linear(*sparse))
        pairs = zip(self.kernel_regressions, features, strict=True)
        outputs += [regression(given) for regression, given in pairs]
        shares = ops.convert_to_tensor(self.shares)
        total = sum(shares[i] * each for i, each in enumerate(outputs))
        return ops.cast(total, self.compute_dtype)

    def _linear(self, ids: Tensor, weights: Tensor) -> Tensor:
        kernel, bias = map(ops.convert_to_tensor, (self.kernel, self.bias))
        weights = ops.cast(weights, self.variable_dtype)
        return ops.einsum("bl,blu->bu", weights, ops.take(kernel, ids, axis=0)) + bias

    def _divided(self, inputs: Sequence[Any]) -> tuple[Any, list[Any], Any]:
        """Return what is of the networks, of each kernel regression, and of the linear model."""
        count = len(self.input_keys)
        networks, rest = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
        features = []
        for keys in self.features:
            features.append(list(rest[: len(keys)]))
            rest = rest[len(keys) :]
        return networks, features, rest

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into the user's units, as the head does."""
        if self.head is None:
            raise ValueError("`decode` needs the `head` that the raw outputs are of.")
        head = keras.saving.deserialize_keras_object(self.get_config()["head"])
        return head.decode(raw)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return (input_shape[0][0], self.units)
