"""Losses of heads that emit numbers: squared error, Huber, pinball, reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import columns, flat
from multimodal.heads.losses.base import HeadLoss, Tensor
from multimodal.heads.transforms import encode


class _TransformedLoss(HeadLoss):
    """Base: targets `(B, 1)` in the user's units are moved to the head's space first."""

    def __init__(
        self, transform: str = "none", mean: float = 0.0, scale: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.transform = transform
        self.mean = mean
        self.scale = scale

    def errors(self, y_true: Tensor, raw: Tensor) -> Tensor:
        """Return truth minus raw output, in the head's space, `(B, N)`."""
        return encode(columns(y_true, 1), self.transform, self.mean, self.scale) - raw

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "transform": self.transform, "mean": self.mean, "scale": self.scale}


@keras.saving.register_keras_serializable(package="multimodal")
class TransformedMeanSquaredError(_TransformedLoss):
    """Squared error in the head's transformed space; a mean that knows the sample weights.

    Args:
        transform: `none`, `standardise` or `log1p`.
        mean: Mean of the transformed training targets.
        scale: Standard deviation of the transformed training targets.
        **kwargs: As in `HeadLoss`.
    """

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.mean(ops.square(self.errors(y_true, raw)), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class TransformedHuber(_TransformedLoss):
    """Huber loss in the head's transformed space: squared up to `delta`, then straight.

    Args:
        transform: `none`, `standardise` or `log1p`.
        mean: Mean of the transformed training targets.
        scale: Standard deviation of the transformed training targets.
        delta: Error, in the transformed space, from which on the loss grows in a straight line.
        **kwargs: As in `HeadLoss`.

    References:
        Huber, Robust Estimation of a Location Parameter, 1964.
    """

    def __init__(self, *args: Any, delta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.delta = delta

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        size = ops.abs(self.errors(y_true, raw))
        inside = ops.minimum(size, self.delta)
        return ops.mean(0.5 * ops.square(inside) + self.delta * (size - inside), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "delta": self.delta}


@keras.saving.register_keras_serializable(package="multimodal")
class PinballLoss(_TransformedLoss):
    """Mean pinball loss of quantiles `(B, Q)`, in the head's transformed space.

    Args:
        quantiles: The share of targets that shall lie below each output.
        transform: `none`, `standardise` or `log1p`.
        mean: Mean of the transformed training targets.
        scale: Standard deviation of the transformed training targets.
        **kwargs: As in `HeadLoss`.

    References:
        Koenker and Bassett, Regression Quantiles, 1978.
    """

    def __init__(self, quantiles: Sequence[float], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.quantiles = quantiles

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return pinball(self.errors(y_true, raw), self.quantiles)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantiles": list(self.quantiles)}


def pinball(errors: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Return the mean pinball loss `(B,)` of errors `(B, Q)`, truth minus quantile."""
    levels = ops.convert_to_tensor([list(quantiles)], dtype="float32")
    return ops.mean(ops.maximum(levels * errors, (levels - 1) * errors), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class ReconstructionLoss(HeadLoss):
    """Mean over all numbers of a row: squared error, or binary cross-entropy of logits.

    Targets may have any shape `(B, ...)`; a row is compared number by number with the raw outputs
    `(B, N)`.

    Args:
        loss: `squared`, or `binary` for targets in [0, 1].
        **kwargs: As in `HeadLoss`.
    """

    def __init__(self, loss: str = "squared", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = loss

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        truth = flat(y_true, raw.shape[1])
        if self.loss == "squared":
            return ops.mean(ops.square(truth - raw), axis=-1)
        return ops.mean(ops.softplus(raw) - truth * raw, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": self.loss}
