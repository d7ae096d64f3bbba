"""Inception network for photos: parallel branches of convolutions."""

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
    max_pooling,
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


class ConvolutionUnit(keras.layers.Layer):
    """Convolution, normalization and ReLU.

    Args:
        filters: Output channels.
        kernel_size: Side of the kernel.
        strides: Stride of the convolution.
        normalization: `batch`, `group` or `none`.

    Call arguments:
        inputs: Maps `(B, H, W, C)`.
        present: Optional bool `(B,)`; a photo where it is False enters no batch statistics.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        normalization: str = "batch",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.normalization = normalization

    def build(self, input_shape: Shape) -> None:
        policy = self.dtype_policy
        convolution = make_convolution(
            self.filters,
            self.kernel_size,
            strides=self.strides,
            policy=policy,
            use_bias=self.normalization == "none",
            name="convolution",
        )
        self.convolution = built(convolution, input_shape)
        shape = self.convolution.compute_output_shape(input_shape)
        self.norm = make_normalization(
            self.normalization, shape, policy=policy, name="normalization"
        )

    def call(
        self, inputs: Tensor, present: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        return ops.relu(normalize(self.norm, self.convolution(inputs), present, training))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape: Shape = self.convolution.compute_output_shape(input_shape)
        return shape


class InceptionBlock(keras.layers.Layer):
    """Four branches over one map, their channels joined.

    A quarter of the channels comes from a 1x1 convolution, half from a 3x3, an eighth from two 3x3
    in a row (which see 5x5 cells), and an eighth from 3x3 max pooling. 1x1 convolutions narrow the
    map before the larger kernels and after the pooling.

    Args:
        filters: Output channels, a multiple of 8.
        normalization: `batch`, `group` or `none`.

    Call arguments:
        inputs: Maps `(B, H, W, C)`.
        present: Optional bool `(B,)`; a photo where it is False enters no batch statistics.
    """

    def __init__(self, filters: int, *, normalization: str = "batch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.normalization = normalization

    def build(self, input_shape: Shape) -> None:
        eighth = self.filters // 8
        plans = {
            "small": [(2 * eighth, 1)],
            "middle": [(3 * eighth, 1), (4 * eighth, 3)],
            "large": [(eighth, 1), (eighth, 3), (eighth, 3)],
            "pooled": [(eighth, 1)],
        }
        self.pool = keras.layers.MaxPooling2D(
            3,
            strides=1,
            padding="same",
            data_format="channels_last",
            name="max_pooling",
            dtype=self.dtype_policy,
        )
        self.branches = [self._branch(name, plan, input_shape) for name, plan in plans.items()]

    def _branch(
        self, name: str, plan: Sequence[tuple[int, int]], shape: Shape
    ) -> list[ConvolutionUnit]:
        units = []
        for i, (filters, kernel_size) in enumerate(plan):
            unit = ConvolutionUnit(
                filters,
                kernel_size,
                normalization=self.normalization,
                name=f"{name}_{i}",
                dtype=self.dtype_policy,
            )
            units.append(built(unit, shape))
            shape = unit.compute_output_shape(shape)
        return units

    def call(
        self, inputs: Tensor, present: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        starts = [inputs, inputs, inputs, self.pool(inputs)]
        ends = []
        for x, units in zip(starts, self.branches, strict=True):
            for unit in units:
                x = unit(x, present=present, training=training)
            ends.append(x)
        return ops.concatenate(ends, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)


@register("image_encoder", "inception")
class InceptionEncoder(ImageEncoder):
    """A convolution and stages of parallel branches: one token per cell of the last map.

    Args:
        filters: Output channels of each stage, multiples of 8, (64, 128, 192) by default; the last
            is D.
        num_blocks: Blocks of each stage, one each by default.
        pool_sizes: Side of the max pooling before each stage, (1, 2, 2) by default; 1 is none.
        stem_filters: Output channels of the first 3x3 convolution, 32 by default.
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
    >>> encoder = InceptionEncoder(filters=[8, 16], num_blocks=[1, 1], pool_sizes=[1, 2])
    >>> tuple(encoder(np.zeros((2, 32, 32, 3), "uint8")).shape)
    (2, 64, 16)

    References:
        Szegedy et al., Going Deeper with Convolutions, 2015; Szegedy et al., Rethinking the
        Inception Architecture for Computer Vision, 2016.
    """

    def __init__(
        self,
        filters: Sequence[int] = (64, 128, 192),
        num_blocks: Sequence[int] = (1, 1, 1),
        *,
        pool_sizes: Sequence[int] = (1, 2, 2),
        stem_filters: int = 32,
        stem_stride: int = 2,
        normalization: str = "batch",
        dropout: float = 0.0,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **kwargs)
        check_stages(filters, num_blocks=num_blocks, pool_sizes=pool_sizes)
        if any(each % 8 for each in filters):
            raise ValueError(f"`filters` must be multiples of 8. Received: filters={filters}")
        check_positive(stem_filters=stem_filters, stem_stride=stem_stride)
        check_choice("normalization", normalization, NORMALIZATIONS)
        check_fraction(dropout=dropout)
        self.filters = filters
        self.num_blocks = num_blocks
        self.pool_sizes = pool_sizes
        self.stem_filters = stem_filters
        self.stem_stride = stem_stride
        self.normalization = normalization
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        policy = self.dtype_policy
        stem = ConvolutionUnit(
            self.stem_filters,
            3,
            strides=self.stem_stride,
            normalization=self.normalization,
            name="stem",
            dtype=policy,
        )
        self.stem = built(stem, input_shape)
        shape = self.stem.compute_output_shape(input_shape)
        self.pools, self.stages = [], []
        for stage, size in enumerate(self.pool_sizes):
            pool = max_pooling(size, policy, f"max_pooling_{stage}")
            self.pools.append(pool)
            shape = pool.compute_output_shape(shape)
            self.stages.append(self._stage(stage, shape))
            shape = (*shape[:-1], self.filters[stage])
        self.drop = channel_dropout(self.dropout, policy)

    def _stage(self, stage: int, shape: Shape) -> list[InceptionBlock]:
        blocks = []
        for i in range(self.num_blocks[stage]):
            block = InceptionBlock(
                self.filters[stage],
                normalization=self.normalization,
                name=f"stage_{stage}_block_{i}",
                dtype=self.dtype_policy,
            )
            blocks.append(built(block, shape))
            shape = block.compute_output_shape(shape)
        return blocks

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        x = self.stem(self.pixels(inputs, mask), present=mask, training=training)
        for pool, blocks in zip(self.pools, self.stages, strict=True):
            x = pool(x)
            for block in blocks:
                x = block(x, present=mask, training=training)
        return to_tokens(self.drop(x, training=training))

    def token_shape(self, input_shape: Shape) -> Shape:
        return map_tokens(input_shape, [self.stem_stride, *self.pool_sizes], self.filters[-1])
