"""The transformer block that tokens of every modality go through, and rotary positions.

Written out rather than `keras.layers.MultiHeadAttention`: one projection makes queries, keys and
values, rotary positions turn the first two, and a masked token reaches nothing, a NaN neither.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.layers.base import (
    Composite,
    Shape,
    Tensor,
    built,
    check_flag,
    check_fraction,
    check_positive,
)
from multimodal.layers.registry import register

ROTARY_BASE = 10_000.0  # as in the RoFormer paper
EPSILON = 1e-6  # Keras' 1e-3 is more than the variance of its fresh embeddings, 0.0008


def rotate(tokens: Tensor) -> Tensor:
    """Turn each pair of features by an angle that grows with the token's position.

    Rotary position embeddings: the product of a turned query and a turned key depends on their
    distance alone. Feature i is paired with feature i + H / 2.

    Args:
        tokens: Queries or keys, float `(B, T, heads, H)` with an even H.

    References:
        Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.
    """
    half = tokens.shape[-1] // 2
    frequencies = ROTARY_BASE ** (-ops.arange(half, dtype="float32") / half)
    # float32 under every policy: in bfloat16 the positions 256 and 257 are the same
    positions = ops.arange(ops.shape(tokens)[1], dtype="float32")
    angles = ops.reshape(positions, (-1, 1, 1)) * frequencies
    cosines, sines = (ops.cast(turn(angles), tokens.dtype) for turn in (ops.cos, ops.sin))
    first, second = tokens[..., :half], tokens[..., half:]
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return ops.concatenate(turned, axis=-1)


@register("layer", "transformer_block")
class TransformerBlock(Composite):
    """Self-attention and a two-layer MLP, each normalised before and added to its input.

    Tokens `(B, T, D)` come out in the same shape, with the same Keras mask. A masked token is never
    attended, whatever it holds (NaN, too); where nothing is kept, the output stays finite. The
    output at a masked position has no meaning.

    Args:
        num_heads: Number of attention heads; divides D. Each head attends in a subspace of
            D / num_heads features, so more heads see more relations, each in less detail.
        mlp_dim: Size of the MLP's hidden layer, commonly two to four times D.
        dropout: Fraction of the features dropped after the attention and after each layer of the
            MLP, in training; 0 by default.
        rotary: Whether attention sees the tokens' positions, by rotary embeddings; the size of a
            head, D / num_heads, is then even. Without (False, the default) the order of the tokens
            makes no difference, which suits columns and what has positions of its own.

    Call arguments:
        inputs: Tokens, float `(B, T, D)`.
        mask: Optional bool `(B, T)`, True where a token is kept.

    Example:
    >>> import numpy as np
    >>> block = TransformerBlock(2, 16)
    >>> tuple(block(np.ones((3, 5, 8), "float32")).shape)
    (3, 5, 8)

    References:
        Vaswani et al., Attention Is All You Need, 2017; Xiong et al., On Layer Normalization in the
        Transformer Architecture, 2020.
    """

    def __init__(
        self,
        num_heads: int,
        mlp_dim: int,
        *,
        dropout: float = 0.0,
        rotary: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_positive(num_heads=num_heads, mlp_dim=mlp_dim)
        check_fraction(dropout=dropout)
        check_flag(rotary=rotary)
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.dropout = dropout
        self.rotary = rotary
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        dim = self._check_shape(input_shape)
        hidden_shape = (*input_shape[:-1], self.mlp_dim)
        self.attention_norm = layer_norm("attention_norm", input_shape, self.dtype_policy)
        self.projection = self._dense("query_key_value", 3 * dim, input_shape)
        self.attention_output = self._dense("attention_output", dim, input_shape)
        self.mlp_norm = layer_norm("mlp_norm", input_shape, self.dtype_policy)
        self.hidden = self._dense("mlp_hidden", self.mlp_dim, input_shape, activation="gelu")
        self.mlp_output = self._dense("mlp_output", dim, hidden_shape)
        self.drops = []
        if self.dropout:
            self.drops = [
                keras.layers.Dropout(self.dropout, name=f"{name}_dropout", dtype=self.dtype_policy)
                for name in ("attention", "hidden", "mlp")
            ]

    def _check_shape(self, shape: Shape) -> int:
        """Return the token size; raise ValueError where it does not suit the heads."""
        if len(shape) != 3 or shape[-1] is None:
            raise ValueError(
                "`inputs` must be tokens of shape (batch, tokens, dim) with a fixed dim. "
                f"Received: input_shape={shape}"
            )
        if shape[-1] % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide the token size. Received: num_heads={self.num_heads}, "
                f"input_shape={shape}"
            )
        if self.rotary and shape[-1] // self.num_heads % 2:
            raise ValueError(
                "`rotary` must go with an even token size per head. Received: rotary=True, "
                f"num_heads={self.num_heads}, input_shape={shape}"
            )
        return shape[-1]

    def _dense(self, name: str, units: int, shape: Shape, **options: Any) -> Any:
        dense = keras.layers.Dense(units, name=name, dtype=self.dtype_policy, **options)
        return built(dense, shape)

    def call(
        self, inputs: Tensor, mask: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        if mask is not None:  # attention multiplies masked values by 0, and 0 times NaN is NaN
            inputs = ops.where(ops.expand_dims(mask, -1), inputs, 0)
        attended = self.attention_output(self._attend(self.attention_norm(inputs), mask))
        inputs = inputs + self._drop(0, attended, training)
        hidden = self._drop(1, self.hidden(self.mlp_norm(inputs)), training)
        return inputs + self._drop(2, self.mlp_output(hidden), training)

    def _attend(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        length, dim = ops.shape(tokens)[1], tokens.shape[-1]
        shape = (-1, length, 3, self.num_heads, dim // self.num_heads)
        query, key, value = ops.unstack(ops.reshape(self.projection(tokens), shape), axis=2)
        if self.rotary:
            query, key = rotate(query), rotate(key)
        if mask is not None:
            mask = ops.reshape(ops.cast(mask, "bool"), (-1, 1, 1, length))
        attended = ops.dot_product_attention(query, key, value, mask=mask)
        return ops.reshape(attended, (-1, length, dim))

    def _drop(self, which: int, tokens: Tensor, training: bool | None) -> Tensor:
        return self.drops[which](tokens, training=training) if self.drops else tokens

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


def layer_norm(name: str, shape: Shape, dtype: Any) -> Any:
    """Return a built layer normalization of tokens."""
    norm = keras.layers.LayerNormalization(epsilon=EPSILON, name=name, dtype=dtype)
    return built(norm, shape)


def build_blocks(part: Any, shape: Shape, *, rotary: bool = False) -> list[TransformerBlock]:
    """Return the built blocks `block_0`, `block_1`, ... of an encoder or fusion.

    Args:
        part: Has `num_layers`, `num_heads`, `mlp_dim` and `dropout`.
        shape: Shape of the tokens.
        rotary: As in `TransformerBlock`.
    """
    options = {"dropout": part.dropout, "rotary": rotary, "dtype": part.dtype_policy}
    return [
        built(TransformerBlock(part.num_heads, part.mlp_dim, name=f"block_{i}", **options), shape)
        for i in range(part.num_layers)
    ]
