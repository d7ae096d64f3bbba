"""Transformer over words."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.encoders.text import WordEncoder
from multimodal.layers.base import (
    Shape,
    Tensor,
    built,
    check_choice,
    check_fraction,
    check_positive,
)
from multimodal.layers.registry import register
from multimodal.layers.transformer import build_blocks, layer_norm

POSITIONS = ("rotary", "learned")


@register("text_encoder", "transformer")
class TransformerTextEncoder(WordEncoder):
    """Word embeddings through transformer blocks: tokens `(B, L, D)`, D = `embedding_dim`.

    The embeddings are normalised first, the tokens last. Padding is never attended.

    Args:
        vocabulary_size: Number of word ids, with 0 = padding and 1 = unknown word.
        embedding_dim: Size of one word's vector, and D, 64 by default; a multiple of `num_heads`,
            of `2 * num_heads` with rotary positions.
        num_layers: Number of transformer blocks, 2 by default.
        num_heads: Number of attention heads of each block, 4 by default.
        mlp_dim: Size of the hidden layer of each block, 128 by default.
        positions: How words know their positions: `rotary` (the default) has no weights and no
            longest text, `learned` has one vector per position.
        max_length: Number of learned positions, 512 by default; all words behind the last share its
            vector.
        dropout: Fraction of the features dropped from the embeddings and within the blocks, in
            training; 0.1 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Word ids `(B, L)`, or embeddings `(B, L, embedding_dim)` with a Keras mask.

    Example:
    >>> import numpy as np
    >>> encoder = TransformerTextEncoder(100, 16, num_layers=1)
    >>> tuple(encoder(np.array([[5, 7, 0]])).shape)
    (1, 3, 16)

    References:
        Vaswani et al., Attention Is All You Need, 2017; Devlin et al., BERT: Pre-training of Deep
        Bidirectional Transformers for Language Understanding, 2019; Su et al., RoFormer: Enhanced
        Transformer with Rotary Position Embedding, 2021.
    """

    gains_from_bfloat16 = True

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int = 64,
        *,
        num_layers: int = 2,
        num_heads: int = 4,
        mlp_dim: int = 128,
        positions: str = "rotary",
        max_length: int = 512,
        dropout: float = 0.1,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary_size, embedding_dim=embedding_dim, pooling=pooling, **kwargs)
        check_positive(num_layers=num_layers, num_heads=num_heads, mlp_dim=mlp_dim)
        check_choice("positions", positions, POSITIONS)
        check_positive(max_length=max_length)
        check_fraction(dropout=dropout)
        multiple = num_heads * (2 if positions == "rotary" else 1)
        if embedding_dim % multiple:
            raise ValueError(
                f"`embedding_dim` must be a multiple of {multiple} with num_heads={num_heads} and "
                f"positions={positions!r}. Received: embedding_dim={embedding_dim}"
            )
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.positions = positions
        self.max_length = max_length
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        shape = self.token_shape(input_shape)
        if self.positions == "learned":
            table = keras.layers.Embedding(
                self.max_length, self.embedding_dim, name="places", dtype=self.dtype_policy
            )
            self.places = built(table)
        self.embedding_norm = layer_norm("embedding_norm", shape, self.dtype_policy)
        self.drop = keras.layers.Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)
        self.blocks = build_blocks(self, shape, rotary=self.positions == "rotary")
        self.output_norm = layer_norm("output_norm", shape, self.dtype_policy)

    def encode_words(self, words: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        if self.positions == "learned":
            positions = ops.arange(ops.shape(words)[1], dtype="int32")
            words = words + self.places(ops.minimum(positions, self.max_length - 1))
        words = self.drop(self.embedding_norm(words), training=training)
        for block in self.blocks:
            words = block(words, mask=mask, training=training)
        return self.output_norm(words)

    def token_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], self.embedding_dim)
