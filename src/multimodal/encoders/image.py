"""Encoders of photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    check_sizes,
)
from multimodal.registry import register

NORMALIZATIONS = ("batch", "group", "none")


class ImageEncoder(Encoder):
    """Base: photos uint8 or float `(B, H, W, 3)`, values 0 to 255, to tokens `(B, T, D)`.

    The mask is bool `(B,)`, True where the photo is there. An absent one enters no statistics, and
    whatever its slot holds counts as black.
    """

    gains_from_bfloat16 = True


@register("image_encoder", "convolutional")
class ConvolutionalEncoder(ImageEncoder):
    """Convolution, normalization and activation per stage: one token per cell of the last map.

    Args:
        filters: Output channels of each stage; the last is D.
        kernel_size: Side of the kernels in pixels.
        strides: Stride of each stage's convolution.
        pool_sizes: Side of each stage's max pooling, 1 for none.
        normalization: `batch`, `group` or `none`.
        negative_slope: Slope of the activation below zero; 0 is ReLU.
        dropout: Dropout of whole channels of the last map.
        pooling: None for tokens, or the name of a registered pooling for a vector.

    Call arguments:
        inputs: Photos `(B, H, W, 3)`, values 0 to 255; scaled to [-1, 1] inside.
        mask: Optional bool `(B,)`; a photo where it is False enters no batch statistics, and
            whatever its slot holds counts as black.

    Example:
    >>> import numpy as np
    >>> encoder = ConvolutionalEncoder(filters=[4, 8], strides=[2, 2], pool_sizes=[1, 1])
    >>> tuple(encoder(np.zeros((2, 32, 32, 3), "uint8")).shape)
    (2, 64, 8)

    References:
        Ioffe and Szegedy, Batch Normalization, 2015; Wu and He, Group Normalization, 2018.
    """

    def __init__(
        self,
        filters: Sequence[int] = (32, 64, 128),
        kernel_size: int = 3,
        *,
        strides: Sequence[int] = (2, 1, 1),
        pool_sizes: Sequence[int] = (1, 2, 2),
        normalization: str = "none",
        negative_slope: float = 0.0,
        dropout: float = 0.0,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **kwargs)
        for name, values in (
            ("filters", filters),
            ("strides", strides),
            ("pool_sizes", pool_sizes),
        ):
            check_sizes(name, values)
            if len(values) != len(filters):
                raise ValueError(
                    f"`{name}` must have one entry per stage ({len(filters)}). "
                    f"Received: {name}={values}"
                )
        check_positive("kernel_size", kernel_size)
        check_choice("normalization", normalization, NORMALIZATIONS)
        check_fraction("negative_slope", negative_slope)
        check_fraction("dropout", dropout)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.pool_sizes = pool_sizes
        self.normalization = normalization
        self.negative_slope = negative_slope
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4 or input_shape[-1] != 3 or None in input_shape[1:]:
            raise ValueError(
                "`inputs` must be photos of shape (batch, height, width, 3) with a fixed height "
                f"and width. Received: input_shape={input_shape}"
            )
        super().build(input_shape)
        policy = self.dtype_policy
        self.convolutions, self.norms, self.pools = [], [], []
        for i, filters in enumerate(self.filters):
            convolution = keras.layers.Conv2D(
                filters, self.kernel_size, strides=self.strides[i], padding="same",
                use_bias=self.normalization == "none", kernel_initializer="he_normal",
                data_format="channels_last", name=f"convolution_{i}", dtype=policy,
            )  # fmt: skip
            convolution.build(input_shape)
            self.convolutions.append(convolution)
            input_shape = convolution.compute_output_shape(input_shape)
            self.norms.append(self._norm(i, input_shape))
            self.pools.append(self._pool_stage(i))
            input_shape = self.pools[-1].compute_output_shape(input_shape)
        self.drop = keras.layers.SpatialDropout2D(
            self.dropout, data_format="channels_last", name="dropout", dtype=policy
        )

    def _norm(self, i: int, shape: Shape) -> keras.layers.Layer:
        policy, name = self.dtype_policy, f"normalization_{i}"
        if self.normalization == "batch":
            layer = keras.layers.BatchNormalization(momentum=0.9, name=name, dtype=policy)
        elif self.normalization == "group":
            groups = max(g for g in (1, 2, 4, 8) if self.filters[i] % g == 0)
            layer = keras.layers.GroupNormalization(groups, name=name, dtype=policy)
        else:
            layer = keras.layers.Identity(name=name, dtype=policy)
        layer.build(shape)
        return layer

    def _pool_stage(self, i: int) -> keras.layers.Layer:
        size, name = self.pool_sizes[i], f"max_pooling_{i}"
        if size == 1:
            return keras.layers.Identity(name=name, dtype=self.dtype_policy)
        return keras.layers.MaxPooling2D(
            size, padding="same", data_format="channels_last", name=name, dtype=self.dtype_policy
        )

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        if mask is not None:
            inputs = ops.where(ops.reshape(mask, (-1, 1, 1, 1)), inputs, ops.zeros_like(inputs))
        x = ops.cast(inputs, self.compute_dtype) / 127.5 - 1.0
        for convolution, norm, pool in zip(self.convolutions, self.norms, self.pools, strict=True):
            x = self._normalize(norm, convolution(x), mask, training)
            x = pool(ops.leaky_relu(x, self.negative_slope) if self.negative_slope else ops.relu(x))
        x = self.drop(x, training=training)
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))

    def _normalize(
        self, norm: keras.layers.Layer, x: Tensor, mask: Tensor | None, training: bool | None
    ) -> Tensor:
        if self.normalization != "batch":
            return norm(x)
        if mask is None:
            return norm(x, training=training)
        cells = ops.broadcast_to(ops.reshape(mask, (-1, 1, 1)), ops.shape(x)[:3])
        statistics = (norm.moving_mean, norm.moving_variance)
        before = [ops.copy(each) for each in statistics] if training else []
        x = norm(x, training=training, mask=cells)
        for now, old in zip(statistics, before, strict=False):
            now.assign(ops.where(ops.any(mask), now, old))  # no photo, nothing learned
        return x

    def token_shape(self, input_shape: Shape) -> Shape:
        side = [size or 0 for size in input_shape[1:3]]
        for stride, pool in zip(self.strides, self.pool_sizes, strict=True):
            side = [math.ceil(math.ceil(size / stride) / pool) for size in side]
        return (input_shape[0], side[0] * side[1], self.filters[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "pool_sizes": self.pool_sizes,
            "normalization": self.normalization,
            "negative_slope": self.negative_slope,
            "dropout": self.dropout,
        }
