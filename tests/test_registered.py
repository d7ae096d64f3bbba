"""Every registered part keeps every promise of its kind; a part without a case fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from checks import Case, Check, checks_of

from multimodal import encoders, fusion, heads, layers
from multimodal.layers import registry

RANDOM = np.random.default_rng(0)
MODULES = (encoders, fusion, heads, layers)  # importing them registers their parts


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


CODES = np.array([[0, 1], [2, 4], [1, 0], [2, 2]], "int32")
CELLS = {"mask": np.array([[1, 1, 0, 1, 0, 0, 1, 1, 1], [1] * 9], bool)}
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
WORDS = np.array([[5, 7, 1, 3], [2, 11, 0, 0]], "int32")


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
NUMBERS = np.array([[0.3, np.nan], [-1.2, 0.1], [np.nan, 2.0], [0.7, -0.4]], "float32")
BINS = [[-2.0, 0.0, 0.5, 2.0], [-1.0, 1.0]]
TOKENS = {"mask": np.array([[1, 1, 0], [1, 1, 1]], bool)}
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
        {"numeric": NUMBERS, "categorical": CODES},
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
        {"numeric": NUMBERS, "categorical": CODES},
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
        {"numeric": NUMBERS, "categorical": CODES},
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
        np.array([[5, 7, 1, 3], [2, 11, 0, 0]], "int32"),
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
        floats(2, 5, 3),
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
        floats(2, 5, 3),
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
        RANDOM.integers(0, 256, (3, 12, 12, 3)).astype("uint8"),
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
    ("pooling", "grid"): Case({"grid_size": 2}, floats(2, 9, 4), (2, 16), extras=CELLS),
    ("pooling", "spatial_softmax"): Case(
        {"num_points": 3}, floats(2, 9, 4), (2, 6), (1, 0), extras=CELLS
    ),
    ("pooling", "mean"): Case({}, floats(2, 3, 4), (2, 4), extras=TOKENS),
    ("pooling", "max"): Case({}, floats(2, 3, 4), (2, 4), extras=TOKENS),
    ("pooling", "last"): Case({}, floats(2, 3, 4), (2, 4), extras=TOKENS),
    ("pooling", "attention"): Case(
        {"num_heads": 2}, floats(2, 3, 4), (2, 4), (1, 0), extras=TOKENS
    ),
    ("fusion", "late"): Case(
        {"hidden_dims": [8, 5], "dropout": 0.2, "modality_dropout": 0.3, "seed": 1},
        {"text": floats(20, 3), "table": floats(20, 2)},
        (20, 5),
        (8, 0),
        extras={"presence": {"text": np.array([True, False] * 10)}},
    ),
    ("fusion", "gated"): Case(
        {
            "hidden_dim": 5,
            "activation": "sigmoid",
            "dropout": 0.2,
            "modality_dropout": 0.3,
            "seed": 1,
        },
        {"text": floats(20, 3), "table": floats(20, 2)},
        (20, 5),
        (6, 0),
        extras={"presence": {"text": np.array([True, False] * 10)}},
    ),
    ("fusion", "low_rank"): Case(
        {"hidden_dim": 5, "rank": 2, "dropout": 0.2, "modality_dropout": 0.3, "seed": 1},
        {"text": floats(20, 3), "table": floats(20, 2)},
        (20, 5),
        (8, 0),
        extras={"presence": {"text": np.array([True, False] * 10)}},
    ),
    ("fusion", "transformer"): Case(
        {
            "hidden_dim": 6,
            "num_heads": 2,
            "num_layers": 1,
            "mlp_dim": 7,
            "dropout": 0.2,
            "modality_dropout": 0.3,
            "seed": 1,
        },
        {"text": floats(20, 4, 3), "table": floats(20, 2)},
        (20, 6),
        (21, 0),
        extras={
            "presence": {"text": np.array([True, False] * 10)},
            "mask": {"text": np.arange(4) < np.arange(20)[:, None] % 5},
        },
    ),
    ("fusion", "cross_attention"): Case(
        {
            "hidden_dim": 6,
            "num_heads": 2,
            "num_latents": 3,
            "num_layers": 1,
            "mlp_dim": 7,
            "dropout": 0.2,
            "modality_dropout": 0.3,
            "seed": 1,
        },
        {"text": floats(20, 4, 3), "table": floats(20, 2)},
        (20, 6),
        (33, 0),
        extras={
            "presence": {"text": np.array([True, False] * 10)},
            "mask": {"text": np.arange(4) < np.arange(20)[:, None] % 5},
        },
    ),
    ("fusion", "concat"): Case(
        {
            "hidden_dims": [8, 5],
            "num_members": 3,
            "dropout": 0.2,
            "modality_dropout": 0.3,
            "seed": 1,
        },
        {"text": floats(20, 3), "table": floats(20, 2)},
        (20, 5),
        (10, 0),
        extras={"presence": {"text": np.array([True, False] * 10)}},
    ),
    ("head", "regression"): Case(
        {
            "transform": "log1p",
            "loss": "huber",
            "delta": 0.5,
            "mean": 2.0,
            "scale": 0.5,
            "bounds": [0.0, 9.0],
            "learned_weight": True,
        },
        floats(4, 3),
        (4, 2),
        (3, 0),
        head_dtype="float32",
        targets=np.array([[3.0], [9.0], [0.5], [7.0]], "float32"),
    ),
    ("head", "quantile"): Case(
        {
            "quantiles": [0.1, 0.4, 0.6, 0.8],
            "transform": "log1p",
            "mean": 2.0,
            "scale": 0.5,
            "bounds": [0.0, 9.0],
            "learned_weight": True,
        },
        floats(4, 3),
        (4, 5),
        (3, 0),
        head_dtype="float32",
        targets=np.array([[3.0], [9.0], [0.5], [7.0]], "float32"),
    ),
    ("head", "binary"): Case(
        {"learned_weight": True},
        floats(4, 3),
        (4, 2),
        (3, 0),
        head_dtype="float32",
        targets=np.array([0, 1, 1, 0], "int32"),
    ),
    ("head", "multiclass"): Case(
        {"num_classes": 3, "label_smoothing": 0.1, "learned_weight": True},
        floats(4, 3),
        (4, 4),
        (3, 0),
        head_dtype="float32",
        targets=np.array([0, 2, 1, 0], "int32"),
    ),
    ("head", "multilabel"): Case(
        {"num_classes": 3, "learned_weight": True},
        floats(4, 3),
        (4, 4),
        (3, 0),
        head_dtype="float32",
        targets=np.array([[0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]], "float32"),
    ),
    ("head", "ordinal"): Case(
        {"num_classes": 4, "learned_weight": True},
        floats(4, 3),
        (4, 4),
        (4, 0),
        head_dtype="float32",
        targets=np.array([0, 3, 1, 2], "int32"),
    ),
    ("head", "bounding_box"): Case(
        {"giou_weight": 1.0, "l1_weight": 3.0, "learned_weight": True},
        floats(4, 3),
        (4, 5),
        (3, 0),
        head_dtype="float32",
        targets=np.array(
            [[0.1, 0.2, 0.5, 0.9], [0, 0, 1, 1], [0.7, 0.7, 0.8, 0.8], [0.3, 0, 0.4, 1]], "float32"
        ),
    ),
    ("head", "reconstruction"): Case(
        {"shape": [2, 2, 1], "loss": "binary", "learned_weight": True},
        floats(4, 3),
        (4, 5),
        (3, 0),
        head_dtype="float32",
        targets=RANDOM.uniform(size=(4, 2, 2, 1)).astype("float32"),
    ),
    ("head", "embedding"): Case(
        {"embedding_dim": 3, "margin": 0.5, "learned_weight": True},
        floats(6, 3),
        (6, 4),
        (3, 0),
        head_dtype="float32",
        targets=np.array([0, 1, 1, 0, 0, 1], "int32"),
    ),
    ("layer", "pair_distance"): Case(
        {}, [floats(4, 3), floats(4, 3)], (4, 1), head_dtype="float32"
    ),
    ("layer", "mlp"): Case(
        {"hidden_dims": [5, 3], "dropout": 0.2, "num_members": 3},
        floats(4, 2),
        (4, 3, 3),
        (8, 0),
    ),
    ("layer", "transformer_block"): Case(
        {"num_heads": 2, "mlp_dim": 6, "dropout": 0.2, "rotary": True},
        floats(2, 3, 8),
        (2, 3, 8),
        (12, 0),
        extras=TOKENS,
    ),
    ("layer", "numeric_embedding"): Case(
        {
            "embedding_dim": 4,
            "kind": "piecewise_linear",
            "bins": BINS,
            "frequency_scale": 0.5,
        },
        NUMBERS,
        (4, 2, 4),
        (3, 0),
    ),
    ("layer", "ensemble_dense"): Case(
        {"units": 4, "num_members": 3, "activation": "relu", "random_signs": True},
        floats(5, 1, 2),
        (5, 3, 4),
        (4, 0),
    ),
    ("layer", "blend"): Case(
        {"units": 2, "num_terms": 11},
        [floats(2, 2), floats(2, 2), WORDS, floats(2, 4)],
        (2, 2),
        (3, 0),
    ),
    ("layer", "dense_block"): Case(
        {"num_members": 3, "dropout": 0.2},
        floats(4, 3, 2),
        (4, 3, 2),
        (10, 0),
        needs=("num_members",),
    ),
    ("layer", "any_photo"): Case({}, np.array([[True, False], [False, False]]), (2,)),
    ("layer", "join_tokens"): Case(
        {}, floats(2, 3, 4, 5), (2, 12, 5), extras={"mask": np.ones((2, 3), bool)}
    ),
    ("layer", "fold_photos"): Case({}, floats(2, 3, 4, 4, 3), (6, 4, 4, 3)),
    ("layer", "unfold_photos"): Case({"photos": 3}, floats(6, 4), (2, 3, 4)),
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
            {"numeric": floats(4, 2), "categorical": CODES},
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
            {"numeric": floats(4, 2), "categorical": CODES},
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
            {"numeric": NUMBERS, "categorical": CODES},
            (4, 8),
            (19, 0),
        ),
    ),
    "batch normalization": (
        "image_encoder",
        "convolutional",
        Case(
            {
                "filters": [4, 8],
                "kernel_size": 5,
                "strides": [2, 1],
                "pool_sizes": [1, 2],
                "normalization": "batch",
                "negative_slope": 0.1,
                "dropout": 0.2,
                "pooling": "attention",
            },
            RANDOM.integers(0, 256, (3, 12, 12, 3)).astype("uint8"),
            (3, 8),
            (7, 4),
        ),
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
        Case(
            {
                "vocabulary_size": 12,
                "hidden_dim": 4,
                "embedding_dim": 3,
                "cell": "gru",
                "num_layers": 1,
                "bidirectional": True,
                "dropout": 0.2,
                "pooling": "attention",
            },
            np.array([[5, 7, 1, 3], [2, 11, 0, 0]], "int32"),
            (2, 8),
            (8, 0),
        ),
    ),
}
REGISTERED = [(kind, name) for kind in registry.kinds() for name in registry.names(kind)]
# Of a variant, what its part's case has shown already.
SHOWN = ("config_round_trip", "tuples_serve_like_lists", "defaults_serve")


def runs_of(label: str, kind: str, name: str, case: Case) -> list[Any]:
    """Return the checks of one case, which share a built layer."""
    return [
        pytest.param(
            kind,
            name,
            case,
            check,
            id=f"{kind}-{label}-{check.__name__}",
        )
        for check in checks_of(kind, case)
        if label == name or check.__name__ not in SHOWN
    ]


RUNS = [
    run
    for kind, name in REGISTERED
    if (kind, name) in CASES
    for run in runs_of(name, kind, name, CASES[kind, name])
] + [run for label, found in VARIANTS.items() for run in runs_of(label, *found)]


def test_every_registered_part_has_a_case() -> None:
    assert set(REGISTERED) == set(CASES)


@pytest.mark.parametrize(("kind", "name", "case", "check"), RUNS)
def test_part(kind: str, name: str, case: Case, check: Check, tmp_path: Path) -> None:
    check(registry.get(kind, name), case, tmp_path)
