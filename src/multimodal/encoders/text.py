"""Base of the text encoders, and recurrent networks (GRU, LSTM) over words."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.core.spec import PADDING, FittedGroup
from multimodal.layers.base import (
    Encoder,
    Shape,
    Tensor,
    built,
    check_choice,
    check_dtype,
    check_flag,
    check_fraction,
    check_positive,
    check_rank,
)
from multimodal.layers.registry import register

CELLS = ("gru", "lstm")


class TextEncoder(Encoder):
    """Base: word ids int32 `(B, L)`, 0 = padding, or their embeddings `(B, L, E)`, to tokens."""

    @classmethod
    def from_group(cls, group: FittedGroup) -> dict[str, Any]:
        return {"vocabulary_size": len(group.vocabulary) + 2}

    def token_mask(self, inputs: Tensor, mask: Tensor | None) -> Tensor | None:
        return ops.not_equal(inputs, PADDING) if len(inputs.shape) == 2 else mask


class WordEncoder(TextEncoder):
    """Base of the text encoders with word embeddings of their own.

    A subclass builds its layers in `build` after `super().build`, and implements `encode_words`.

    Args:
        vocabulary_size: Number of word ids, with 0 = padding and 1 = unknown word.
        embedding_dim: Size E of one word's vector.
        pooling: As in `Encoder`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        embedding_dim: int,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        # no autocast: ids given as floats would be rounded, in bfloat16 from 257 on
        super().__init__(pooling=pooling, **{"autocast": False, **kwargs})
        check_positive(vocabulary_size=vocabulary_size, embedding_dim=embedding_dim)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim

    def check_inputs(self, inputs: Tensor) -> None:
        shape = tuple(getattr(inputs, "shape", ()))
        self._check_shape(shape)
        check_dtype("inputs", inputs, ("int", "float") if len(shape) == 2 else ("float",))

    def _check_shape(self, shape: Shape) -> None:
        if len(shape) != 2 and (len(shape), shape[-1:]) != (3, (self.embedding_dim,)):
            raise ValueError(
                "`inputs` must be word ids of shape (batch, length), or embeddings of shape "
                f"(batch, length, {self.embedding_dim}). Received: shape={shape}"
            )

    def build(self, input_shape: Shape) -> None:
        self._check_shape(tuple(input_shape))
        embedding = keras.layers.Embedding(
            self.vocabulary_size, self.embedding_dim, name="embedding", dtype=self.dtype_policy
        )
        self.embedding = built(embedding)
        super().build(input_shape)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings `(B, L, E)` of word ids, which the encoder accepts instead."""
        return self.embedding(tokens)

    def load_vectors(self, matrix: Tensor, found: Tensor | None = None) -> None:
        """Start from pretrained word vectors; the encoder is built.

        Args:
            matrix: Float `(vocabulary_size, embedding_dim)`: row i is the vector of word id i.
            found: Bool `(vocabulary_size,)`: which rows to take; the others stay as they are.
                None takes all.

        Raises:
            ValueError: The encoder is not built, or a shape differs.
        """
        if not self.built:
            raise ValueError("`load_vectors` needs a built encoder. Call it on a batch first.")
        wanted, shape = (self.vocabulary_size, self.embedding_dim), tuple(ops.shape(matrix))
        if shape != wanted:
            raise ValueError(
                f"`matrix` must have shape (vocabulary_size, embedding_dim) = {wanted}. "
                f"Received: shape={shape}"
            )
        table = self.embedding.embeddings
        matrix = ops.cast(ops.convert_to_tensor(matrix), table.dtype)
        if found is not None:
            check_rank("found", tuple(ops.shape(found)), "(batch,)")
            keep = ops.expand_dims(ops.cast(ops.convert_to_tensor(found), "bool"), -1)
            matrix = ops.where(keep, matrix, ops.convert_to_tensor(table))
        table.assign(matrix)

    def encode_words(self, words: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        """Return tokens `(B, L, D)` from embeddings `(B, L, E)` and the mask of the words."""
        raise NotImplementedError

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        words = self.embed(inputs) if len(inputs.shape) == 2 else inputs
        return self.encode_words(
            ops.cast(words, self.compute_dtype), self.token_mask(inputs, mask), training
        )


@register("text_encoder", "recurrent")
class RecurrentEncoder(WordEncoder):
    """Word embeddings through GRU or LSTM layers: tokens `(B, L, D)` with the padding masked.

    Args:
        vocabulary_size: Number of word ids, with 0 = padding and 1 = unknown word.
        hidden_dim: Units of one direction, 64 by default: what a layer can keep in mind of the
            words so far. D is twice that when bidirectional.
        embedding_dim: Size of one word's vector, 32 by default.
        cell: `gru` (the default), or `lstm`, with a third more weights.
        num_layers: Number of stacked layers, 1 by default.
        bidirectional: Whether a second layer reads from the end to the start, so that a token knows
            the words behind it, too; True by default.
        dropout: Fraction of the features dropped from the embeddings and between the layers, in
            training; 0.1 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

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
        super().__init__(vocabulary_size, embedding_dim=embedding_dim, pooling=pooling, **kwargs)
        check_positive(hidden_dim=hidden_dim)
        check_choice("cell", cell, CELLS)
        check_positive(num_layers=num_layers)
        check_flag(bidirectional=bidirectional)
        check_fraction(dropout=dropout)
        self.hidden_dim = hidden_dim
        self.cell = cell
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.drop = keras.layers.SpatialDropout1D(
            self.dropout, name="dropout", dtype=self.dtype_policy
        )
        self.recurrent = []
        shape: Shape = (*input_shape[:2], self.embedding_dim)
        for i in range(self.num_layers):
            self.recurrent.append(built(self._recurrent_layer(f"{self.cell}_{i}"), shape))
            shape = self.token_shape(shape)

    def _recurrent_layer(self, name: str) -> keras.layers.Layer:
        cls = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[self.cell]
        layer = cls(self.hidden_dim, return_sequences=True, name=name, dtype=self.dtype_policy)
        if not self.bidirectional:
            return layer
        # the mask keeps the copy that reads backwards at its start until the last word
        return keras.layers.Bidirectional(
            layer, name=f"bidirectional_{name}", dtype=self.dtype_policy
        )

    def encode_words(self, words: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        for layer in self.recurrent:
            words = layer(self.drop(words, training=training), mask=mask, training=training)
        return words

    def token_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], self.hidden_dim * (2 if self.bidirectional else 1))
