"""Metrics in the user's units, fed with raw outputs of a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from multimodal.transforms import decode

Tensor = Any


class _Decoded:
    """Mixin: undo the head's transform before the metric sees the prediction."""

    def __init__(
        self,
        transform: str = "none",
        mean: float = 0.0,
        scale: float = 1.0,
        bounds: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.transform = transform
        self.mean = mean
        self.scale = scale
        self.bounds = bounds

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Any:
        raw = ops.cast(y_pred, "float32")
        decoded = decode(raw, self.transform, self.mean, self.scale, self.bounds)
        parent: Callable[..., Any] = super().update_state  # type: ignore[misc]
        return parent(y_true, decoded, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        values = {"transform": self.transform, "mean": self.mean, "scale": self.scale}
        return {**super().get_config(), **values, "bounds": self.bounds}  # type: ignore[misc]


@keras.saving.register_keras_serializable(package="multimodal")
class DecodedMeanAbsoluteError(_Decoded, keras.metrics.MeanAbsoluteError):
    """Mean absolute error in the user's units."""

    def __init__(self, *args: Any, name: str = "mae", **kwargs: Any) -> None:
        super().__init__(*args, name=name, **kwargs)


@keras.saving.register_keras_serializable(package="multimodal")
class DecodedRootMeanSquaredError(_Decoded, keras.metrics.RootMeanSquaredError):
    """Root mean squared error in the user's units."""

    def __init__(self, *args: Any, name: str = "rmse", **kwargs: Any) -> None:
        super().__init__(*args, name=name, **kwargs)
