"""Residual network for photos (ResNet v2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.encoders.image import (
    NORMALIZATIONS,
    ImageEncoder,
    channel_dropout,
    check_stages,
    make_convolution,
    make_normalization,
    map_tokens,
    normalize,
    to_tokens,
)
from multimodal.layers.base import (
    Shape,
    Tensor,
    built,
    check_choice,
    check_fraction,
    check_positive,
)
from multimodal.layers.registry import register


class ResidualBlock(keras.layers.Layer):
    """Two 3x3 convolutions, each after normalization and ReLU, added to what came in.

    Where the stride or the number of channels changes, a 1x1 convolution brings the input to the
    new size.

    Args:
        filters: Output channels.
        strides: Stride of the first convolution.
        normalization: `batch`, `group` or `none`.
        gain: Variance that the block adds at initialization, relative to its input.

    Call arguments:
        inputs: Maps `(B, H, W, C)`.
        present: Optional bool `(B,)`; a photo where it is False enters no batch statistics.
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        *,
        normalization: str = "batch",
        gain: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.normalization = normalization
        self.gain = gain

    def build(self, input_shape: Shape) -> None:
        kind, policy = self.normalization, self.dtype_policy
        given: dict[str, Any] = {"use_bias": kind == "none", "policy": policy}
        self.norm_0 = make_normalization(kind, input_shape, policy=policy, name="normalization_0")
        convolution = make_convolution(
            self.filters, 3, strides=self.strides, name="convolution_0", **given
        )
        self.convolution_0 = built(convolution, input_shape)
        inner = self.convolution_0.compute_output_shape(input_shape)
        self.norm_1 = make_normalization(kind, inner, policy=policy, name="normalization_1")
        # `he_normal`, as the other convolutions have, is this with a gain of 1.
        initializer = keras.initializers.VarianceScaling(2.0 * self.gain)
        convolution = make_convolution(
            self.filters, 3, kernel_initializer=initializer, name="convolution_1", **given
        )
        self.convolution_1 = built(convolution, inner)
        self.shortcut = None
        if self.strides != 1 or input_shape[-1] != self.filters:
            shortcut = make_convolution(self.filters, 1, name="shortcut", **given)
            self.shortcut = built(shortcut, input_shape)

    def call(
        self, inputs: Tensor, present: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        x = ops.relu(normalize(self.norm_0, inputs, present, training))
        shortcut = inputs if self.shortcut is None else self.shortcut(self._stride(x))
        x = ops.relu(normalize(self.norm_1, self.convolution_0(x), present, training))
        return shortcut + self.convolution_1(x)

    def _stride(self, x: Tensor) -> Tensor:
        """Return the cells that a 1x1 convolution with the block's stride would see."""
        if self.strides == 1:
            return x
        # not the stride of the convolution: TensorFlow's gradient of a strided 1x1 convolution
        # writes outside its memory on some processors
        return ops.max_pool(x, 1, self.strides, padding="same", data_format="channels_last")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape: Shape = self.convolution_0.compute_output_shape(input_shape)
        return shape


@register("image_encoder", "residual")
class ResidualEncoder(ImageEncoder):
    """A convolution and stages of residual blocks: one token per cell of the last map.

    Normalization and ReLU come before each convolution (the second form of ResNet), and once more
    at the end. A block's second convolution starts small, the smaller the more blocks there are,
    so that the sum does not grow with depth, without normalization, too.

    Args:
        filters: Output channels of each stage, (32, 64, 128) by default; the last is D.
        num_blocks: Residual blocks of each stage, one each by default.
        strides: Stride of each stage's first block, (1, 2, 2) by default.
        stem_stride: Stride of the first 3x3 convolution, 2 by default. 1 keeps the detail of small
            photos, at four times the cost of all that follows.
        normalization: `batch` (the default), which learns faster from large batches; `group`, which
            depends on no other photo of the batch; or `none`.
        dropout: Fraction of the channels of the last map dropped, in training; 0 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Photos `(B, H, W, 3)`, values 0 to 255; scaled to [-1, 1] inside.
        mask: Optional bool `(B,)`; a photo where it is False enters no batch statistics, and
            whatever its slot holds is read as black.

    Example:
    >>> import numpy as np
    >>> encoder = ResidualEncoder(filters=[4, 8], num_blocks=[1, 1], strides=[1, 2])
    >>> tuple(encoder(np.zeros((2, 32, 32, 3), "uint8")).shape)
    (2, 64, 8)

    References:
        He et al., Deep Residual Learning for Image Recognition, 2016; He et al., Identity Mappings
        in Deep Residual Networks, 2016; Zhang et al., Fixup Initialization, 2019.
    """

    def __init__(
        self,
        filters: Sequence[int] = (32, 64, 128),
        num_blocks: Sequence[int] = (1, 1, 1),
        *,
        strides: Sequence[int] = (1, 2, 2),
        stem_stride: int = 2,
        normalization: str = "batch",
        dropout: float = 0.0,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **kwargs)
        check_stages(filters, num_blocks=num_blocks, strides=strides)
        check_positive(stem_stride=stem_stride)
        check_choice("normalization", normalization, NORMALIZATIONS)
        check_fraction(dropout=dropout)
        self.filters = filters
        self.num_blocks = num_blocks
        self.strides = strides
        self.stem_stride = stem_stride
        self.normalization = normalization
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        policy = self.dtype_policy
        stem = make_convolution(
            self.filters[0], 3, strides=self.stem_stride, policy=policy, name="stem"
        )
        self.stem = built(stem, input_shape)
        shape = self.stem.compute_output_shape(input_shape)
        self.blocks = []
        for stage, count in enumerate(self.num_blocks):
            for i in range(count):
                block = ResidualBlock(
                    self.filters[stage],
                    1 if i else self.strides[stage],
                    normalization=self.normalization,
                    gain=1 / sum(self.num_blocks),
                    name=f"stage_{stage}_block_{i}",
                    dtype=policy,
                )
                self.blocks.append(built(block, shape))
                shape = block.compute_output_shape(shape)
        self.norm = make_normalization(
            self.normalization, shape, policy=policy, name="normalization"
        )
        self.drop = channel_dropout(self.dropout, policy)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        x = self.stem(self.pixels(inputs, mask))
        for block in self.blocks:
            x = block(x, present=mask, training=training)
        x = ops.relu(normalize(self.norm, x, mask, training))
        return to_tokens(self.drop(x, training=training))

    def token_shape(self, input_shape: Shape) -> Shape:
        return map_tokens(input_shape, [self.stem_stride, *self.strides], self.filters[-1])
