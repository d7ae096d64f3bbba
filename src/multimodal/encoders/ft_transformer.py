"""FT-Transformer: a transformer over the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from multimodal.encoders.cells import EMBEDDINGS, TabularEncoder, batch_of, by_kind
from multimodal.layers.base import Shape, Tensor, check_heads, check_positive
from multimodal.layers.registry import register
from multimodal.layers.transformer import build_blocks, layer_norm


@register("tabular_encoder", "ft_transformer")
class FTTransformerEncoder(TabularEncoder):
    """One token per column through transformer blocks (FT-Transformer): `(B, N + C, D)`.

    Every number and every category becomes a vector of its column; a missing number has a learned
    one. The tokens, numbers first, attend to each other and are normalised at the end. There is no
    extra class token: the paper reads its prediction from one, here the pooling joins the columns,
    and `pooling="attention"` learns the weight of each column, as a class token does. Numbers
    become vectors in the precision of the weights, the blocks run in the compute dtype.

    Args:
        cardinalities: Number of integer codes of each categorical column, those for missing and
            unknown among them; empty, the default, where there are none.
        hidden_dim: Size D of a token, 64 by default; a multiple of `num_heads`.
        num_layers: Number of transformer blocks, 2 by default. Each lets columns interact once
            more.
        num_heads: Number of attention heads, 4 by default.
        mlp_dim: Size of the hidden layer in each block, 128 by default.
        numeric_embedding: How numbers become tokens, as in `NumericEmbedding`: `linear` (the
            default), `piecewise_linear` or `periodic`.
        bins: For `piecewise_linear`, the rising edges of each numeric column's bins.
        frequency_scale: For `periodic`, the standard deviation of the frequencies at the start, 0.1
            by default; larger values see finer detail, and noise.
        dropout: Fraction of the features dropped inside the blocks, in training; 0.1 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: A dict with `numeric` float32 `(B, N)`, NaN where missing, and/or `categorical`
            int32 `(B, C)`; or one numeric tensor `(B, N)`.

    Example:
    >>> import numpy as np
    >>> encoder = FTTransformerEncoder(hidden_dim=8, num_heads=2)
    >>> tuple(encoder(np.ones((2, 3), "float32")).shape)
    (2, 3, 8)

    References:
        Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, 2021.
    """

    def __init__(
        self,
        cardinalities: Sequence[int] = (),
        hidden_dim: int = 64,
        *,
        num_layers: int = 2,
        num_heads: int = 4,
        mlp_dim: int = 128,
        numeric_embedding: str = "linear",
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
        check_positive(hidden_dim=hidden_dim, num_layers=num_layers)
        check_positive(num_heads=num_heads, mlp_dim=mlp_dim)
        check_heads(hidden_dim, num_heads)
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim

    @classmethod
    def numeric_embeddings(cls) -> Sequence[str]:
        return EMBEDDINGS

    def build(self, input_shape: Any) -> None:
        self.build_columns(input_shape, self.hidden_dim, self.hidden_dim)
        shape = self.token_shape(input_shape)
        self.blocks = build_blocks(self, shape)
        self.norm = layer_norm("norm", shape, self.dtype_policy)
        super().build(input_shape)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        columns, parts = by_kind(inputs), []
        if "numeric" in columns:
            parts.append(self.numbers(columns["numeric"]))
        if "categorical" in columns:
            parts.append(self.embed_categories(columns["categorical"]))
        tokens = ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
        tokens = ops.saturate_cast(tokens, self.compute_dtype)
        for block in self.blocks:
            tokens = block(tokens, training=training)
        return self.norm(tokens)

    def token_shape(self, input_shape: Any) -> Shape:
        columns = sum(shape[-1] for shape in by_kind(input_shape).values())
        return (batch_of(input_shape), columns, self.hidden_dim)
