"""Metrics in the user's units, fed with raw outputs of a head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.heads.box_ops import corners, intersection_over_union
from multimodal.heads.labels import (
    class_ids,
    columns,
    decode,
    flat,
    known,
    ordinal_probabilities,
    split_raw,
)
from multimodal.heads.losses import pairwise_distances, pinball, relations

__all__ = [
    "BinaryAccuracy",
    "BoxIoU",
    "Coverage",
    "DecodedMeanAbsoluteError",
    "DecodedPinball",
    "DecodedRootMeanSquaredError",
    "HeadMetric",
    "MulticlassAccuracy",
    "MultilabelAccuracy",
    "MultilabelJaccard",
    "NeighbourAccuracy",
    "OrdinalAccuracy",
    "OrdinalMeanAbsoluteError",
    "PairAccuracy",
    "ReconstructionError",
]

Tensor = Any


class HeadMetric(keras.metrics.Mean):
    """Mean over the rows of `compare(targets, raw)`, over any number of batches.

    Use it among `weighted_metrics`: a row of weight 0 has no label, and nothing in it counts.

    Args:
        learned_weight: Whether the last column of the raw outputs is the head's log variance.
        **kwargs: `name` and `dtype`, as in `keras.metrics.Metric`.

    Attributes:
        missing: What stands for the target of a row without a label.
    """

    missing = 0.0

    def __init__(self, *, learned_weight: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.learned_weight = learned_weight

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        """Return the value `(B,)` of each row."""
        raise NotImplementedError

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        raw, _ = split_raw(y_pred, self.learned_weight)
        values = self.compare(known(y_true, sample_weight, self.missing), ops.cast(raw, "float32"))
        super().update_state(values, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "learned_weight": self.learned_weight}


class _Accuracy(HeadMetric):
    """Base: share of the rows whose class is right."""

    def __init__(self, *, name: str = "accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def guess(self, raw: Tensor) -> Tensor:
        """Return the class id `(B,)`, int32."""
        raise NotImplementedError

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.cast(class_ids(y_true) == self.guess(raw), "float32")


@keras.saving.register_keras_serializable(package="multimodal")
class BinaryAccuracy(_Accuracy):
    """Share of the rows whose class is right, from one logit `(B, 1)`."""

    def guess(self, raw: Tensor) -> Tensor:
        return ops.cast(raw[:, 0] > 0, "int32")


@keras.saving.register_keras_serializable(package="multimodal")
class MulticlassAccuracy(_Accuracy):
    """Share of the rows whose class is right, from logits `(B, C)`."""

    def guess(self, raw: Tensor) -> Tensor:
        return ops.cast(ops.argmax(raw, axis=-1), "int32")


@keras.saving.register_keras_serializable(package="multimodal")
class OrdinalAccuracy(_Accuracy):
    """Share of the rows whose likeliest grade is right, from the logits `(B, C - 1)` of above."""

    def guess(self, raw: Tensor) -> Tensor:
        return ops.cast(ops.argmax(ordinal_probabilities(raw), axis=-1), "int32")


@keras.saving.register_keras_serializable(package="multimodal")
class OrdinalMeanAbsoluteError(HeadMetric):
    """Mean distance between the true and the median grade, from the logits of being above."""

    def __init__(self, *, name: str = "mae_grades", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        median = ops.sum(ops.cast(raw > 0, "int32"), axis=-1)
        return ops.cast(ops.abs(class_ids(y_true) - median), "float32")


@keras.saving.register_keras_serializable(package="multimodal")
class MultilabelAccuracy(HeadMetric):
    """Share of the labels that are right, from logits `(B, C)`."""

    def __init__(self, *, name: str = "accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        y_true = columns(y_true, raw.shape[1]) > 0.5
        return ops.mean(ops.cast(y_true == (raw > 0), "float32"), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class MultilabelJaccard(HeadMetric):
    """Labels both true and predicted, over labels either, in each row; 1 where there are none.

    Unlike the accuracy it does not rise by predicting nothing where labels are rare.
    """

    def __init__(self, *, name: str = "jaccard", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        y_true, guess = columns(y_true, raw.shape[1]) > 0.5, raw > 0
        both = ops.sum(ops.cast(ops.logical_and(y_true, guess), "float32"), axis=-1)
        either = ops.sum(ops.cast(ops.logical_or(y_true, guess), "float32"), axis=-1)
        return ops.where(either > 0, both / ops.maximum(either, 1.0), ops.ones_like(both))


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


@keras.saving.register_keras_serializable(package="multimodal")
class BoxIoU(HeadMetric):
    """Mean intersection over union of true boxes and raw outputs, both `(B, 4)`."""

    def __init__(self, *, name: str = "iou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        guess = ops.clip(corners(raw), 0.0, 1.0)
        return intersection_over_union(columns(y_true, 4), guess)


@keras.saving.register_keras_serializable(package="multimodal")
class NeighbourAccuracy(HeadMetric):
    """Share of the rows whose nearest labelled row in the batch has the same id.

    Targets `(B,)` are ids of at least 0, the model emits embeddings `(B, D)`. It depends on who
    else is in the batch: compare it between equal batches only.
    """

    missing = -1.0

    def __init__(self, *, name: str = "neighbour_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        match, other = relations(class_ids(y_true))
        distances = pairwise_distances(raw)
        far = ops.full_like(distances, float("inf"))
        nearest = ops.min(ops.where(match, distances, far), axis=1)
        return ops.cast(nearest < ops.min(ops.where(other, distances, far), axis=1), "float32")


@keras.saving.register_keras_serializable(package="multimodal")
class PairAccuracy(HeadMetric):
    """Share of the pairs told apart rightly, from distances `(B, 1)`; targets are 1 for "same".

    Args:
        threshold: Below this distance the two count as the same: half the loss's margin.
        **kwargs: As in `HeadMetric`.
    """

    def __init__(
        self, threshold: float = 0.5, *, name: str = "pair_accuracy", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.threshold = threshold

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        same, guess = columns(y_true, 1)[:, 0] > 0.5, columns(raw, 1)[:, 0] < self.threshold
        return ops.cast(same == guess, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}
