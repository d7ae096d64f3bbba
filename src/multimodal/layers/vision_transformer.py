"""Vision transformers as DINOv2 and SigLIP publish them.

The encoder `vit` is one to train; these graphs have what published weights need: a learned place
per patch, biases everywhere, and either a class token or a query that pools the patches.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import keras
from keras import layers, ops

from multimodal.layers.base import check_choice, check_positive

EPSILON = 1e-6  # as their weights are trained with


class VisionSizes(NamedTuple):
    """Sizes of a vision transformer.

    Attributes:
        patch: Pixels a side of a patch.
        grid: Patches a side of a photo, so photos have `patch * grid` pixels.
        dim: Numbers of a token.
        blocks: Number of transformer blocks.
        heads: Number of attention heads; divides `dim`.
        mlp_dim: Size of the hidden layer after each attention.
    """

    patch: int
    grid: int
    dim: int
    blocks: int
    heads: int
    mlp_dim: int


def vision_transformer(
    sizes: VisionSizes, pooling: Literal["class", "query"], rescaling: tuple[Any, Any]
) -> keras.Model:
    """Return a vision transformer with new weights.

    It takes photos `(B, S, S, 3)`, red, green, blue from 0 to 255. Layers are called `patches`,
    `class_token`, `positions`, `block_3_attention_norm`, `block_3_attention`,
    `block_3_hidden_norm`, `block_3_hidden`, `block_3_output` and `norm`; with a query also `query`,
    `pooling_attention`, `pooling_hidden_norm`, `pooling_hidden` and `pooling_output`.

    Args:
        sizes: Its sizes.
        pooling: "class" puts a class token before the patches, as DINOv2, and returns all tokens,
            `(B, 1 + grid * grid, dim)`; "query" lets one learned query attend to the patches, as
            SigLIP with its approximate GELU, and returns that, `(B, 1, dim)`.
        rescaling: What photos are multiplied by, and what is then added; a number, or one each for
            red, green and blue.

    Raises:
        ValueError: A size is not positive, `heads` does not divide `dim`, or `pooling` is unknown.

    References:
        Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, 2023; Zhai et
        al., Sigmoid Loss for Language Image Pre-Training, 2023.

    Example:
    >>> sizes = VisionSizes(patch=4, grid=2, dim=8, blocks=1, heads=2, mlp_dim=16)
    >>> vision_transformer(sizes, "class", (1 / 255, 0.0)).output.shape
    (None, 5, 8)
    """
    check_positive(**sizes._asdict())
    check_choice("pooling", pooling, ("class", "query"))
    if sizes.dim % sizes.heads:
        raise ValueError(f"`heads` must divide `dim`. Received: {sizes}")
    side = sizes.patch * sizes.grid
    photos = keras.Input((side, side, 3), name="photos")
    x = layers.Rescaling(*rescaling, name="rescaling")(photos)
    x = layers.Conv2D(sizes.dim, sizes.patch, strides=sizes.patch, name="patches")(x)
    x = layers.Reshape((sizes.grid**2, sizes.dim), name="tokens")(x)
    if pooling == "class":
        x = ops.concatenate([_learned(x[:, :1], "class_token"), x], axis=1)
    x = x + _learned(x, "positions")
    for block in range(sizes.blocks):
        name = f"block_{block}"
        tokens = _normalized(x, f"{name}_attention_norm")
        x = x + _attention(sizes, f"{name}_attention")(tokens, tokens)
        x = _with_mlp(x, sizes, name, approximate=pooling == "query")
    x = _normalized(x, "norm")
    if pooling == "query":
        x = _attention(sizes, "pooling_attention")(_learned(x[:, :1], "query"), x)
        x = _with_mlp(x, sizes, "pooling", approximate=True)
    return keras.Model(photos, x, name=f"vision_transformer_{pooling}")


def _learned(x: Any, name: str) -> Any:
    """Return learned tokens of the shape of `x`, the same for each photo of the batch."""
    places = ops.cumsum(ops.ones_like(x[:, :, 0], dtype="int32"), axis=1) - 1
    return layers.Embedding(x.shape[1], x.shape[2], name=name)(places)


def _attention(sizes: VisionSizes, name: str) -> Any:
    return layers.MultiHeadAttention(sizes.heads, sizes.dim // sizes.heads, name=name)


def _with_mlp(x: Any, sizes: VisionSizes, name: str, *, approximate: bool) -> Any:
    """Return `x` and what a two-layer MLP makes of it, normalized."""
    hidden = _normalized(x, f"{name}_hidden_norm")
    hidden = layers.Dense(sizes.mlp_dim, name=f"{name}_hidden")(hidden)
    hidden = ops.gelu(hidden, approximate=approximate)
    return x + layers.Dense(sizes.dim, name=f"{name}_output")(hidden)


def _normalized(x: Any, name: str) -> Any:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)(x)
