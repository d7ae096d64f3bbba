"""Losses between targets in the user's units and raw outputs of a head."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.transforms import encode

Tensor = Any


@keras.saving.register_keras_serializable(package="multimodal")
class TransformedMeanSquaredError(keras.losses.Loss):
    """Squared error in the head's transformed space; a mean that knows the sample weights.

    Args:
        transform: `none`, `standardise` or `log1p`.
        mean: Mean of the transformed training targets.
        scale: Standard deviation of the transformed training targets.
    """

    def __init__(
        self,
        transform: str = "none",
        mean: float = 0.0,
        scale: float = 1.0,
        *,
        reduction: str = "mean_with_sample_weight",
        name: str = "transformed_mean_squared_error",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.transform = transform
        self.mean = mean
        self.scale = scale

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        encoded = encode(ops.cast(y_true, "float32"), self.transform, self.mean, self.scale)
        return ops.mean(ops.square(encoded - ops.cast(y_pred, "float32")), axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "transform": self.transform, "mean": self.mean, "scale": self.scale}
