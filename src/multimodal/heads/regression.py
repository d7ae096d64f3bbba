"""Regression of a number, or of its quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras
from keras import ops

from multimodal.core.spec import FittedHead
from multimodal.heads import labels
from multimodal.heads.labels import split_raw
from multimodal.heads.losses import PinballLoss, TransformedHuber, TransformedMeanSquaredError
from multimodal.heads.metrics import (
    Coverage,
    DecodedMeanAbsoluteError,
    DecodedPinball,
    DecodedRootMeanSquaredError,
)
from multimodal.layers.base import LinearHead, Tensor, check_above_zero, check_choice
from multimodal.layers.registry import register

LOSSES = ("squared", "huber")


class _NumberHead(LinearHead):
    """Base: targets in the user's units, raw outputs in the transformed space."""

    label_kind = "number"

    def __init__(
        self,
        transform: str,
        *,
        mean: float,
        scale: float,
        bounds: Sequence[float] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("transform", transform, labels.TRANSFORMS)
        check_above_zero(scale=scale)
        if bounds is not None and (len(bounds) != 2 or not bounds[0] <= bounds[1]):
            raise ValueError(f"`bounds` must be (least, greatest). Received: bounds={bounds}")
        self.transform = transform
        self.mean = mean
        self.scale = scale
        self.bounds = bounds

    @classmethod
    def from_head(cls, head: FittedHead) -> dict[str, Any]:
        # one standard deviation of room beyond the training targets
        bounds = [head.minimum - head.scale, head.maximum + head.scale]
        return {"mean": head.mean, "scale": head.scale, "bounds": bounds}

    @property
    def _space(self) -> dict[str, Any]:
        return {"transform": self.transform, "mean": self.mean, "scale": self.scale}

    @property
    def _loss_space(self) -> dict[str, Any]:
        return {**self._space, "learned_weight": self.learned_weight}

    @property
    def _limits(self) -> tuple[float, float] | None:
        return (self.bounds[0], self.bounds[1]) if self.bounds is not None else None

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into the user's units, `(B, num_outputs)`."""
        values, _ = split_raw(raw, self.learned_weight)
        return labels.decode(values, **self._space, bounds=self._limits)


@register("head", "regression")
class RegressionHead(_NumberHead):
    """One number per row: float32 `(B, 1)` in the transformed space.

    Targets in a batch stay in the user's units; the loss transforms them, the metrics and
    `decode` undo the transform on the prediction.

    Args:
        transform: The space to learn in: `standardise` (the default) has mean 0 and deviation 1;
            `log1p` the logarithm, then standardised, for prices and counts, whose errors grow with
            them; `none` the user's units.
        loss: `squared` (the default), or `huber`, which a few outliers among the targets move less.
        delta: Under `huber`, the error in the transformed space from which on the loss grows in a
            straight line, 1 by default; smaller is more robust.
        mean: Mean of the transformed training targets, 0 by default.
        scale: Standard deviation of the transformed training targets, 1 by default.
        bounds: Under `log1p`, the least and greatest logarithm that `decode` returns; None, the
            default, bounds nothing.
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; False by default.

    Example:
    >>> import numpy as np
    >>> head = RegressionHead("log1p", mean=0.0, scale=1.0)
    >>> round(float(np.squeeze(head.decode(np.log1p(np.array([[99.0]], "float32"))))), 2)
    99.0
    """

    def __init__(
        self,
        transform: str = "standardise",
        *,
        loss: str = "squared",
        delta: float = 1.0,
        mean: float = 0.0,
        scale: float = 1.0,
        bounds: Sequence[float] | None = None,
        learned_weight: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            transform,
            mean=mean,
            scale=scale,
            bounds=bounds,
            learned_weight=learned_weight,
            **kwargs,
        )
        check_choice("loss", loss, LOSSES)
        check_above_zero(delta=delta)
        self.loss = loss
        self.delta = delta

    @property
    def num_outputs(self) -> int:
        return 1

    def make_loss(self) -> keras.losses.Loss:
        if self.loss == "huber":
            return TransformedHuber(**self._loss_space, delta=self.delta)
        return TransformedMeanSquaredError(**self._loss_space)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        arguments = {**self._loss_space, "bounds": self._limits}
        return [DecodedRootMeanSquaredError(**arguments), DecodedMeanAbsoluteError(**arguments)]


@register("head", "quantile")
class QuantileHead(_NumberHead):
    """Quantiles of a number: float32 `(B, Q)` in the transformed space, never crossing.

    One output is the quantile nearest to the median; the others are steps away from it, each a
    softplus and therefore positive. The loss is the pinball loss in the transformed space; the
    metrics are the pinball loss in the user's units and the coverage: the fraction of targets
    between the lowest and the highest quantile.

    Args:
        quantiles: Rising numbers between 0 and 1: the fraction of targets below each output. By
            default (0.05, 0.5, 0.95): a median in an interval of 90 %.
        transform: The space to learn in, as in `RegressionHead`; `standardise` by default.
        mean: Mean of the transformed training targets, 0 by default.
        scale: Standard deviation of the transformed training targets, 1 by default.
        bounds: Under `log1p`, the least and greatest logarithm that `decode` returns; None, the
            default, bounds nothing.
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; False by default.

    Example:
    >>> import numpy as np
    >>> head = QuantileHead([0.1, 0.5, 0.9])
    >>> found = ops.convert_to_numpy(head.decode(head(np.ones((1, 2), "float32"))))
    >>> bool((np.diff(found) > 0).all())
    True

    References:
        Koenker and Bassett, Regression Quantiles, 1978; Gasthaus et al., Probabilistic Forecasting
        with Spline Quantile Function RNNs, 2019 (quantiles as a sum of positive steps).
    """

    def __init__(
        self,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        *,
        transform: str = "standardise",
        mean: float = 0.0,
        scale: float = 1.0,
        bounds: Sequence[float] | None = None,
        learned_weight: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            transform,
            mean=mean,
            scale=scale,
            bounds=bounds,
            learned_weight=learned_weight,
            **kwargs,
        )
        check_quantiles(quantiles)
        self.quantiles = quantiles

    @property
    def num_outputs(self) -> int:
        return len(self.quantiles)

    def compute_raw(self, vector: Tensor) -> Tensor:
        outputs = super().compute_raw(vector)
        start, steps = outputs[:, :1], ops.softplus(outputs[:, 1:])
        rising = ops.concatenate([ops.zeros_like(start), ops.cumsum(steps, axis=-1)], axis=-1)
        # start from the middle, so that the error of a step does not add up over all quantiles
        distances = [abs(quantile - 0.5) for quantile in self.quantiles]
        middle = distances.index(min(distances))
        return start + (rising - rising[:, middle : middle + 1])

    def make_loss(self) -> keras.losses.Loss:
        return PinballLoss(self.quantiles, **self._loss_space)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        arguments = {**self._loss_space, "bounds": self._limits}
        return [DecodedPinball(self.quantiles, **arguments), Coverage(**arguments)]


def check_quantiles(quantiles: Sequence[float]) -> None:
    """Raise ValueError unless the quantiles rise between 0 and 1."""
    numbers = isinstance(quantiles, Sequence) and all(isinstance(q, Real) for q in quantiles)
    listed = list(quantiles) if numbers else []
    ends = [0, *listed, 1]
    pairs = zip(ends[:-1], ends[1:], strict=True)
    if not listed or not all(low < high for low, high in pairs):
        raise ValueError(
            "`quantiles` must be a list of rising numbers between 0 and 1. "
            f"Received: quantiles={quantiles!r}"
        )
