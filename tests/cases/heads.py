"""Heads in tiny: each with a learned weight, which is the last number of its output."""

from __future__ import annotations

from typing import Any

import numpy as np
from checks import Case

from multimodal import heads  # noqa: F401 (importing them registers them)

RANDOM = np.random.default_rng(0)
NUMBERS = [[3.0], [9.0], [0.5], [7.0]]
PRICE = {"transform": "log1p", "mean": 2.0, "scale": 0.5, "bounds": [0.0, 9.0]}


def learned(
    arguments: dict[str, Any], width: int, targets: Any, dtype: str, weights: int = 3
) -> Case:
    """Return the case of a head whose output has `width` numbers in each row."""
    inputs = RANDOM.normal(size=(len(targets), 3)).astype("float32")
    return Case(
        {**arguments, "learned_weight": True},
        inputs,
        (len(targets), width),
        (weights, 0),
        head_dtype="float32",
        targets=np.array(targets, dtype),
    )


CASES: dict[tuple[str, str], Case] = {
    ("head", "regression"): learned(
        {**PRICE, "loss": "huber", "delta": 0.5}, 2, NUMBERS, "float32"
    ),
    ("head", "quantile"): learned(
        {**PRICE, "quantiles": [0.1, 0.4, 0.6, 0.8]}, 5, NUMBERS, "float32"
    ),
    ("head", "binary"): learned({}, 2, [0, 1, 1, 0], "int32"),
    ("head", "multiclass"): learned(
        {"num_classes": 3, "label_smoothing": 0.1}, 4, [0, 2, 1, 0], "int32"
    ),
    ("head", "multilabel"): learned(
        {"num_classes": 3}, 4, [[0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]], "float32"
    ),
    ("head", "ordinal"): learned({"num_classes": 4}, 4, [0, 3, 1, 2], "int32", weights=4),
    ("head", "bounding_box"): learned(
        {"giou_weight": 1.0, "l1_weight": 3.0},
        5,
        [[0.1, 0.2, 0.5, 0.9], [0, 0, 1, 1], [0.7, 0.7, 0.8, 0.8], [0.3, 0, 0.4, 1]],
        "float32",
    ),
    ("head", "reconstruction"): learned(
        {"shape": [2, 2, 1], "loss": "binary"}, 5, RANDOM.uniform(size=(4, 2, 2, 1)), "float32"
    ),
    ("head", "embedding"): learned(
        {"embedding_dim": 3, "margin": 0.5}, 4, [0, 1, 1, 0, 0, 1], "int32"
    ),
}
