"""Metrics of heads that emit logits of classes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import class_ids, columns
from multimodal.heads.metrics.base import HeadMetric, Tensor
from multimodal.heads.transforms import grade_probabilities


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
        return ops.cast(ops.argmax(grade_probabilities(raw), axis=-1), "int32")


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
        truth = columns(y_true, raw.shape[1]) > 0.5
        return ops.mean(ops.cast(truth == (raw > 0), "float32"), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class MultilabelJaccard(HeadMetric):
    """Labels both true and predicted, over labels either, in each row; 1 where there are none.

    Unlike the accuracy it does not rise by predicting nothing where labels are rare.
    """

    def __init__(self, *, name: str = "jaccard", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        truth, guess = columns(y_true, raw.shape[1]) > 0.5, raw > 0
        both = ops.sum(ops.cast(ops.logical_and(truth, guess), "float32"), axis=-1)
        either = ops.sum(ops.cast(ops.logical_or(truth, guess), "float32"), axis=-1)
        return ops.where(either > 0, both / ops.maximum(either, 1.0), ops.ones_like(both))
