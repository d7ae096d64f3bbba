"""One modality alone in a plain `keras.Sequential`: what the fusion has to beat.

A Sequential model takes one tensor, so the table is one-hot codes beside numbers and missing
flags, texts are joined, and photos lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from multimodal.core.config import Head, Modality
from multimodal.core.spec import FittedHead, FittedSpec
from multimodal.layers.base import HeadLayer
from multimodal.layers.registry import create, get

NAMES: dict[Modality, str] = {"tabular": "MLP", "text": "RNN", "image": "CNN"}


def sequential(
    modality: Modality, spec: FittedSpec, head: Head, fitted: FittedHead
) -> keras.Sequential:
    """Return the baseline of `modality` for one head.

    Args:
        modality: The modality it reads.
        spec: Fitted spec with at least one group of that modality.
        head: The head to learn.
        fitted: Its statistics.
    """
    layers = [*_BODIES[modality](spec), head_layer(head, fitted)]
    return keras.Sequential(layers, name=f"{modality}_baseline")


def head_layer(head: Head, fitted: FittedHead) -> HeadLayer:
    """Return the layer of a head, not built yet."""
    given = get("head", head.head.name).from_head(fitted)
    layer: HeadLayer = create("head", head.head, name=fitted.name, **given)
    return layer


def table_width(spec: FittedSpec) -> int:
    """Return the width of the table as one tensor."""
    groups = [group for group in spec.groups if group.modality == "tabular"]
    codes = sum(len(column.categories) + 2 for group in groups for column in group.categorical)
    return codes + 2 * sum(len(group.numeric) for group in groups)


def _mlp(spec: FittedSpec) -> list[layers.Layer]:
    return [
        keras.Input((table_width(spec),)),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.1),
        layers.Dense(64, activation="relu"),
    ]


def _rnn(spec: FittedSpec) -> list[layers.Layer]:
    size = 1 + sum(len(g.vocabulary) + 1 for g in spec.groups if g.modality == "text")
    return [
        keras.Input((None,), dtype="int32"),
        layers.Embedding(size, 32, mask_zero=True),
        layers.SpatialDropout1D(0.1),
        layers.Bidirectional(layers.GRU(64)),
        layers.Dense(64, activation="relu"),
    ]


def _cnn(spec: FittedSpec) -> list[layers.Layer]:
    groups = [group for group in spec.groups if group.modality == "image"]
    side, count = groups[0].image_size, sum(group.photos for group in groups)
    return [
        keras.Input((side, side * count, 3), dtype="uint8"),
        layers.Rescaling(1 / 127.5, -1),
        layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(128, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(64, activation="relu"),
    ]


_BODIES: dict[Modality, Callable[[FittedSpec], list[layers.Layer]]] = {
    "tabular": _mlp,
    "text": _rnn,
    "image": _cnn,
}
