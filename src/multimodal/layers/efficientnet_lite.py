"""EfficientNet-Lite0, which `keras.applications` does not have: a network for few operations.

As EfficientNet-B0, but without squeeze-and-excitation and with ReLU6, so that a photo costs a
processor about 0.4 billion multiplications at 224 pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import layers


class Stage(NamedTuple):
    """Blocks of one resolution: how many, their kernel, the first one's stride, their widths."""

    repeats: int
    kernel_size: int
    strides: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280  # filters of the first and of the last convolution
EPSILON = 1e-3  # as its weights were trained with


def efficientnet_lite0(size: int | None = None) -> keras.Model:
    """Return EfficientNet-Lite0 without its classifier, with new weights.

    It takes photos `(B, H, W, 3)`, red, green, blue from 0 to 255, which it scales itself, and
    returns a map float32 `(B, H / 32, W / 32, 1280)`. Layers are called `stem`, `block_3_expand`,
    `block_3_depthwise`, `block_3_project` and `head`; `_norm` at the end is the normalization that
    follows.

    Args:
        size: Pixels a side; None, the default, takes photos of any size.

    References:
        Tan, Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019.

    Example:
    >>> efficientnet_lite0(64).output.shape
    (None, 2, 2, 1280)
    """
    photos = keras.Input((size, size, 3), name="photos")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(photos)
    x = _convolved(x, "stem", filters=STEM, kernel_size=3, strides=2)
    block = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            x = _block(x, f"block_{block}", stage, stage.strides if repeat == 0 else 1)
            block += 1
    x = _convolved(x, "head", filters=HEAD)
    return keras.Model(photos, x, name="efficientnet_lite0")


def _block(x: Any, name: str, stage: Stage, strides: int) -> Any:
    """Return an inverted residual block: wider, a convolution per channel, narrow again."""
    inputs, width = x, x.shape[-1]
    if stage.expansion != 1:
        x = _convolved(x, f"{name}_expand", filters=width * stage.expansion)
    x = _convolved(x, f"{name}_depthwise", kernel_size=stage.kernel_size, strides=strides)
    x = _convolved(x, f"{name}_project", filters=stage.filters, activate=False)
    if strides == 1 and width == stage.filters:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _convolved(
    x: Any,
    name: str,
    *,
    filters: int = 0,
    kernel_size: int = 1,
    strides: int = 1,
    activate: bool = True,
) -> Any:
    """Return a normalized convolution of `x`, one per channel where there are no `filters`."""
    options = {"strides": strides, "padding": "same", "use_bias": False, "name": name}
    if filters:
        x = layers.Conv2D(filters, kernel_size, **options)(x)
    else:
        x = layers.DepthwiseConv2D(kernel_size, **options)(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activate else x
