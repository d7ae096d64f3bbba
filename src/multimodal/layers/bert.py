"""The encoder of BERT, as sentence models such as MiniLM, BGE and E5 are built.

KerasHub's has an approximate GELU and another epsilon, with which the features of such a model
differ by 0.005 from what its authors publish.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import layers, ops

from multimodal.layers.base import check_positive

EPSILON = 1e-12  # as BERT's weights are trained with


class BertSizes(NamedTuple):
    """Sizes of a BERT encoder.

    Attributes:
        vocabulary: Number of token ids.
        positions: Most tokens of a text.
        dim: Numbers of a token.
        blocks: Number of transformer blocks.
        heads: Number of attention heads; divides `dim`.
        mlp_dim: Size of the hidden layer after each attention.
    """

    vocabulary: int
    positions: int
    dim: int
    blocks: int
    heads: int
    mlp_dim: int


def bert_encoder(sizes: BertSizes) -> keras.Model:
    """Return a BERT encoder with new weights.

    It takes a dict of `token_ids` and `padding_mask`, int32 `(B, T)` each, with at most
    `sizes.positions` tokens, and returns float32 `(B, T, dim)`; what it returns for padding has no
    meaning. All tokens are of the first segment, whose embedding is part of the positions'. Layers
    are called `words`, `positions`, `embeddings_norm`, `block_3_attention`,
    `block_3_attention_norm`, `block_3_hidden`, `block_3_output` and `block_3_output_norm`.

    Raises:
        ValueError: A size is not positive, or `heads` does not divide `dim`.

    References:
        Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019.

    Example:
    >>> encoder = bert_encoder(BertSizes(100, 16, 8, blocks=1, heads=2, mlp_dim=16))
    >>> encoder.output.shape
    (None, None, 8)
    """
    check_positive(**sizes._asdict())
    if sizes.dim % sizes.heads:
        raise ValueError(f"`heads` must divide `dim`. Received: {sizes}")
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    places = ops.cumsum(ops.ones_like(ids), axis=1) - 1
    x = layers.Embedding(sizes.vocabulary, sizes.dim, name="words")(ids)
    x = x + layers.Embedding(sizes.positions, sizes.dim, name="positions")(places)
    x = _normalized(x, "embeddings")
    attended = ops.cast(ops.expand_dims(mask, 1), "bool")
    for block in range(sizes.blocks):
        x = _block(x, attended, sizes, f"block_{block}")
    return keras.Model({"token_ids": ids, "padding_mask": mask}, x, name="bert_encoder")


def _block(x: Any, mask: Any, sizes: BertSizes, name: str) -> Any:
    """Return attention and a two-layer MLP of `x`, each added to its input, then normalized."""
    attention = layers.MultiHeadAttention(
        sizes.heads, sizes.dim // sizes.heads, name=f"{name}_attention"
    )
    x = _normalized(x + attention(x, x, attention_mask=mask), f"{name}_attention")
    hidden = layers.Dense(sizes.mlp_dim, name=f"{name}_hidden")(x)
    hidden = layers.Dense(sizes.dim, name=f"{name}_output")(ops.gelu(hidden, approximate=False))
    return _normalized(x + hidden, f"{name}_output")


def _normalized(x: Any, name: str) -> Any:
    return layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm")(x)
