"""Heads that predict a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal import transforms
from multimodal.contracts import HeadLayer, Shape, Tensor, check_choice
from multimodal.losses import TransformedMeanSquaredError
from multimodal.metrics import DecodedMeanAbsoluteError, DecodedRootMeanSquaredError
from multimodal.registry import register
from multimodal.spec import FittedHead


@register("head", "regression")
class RegressionHead(HeadLayer):
    """One number per row: float32 `(B, 1)` in the transformed space.

    Targets in a batch stay in the user's units; the loss transforms them, the metrics and
    `decode` undo the transform on the prediction.

    Args:
        transform: `none`, `standardise` or `log1p`.
        mean: Mean of the transformed training targets.
        scale: Standard deviation of the transformed training targets.
        bounds: Under `log1p`, the least and greatest logarithm that `decode` returns.

    Example:
    >>> import numpy as np
    >>> head = RegressionHead("log1p", mean=0.0, scale=1.0)
    >>> round(float(head.decode(np.log1p(np.array([[99.0]]))).squeeze()), 3)  # doctest: +SKIP
    99.0
    """

    def __init__(
        self,
        transform: str = "standardise",
        *,
        mean: float = 0.0,
        scale: float = 1.0,
        bounds: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("transform", transform, transforms.TRANSFORMS)
        if not scale > 0:
            raise ValueError(f"`scale` must be greater than 0. Received: scale={scale}")
        if bounds is not None and (len(bounds) != 2 or not bounds[0] <= bounds[1]):
            raise ValueError(f"`bounds` must be (least, greatest). Received: bounds={bounds}")
        self.transform = transform
        self.mean = mean
        self.scale = scale
        self.bounds = bounds

    @classmethod
    def from_head(cls, head: FittedHead) -> dict[str, Any]:
        bounds = [head.minimum - head.scale, head.maximum + head.scale]
        return {"mean": head.mean, "scale": head.scale, "bounds": bounds}

    def build(self, input_shape: Shape) -> None:
        self.dense = keras.layers.Dense(1, name="dense", dtype="float32")
        self.dense.build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return self.dense(ops.cast(inputs, "float32"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], 1)

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor((inputs.shape[0], 1), dtype="float32")

    @property
    def _space(self) -> dict[str, Any]:
        return {"transform": self.transform, "mean": self.mean, "scale": self.scale}

    @property
    def _limits(self) -> tuple[float, float] | None:
        return (self.bounds[0], self.bounds[1]) if self.bounds is not None else None

    def make_loss(self) -> keras.losses.Loss:
        return TransformedMeanSquaredError(**self._space)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        arguments = {**self._space, "bounds": self._limits}
        return [DecodedRootMeanSquaredError(**arguments), DecodedMeanAbsoluteError(**arguments)]

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs `(B, 1)` into the user's units."""
        return transforms.decode(raw, **self._space, bounds=self._limits)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._space, "bounds": self.bounds}
