"""Low-rank bilinear fusion: products of the groups' features."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from multimodal.fusion.base import Fusion, Tensors
from multimodal.layers.base import Tensor, built, check_fraction, check_positive
from multimodal.layers.registry import register


@register("fusion", "low_rank")
class LowRankFusion(Fusion):
    """Products of all groups' features, by a tensor of low rank: `(B, D)`.

    The outer product of the groups' vectors, each with a 1 appended, holds every feature and
    every product of features of different groups. It is never formed: each group is projected to
    `rank` x D factors, the factors of all groups are multiplied, and a learned weighted sum over
    the rank is the result. The products are float32 under every dtype policy.

    An absent group contributes a learned vector instead of its own, as in `concat`.

    Args:
        hidden_dim: Size D of the result, 64 by default.
        rank: Number of products per output, 4 by default; more can tell more combinations apart.
        dropout: Fraction of the result's features dropped, in training; 0.1 by default.
        modality_dropout: Probability that a group is dropped from a row in training, 0 by default;
            at least one group of a row always stays. The model then leans less on its strongest
            group, and predicts better where a group is absent.
        seed: Seed of the modality dropout; None, the default, draws one.

    Call arguments:
        inputs: Dict of group name -> vector `(B, D_g)`.
        presence: Dict of group name -> bool `(B,)`, for the groups that can be absent.

    Example:
    >>> import numpy as np
    >>> rows = {"table": np.ones((2, 3), "float32"), "text": np.ones((2, 5), "float32")}
    >>> tuple(LowRankFusion(4, rank=2)(rows).shape)
    (2, 4)

    References:
        Liu et al., Efficient Low-rank Multimodal Fusion with Modality-Specific Factors, 2018.
    """

    def __init__(
        self,
        hidden_dim: int = 64,
        *,
        rank: int = 4,
        dropout: float = 0.1,
        modality_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(modality_dropout=modality_dropout, seed=seed, **kwargs)
        check_positive(hidden_dim=hidden_dim, rank=rank)
        check_fraction(dropout=dropout)
        self.hidden_dim = hidden_dim
        self.rank = rank
        self.dropout = dropout

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        super().build(inputs_shape, presence_shape)
        self.factors = []
        for group in self.groups:
            # Factors start near 1, so that the product of several has a gradient.
            dense = keras.layers.Dense(
                self.rank * self.hidden_dim,
                bias_initializer="ones",
                name=f"factors_{group}",
                dtype=self.dtype_policy,
            )
            self.factors.append(built(dense, (None, inputs_shape[group][-1])))
        # About the mean of the products at first.
        start = keras.initializers.RandomNormal(1 / self.rank, 1 / self.rank)
        self.rank_weights = self.add_weight(
            shape=(self.rank, 1), initializer=start, name="rank_weights"
        )
        self.bias = self.add_weight(shape=(self.hidden_dim,), initializer="zeros", name="bias")
        self.drop = keras.layers.Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)

    def fuse(self, inputs: Tensors, keep: Tensors, mask: Tensors, training: bool | None) -> Tensor:
        vectors = self.fill(inputs, keep)
        # float32: a product of several factors leaves the range of float16, or bfloat16's precision
        each = [
            ops.reshape(ops.cast(dense(v), "float32"), (-1, self.rank, self.hidden_dim))
            for dense, v in zip(self.factors, vectors, strict=True)
        ]
        products = math.prod(each[1:], start=each[0])
        weights, bias = (ops.cast(w, "float32") for w in (self.rank_weights, self.bias))
        fused = ops.sum(products * weights, axis=1) + bias
        return self.drop(ops.saturate_cast(fused, self.compute_dtype), training=training)

    def output_dim(self) -> int:
        return self.hidden_dim
