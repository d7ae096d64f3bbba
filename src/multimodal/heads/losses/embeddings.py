"""Losses that bring embeddings of the same thing together: contrastive and triplet."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import class_ids, columns
from multimodal.heads.losses.base import HeadLoss, Tensor
from multimodal.layers.base import check_above_zero

_FAR = 1e9
_TINY = 1e-12


@keras.saving.register_keras_serializable(package="multimodal")
class ContrastiveLoss(HeadLoss):
    """Squared distance of pairs that are the same, squared shortfall of those that are not.

    Targets `(B,)` are 1 where the two of a pair are the same, else 0; the model emits their
    distance `(B, 1)`, as `heads.PairDistance` does.

    Args:
        margin: Distance from which on two different things count as far enough apart.
        **kwargs: As in `HeadLoss`.

    References:
        Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, 2006.
    """

    def __init__(self, margin: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_above_zero("margin", margin)
        self.margin = margin

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        same, distance = columns(y_true, 1)[:, 0], columns(raw, 1)[:, 0]
        short = ops.maximum(self.margin - distance, 0.0)
        return same * ops.square(distance) + (1 - same) * ops.square(short)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="multimodal")
class TripletLoss(HeadLoss):
    """Triplet loss of the farthest match and the nearest other in the batch, for each row.

    Targets `(B,)` are ids of at least 0, such as the number of the item a photo shows; the model
    emits embeddings `(B, D)`. A row that has no match or no other in the batch has a loss of 0, so
    batches need several rows of the same id. Rows of weight 0 serve neither as match nor as other.

    Args:
        margin: How much nearer the match shall be.
        **kwargs: As in `HeadLoss`.

    References:
        Schroff et al., FaceNet, 2015; Hermans et al., In Defense of the Triplet Loss, 2017 (the
        hardest ones of a batch).
    """

    missing = -1.0

    def __init__(self, margin: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_above_zero("margin", margin)
        self.margin = margin

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        match, other = relations(class_ids(y_true))
        distances = pairwise_distances(raw)
        farthest = ops.max(ops.where(match, distances, 0), axis=1)
        nearest = ops.min(ops.where(other, distances, ops.full_like(distances, _FAR)), axis=1)
        complete = ops.logical_and(ops.any(match, axis=1), ops.any(other, axis=1))
        values = ops.maximum(farthest - nearest + self.margin, 0.0)
        return ops.where(complete, values, 0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin}


def relations(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return bool `(B, B)` twice: which other rows have a row's id, and which have another one.

    A negative id belongs to neither.
    """
    equal = ops.expand_dims(ids, 0) == ops.expand_dims(ids, 1)
    labelled = ops.logical_and(ops.expand_dims(ids, 0) >= 0, ops.expand_dims(ids, 1) >= 0)
    places = ops.arange(ops.shape(ids)[0])
    itself = ops.expand_dims(places, 0) == ops.expand_dims(places, 1)
    match = ops.logical_and(ops.logical_and(equal, labelled), ops.logical_not(itself))
    return match, ops.logical_and(ops.logical_not(equal), labelled)


def pairwise_distances(embeddings: Tensor) -> Tensor:
    """Return Euclidean distances `(B, B)` between the rows; the gradient is finite at 0."""
    squares = ops.sum(ops.square(embeddings), axis=1)
    products = ops.matmul(embeddings, ops.transpose(embeddings))
    squared = ops.expand_dims(squares, 0) - 2 * products + ops.expand_dims(squares, 1)
    return ops.sqrt(ops.maximum(squared, _TINY))
