"""Vision transformer (ViT): photos as sequences of patches."""

from __future__ import annotations

from typing import Any

import keras

from multimodal.encoders.image import ImageEncoder, check_photos, make_convolution, to_tokens
from multimodal.layers.base import Shape, Tensor, built, check_fraction, check_heads, check_positive
from multimodal.layers.registry import register
from multimodal.layers.transformer import build_blocks, layer_norm


@register("image_encoder", "vit")
class ViTEncoder(ImageEncoder):
    """Patches, a learned position for each, and transformer blocks: one token per patch.

    There is no class token: a pooling makes the vector. The positions are learned for the height
    and width that the encoder is built with; photos of another size are refused. The patch size
    divides both.

    Args:
        hidden_dim: Size D of a token, 128 by default; a multiple of `num_heads`.
        num_layers: Number of transformer blocks, 4 by default.
        patch_size: Side of a patch in pixels, 8 by default. Half of it makes four times as many
            tokens, and sixteen times the attention.
        num_heads: Attention heads of each block, 4 by default.
        mlp_dim: Size of the hidden layer of each block, 256 by default.
        dropout: Fraction of the features dropped from the embedded patches and inside the blocks,
            in training; 0 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Photos `(B, H, W, 3)`, values 0 to 255; scaled to [-1, 1] inside.
        mask: Optional bool `(B,)`; whatever the slot of a photo holds where it is False is read as
            black.

    Example:
    >>> import numpy as np
    >>> encoder = ViTEncoder(hidden_dim=8, num_layers=1, patch_size=4, num_heads=2, mlp_dim=16)
    >>> tuple(encoder(np.zeros((2, 32, 32, 3), "uint8")).shape)
    (2, 64, 8)

    References:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021; Beyer et al., Better Plain ViT
        Baselines for ImageNet-1k, 2022 (no class token).
    """

    def __init__(
        self,
        hidden_dim: int = 128,
        num_layers: int = 4,
        *,
        patch_size: int = 8,
        num_heads: int = 4,
        mlp_dim: int = 256,
        dropout: float = 0.0,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **kwargs)
        check_positive(hidden_dim=hidden_dim, num_layers=num_layers, patch_size=patch_size)
        check_positive(num_heads=num_heads, mlp_dim=mlp_dim)
        check_heads(hidden_dim, num_heads)
        check_fraction(dropout=dropout)
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.patch_size = patch_size
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.dropout = dropout
        self._photo_shape: Shape | None = None

    def check_inputs(self, inputs: Tensor) -> None:
        super().check_inputs(inputs)
        shape = tuple(inputs.shape)[1:]
        # a position is learned for each patch of this size; another size has no positions
        if self._photo_shape not in (None, shape):
            raise ValueError(
                f"`inputs` must be photos of shape {self._photo_shape}, for which the positions "
                f"were learned. Received: input_shape={tuple(inputs.shape)}"
            )

    def build(self, input_shape: Shape) -> None:
        check_photos(input_shape)
        if any((size or 0) % self.patch_size for size in input_shape[1:3]):
            raise ValueError(
                "`patch_size` must divide the photos' height and width. "
                f"Received: patch_size={self.patch_size}, input_shape={tuple(input_shape)}"
            )
        super().build(input_shape)
        self._photo_shape = tuple(input_shape)[1:]
        policy, tokens = self.dtype_policy, self.token_shape(input_shape)
        patches = make_convolution(
            self.hidden_dim,
            self.patch_size,
            strides=self.patch_size,
            padding="valid",
            # a linear projection: `he_normal` is for what a ReLU follows
            kernel_initializer="glorot_uniform",
            policy=policy,
            name="patches",
        )
        self.patches = built(patches, input_shape)
        self.positions = self.add_weight(
            shape=tokens[1:],
            # as the positions of BERT start
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="positions",
        )
        self.drop = keras.layers.Dropout(self.dropout, name="dropout", dtype=policy)
        self.blocks = build_blocks(self, tokens)
        self.norm = layer_norm("norm", tokens, policy)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        x = to_tokens(self.patches(self.pixels(inputs, mask)))
        x = self.drop(x + self.positions, training=training)
        for block in self.blocks:
            x = block(x, training=training)
        return self.norm(x)

    def token_shape(self, input_shape: Shape) -> Shape:
        height, width = ((size or 0) // self.patch_size for size in input_shape[1:3])
        return (input_shape[0], height * width, self.hidden_dim)
