"""Poolings, and the layers that no kind of part is named after, in tiny."""

from __future__ import annotations

import numpy as np
from checks import Case

from multimodal import layers  # noqa: F401 (importing them registers them)

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


NUMBERS = np.array([[0.3, np.nan], [-1.2, 0.1], [np.nan, 2.0], [0.7, -0.4]], "float32")
BINS = [[-2.0, 0.0, 0.5, 2.0], [-1.0, 1.0]]
WORDS = np.array([[5, 7, 1, 3], [2, 11, 0, 0]], "int32")
TOKENS = {"mask": np.array([[1, 1, 0], [1, 1, 1]], bool)}
CELLS = {"mask": np.array([[1, 1, 0, 1, 0, 0, 1, 1, 1], [1] * 9], bool)}
CASES: dict[tuple[str, str], Case] = {
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
        {
            "units": 2,
            "num_terms": 11,
            "head": {"class_name": "X", "config": {"sizes": [1, 2]}},
            "features": [["a_features"]],
            "landmarks": 3,
            "maps": True,
        },
        [floats(2, 2), floats(2, 2), floats(2, 1, 4), WORDS, floats(2, 4)],
        (2, 2),
        (7, 0),
        needs=("features",),
    ),
    ("layer", "kernel_regression"): Case(
        {"units": 2, "landmarks": 3, "maps": True},
        [floats(2, 3, 4), floats(2, 1, 5)],
        (2, 2),
        (4, 0),
        head_dtype="float32",
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
