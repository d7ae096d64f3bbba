"""Deep & Cross Network v2 over the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.encoders.cells import TabularEncoder, batch_of
from multimodal.layers.base import Shape, Tensor, built, check_positive, check_sizes
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
        cardinalities: Number of integer codes of each categorical column, those for missing and
            unknown among them; empty, the default, where there are none.
        hidden_dims: Sizes of the dense layers beside the cross layers, (128, 64) by default; the
            last is D.
        num_layers: Number of cross layers, 2 by default: one more raises the degree of the products
            by one.
        rank: Rank of each W. None, the default, is a full matrix, as wide as the joined row; a
            small rank makes W a product of two thin ones, for rows of hundreds of features.
        embedding_dim: Size of one category's vector, 16 by default.
        numeric_embedding: How numbers become vectors: `none` (the default) takes them as they are;
            `linear`, `piecewise_linear` or `periodic` as in `NumericEmbedding`.
        numeric_embedding_dim: Size of one number's vector, where numbers are embedded; 16 by
            default.
        bins: For `piecewise_linear`, the rising edges of each numeric column's bins.
        frequency_scale: For `periodic`, the standard deviation of the frequencies at the start, 0.1
            by default; larger values see finer detail, and noise.
        dropout: Fraction of the features dropped after each dense layer, in training; 0.1 by
            default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

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
        check_sizes(hidden_dims=hidden_dims)
        check_positive(num_layers=num_layers, rank=1 if rank is None else rank)
        check_positive(embedding_dim=embedding_dim, numeric_embedding_dim=numeric_embedding_dim)
        self.hidden_dims = hidden_dims
        self.num_layers = num_layers
        self.rank = rank
        self.embedding_dim = embedding_dim
        self.numeric_embedding_dim = numeric_embedding_dim

    def build(self, input_shape: Any) -> None:
        width = self.build_columns(input_shape, self.embedding_dim, self.numeric_embedding_dim)
        # `models.finetune` carries weights over by the names of these layers: they stay.
        self.thin, self.crosses = [], []
        for i in range(self.num_layers):
            if self.rank is not None:
                self.thin.append(self._dense(f"thin_{i}", self.rank, width, use_bias=False))
            self.crosses.append(self._dense(f"cross_{i}", width, self.rank or width))
        mlp = MLP(self.hidden_dims, dropout=self.dropout, name="mlp", dtype=self.variable_dtype)
        self.mlp = built(mlp, (None, width))
        dim = self.hidden_dims[-1]
        self.joint = self._dense("joint", dim, width + dim)
        super().build(input_shape)

    def _dense(self, name: str, units: int, size: int, **options: Any) -> Any:
        dense = keras.layers.Dense(units, name=name, dtype=self.variable_dtype, **options)
        return built(dense, (None, size))

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        first = crossed = self.join(inputs)
        for i, cross in enumerate(self.crosses):
            thin = self.thin[i](crossed) if self.thin else crossed
            crossed = first * cross(thin) + crossed
        deep = self.mlp(first, training=training)
        token = self.joint(ops.concatenate([crossed, deep], axis=-1))
        # products of features can exceed what float16 holds
        return ops.saturate_cast(ops.expand_dims(token, 1), self.compute_dtype)

    def token_shape(self, input_shape: Any) -> Shape:
        return (batch_of(input_shape), 1, self.hidden_dims[-1])
