"""Base of the image encoders, what convolutional networks share, and a small CNN.

Absent photos keep their slot in the batch, so whatever looks at a whole batch, as batch
normalization does, must be told which photos are there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import (
    Encoder,
    Shape,
    Tensor,
    built,
    check_choice,
    check_dtype,
    check_fraction,
    check_positive,
    check_sizes,
)
from multimodal.layers.registry import register

NORMALIZATIONS = ("batch", "group", "none")
MOMENTUM = 0.9  # with Keras' 0.99 the running statistics trail the weights by a hundred batches


def check_stages(filters: Sequence[int], **options: Sequence[int]) -> None:
    """Raise ValueError unless `filters` and each option list one integer per stage."""
    for name, values in {"filters": filters, **options}.items():
        check_sizes(**{name: values})
        if len(values) != len(filters):
            raise ValueError(
                f"`{name}` must have one entry per stage ({len(filters)}). "
                f"Received: {name}={values}"
            )


def check_photos(shape: Any) -> None:
    """Raise ValueError unless `shape` is that of photos whose height and width are known."""
    known = len(shape) == 4 and shape[-1] == 3 and all(tuple(shape)[1:])
    if not known:
        raise ValueError(
            "`inputs` must be photos of shape (batch, height, width, 3) with a fixed height "
            f"and width. Received: input_shape={tuple(shape)}"
        )


def make_convolution(
    filters: int, kernel_size: int, *, policy: Any, name: str, **options: Any
) -> keras.layers.Conv2D:
    """Return a convolution that keeps the map's size, but for its stride.

    Channels come last on every backend, as the pipeline delivers them, whatever Keras is set to.
    """
    given: dict[str, Any] = {"padding": "same", "kernel_initializer": "he_normal", **options}
    return keras.layers.Conv2D(
        filters, kernel_size, data_format="channels_last", name=name, dtype=policy, **given
    )


def make_normalization(kind: str, shape: Shape, *, policy: Any, name: str) -> keras.layers.Layer:
    """Return the built normalization layer that `kind`, one of `NORMALIZATIONS`, names."""
    layer: keras.layers.Layer
    if kind == "batch":
        layer = keras.layers.BatchNormalization(momentum=MOMENTUM, name=name, dtype=policy)
    elif kind == "group":
        channels = shape[-1] or 1
        # Keras refuses its own default, 32 groups, where there are fewer channels.
        groups = max(g for g in (1, 2, 4, 8) if channels % g == 0)
        layer = keras.layers.GroupNormalization(groups, name=name, dtype=policy)
    else:
        layer = keras.layers.Identity(name=name, dtype=policy)
    layer.build(shape)
    return layer


def max_pooling(size: int, policy: Any, name: str) -> keras.layers.Layer:
    """Return max pooling over squares of cells, whose sides are its stride; 1 leaves the map."""
    if size == 1:
        return keras.layers.Identity(name=name, dtype=policy)
    return keras.layers.MaxPooling2D(
        size, padding="same", data_format="channels_last", name=name, dtype=policy
    )


def channel_dropout(rate: float, policy: Any) -> keras.layers.Layer:
    """Return dropout of whole channels: a cell's neighbours would give away what it lost."""
    return keras.layers.SpatialDropout2D(
        rate, data_format="channels_last", name="dropout", dtype=policy
    )


def normalize(
    layer: keras.layers.Layer, x: Tensor, mask: Tensor | None, training: bool | None
) -> Tensor:
    """Apply a layer of `make_normalization`; photos that `mask` leaves out enter no statistics."""
    if not isinstance(layer, keras.layers.BatchNormalization):
        return layer(x)
    if mask is None:
        return layer(x, training=training)
    if not (training and layer.trainable):
        return layer(x, training=False)
    return _normalize_present(layer, x, mask)


def _normalize_present(layer: keras.layers.BatchNormalization, x: Tensor, mask: Tensor) -> Tensor:
    """Normalize a training batch by the statistics of the photos that are there.

    Keras takes a mask, too, but spreads it over every cell, which makes a step of the small CNN a
    third slower, and without any photo moves its running statistics towards zero. Here cells are
    summed photo by photo, and the mask weights the sums.
    """
    x = ops.cast(x, "float32")
    there = ops.cast(mask, "float32")
    weights = ops.expand_dims(there / ops.maximum(ops.sum(there), 1.0), 1)
    mean = ops.sum(weights * ops.mean(x, axis=(1, 2)), axis=0)
    # The gradient by way of this mean is zero: deviations from it sum to zero.
    squares = ops.mean(ops.square(x - ops.stop_gradient(mean)), axis=(1, 2))
    variance = ops.sum(weights * squares, axis=0)
    step = ops.where(ops.any(mask), 1.0 - layer.momentum, 0.0)
    for running, found in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        running.assign(running + step * (found - running))
    scale = layer.gamma * ops.rsqrt(variance + layer.epsilon)
    return ops.cast(x * scale + (layer.beta - mean * scale), layer.compute_dtype)


def map_tokens(input_shape: Shape, strides: Sequence[int], dim: int) -> Shape:
    """Return the shape of the tokens of a map that `strides`, one after the other, leave."""
    height, width = (size or 0 for size in input_shape[1:3])
    for stride in strides:
        height, width = math.ceil(height / stride), math.ceil(width / stride)
    return (input_shape[0], height * width, dim)


def to_tokens(x: Tensor) -> Tensor:
    """Return a map `(B, H, W, D)` as tokens `(B, H * W, D)`, row by row."""
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


class ImageEncoder(Encoder):
    """Base: photos uint8 or float `(B, H, W, 3)`, values 0 to 255, to tokens `(B, T, D)`.

    The tokens are the cells of the last map, row by row. The mask is bool `(B,)`, True where the
    photo is there. An absent one enters no statistics, and whatever its slot holds is read as
    black.
    """

    gains_from_bfloat16 = True

    def check_inputs(self, inputs: Tensor) -> None:
        check_photos(getattr(inputs, "shape", ()))
        check_dtype("inputs", inputs, ("int", "float"))

    def build(self, input_shape: Shape) -> None:
        check_photos(input_shape)
        super().build(input_shape)

    @staticmethod
    def blacken(inputs: Tensor, mask: Tensor | None) -> Tensor:
        """Return the photos with zeros in place of those that `mask` leaves out."""
        if mask is None:
            return inputs
        # `where`, not a product: a NaN in an absent slot must not come through
        return ops.where(ops.reshape(mask, (-1, 1, 1, 1)), inputs, 0)

    def pixels(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """Return the photos scaled to [-1, 1] in the compute dtype, absent ones black."""
        # cast first: LiteRT has no `where` of bytes
        return self.blacken(ops.cast(inputs, self.compute_dtype), mask) / 127.5 - 1.0


@register("image_encoder", "convolutional")
class ConvolutionalEncoder(ImageEncoder):
    """Convolution, normalization and activation per stage: one token per cell of the last map.

    Args:
        filters: Output channels of each stage, (32, 64, 128) by default; the last is D.
        kernel_size: Side of the kernels in cells, 3 by default.
        strides: Stride of each stage's convolution, (2, 1, 1) by default. Larger strides make the
            map coarser and the encoder faster, and small things harder to see.
        pool_sizes: Side of each stage's max pooling, (1, 2, 2) by default; 1 is none.
        normalization: `none` (the default); `batch`, which learns faster from large batches; or
            `group`, which depends on no other photo of the batch.
        negative_slope: Slope of the activation below zero; 0, the default, is ReLU.
        dropout: Fraction of the channels of the last map dropped, in training; 0 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Photos `(B, H, W, 3)`, values 0 to 255; scaled to [-1, 1] inside.
        mask: Optional bool `(B,)`; a photo where it is False enters no batch statistics, and
            whatever its slot holds is read as black.

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
        check_stages(filters, strides=strides, pool_sizes=pool_sizes)
        check_positive(kernel_size=kernel_size)
        check_choice("normalization", normalization, NORMALIZATIONS)
        check_fraction(negative_slope=negative_slope, dropout=dropout)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.pool_sizes = pool_sizes
        self.normalization = normalization
        self.negative_slope = negative_slope
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        policy = self.dtype_policy
        self.convolutions, self.norms, self.pools = [], [], []
        for i, filters in enumerate(self.filters):
            layer = make_convolution(
                filters,
                self.kernel_size,
                strides=self.strides[i],
                # a normalization shifts each channel by itself
                use_bias=self.normalization == "none",
                policy=policy,
                name=f"convolution_{i}",
            )
            self.convolutions.append(built(layer, input_shape))
            input_shape = layer.compute_output_shape(input_shape)
            name = f"normalization_{i}"
            norm = make_normalization(self.normalization, input_shape, policy=policy, name=name)
            self.norms.append(norm)
            self.pools.append(max_pooling(self.pool_sizes[i], policy, f"max_pooling_{i}"))
            input_shape = self.pools[-1].compute_output_shape(input_shape)
        self.drop = channel_dropout(self.dropout, policy)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        x = self.pixels(inputs, mask)
        for layer, norm, pool in zip(self.convolutions, self.norms, self.pools, strict=True):
            x = normalize(norm, layer(x), mask, training)
            x = pool(ops.leaky_relu(x, self.negative_slope) if self.negative_slope else ops.relu(x))
        return to_tokens(self.drop(x, training=training))

    def token_shape(self, input_shape: Shape) -> Shape:
        stages = zip(self.strides, self.pool_sizes, strict=True)
        return map_tokens(
            input_shape, [each for stage in stages for each in stage], self.filters[-1]
        )
