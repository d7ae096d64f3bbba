"""Kernel regression on frozen features: a smooth function of how like a row is to known rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from multimodal.layers.base import Composite, Shape, Tensor, check_flag, check_positive
from multimodal.layers.registry import register


def joined_features(inputs: Sequence[Tensor], *, maps: bool = False) -> Tensor:
    """Return one vector a row of the features of several groups, each `(B, K, F)`.

    Each feature vector is brought to length 1, since models differ in the size of their features.
    A group of several photos is told by each of them in its place and by their mean, which counts
    as much: places matter where each photo shows a thing of its own. An absent one is zeros. With
    `maps`, the vectors of a group are the cells of one photo's map, which has length 1 as a whole:
    a cell in which little is seen then tells little.
    """
    if maps:
        each = [ops.reshape(ops.cast(x, "float32"), (-1, x.shape[1] * x.shape[2])) for x in inputs]
        joined = ops.concatenate([ops.normalize(x, axis=-1) for x in each], axis=-1)
        return joined / len(inputs) ** 0.5
    parts = []
    for features in inputs:
        unit = ops.normalize(ops.cast(features, "float32"), axis=-1)
        count, width = unit.shape[1], unit.shape[2]
        placed = ops.reshape(unit, (-1, count * width)) / count**0.5
        if count > 1:
            mean = ops.normalize(ops.mean(unit, axis=1), axis=-1)
            placed = ops.concatenate([placed, mean], axis=-1) / 2**0.5
        parts.append(placed)
    joined = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)
    return joined / len(parts) ** 0.5


def joined_width(shapes: Sequence[Shape], *, maps: bool = False) -> int:
    """Return the width of what `joined_features` makes of such shapes."""
    more = 0 if maps else 1
    return sum(
        int((count or 1) + more * (count != 1)) * int(width or 0) for _, count, width in shapes
    )


@register("layer", "kernel_regression")
class KernelRegression(Composite):
    """Kernel regression on the features of some groups: `(B, units)`, raw outputs.

    Computes `sum_m kernel_m exp(-gamma |x - landmark_m|**2) + bias`, with x the joined features of
    a row and some known rows as landmarks, which `models.stack` sets; a network of radial basis
    functions, if it is trained.
    The arithmetic is float32 under every dtype policy.

    Args:
        units: Number of raw outputs of the head.
        landmarks: Number of landmarks.
        maps: Whether the features of a group are the cells of a photo's map; False by default.

    Call arguments:
        inputs: A list of the features of each group, `(B, K, F)`; zeros where one is absent.

    Example:
    >>> import numpy as np
    >>> tuple(KernelRegression(1, 5)([np.ones((2, 3, 4), "float32")]).shape)
    (2, 1)

    References:
        Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, chapter 2; Williams &
        Seeger, Using the Nystroem Method to Speed Up Kernel Machines, 2001 (landmarks).
    """

    def __init__(self, units: int, landmarks: int, *, maps: bool = False, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, "dtype": "float32", **kwargs})
        check_positive(units=units, landmarks=landmarks)
        check_flag(maps=maps)
        self.units = units
        self.landmarks = landmarks
        self.maps = maps

    def build(self, input_shape: Sequence[Shape]) -> None:
        width = joined_width(input_shape, maps=self.maps)
        self.places = self._weight("places", (self.landmarks, width), "random_normal")
        self.gamma = self._weight("gamma", (), "ones")
        self.kernel = self._weight("kernel", (self.landmarks, self.units), "glorot_uniform")
        self.bias = self._weight("bias", (self.units,), "zeros")

    def _weight(self, name: str, shape: Shape, initializer: str) -> Any:
        return self.add_weight(shape=shape, initializer=initializer, name=name, autocast=False)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        joined = joined_features(inputs, maps=self.maps)
        places, gamma, kernel, bias = map(
            ops.convert_to_tensor, (self.places, self.gamma, self.kernel, self.bias)
        )
        squares = ops.sum(joined * joined, axis=-1, keepdims=True) + ops.sum(places * places, -1)
        distances = ops.maximum(squares - 2 * ops.matmul(joined, ops.transpose(places)), 0.0)
        return ops.matmul(ops.exp(-gamma * distances), kernel) + bias

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return (input_shape[0][0], self.units)
