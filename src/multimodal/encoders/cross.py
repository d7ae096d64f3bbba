"""Cross network: products of features, learned layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.encoders.cells import TabularEncoder, batch_of
from multimodal.layers.base import Shape, Tensor, check_positive, check_sizes
from multimodal.layers.mlp import MLP
from multimodal.layers.registry import register


@register("tabular_encoder", "cross")
class CrossEncoder(TabularEncoder):
    """Cross layers beside dense layers (DCN v2): one token `(B, 1, D)`.

    With the joined row x0 of numbers and embedded categories, cross layer l computes
    `x0 * (W x + b) + x`, so that l layers hold products of up to l + 1 features. The dense layers
    read x0 as well; a last linear layer joins the two. Missing numbers and the precision of the
    arithmetic are as in the dense encoder.

    Args:
        cardinalities: Number of integer codes of each categorical column.
        hidden_dims: Sizes of the dense layers; the last is D.
        num_layers: Number of cross layers.
        rank: Rank of each W as a product of two thin matrices, or None for a full one.
        embedding_dim: Size of one category's vector.
        numeric_embedding: `none`, `linear`, `piecewise_linear` or `periodic`.
        numeric_embedding_dim: Size of one number's vector, where numbers are embedded.
        bins: For `piecewise_linear`, the rising edges of each numeric column's bins.
        frequency_scale: For `periodic`, the standard deviation of the frequencies at the start.
        dropout: Dropout after each dense layer.
        pooling: None for tokens, or the name of a registered pooling for a vector.

    Call arguments:
        inputs: A dict with `numeric` float32 `(B, N)`, NaN where missing, and/or `categorical`
            int32 `(B, C)`; or one numeric tensor `(B, N)`.

    Example:
    >>> import numpy as np
    >>> encoder = CrossEncoder(hidden_dims=[8], pooling="mean")
    >>> tuple(encoder(np.ones((2, 3), "float32")).shape)
    (2, 8)

    References:
        Wang et al., DCN V2: Improved Deep & Cross Network, 2021.
    """

    def __init__(
        self,
        cardinalities: Sequence[int] = (),
        hidden_dims: Sequence[int] = (128, 64),
        *,
        num_layers: int = 2,
        rank: int | None = None,
        embedding_dim: int = 16,
        numeric_embedding: str = "none",
        numeric_embedding_dim: int = 16,
        bins: Sequence[Sequence[float]] = (),
        frequency_scale: float = 0.1,
        dropout: float = 0.1,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            cardinalities,
            numeric_embedding=numeric_embedding,
            bins=bins,
            frequency_scale=frequency_scale,
            dropout=dropout,
            pooling=pooling,
            **kwargs,
        )
        check_sizes("hidden_dims", hidden_dims)
        check_positive("num_layers", num_layers)
        if rank is not None:
            check_positive("rank", rank)
        check_positive("embedding_dim", embedding_dim)
        check_positive("numeric_embedding_dim", numeric_embedding_dim)
        self.hidden_dims = hidden_dims
        self.num_layers = num_layers
        self.rank = rank
        self.embedding_dim = embedding_dim
        self.numeric_embedding_dim = numeric_embedding_dim

    def build(self, input_shape: Any) -> None:
        width = self.build_columns(input_shape, self.embedding_dim, self.numeric_embedding_dim)
        self.thin, self.crosses = [], []
        for i in range(self.num_layers):
            if self.rank is not None:
                self.thin.append(self._dense(f"thin_{i}", self.rank, width, use_bias=False))
            self.crosses.append(self._dense(f"cross_{i}", width, self.rank or width))
        self.mlp = MLP(
            tuple(self.hidden_dims), dropout=self.dropout, name="mlp", dtype=self.variable_dtype
        )
        self.mlp.build((None, width))
        dim = self.hidden_dims[-1]
        self.joint = self._dense("joint", dim, width + dim)
        super().build(input_shape)

    def _dense(self, name: str, units: int, size: int, **options: Any) -> keras.layers.Layer:
        dense = keras.layers.Dense(units, name=name, dtype=self.variable_dtype, **options)
        dense.build((None, size))
        return dense

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        first = crossed = self.join(inputs)
        for i, cross in enumerate(self.crosses):
            thin = self.thin[i](crossed) if self.thin else crossed
            crossed = first * cross(thin) + crossed
        deep = self.mlp(first, training=training)
        token = self.joint(ops.concatenate([crossed, deep], axis=-1))
        return ops.saturate_cast(ops.expand_dims(token, 1), self.compute_dtype)

    def token_shape(self, input_shape: Any) -> Shape:
        return (batch_of(input_shape), 1, self.hidden_dims[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dims": self.hidden_dims,
            "num_layers": self.num_layers,
            "rank": self.rank,
            "embedding_dim": self.embedding_dim,
            "numeric_embedding_dim": self.numeric_embedding_dim,
        }
