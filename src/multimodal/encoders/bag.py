"""Bag of word embeddings: words without their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from multimodal.encoders.text import WordEncoder
from multimodal.layers.base import Shape, Tensor, built, check_flag, check_fraction, check_sizes
from multimodal.layers.mlp import MLP
from multimodal.layers.registry import register


@register("text_encoder", "embedding_bag")
class EmbeddingBagEncoder(WordEncoder):
    """One embedding per word, without regard to the order: tokens `(B, L, D)`.

    The pooling makes the bag: with `mean` the text is the mean of its words. The cheapest of the
    text encoders, and hard to beat on short texts.

    Args:
        vocabulary_size: Number of word ids, with 0 = padding and 1 = unknown word.
        embedding_dim: Size E of one word's vector, 64 by default, and D where there are no dense
            layers. Larger ones need more text to learn from.
        hidden_dims: Sizes of dense layers that each word goes through; the last is D. None by
            default.
        weighted: Whether a learned factor per word, 1 at the start, multiplies its vector, so that
            frequent words that say little can be turned down. False by default.
        dropout: Fraction of the words left out in training, 0.1 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Word ids `(B, L)`, or embeddings `(B, L, embedding_dim)` with a Keras mask.

    Example:
    >>> import numpy as np
    >>> encoder = EmbeddingBagEncoder(100, 8, pooling="mean")
    >>> tuple(encoder(np.array([[5, 7, 0]])).shape)
    (1, 8)

    References:
        Iyyer et al., Deep Unordered Composition Rivals Syntactic Methods for Text Classification,
        2015; Joulin et al., Bag of Tricks for Efficient Text Classification, 2017.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int = 64,
        *,
        hidden_dims: Sequence[int] = (),
        weighted: bool = False,
        dropout: float = 0.1,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary_size, embedding_dim=embedding_dim, pooling=pooling, **kwargs)
        if hidden_dims:
            check_sizes(hidden_dims=hidden_dims)
        check_flag(weighted=weighted)
        check_fraction(dropout=dropout)
        self.hidden_dims = hidden_dims
        self.weighted = weighted
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        if self.weighted:
            ones = {"embeddings_initializer": "ones", "dtype": self.dtype_policy}
            factor = keras.layers.Embedding(self.vocabulary_size, 1, name="factor", **ones)
            self.factor = built(factor)
        # one draw per word, for all its features: a word is left out as a whole
        self.drop = keras.layers.Dropout(
            self.dropout, noise_shape=(None, None, 1), name="dropout", dtype=self.dtype_policy
        )
        if self.hidden_dims:
            mlp = MLP(self.hidden_dims, name="mlp", dtype=self.dtype_policy)
            self.mlp = built(mlp, (*input_shape[:2], self.embedding_dim))

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings `(B, L, E)` of word ids, each times its factor."""
        vectors = super().embed(tokens)
        return vectors * self.factor(tokens) if self.weighted else vectors

    def encode_words(self, words: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        words = self.drop(words, training=training)
        return self.mlp(words, training=training) if self.hidden_dims else words

    def token_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], [self.embedding_dim, *self.hidden_dims][-1])
