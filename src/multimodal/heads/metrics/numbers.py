"""Metrics of heads that emit numbers: in the user's units, however the head transforms them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import columns, flat
from multimodal.heads.losses.numbers import pinball
from multimodal.heads.metrics.base import HeadMetric, Tensor
from multimodal.heads.transforms import decode


class _DecodedMetric(HeadMetric):
    """Base: undo the head's transform before the two are compared."""

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

    def errors(self, y_true: Tensor, raw: Tensor) -> Tensor:
        """Return truth minus prediction in the user's units, `(B, N)`."""
        guess = decode(raw, self.transform, self.mean, self.scale, self.bounds)
        return columns(y_true, 1) - guess

    def get_config(self) -> dict[str, Any]:
        values = {"transform": self.transform, "mean": self.mean, "scale": self.scale}
        return {**super().get_config(), **values, "bounds": self.bounds}


@keras.saving.register_keras_serializable(package="multimodal")
class DecodedMeanAbsoluteError(_DecodedMetric):
    """Mean absolute error in the user's units."""

    def __init__(self, *args: Any, name: str = "mae", **kwargs: Any) -> None:
        super().__init__(*args, name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.mean(ops.abs(self.errors(y_true, raw)), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class DecodedRootMeanSquaredError(_DecodedMetric):
    """Root mean squared error in the user's units."""

    def __init__(self, *args: Any, name: str = "rmse", **kwargs: Any) -> None:
        super().__init__(*args, name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.mean(ops.square(self.errors(y_true, raw)), axis=-1)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


@keras.saving.register_keras_serializable(package="multimodal")
class DecodedPinball(_DecodedMetric):
    """Mean pinball loss of quantiles `(B, Q)`, in the user's units.

    Args:
        quantiles: The share of targets that shall lie below each output.
        **kwargs: The transform and its statistics, as in `RegressionHead`.
    """

    def __init__(
        self, quantiles: Sequence[float], *args: Any, name: str = "pinball", **kwargs: Any
    ) -> None:
        super().__init__(*args, name=name, **kwargs)
        self.quantiles = quantiles

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return pinball(self.errors(y_true, raw), self.quantiles)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantiles": list(self.quantiles)}


@keras.saving.register_keras_serializable(package="multimodal")
class Coverage(_DecodedMetric):
    """Share of the targets between the lowest and the highest quantile of `(B, Q)`."""

    def __init__(self, *args: Any, name: str = "coverage", **kwargs: Any) -> None:
        super().__init__(*args, name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        errors = self.errors(y_true, raw)
        inside = ops.logical_and(errors[:, 0] >= 0, errors[:, -1] <= 0)
        return ops.cast(inside, "float32")


@keras.saving.register_keras_serializable(package="multimodal")
class ReconstructionError(HeadMetric):
    """Root mean squared error over all numbers of a row.

    Args:
        loss: The head's loss: `squared`, or `binary` for raw outputs that are logits.
        **kwargs: As in `HeadMetric`.
    """

    def __init__(self, loss: str = "squared", *, name: str = "rmse", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.loss = loss

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        guess = ops.sigmoid(raw) if self.loss == "binary" else raw
        return ops.mean(ops.square(flat(y_true, raw.shape[1]) - guess), axis=-1)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": self.loss}
