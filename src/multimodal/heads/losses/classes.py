"""Losses of heads that emit logits of classes: binary, multi-class, multi-label, ordinal.

A class id that does not exist gives a NaN, not a number that looks fine.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import class_ids, columns
from multimodal.heads.losses.base import HeadLoss, Tensor


@keras.saving.register_keras_serializable(package="multimodal")
class BinaryCrossentropy(HeadLoss):
    """Cross-entropy of one logit `(B, 1)`, against class ids 0 and 1, `(B,)`."""

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        ids = class_ids(y_true)
        truth = ops.expand_dims(ops.cast(ids, "float32"), -1)
        return _only_valid(ops.mean(logit_crossentropy(truth, raw), axis=-1), ids, 2)


@keras.saving.register_keras_serializable(package="multimodal")
class MultilabelCrossentropy(HeadLoss):
    """Mean cross-entropy of one logit for each label, `(B, C)`, against 0 and 1, `(B, C)`."""

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.mean(logit_crossentropy(columns(y_true, raw.shape[1]), raw), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class MulticlassCrossentropy(HeadLoss):
    """Cross-entropy of logits `(B, C)`, against class ids `(B,)`.

    Args:
        label_smoothing: Share of each target that is spread evenly over all classes.
        **kwargs: As in `HeadLoss`.

    References:
        Szegedy et al., Rethinking the Inception Architecture, 2016 (label smoothing).
    """

    def __init__(self, *, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        ids, count = class_ids(y_true), raw.shape[1]
        logs = ops.log_softmax(raw, axis=-1)
        hits = ops.cast(ops.expand_dims(ids, -1) == ops.arange(count, dtype="int32"), "float32")
        truth = hits * (1 - self.label_smoothing) + self.label_smoothing / count
        return _only_valid(-ops.sum(truth * logs, axis=-1), ids, count)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="multimodal")
class OrdinalCrossentropy(HeadLoss):
    """Mean cross-entropy of the `C - 1` questions "is the grade above k?", for grades `(B,)`.

    The raw outputs `(B, C - 1)` are the logits of the answers.

    References:
        Cao et al., Rank Consistent Ordinal Regression (CORAL), 2020.
    """

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        ids, count = class_ids(y_true), raw.shape[1]
        above = ops.expand_dims(ids, -1) > ops.arange(count, dtype="int32")
        values = logit_crossentropy(ops.cast(above, "float32"), raw)
        return _only_valid(ops.mean(values, axis=-1), ids, count + 1)


def logit_crossentropy(truth: Tensor, logits: Tensor) -> Tensor:
    """Return the binary cross-entropy of each logit, without overflow."""
    return ops.softplus(logits) - truth * logits


def _only_valid(values: Tensor, ids: Tensor, count: int) -> Tensor:
    valid = ops.logical_and(ids >= 0, ids < count)
    return ops.where(valid, values, ops.full_like(values, float("nan")))
