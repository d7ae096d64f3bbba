"""Fusion by attention over the tokens of all groups: a transformer, or latent cross-attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.fusion.tokens import TokenFusion
from multimodal.layers.base import Tensor, built, check_positive
from multimodal.layers.registry import register
from multimodal.layers.transformer import build_blocks


@register("fusion", "transformer")
class TransformerFusion(TokenFusion):
    """A transformer over the tokens of all groups and one learned token more, which comes out.

    Every token attends to every other one, so words can look at photos and photos at columns; the
    cost grows with the square of the number of tokens (`cross_attention` is linear in it). The
    result `(B, D)` is the learned token (CLS) after the last layer, normalised.

    An absent group is one learned token, whatever its inputs hold; padding is never attended.

    Args:
        hidden_dim: Size D of a token and of the result, 64 by default; a multiple of `num_heads`.
        num_heads: Number of attention heads, 4 by default.
        num_layers: Number of transformer blocks, 2 by default.
        mlp_dim: Size of the hidden layer in each block's MLP, 128 by default.
        dropout: Fraction of the features dropped in each block, in training; 0.1 by default.
        modality_dropout: Probability that a group is dropped from a row in training, 0 by default;
            at least one group of a row always stays. The model then leans less on its strongest
            group, and predicts better where a group is absent.
        seed: Seed of the modality dropout; None, the default, draws one.

    Call arguments:
        inputs: Dict of group name -> tokens `(B, T_g, D_g)`, or a vector `(B, D_g)` as one token.
        presence: Dict of group name -> bool `(B,)`, for the groups that can be absent.
        mask: Dict of group name -> bool `(B, T_g)`; left out, the tokens' own Keras masks.

    Example:
    >>> import numpy as np
    >>> tokens = {"table": np.ones((2, 3), "float32"), "text": np.ones((2, 7, 5), "float32")}
    >>> tuple(TransformerFusion(8, 2)(tokens, mask={"text": np.ones((2, 7), "bool")}).shape)
    (2, 8)

    References:
        Kim et al., ViLT: Vision-and-Language Transformer, 2021; Gorishniy et al., Revisiting Deep
        Learning Models for Tabular Data, 2021 (the learned token).
    """

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        super().build(inputs_shape, presence_shape)
        self.summary = self.add_weight(
            shape=(1, 1, self.hidden_dim), initializer=_normal(), name="summary"
        )
        self.blocks = build_blocks(self, (None, None, self.hidden_dim))

    def read(self, tokens: Tensor, mask: Tensor, training: bool | None) -> Tensor:
        summary = _repeat(self.summary, tokens)
        tokens = ops.concatenate([summary, tokens], axis=1)
        mask = ops.concatenate([ops.ones_like(mask[:, :1]), mask], axis=1)
        for block in self.blocks:
            tokens = block(tokens, mask=mask, training=training)
        return self.norm(tokens[:, 0])


@register("fusion", "cross_attention")
class CrossAttentionFusion(TokenFusion):
    """Learned queries that look at the tokens of all groups: `(B, D)`.

    Each layer lets `num_latents` latent vectors attend to the tokens, and then to each other in a
    transformer block. The tokens themselves are not changed, so the cost is linear in their number:
    right for long texts and large photos. The result is the mean of the latents, normalised.

    An absent group is one learned token, whatever its inputs hold; padding is never attended.

    Args:
        hidden_dim: Size D of a token, a latent and the result, 64 by default; a multiple of
            `num_heads`.
        num_heads: Number of attention heads, 4 by default.
        num_latents: Number of latent vectors, 8 by default: how many different things can be looked
            for at once.
        num_layers: Number of layers, 2 by default; the first looks with the same queries at every
            row, the later ones with queries that follow from what was seen.
        mlp_dim: Size of the hidden layer in each block's MLP, 128 by default.
        dropout: Fraction of the features dropped in each block, in training; 0.1 by default.
        modality_dropout: Probability that a group is dropped from a row in training, 0 by default;
            at least one group of a row always stays. The model then leans less on its strongest
            group, and predicts better where a group is absent.
        seed: Seed of the modality dropout; None, the default, draws one.

    Call arguments:
        inputs: Dict of group name -> tokens `(B, T_g, D_g)`, or a vector `(B, D_g)` as one token.
        presence: Dict of group name -> bool `(B,)`, for the groups that can be absent.
        mask: Dict of group name -> bool `(B, T_g)`; left out, the tokens' own Keras masks.

    Example:
    >>> import numpy as np
    >>> tokens = {"table": np.ones((2, 3), "float32"), "text": np.ones((2, 7, 5), "float32")}
    >>> tuple(CrossAttentionFusion(8, 2, num_latents=3)(tokens).shape)
    (2, 8)

    References:
        Jaegle et al., Perceiver: General Perception with Iterative Attention, 2021.
    """

    def __init__(
        self,
        hidden_dim: int = 64,
        num_heads: int = 4,
        *,
        num_latents: int = 8,
        num_layers: int = 2,
        mlp_dim: int = 128,
        dropout: float = 0.1,
        modality_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            hidden_dim,
            num_heads,
            num_layers=num_layers,
            mlp_dim=mlp_dim,
            dropout=dropout,
            modality_dropout=modality_dropout,
            seed=seed,
            **kwargs,
        )
        check_positive(num_latents=num_latents)
        self.num_latents = num_latents

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        super().build(inputs_shape, presence_shape)
        self.latents = self.add_weight(
            shape=(1, self.num_latents, self.hidden_dim), initializer=_normal(), name="latents"
        )
        layers = range(self.num_layers)
        self.token_norm = self._norm("token_norm")
        self.latent_norms = [self._norm(f"latent_norm_{i}") for i in layers]
        self.queries = [self._dense(f"query_{i}") for i in layers]
        self.keys = [self._dense(f"key_{i}") for i in layers]
        self.values = [self._dense(f"value_{i}") for i in layers]
        self.outputs = [self._dense(f"attention_output_{i}") for i in layers]
        self.blocks = build_blocks(self, (None, None, self.hidden_dim))

    def _dense(self, name: str) -> Any:
        dense = keras.layers.Dense(self.hidden_dim, name=name, dtype=self.dtype_policy)
        return built(dense, (None, None, self.hidden_dim))

    def read(self, tokens: Tensor, mask: Tensor, training: bool | None) -> Tensor:
        latents = _repeat(self.latents, tokens)
        for i, block in enumerate(self.blocks):
            latents = latents + self._look(i, latents, tokens, mask)
            latents = block(latents, training=training)
        return ops.mean(self.norm(latents), axis=1)

    def _look(self, i: int, latents: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return what the latents see in the kept tokens; zeros where none is kept.

        Tokens are normalised for the keys alone: their size is part of what is seen.
        """
        length, size = ops.shape(tokens)[1], self.hidden_dim // self.num_heads
        query, key, value = (
            ops.reshape(each, (-1, count, self.num_heads, size))
            for each, count in (
                (self.queries[i](self.latent_norms[i](latents)), self.num_latents),
                (self.keys[i](self.token_norm(tokens)), length),
                (self.values[i](tokens), length),
            )
        )
        kept = ops.reshape(mask, (-1, 1, 1, length))
        seen = ops.dot_product_attention(query, key, value, mask=kept)
        seen = self.outputs[i](ops.reshape(seen, (-1, self.num_latents, self.hidden_dim)))
        # a softmax over masked tokens alone is even, so that it would see what it must not
        anything = ops.reshape(ops.any(mask, axis=1), (-1, 1, 1))
        return ops.where(anything, seen, 0)


def _normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.02)


def _repeat(weight: Tensor, tokens: Tensor) -> Tensor:
    """Return a weight `(1, N, D)` once per row of `tokens`, in their dtype."""
    shape = (ops.shape(tokens)[0], *weight.shape[1:])
    return ops.broadcast_to(ops.cast(weight, tokens.dtype), shape)
