"""Dense layers over numbers and categories, alone or as an ensemble with shared weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from multimodal.encoders.cells import TabularEncoder, batch_of
from multimodal.layers.base import Shape, Tensor, built, check_positive, check_sizes
from multimodal.layers.mlp import MLP, DenseBlock
from multimodal.layers.registry import register


@register("tabular_encoder", "dense")
class DenseEncoder(TabularEncoder):
    """Numbers and embedded categories through dense layers: one token `(B, 1, D)`.

    A missing number (NaN) is a zero beside a flag that says so, or has a learned vector where
    numbers are embedded. All categories of all columns lie in one embedding table; row 0 of a
    column is the missing category and row 1 the unknown one. The arithmetic keeps the precision of
    the weights (float32 under a mixed policy), so that 2013 and 2016 stay two numbers; only the
    result is in the compute dtype.

    With `num_members` above 1 the layers become an ensemble in the manner of TabM: the members
    share the kernels and differ in scales and biases of their own. Each member is one token
    `(B, num_members, D)`, so that mean pooling averages the members; for predictions of their own,
    put a dense layer on the tokens and teach each the same target.

    Args:
        cardinalities: Number of integer codes of each categorical column, those for missing and
            unknown among them; empty, the default, where there are none.
        hidden_dims: Sizes of the dense layers, (128, 64) by default; the last is D. Wider ones fit
            more and overfit small tables sooner.
        embedding_dim: Size of one category's vector, 16 by default; larger ones suit columns of
            many categories.
        numeric_embedding: How numbers become vectors: `none` (the default) takes them as they are;
            `linear`, `piecewise_linear` or `periodic` as in `NumericEmbedding`.
        numeric_embedding_dim: Size of one number's vector, where numbers are embedded; 16 by
            default.
        bins: For `piecewise_linear`, the rising edges of each numeric column's bins.
        frequency_scale: For `periodic`, the standard deviation of the frequencies at the start, 0.1
            by default; larger values see finer detail, and noise.
        num_blocks: Number of residual blocks of size D after the dense layers; none by default.
        num_members: Number of ensemble members, 1 by default. More members predict more steadily,
            at about their number times the arithmetic of the dense layers.
        dropout: Fraction of the features dropped after each dense layer, in training; 0.1 by
            default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: A dict with `numeric` float32 `(B, N)`, NaN where missing, and/or `categorical`
            int32 `(B, C)`; or one numeric tensor `(B, N)`.

    Example:
    >>> import numpy as np
    >>> encoder = DenseEncoder(cardinalities=[5], hidden_dims=[8], pooling="mean")
    >>> rows = {"numeric": np.ones((2, 3), "float32"), "categorical": np.ones((2, 1), "int32")}
    >>> tuple(encoder(rows).shape)
    (2, 8)

    References:
        Guo and Berkhahn, Entity Embeddings of Categorical Variables, 2016; Gorishniy et al.,
        Revisiting Deep Learning Models for Tabular Data, 2021; Gorishniy et al., TabM, 2024.
    """

    def __init__(
        self,
        cardinalities: Sequence[int] = (),
        hidden_dims: Sequence[int] = (128, 64),
        *,
        embedding_dim: int = 16,
        numeric_embedding: str = "none",
        numeric_embedding_dim: int = 16,
        bins: Sequence[Sequence[float]] = (),
        frequency_scale: float = 0.1,
        num_blocks: int = 0,
        num_members: int = 1,
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
        check_positive(embedding_dim=embedding_dim, numeric_embedding_dim=numeric_embedding_dim)
        if type(num_blocks) is not int or num_blocks < 0:
            raise ValueError(
                "`num_blocks` must be an integer of at least 0. "
                f"Received: num_blocks={num_blocks!r}"
            )
        check_positive(num_members=num_members)
        self.hidden_dims = hidden_dims
        self.embedding_dim = embedding_dim
        self.numeric_embedding_dim = numeric_embedding_dim
        self.num_blocks = num_blocks
        self.num_members = num_members

    def build(self, input_shape: Any) -> None:
        width = self.build_columns(input_shape, self.embedding_dim, self.numeric_embedding_dim)
        members: dict[str, Any] = {"num_members": self.num_members}
        options = {**members, "dropout": self.dropout, "dtype": self.variable_dtype}
        self.mlp = built(MLP(self.hidden_dims, name="mlp", **options), (None, width))
        # With members there is one axis more, which a block needs to know.
        shape = self.mlp.compute_output_shape((None, width))
        self.blocks = [
            built(DenseBlock(name=f"block_{i}", **options), shape) for i in range(self.num_blocks)
        ]
        super().build(input_shape)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        tokens = self.mlp(self.join(inputs), training=training)
        for block in self.blocks:
            tokens = block(tokens, training=training)
        if self.num_members == 1:
            tokens = ops.expand_dims(tokens, 1)
        # saturated: a large number in float32 would be infinite in float16
        return ops.saturate_cast(tokens, self.compute_dtype)

    def token_shape(self, input_shape: Any) -> Shape:
        return (batch_of(input_shape), self.num_members, self.hidden_dims[-1])
