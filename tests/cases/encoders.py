"""Encoders in tiny: each with every argument, and with what changes their weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
from checks import Case

from multimodal import encoders  # noqa: F401 (importing them registers them)

RANDOM = np.random.default_rng(0)
CODES = np.array([[0, 1], [2, 4], [1, 0], [2, 2]], "int32")
NUMBERS = np.array([[0.3, np.nan], [-1.2, 0.1], [np.nan, 2.0], [0.7, -0.4]], "float32")
TABLE = {"numeric": NUMBERS, "categorical": CODES}
WITHOUT_GAPS = {"numeric": RANDOM.normal(size=(4, 2)).astype("float32"), "categorical": CODES}
BINS = [[-2.0, 0.0, 0.5, 2.0], [-1.0, 1.0]]
WORDS = np.array([[5, 7, 1, 3], [2, 11, 0, 0]], "int32")
SERIES = RANDOM.normal(size=(2, 5, 3)).astype("float32")
PHOTOS = RANDOM.integers(0, 256, (3, 12, 12, 3)).astype("uint8")
SMALL_CNN = keras.saving.serialize_keras_object(
    keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", name="convolution"),
            keras.layers.BatchNormalization(name="normalization"),
        ],
        name="small_cnn",
    )
)


def small_backbone(*, trainable: bool) -> dict[str, Any]:
    """Return the config of a text model in the manner of KerasHub."""
    ids, mask = (keras.Input((None,), dtype="int32", name=n) for n in ("token_ids", "padding_mask"))
    words = keras.layers.Embedding(2048, 4, name="words")(ids)
    keep = keras.ops.cast(keras.ops.expand_dims(mask, -1), "float32")
    tokens = keras.layers.Dense(4, name="dense")(words * keep)
    inputs = {"token_ids": ids, "padding_mask": mask}
    model = keras.Model(inputs, {"sequence_output": tokens}, name="small")
    model.trainable = trainable
    return keras.saving.serialize_keras_object(model)


SMALL_BACKBONE = small_backbone(trainable=True)
FROZEN_BACKBONE = small_backbone(trainable=False)


def varied(
    case: Case,
    *,
    output: tuple[int, ...] | None = None,
    weights: tuple[int, int] | None = None,
    **arguments: Any,
) -> Case:
    """Return a case with other arguments, and the shape and weights that follow from them."""
    return replace(
        case,
        arguments={**case.arguments, **arguments},
        output=output or case.output,
        weights=weights or case.weights,
    )


FEATURES = np.random.default_rng(5).normal(size=(2, 3, 6)).astype("float32")
CASES: dict[tuple[str, str], Case] = {
    ("tabular_encoder", "dense"): Case(
        {
            "cardinalities": [3, 5],
            "hidden_dims": [16, 8],
            "embedding_dim": 4,
            "numeric_embedding": "piecewise_linear",
            "numeric_embedding_dim": 5,
            "bins": BINS,
            "frequency_scale": 0.5,
            "num_blocks": 1,
            "num_members": 3,
            "dropout": 0.2,
            "pooling": "max",
        },
        TABLE,
        (4, 8),
        (22, 0),
    ),
    ("tabular_encoder", "cross"): Case(
        {
            "cardinalities": [3, 5],
            "hidden_dims": [6, 8],
            "num_layers": 3,
            "rank": 2,
            "embedding_dim": 4,
            "numeric_embedding": "periodic",
            "numeric_embedding_dim": 5,
            "bins": BINS,
            "frequency_scale": 0.5,
            "dropout": 0.2,
            "pooling": "max",
        },
        TABLE,
        (4, 8),
        (20, 0),
    ),
    ("tabular_encoder", "ft_transformer"): Case(
        {
            "cardinalities": [3, 5],
            "hidden_dim": 8,
            "num_layers": 1,
            "num_heads": 2,
            "mlp_dim": 6,
            "numeric_embedding": "piecewise_linear",
            "bins": BINS,
            "frequency_scale": 0.5,
            "dropout": 0.2,
            "pooling": "attention",
        },
        TABLE,
        (4, 8),
        (19, 0),
    ),
    ("text_encoder", "recurrent"): Case(
        {
            "vocabulary_size": 12,
            "hidden_dim": 4,
            "embedding_dim": 3,
            "cell": "lstm",
            "num_layers": 2,
            "bidirectional": False,
            "dropout": 0.2,
            "pooling": "attention",
        },
        WORDS,
        (2, 4),
        (8, 0),
    ),
    ("text_encoder", "embedding_bag"): Case(
        {
            "vocabulary_size": 12,
            "embedding_dim": 3,
            "hidden_dims": [4],
            "weighted": True,
            "dropout": 0.2,
            "pooling": "max",
        },
        WORDS,
        (2, 4),
        (4, 0),
    ),
    ("features_encoder", "pretrained"): Case(
        {
            "model": "efficientnet_lite0",
            "weights": "weights.pth",
            "size": 64,
            "dim": 4,
            "dropout": 0.2,
            "pooling": "max",
        },
        FEATURES,
        (2, 4),
        (2, 0),
        extras={"mask": np.array([[True, False, True], [True, True, True]])},
    ),
    ("text_encoder", "convolutional"): Case(
        {
            "vocabulary_size": 12,
            "filters": 4,
            "embedding_dim": 3,
            "kernel_sizes": [2, 3],
            "num_layers": 2,
            "dropout": 0.2,
            "pooling": "attention",
        },
        WORDS,
        (2, 8),
        (10, 0),
    ),
    ("text_encoder", "transformer"): Case(
        {
            "vocabulary_size": 12,
            "embedding_dim": 8,
            "num_layers": 1,
            "num_heads": 2,
            "mlp_dim": 5,
            "positions": "learned",
            "max_length": 6,
            "dropout": 0.2,
            "pooling": "attention",
        },
        WORDS,
        (2, 8),
        (19, 0),
    ),
    ("text_encoder", "backbone"): Case(
        {
            "backbone": FROZEN_BACKBONE,
            "vocabulary_size": 12,
            "frozen": True,
            "pooling": "attention",
        },
        WORDS,
        (2, 4),
        (1, 3),
        skip={"embeddings_stand_for_words": "a backbone takes ids only"},
    ),
    ("series_encoder", "recurrent"): Case(
        {"hidden_dim": 4, "num_layers": 2, "cell": "lstm", "dropout": 0.2, "pooling": "attention"},
        SERIES,
        (2, 4),
        (7, 0),
    ),
    ("series_encoder", "convolutional"): Case(
        {
            "filters": 4,
            "dilations": [1, 2],
            "kernel_size": 2,
            "dropout": 0.2,
            "pooling": "attention",
        },
        SERIES,
        (2, 4),
        (7, 0),
    ),
    ("image_encoder", "convolutional"): Case(
        {
            "filters": [4, 8],
            "kernel_size": 5,
            "strides": [2, 1],
            "pool_sizes": [1, 2],
            "normalization": "group",
            "negative_slope": 0.1,
            "dropout": 0.2,
            "pooling": "attention",
        },
        PHOTOS,
        (3, 8),
        (7, 0),
    ),
    ("image_encoder", "residual"): Case(
        {
            "filters": [8, 16],
            "num_blocks": [2, 1],
            "strides": [2, 1],
            "stem_stride": 1,
            "normalization": "group",
            "dropout": 0.2,
            "pooling": "attention",
        },
        PHOTOS,
        (3, 16),
        (25, 0),
    ),
    ("image_encoder", "inception"): Case(
        {
            "filters": [16, 24],
            "num_blocks": [2, 1],
            "pool_sizes": [2, 1],
            "stem_filters": 4,
            "stem_stride": 1,
            "normalization": "group",
            "dropout": 0.2,
            "pooling": "attention",
        },
        PHOTOS,
        (3, 24),
        (67, 0),
    ),
    ("image_encoder", "vit"): Case(
        {
            "hidden_dim": 8,
            "num_layers": 2,
            "patch_size": 3,
            "num_heads": 2,
            "mlp_dim": 5,
            "dropout": 0.2,
            "pooling": "attention",
        },
        PHOTOS,
        (3, 8),
        (30, 0),
    ),
    ("image_encoder", "backbone"): Case(
        {
            "backbone": SMALL_CNN,
            "weights": None,
            "preprocessing": "torch",
            "frozen": True,
            "pooling": "attention",
        },
        PHOTOS,
        (3, 4),
        (1, 6),
        needs=("preprocessing",),
        skip={
            "config_round_trip": "`weights` is the path of a file (tests/encoders)",
            "map_is_fine_enough": "the map is the backbone's",
        },
    ),
}
VARIANTS: dict[str, tuple[str, str, Case]] = {
    "plain dense layers": (
        "tabular_encoder",
        "dense",
        Case(
            {
                "cardinalities": [3, 5],
                "hidden_dims": [16, 8],
                "embedding_dim": 4,
                "num_blocks": 1,
                "dropout": 0.2,
                "pooling": "max",
            },
            WITHOUT_GAPS,
            (4, 8),
            (11, 0),
        ),
    ),
    "full rank": (
        "tabular_encoder",
        "cross",
        Case(
            {
                "cardinalities": [3, 5],
                "hidden_dims": [16, 8],
                "embedding_dim": 4,
                "pooling": "mean",
            },
            WITHOUT_GAPS,
            (4, 8),
            (11, 0),
        ),
    ),
    "periodic tokens": (
        "tabular_encoder",
        "ft_transformer",
        Case(
            {
                "cardinalities": [3, 5],
                "hidden_dim": 8,
                "num_layers": 1,
                "numeric_embedding": "periodic",
                "pooling": "mean",
            },
            TABLE,
            (4, 8),
            (19, 0),
        ),
    ),
    "batch normalization": (
        "image_encoder",
        "convolutional",
        varied(CASES["image_encoder", "convolutional"], weights=(7, 4), normalization="batch"),
    ),
    "residual, batch normalization": (
        "image_encoder",
        "residual",
        Case(
            {
                "filters": [8, 16],
                "num_blocks": [2, 1],
                "strides": [2, 1],
                "normalization": "batch",
                "pooling": "mean",
            },
            PHOTOS,
            (3, 16),
            (24, 14),
        ),
    ),
    "inception, batch normalization": (
        "image_encoder",
        "inception",
        Case(
            {"filters": [32], "num_blocks": [1], "pool_sizes": [1], "pooling": "mean"},
            PHOTOS,
            (3, 32),
            (24, 16),
        ),
    ),
    "backbone that learns": (
        "image_encoder",
        "backbone",
        Case(
            {"backbone": SMALL_CNN, "preprocessing": "tf", "pooling": "mean"},
            PHOTOS,
            (3, 4),
            (4, 2),
            skip={"map_is_fine_enough": "the map is the backbone's"},
        ),
    ),
    "rotary positions": (
        "text_encoder",
        "transformer",
        Case(
            {"vocabulary_size": 12, "embedding_dim": 8, "num_heads": 2, "pooling": "mean"},
            WORDS,
            (2, 8),
            (29, 0),
        ),
    ),
    "backbone of words that learns": (
        "text_encoder",
        "backbone",
        Case(
            {"backbone": SMALL_BACKBONE, "pooling": "mean"},
            WORDS,
            (2, 4),
            (3, 0),
            skip={"embeddings_stand_for_words": "a backbone takes ids only"},
        ),
    ),
    "both directions": (
        "text_encoder",
        "recurrent",
        varied(
            CASES["text_encoder", "recurrent"],
            output=(2, 8),
            cell="gru",
            num_layers=1,
            bidirectional=True,
        ),
    ),
}
