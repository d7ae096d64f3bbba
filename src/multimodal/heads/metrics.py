"""Metrics in the user's units, fed with raw outputs of a head.

Each is a weighted mean over rows, so that it may be `weighted_metrics`: a row without a label has
weight 0, and plain `metrics` would mix its zero-filled target in.
"""

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
from multimodal.layers.base import Tensor, constructor_arguments

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


class HeadMetric(keras.metrics.Mean):
    """Base of all metrics: the mean over the rows of `compare(targets, raw)`, over all batches.

    Use it among `weighted_metrics`: a row of weight 0 has no label, and nothing in it enters the
    mean. A subclass implements `compare`, and stores each constructor argument under its own name;
    `get_config` finds them there.

    Args:
        learned_weight: Whether the last column of the raw outputs is the head's log variance, which
            is then left out. False by default.
        name: Name of the metric in Keras' logs; None, the default, takes `default_name`.
        **kwargs: `dtype`, as in `keras.metrics.Metric`.

    Attributes:
        missing: The target that a row without a label gets instead of its own.
        default_name: Name of the metric where none is given.
    """

    missing = 0.0
    default_name = "mean"

    def __init__(
        self, *, learned_weight: bool = False, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name or self.default_name, **kwargs)
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
        return {**super().get_config(), **constructor_arguments(self)}


class _Accuracy(HeadMetric):
    """Base: fraction of the rows whose class is right."""

    default_name = "accuracy"

    def guess(self, raw: Tensor) -> Tensor:
        """Return the class id `(B,)`, int32."""
        raise NotImplementedError

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.cast(class_ids(y_true) == self.guess(raw), "float32")


@keras.saving.register_keras_serializable(package="multimodal")
class BinaryAccuracy(_Accuracy):
    """Fraction of the rows whose class is right, from one logit `(B, 1)`."""

    def guess(self, raw: Tensor) -> Tensor:
        return ops.cast(raw[:, 0] > 0, "int32")


@keras.saving.register_keras_serializable(package="multimodal")
class MulticlassAccuracy(_Accuracy):
    """Fraction of the rows whose class is right, from logits `(B, C)`."""

    def guess(self, raw: Tensor) -> Tensor:
        return ops.cast(ops.argmax(raw, axis=-1), "int32")


@keras.saving.register_keras_serializable(package="multimodal")
class OrdinalAccuracy(_Accuracy):
    """Fraction of the rows whose likeliest class is right, from ordinal logits `(B, C - 1)`."""

    def guess(self, raw: Tensor) -> Tensor:
        return ops.cast(ops.argmax(ordinal_probabilities(raw), axis=-1), "int32")


@keras.saving.register_keras_serializable(package="multimodal")
class OrdinalMeanAbsoluteError(HeadMetric):
    """Mean distance in classes of the median class from the true one, from ordinal logits."""

    default_name = "mae_grades"

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        median = ops.sum(ops.cast(raw > 0, "int32"), axis=-1)
        return ops.cast(ops.abs(class_ids(y_true) - median), "float32")


@keras.saving.register_keras_serializable(package="multimodal")
class MultilabelAccuracy(HeadMetric):
    """Fraction of the labels that are right, from logits `(B, C)`."""

    default_name = "accuracy"

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        y_true = columns(y_true, raw.shape[1]) > 0.5
        return ops.mean(ops.cast(y_true == (raw > 0), "float32"), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class MultilabelJaccard(HeadMetric):
    """Mean Jaccard index: labels both true and predicted, over labels either; 1 where none is.

    Unlike the accuracy it is low for a model that predicts no label where labels are rare.
    """

    default_name = "jaccard"

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


@keras.saving.register_keras_serializable(package="multimodal")
class DecodedMeanAbsoluteError(_DecodedMetric):
    """Mean absolute error in the user's units."""

    default_name = "mae"

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.mean(ops.abs(self.errors(y_true, raw)), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class DecodedRootMeanSquaredError(_DecodedMetric):
    """Root mean squared error in the user's units."""

    default_name = "rmse"

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.mean(ops.square(self.errors(y_true, raw)), axis=-1)

    def result(self) -> Tensor:
        # the root of the mean over all batches; a mean of the batches' roots would be smaller
        return ops.sqrt(super().result())


@keras.saving.register_keras_serializable(package="multimodal")
class DecodedPinball(_DecodedMetric):
    """Mean pinball loss of quantiles `(B, Q)`, in the user's units.

    Args:
        quantiles: The fraction of targets that shall lie below each output.
        **kwargs: The transform and its statistics, as in `RegressionHead`.
    """

    default_name = "pinball"

    def __init__(self, quantiles: Sequence[float], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.quantiles = list(quantiles)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return pinball(self.errors(y_true, raw), self.quantiles)


@keras.saving.register_keras_serializable(package="multimodal")
class Coverage(_DecodedMetric):
    """Fraction of the targets between the lowest and the highest quantile of `(B, Q)`."""

    default_name = "coverage"

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        errors = self.errors(y_true, raw)
        inside = ops.logical_and(errors[:, 0] >= 0, errors[:, -1] <= 0)
        return ops.cast(inside, "float32")


@keras.saving.register_keras_serializable(package="multimodal")
class ReconstructionError(HeadMetric):
    """Root mean squared error over all numbers of a row.

    Args:
        loss: The head's loss: `squared` (the default), or `binary` for raw outputs that are logits.
        **kwargs: As in `HeadMetric`.
    """

    default_name = "rmse"

    def __init__(self, loss: str = "squared", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = loss

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        guess = ops.sigmoid(raw) if self.loss == "binary" else raw
        return ops.mean(ops.square(flat(y_true, raw.shape[1]) - guess), axis=-1)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


@keras.saving.register_keras_serializable(package="multimodal")
class BoxIoU(HeadMetric):
    """Mean intersection over union of true boxes and raw outputs, both `(B, 4)`."""

    default_name = "iou"

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        guess = ops.clip(corners(raw), 0.0, 1.0)
        return intersection_over_union(columns(y_true, 4), guess)


@keras.saving.register_keras_serializable(package="multimodal")
class NeighbourAccuracy(HeadMetric):
    """Fraction of the rows whose nearest labelled row in the batch has the same id.

    Targets `(B,)` are ids of at least 0, the model emits embeddings `(B, D)`. It depends on the
    other rows of the batch: compare it between equal batches only.
    """

    missing = -1.0

    default_name = "neighbour_accuracy"

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        match, other = relations(class_ids(y_true))
        distances = pairwise_distances(raw)
        far = ops.full_like(distances, float("inf"))
        nearest = ops.min(ops.where(match, distances, far), axis=1)
        return ops.cast(nearest < ops.min(ops.where(other, distances, far), axis=1), "float32")


@keras.saving.register_keras_serializable(package="multimodal")
class PairAccuracy(HeadMetric):
    """Fraction of the pairs told apart rightly, from distances `(B, 1)`; targets are 1 for "same".

    Args:
        threshold: Below this distance the two are taken for the same; 0.5 by default, half the
            margin of `ContrastiveLoss`.
        **kwargs: As in `HeadMetric`.
    """

    default_name = "pair_accuracy"

    def __init__(self, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        same, guess = columns(y_true, 1)[:, 0] > 0.5, columns(raw, 1)[:, 0] < self.threshold
        return ops.cast(same == guess, "float32")
