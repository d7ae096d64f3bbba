"""Metric learning: embeddings in which things alike lie near each other, and their distance."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import split_raw
from multimodal.heads.losses import TripletLoss
from multimodal.heads.metrics import NeighbourAccuracy
from multimodal.layers.base import (
    LinearHead,
    Shape,
    Tensor,
    check_above_zero,
    check_positive,
    check_rank,
)
from multimodal.layers.registry import register

_TINY = 1e-12  # a squared distance: the gradient of a square root is infinite at 0


@register("head", "embedding")
class EmbeddingHead(LinearHead):
    """A point `(B, D)` at distance 1 from the origin; things alike lie near each other.

    Two ways to learn. With ids: the head's own loss is the triplet loss, targets `(B,)` are ids of
    at least 0, and batches hold several rows of each id. With pairs: call the encoder and the head
    once for each side, join the two by `PairDistance` and train with `losses.ContrastiveLoss`.

    Args:
        embedding_dim: Size D of the embedding, 64 by default.
        margin: How much nearer a match shall be than any other row, under the triplet loss; 0.2 by
            default, as in FaceNet. Distances lie between 0 and 2.
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; for the head's own loss only. False by default.

    Example:
    >>> encoder, head = keras.layers.Flatten(), EmbeddingHead(8)
    >>> first, second = keras.Input((4, 4)), keras.Input((4, 4))
    >>> distance = PairDistance()([head(encoder(first)), head(encoder(second))])
    >>> keras.Model([first, second], distance).output_shape
    (None, 1)

    References:
        Schroff et al., FaceNet, 2015; Hermans et al., In Defense of the Triplet Loss, 2017.
    """

    def __init__(
        self,
        embedding_dim: int = 64,
        *,
        margin: float = 0.2,
        learned_weight: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learned_weight=learned_weight, **kwargs)
        check_positive(embedding_dim=embedding_dim)
        check_above_zero(margin=margin)
        self.embedding_dim = embedding_dim
        self.margin = margin

    @property
    def num_outputs(self) -> int:
        return self.embedding_dim

    def compute_raw(self, vector: Tensor) -> Tensor:
        outputs = super().compute_raw(vector)
        squares = ops.sum(ops.square(outputs), axis=-1, keepdims=True)
        return outputs * ops.rsqrt(ops.maximum(squares, _TINY))

    def make_loss(self) -> keras.losses.Loss:
        return TripletLoss(self.margin, learned_weight=self.learned_weight)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        return [NeighbourAccuracy(learned_weight=self.learned_weight)]

    def decode(self, raw: Tensor) -> Tensor:
        """Return the embeddings `(B, D)`."""
        return split_raw(raw, self.learned_weight)[0]


@register("layer", "pair_distance")
class PairDistance(keras.layers.Layer):
    """Euclidean distance `(B, 1)` of two embeddings, given as a list of two `(B, D)`.

    Of embeddings with length 1 it lies between 0 and 2, and its square is twice the cosine
    distance. The gradient is finite at 0.
    """

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            raise ValueError(f"`inputs` must be a list of two tensors. Received: {type(inputs)}")
        for each in inputs:
            check_rank("inputs", getattr(each, "shape", ()), "(batch, features)")
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: list[Shape]) -> None:
        first, second = input_shape
        if first[-1] != second[-1]:
            raise ValueError(
                f"`inputs` must be of equal size. Received: input_shape={tuple(input_shape)}"
            )

    def call(self, inputs: list[Tensor]) -> Tensor:
        first, second = (ops.cast(each, "float32") for each in inputs)
        squares = ops.sum(ops.square(first - second), axis=-1, keepdims=True)
        return ops.sqrt(ops.maximum(squares, _TINY))

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return (input_shape[0][0], 1)

    def compute_output_spec(self, inputs: list[Tensor]) -> keras.KerasTensor:
        return keras.KerasTensor((inputs[0].shape[0], 1), dtype="float32")
