"""Metrics of embeddings: are neighbours alike, and are pairs told apart."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import class_ids, columns
from multimodal.heads.losses.embeddings import pairwise_distances, relations
from multimodal.heads.metrics.base import HeadMetric, Tensor


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
