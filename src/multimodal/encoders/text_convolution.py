"""Convolutional network over words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.encoders.text import WordEncoder
from multimodal.layers.base import Shape, Tensor, built, check_fraction, check_positive, check_sizes
from multimodal.layers.registry import register


@register("text_encoder", "convolutional")
class ConvolutionalTextEncoder(WordEncoder):
    """Word embeddings through parallel 1-D convolutions: tokens `(B, L, D)`.

    Each layer runs one convolution per kernel size beside each other and joins them, so that one
    token sees groups of as many words around it; D is `filters * len(kernel_sizes)`. What padding
    holds is set to zero before each layer, which is what the edge of a text looks like, too: a
    longer padding changes nothing. With `pooling="max"` and one layer it is the network of Kim.

    Args:
        vocabulary_size: Number of word ids, with 0 = padding and 1 = unknown word.
        filters: Features of each kernel size, 64 by default: how many different phrases one size
            can look for.
        embedding_dim: Size of one word's vector, 64 by default.
        kernel_sizes: Number of words that each of the parallel kernels sees, (3, 4, 5) by default.
        num_layers: Number of stacked layers, 1 by default; each widens what a token sees.
        dropout: Fraction of the features dropped from the embeddings and between the layers, each
            for the whole text, in training; 0.1 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Word ids `(B, L)`, or embeddings `(B, L, embedding_dim)` with a Keras mask.

    Example:
    >>> import numpy as np
    >>> encoder = ConvolutionalTextEncoder(100, 8, kernel_sizes=[2, 3], pooling="max")
    >>> tuple(encoder(np.array([[5, 7, 0]])).shape)
    (1, 16)

    References:
        Kim, Convolutional Neural Networks for Sentence Classification, 2014.
    """

    gains_from_bfloat16 = True

    def __init__(
        self,
        vocabulary_size: int,
        filters: int = 64,
        *,
        embedding_dim: int = 64,
        kernel_sizes: Sequence[int] = (3, 4, 5),
        num_layers: int = 1,
        dropout: float = 0.1,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary_size, embedding_dim=embedding_dim, pooling=pooling, **kwargs)
        check_positive(filters=filters, num_layers=num_layers)
        check_sizes(kernel_sizes=kernel_sizes)
        check_fraction(dropout=dropout)
        self.filters = filters
        self.kernel_sizes = kernel_sizes
        self.num_layers = num_layers
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.drop = keras.layers.SpatialDropout1D(
            self.dropout, name="dropout", dtype=self.dtype_policy
        )
        self.convolutions = []
        shape: Shape = (*input_shape[:2], self.embedding_dim)
        for i in range(self.num_layers):
            row = []
            for j, size in enumerate(self.kernel_sizes):
                layer = keras.layers.Conv1D(
                    self.filters,
                    size,
                    padding="same",
                    activation="relu",
                    kernel_initializer="he_normal",
                    name=f"convolution_{i}_{j}",
                    dtype=self.dtype_policy,
                )
                row.append(built(layer, shape))
            shape = self.token_shape(shape)
            self.convolutions.append(row)

    def encode_words(self, words: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        for row in self.convolutions:
            words = self.drop(words, training=training)
            if mask is not None:  # each layer's bias fills the padding anew
                words = ops.where(ops.expand_dims(mask, -1), words, 0)
            found = [layer(words) for layer in row]
            words = ops.concatenate(found, axis=-1) if len(found) > 1 else found[0]
        return words

    def token_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], self.filters * len(self.kernel_sizes))
