"""Encoders of words."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.contracts import (
    Encoder,
    Shape,
    Tensor,
    check_choice,
    check_fraction,
    check_positive,
)
from multimodal.registry import register
from multimodal.spec import PADDING, FittedGroup

CELLS = ("gru", "lstm")


class TextEncoder(Encoder):
    """Base: word ids int32 `(B, L)`, 0 = padding, or their embeddings `(B, L, E)`, to tokens."""

    @classmethod
    def from_group(cls, group: FittedGroup) -> dict[str, Any]:
        return {"vocabulary_size": len(group.vocabulary) + 2}

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings `(B, L, E)` of word ids, which the encoder accepts instead."""
        raise NotImplementedError

    def token_mask(self, inputs: Tensor, mask: Tensor | None) -> Tensor | None:
        return ops.not_equal(inputs, PADDING) if len(inputs.shape) == 2 else mask


@register("text_encoder", "recurrent")
class RecurrentEncoder(TextEncoder):
    """Word embeddings through GRU or LSTM layers: tokens `(B, L, D)` with the padding masked.

    Args:
        vocabulary_size: Number of word ids, with 0 = padding and 1 = unknown word.
        hidden_dim: Units of one direction; D is twice that when bidirectional.
        embedding_dim: Size of one word's vector.
        cell: `gru` or `lstm`.
        num_layers: Number of stacked layers.
        bidirectional: Read in both directions.
        dropout: Dropout on the embeddings and between the layers.
        pooling: None for tokens, or the name of a registered pooling for a vector.

    Call arguments:
        inputs: Word ids `(B, L)`, or embeddings `(B, L, embedding_dim)` with a Keras mask.

    Example:
    >>> import numpy as np
    >>> encoder = RecurrentEncoder(100, 8)
    >>> tuple(encoder(np.array([[5, 7, 0]])).shape)
    (1, 3, 16)

    References:
        Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int = 64,
        *,
        embedding_dim: int = 32,
        cell: str = "gru",
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.1,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **{"autocast": False, **kwargs})
        check_positive("vocabulary_size", vocabulary_size)
        check_positive("hidden_dim", hidden_dim)
        check_positive("embedding_dim", embedding_dim)
        check_choice("cell", cell, CELLS)
        check_positive("num_layers", num_layers)
        check_fraction("dropout", dropout)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.embedding_dim = embedding_dim
        self.cell = cell
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 2 and (len(input_shape), input_shape[-1]) != (3, self.embedding_dim):
            raise ValueError(
                "`inputs` must be word ids of shape (batch, length), or embeddings of shape "
                f"(batch, length, {self.embedding_dim}). Received: input_shape={input_shape}"
            )
        self.embedding = keras.layers.Embedding(
            self.vocabulary_size, self.embedding_dim, name="embedding", dtype=self.dtype_policy
        )
        self.embedding.build()
        self.drop = keras.layers.SpatialDropout1D(
            self.dropout, name="dropout", dtype=self.dtype_policy
        )
        self.recurrent = []
        shape = (input_shape[0], input_shape[1], self.embedding_dim)
        for i in range(self.num_layers):
            layer = self._recurrent_layer(f"{self.cell}_{i}")
            layer.build(shape)
            shape = (*shape[:2], self._output_dim)
            self.recurrent.append(layer)
        super().build(input_shape)

    def _recurrent_layer(self, name: str) -> keras.layers.Layer:
        cls = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[self.cell]
        layer = cls(self.hidden_dim, return_sequences=True, name=name, dtype=self.dtype_policy)
        if not self.bidirectional:
            return layer
        return keras.layers.Bidirectional(
            layer, name=f"bidirectional_{name}", dtype=self.dtype_policy
        )

    @property
    def _output_dim(self) -> int:
        return self.hidden_dim * (2 if self.bidirectional else 1)

    def embed(self, tokens: Tensor) -> Tensor:
        return self.embedding(tokens)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        mask = self.token_mask(inputs, mask)
        tokens = self.embed(inputs) if len(inputs.shape) == 2 else inputs
        for layer in self.recurrent:
            tokens = layer(self.drop(tokens, training=training), mask=mask, training=training)
        return tokens

    def token_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[1], self._output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "embedding_dim": self.embedding_dim,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
        }
