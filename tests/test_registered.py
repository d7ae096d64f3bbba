"""Every registered part keeps every promise of its kind; a part without a case fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks import Case, Check, checks_of

from multimodal import encoders, fusion, heads, layers, registry

RANDOM = np.random.default_rng(0)
MODULES = (encoders, fusion, heads, layers)  # importing them registers their parts


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


TOKENS = {"mask": np.array([[1, 1, 0], [1, 1, 1]], bool)}
CASES: dict[tuple[str, str], Case] = {
    ("tabular_encoder", "dense"): Case(
        {
            "cardinalities": [3, 5],
            "hidden_dims": [16, 8],
            "embedding_dim": 4,
            "dropout": 0.2,
            "pooling": "max",
        },
        {"numeric": floats(4, 2), "categorical": np.array([[0, 1], [2, 4], [1, 0], [2, 2]])},
        (4, 8),
        (5, 0),
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
        (9, 0),
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
        (8, 0),
    ),
    ("pooling", "mean"): Case({}, floats(2, 3, 4), (2, 4), extras=TOKENS),
    ("pooling", "max"): Case({}, floats(2, 3, 4), (2, 4), extras=TOKENS),
    ("pooling", "attention"): Case(
        {"num_heads": 2}, floats(2, 3, 4), (2, 4), (2, 0), extras=TOKENS
    ),
    ("fusion", "concat"): Case(
        {"hidden_dims": [8, 5], "dropout": 0.2, "modality_dropout": 0.3, "seed": 1},
        {"text": floats(20, 3), "table": floats(20, 2)},
        (20, 5),
        (6, 0),
        extras={"presence": {"text": np.array([True, False] * 10)}},
    ),
    ("head", "regression"): Case(
        {"transform": "log1p", "mean": 2.0, "scale": 0.5, "bounds": [0.0, 9.0]},
        floats(4, 3),
        (4, 1),
        (2, 0),
        head_dtype="float32",
    ),
    ("layer", "mlp"): Case({"hidden_dims": [5, 3], "dropout": 0.2}, floats(4, 2), (4, 3), (4, 0)),
    ("layer", "any_photo"): Case({}, np.array([[True, False], [False, False]]), (2,)),
    ("layer", "fold_photos"): Case({}, floats(2, 3, 4, 4, 3), (6, 4, 4, 3)),
    ("layer", "unfold_photos"): Case({"photos": 3}, floats(6, 4), (2, 3, 4)),
}
VARIANTS: dict[str, tuple[str, str, Case]] = {
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
            (8, 4),
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
            (9, 0),
        ),
    ),
}
REGISTERED = [(kind, name) for kind in registry.kinds() for name in registry.names(kind)]
RUNS = [
    pytest.param(kind, name, CASES[kind, name], check, id=f"{kind}-{name}-{check.__name__}")
    for kind, name in REGISTERED
    if (kind, name) in CASES
    for check in checks_of(kind)
] + [
    pytest.param(kind, name, case, check, id=f"{kind}-{label}-{check.__name__}")
    for label, (kind, name, case) in VARIANTS.items()
    for check in checks_of(kind)
    if check.__name__ not in ("config_round_trip", "tuples_serve_like_lists")
]


def test_every_registered_part_has_a_case() -> None:
    assert set(REGISTERED) == set(CASES)


@pytest.mark.parametrize(("kind", "name", "case", "check"), RUNS)
def test_part(kind: str, name: str, case: Case, check: Check, tmp_path: Path) -> None:
    check(registry.get(kind, name), case, tmp_path)
