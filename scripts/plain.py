"""Each encoder with its default options beside the same network written by hand in plain Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from multimodal import encoders  # noqa: F401 (importing them registers them)
from multimodal.layers import registry

CARDINALITIES = [12, 40, 100]
WORDS, VOCABULARY = 40, 5000
Inputs = Callable[[np.random.Generator, int], dict[str, Any]]


@dataclass(frozen=True)
class Pair:
    """An encoder's kind and name, its arguments, its inputs, and the network by hand."""

    kind: str
    part: str
    arguments: dict[str, Any]
    inputs: Inputs
    by_hand: Callable[[Any], Any]

    @property
    def name(self) -> str:
        return f"{self.kind.removesuffix('_encoder')}-{self.part}"

    def ours(self) -> Any:
        """Return the encoder; `pooling` is the mean in both networks."""
        return registry.get(self.kind, self.part)(**self.arguments, pooling="mean")


def rows(random: np.random.Generator, batch: int) -> dict[str, Any]:
    codes = [random.integers(0, size, batch) for size in CARDINALITIES]
    numbers = random.normal(size=(batch, 10)).astype("float32")
    return {"numeric": numbers, "categorical": np.stack(codes, 1).astype("int32")}


def words(random: np.random.Generator, batch: int) -> dict[str, Any]:
    tokens = random.integers(1, VOCABULARY, (batch, WORDS)).astype("int32")
    lengths = random.integers(WORDS // 2, WORDS + 1, batch)
    return {"tokens": np.where(np.arange(WORDS) < lengths[:, None], tokens, 0).astype("int32")}


def photos(random: np.random.Generator, batch: int) -> dict[str, Any]:
    return {"pixels": random.integers(0, 256, (batch, 64, 64, 3)).astype("uint8")}


def windows(random: np.random.Generator, batch: int) -> dict[str, Any]:
    return {"series": random.normal(size=(batch, 48, 2)).astype("float32")}


# Tables


def _offsets() -> Any:
    return ops.array([sum(CARDINALITIES[:i]) for i in range(len(CARDINALITIES))], "int32")


def _row(inputs: dict[str, Any]) -> Any:
    numbers, codes = inputs["numeric"], inputs["categorical"]
    missing = ops.isnan(numbers)
    names = layers.Flatten()(layers.Embedding(sum(CARDINALITIES), 16)(codes + _offsets()))
    known = ops.where(missing, 0.0, numbers)
    return layers.Concatenate()([known, ops.cast(missing, "float32"), names])


def _mlp(x: Any) -> Any:
    for size in (128, 64):
        x = layers.Dropout(0.1)(layers.Dense(size, activation="relu")(x))
    return x


def dense(inputs: Any) -> Any:
    return _mlp(_row(inputs))


def cross(inputs: Any) -> Any:
    first = x = _row(inputs)
    for _ in range(2):
        x = first * layers.Dense(first.shape[-1])(x) + x
    return layers.Dense(64)(layers.Concatenate()([x, _mlp(first)]))


class Numbers(layers.Layer):
    """Each number times a learned vector, plus another; a third one where it is missing."""

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[-1], 64)
        self.kernel = self.add_weight(shape=shape, name="kernel")
        self.bias = self.add_weight(shape=shape, name="bias")
        self.missing = self.add_weight(shape=shape, name="missing")

    def call(self, numbers: Any) -> Any:
        missing = ops.expand_dims(ops.isnan(numbers), -1)
        known = ops.where(missing, 0.0, ops.expand_dims(numbers, -1))
        return ops.where(missing, self.missing, known * self.kernel + self.bias)


def ft_transformer(inputs: Any) -> Any:
    names = layers.Embedding(sum(CARDINALITIES), 64)(inputs["categorical"] + _offsets())
    x = layers.Concatenate(axis=1)([Numbers()(inputs["numeric"]), names])
    for _ in range(2):
        x = _block(x, 128, 0.1)
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))


class Positions(layers.Layer):
    """Add a learned vector per place, of which there are `places` (None: as many as tokens)."""

    def __init__(self, places: int | None = None) -> None:
        super().__init__()
        self.places = places

    def build(self, input_shape: Any) -> None:
        _, tokens, dim = input_shape
        self.table = self.add_weight(shape=(self.places or tokens, dim), name="table")

    def call(self, inputs: Any) -> Any:
        return inputs + self.table[: inputs.shape[1]]


# Texts


def _embedding(tokens: Any, size: int) -> Any:
    return layers.Embedding(VOCABULARY, size, mask_zero=True)(tokens)


def bag(tokens: Any) -> Any:
    x = _embedding(tokens, 64)
    return layers.GlobalAveragePooling1D()(layers.Dropout(0.1, noise_shape=(None, None, 1))(x))


def recurrent(tokens: Any) -> Any:
    x = layers.SpatialDropout1D(0.1)(_embedding(tokens, 32))
    x = layers.Bidirectional(layers.GRU(64, return_sequences=True))(x)
    return layers.GlobalAveragePooling1D()(x)


def text_convolutional(tokens: Any) -> Any:
    x = layers.SpatialDropout1D(0.1)(_embedding(tokens, 64))
    x = x * ops.expand_dims(ops.cast(ops.not_equal(tokens, 0), "float32"), -1)
    kernels = (3, 4, 5)
    each = [layers.Conv1D(64, size, padding="same", activation="relu")(x) for size in kernels]
    mask = ops.not_equal(tokens, 0)
    return layers.GlobalAveragePooling1D()(layers.Concatenate()(each), mask=mask)


def text_transformer(tokens: Any) -> Any:
    mask = ops.not_equal(tokens, 0)
    x = layers.Embedding(VOCABULARY, 64)(tokens)
    x = layers.Dropout(0.1)(layers.LayerNormalization()(Positions(512)(x)))
    for _ in range(2):
        x = _block(x, 128, 0.1, mask)
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x), mask=mask)


def _block(x: Any, mlp_dim: int, dropout: float, mask: Any = None) -> Any:
    dim, normed = x.shape[-1], layers.LayerNormalization()(x)
    keep = None if mask is None else ops.expand_dims(mask, 1)
    attention = layers.MultiHeadAttention(4, dim // 4)
    x = x + layers.Dropout(dropout)(attention(normed, normed, attention_mask=keep))
    hidden = layers.Dense(mlp_dim, activation="gelu")(layers.LayerNormalization()(x))
    hidden = layers.Dropout(dropout)(hidden)
    return x + layers.Dropout(dropout)(layers.Dense(dim)(hidden))


# Photos


def image_convolutional(pixels: Any) -> Any:
    x = layers.Rescaling(1 / 127.5, -1)(pixels)
    for filters, stride, pool in ((32, 2, 1), (64, 1, 2), (128, 1, 2)):
        x = layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(pool)(x) if pool > 1 else x
    return layers.GlobalAveragePooling2D()(x)


def residual(pixels: Any) -> Any:
    x = layers.Rescaling(1 / 127.5, -1)(pixels)
    x = layers.Conv2D(32, 3, strides=2, padding="same")(x)
    for filters, stride in ((32, 1), (64, 2), (128, 2)):
        y = _normed(x)
        changes = stride > 1 or x.shape[-1] != filters
        shortcut = _convolution(y, filters, 1, stride) if changes else x
        y = _normed(_convolution(y, filters, 3, stride))
        x = shortcut + _convolution(y, filters, 3)
    return layers.GlobalAveragePooling2D()(_normed(x))


def _convolution(x: Any, filters: int, size: int, stride: int = 1) -> Any:
    return layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)


def _normed(x: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def inception(pixels: Any) -> Any:
    def unit(x: Any, filters: int, size: int, stride: int = 1) -> Any:
        return _normed(_convolution(x, filters, size, stride))

    x = unit(layers.Rescaling(1 / 127.5, -1)(pixels), 32, 3, 2)
    for filters, pool in ((64, 1), (128, 2), (192, 2)):
        x = layers.MaxPooling2D(pool)(x) if pool > 1 else x
        e = filters // 8
        middle = unit(unit(x, 3 * e, 1), 4 * e, 3)
        large = unit(unit(unit(x, e, 1), e, 3), e, 3)
        pooled = unit(layers.MaxPooling2D(3, strides=1, padding="same")(x), e, 1)
        x = layers.Concatenate()([unit(x, 2 * e, 1), middle, large, pooled])
    return layers.GlobalAveragePooling2D()(x)


def backbone(pixels: Any) -> Any:
    network = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=pixels.shape[1:]
    )
    return layers.GlobalAveragePooling2D()(network(layers.Rescaling(1 / 127.5, -1)(pixels)))


def vit(pixels: Any) -> Any:
    x = layers.Rescaling(1 / 127.5, -1)(pixels)
    x = layers.Reshape((-1, 128))(layers.Conv2D(128, 8, strides=8)(x))
    x = Positions()(x)
    for _ in range(4):
        x = _block(x, 256, 0.0)
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))


# Series


def _flagged(series: Any) -> Any:
    missing = ops.isnan(series)
    return layers.Concatenate()([ops.where(missing, 0.0, series), ops.cast(missing, "float32")])


def series_recurrent(series: Any) -> Any:
    x = layers.GRU(32, return_sequences=True)(_flagged(series))
    return layers.GlobalAveragePooling1D()(x)


def series_convolutional(series: Any) -> Any:
    x = layers.Dense(32)(_flagged(series))
    for rate in (1, 2, 4, 8):
        causal = layers.Conv1D(32, 3, dilation_rate=rate, padding="causal", activation="relu")
        x = x + causal(x)
    return layers.GlobalAveragePooling1D()(x)


TABLE = {"cardinalities": CARDINALITIES}
TEXT = {"vocabulary_size": VOCABULARY}
LEARNED = {**TEXT, "positions": "learned"}
PAIRS = (
    Pair("tabular_encoder", "dense", TABLE, rows, dense),
    Pair("tabular_encoder", "cross", TABLE, rows, cross),
    Pair("tabular_encoder", "ft_transformer", TABLE, rows, ft_transformer),
    Pair("text_encoder", "embedding_bag", TEXT, words, bag),
    Pair("text_encoder", "recurrent", TEXT, words, recurrent),
    Pair("text_encoder", "convolutional", TEXT, words, text_convolutional),
    Pair("text_encoder", "transformer", LEARNED, words, text_transformer),
    Pair("image_encoder", "convolutional", {}, photos, image_convolutional),
    Pair("image_encoder", "residual", {}, photos, residual),
    Pair("image_encoder", "inception", {}, photos, inception),
    Pair("image_encoder", "vit", {}, photos, vit),
    Pair("image_encoder", "backbone", {"backbone": "MobileNetV2"}, photos, backbone),
    Pair("series_encoder", "recurrent", {}, windows, series_recurrent),
    Pair("series_encoder", "convolutional", {}, windows, series_convolutional),
)
