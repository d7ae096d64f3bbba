"""Fusions in tiny: a text and a table, the text absent from every other row."""

from __future__ import annotations

import numpy as np
from checks import Case

from multimodal import fusion  # noqa: F401 (importing them registers them)

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


VECTORS = {"text": floats(20, 3), "table": floats(20, 2)}
TOKENS = {"text": floats(20, 4, 3), "table": floats(20, 2)}
PRESENCE = {"presence": {"text": np.array([True, False] * 10)}}
MASKED = {**PRESENCE, "mask": {"text": np.arange(4) < np.arange(20)[:, None] % 5}}
DROPOUT = {"dropout": 0.2, "modality_dropout": 0.3, "seed": 1}
CASES: dict[tuple[str, str], Case] = {
    ("fusion", "late"): Case(
        {"hidden_dims": [8, 5], **DROPOUT}, VECTORS, (20, 5), (8, 0), extras=PRESENCE
    ),
    ("fusion", "gated"): Case(
        {"hidden_dim": 5, "activation": "sigmoid", **DROPOUT},
        VECTORS,
        (20, 5),
        (6, 0),
        extras=PRESENCE,
    ),
    ("fusion", "low_rank"): Case(
        {"hidden_dim": 5, "rank": 2, **DROPOUT}, VECTORS, (20, 5), (8, 0), extras=PRESENCE
    ),
    ("fusion", "transformer"): Case(
        {"hidden_dim": 6, "num_heads": 2, "num_layers": 1, "mlp_dim": 7, **DROPOUT},
        TOKENS,
        (20, 6),
        (21, 0),
        extras=MASKED,
    ),
    ("fusion", "cross_attention"): Case(
        {
            "hidden_dim": 6,
            "num_heads": 2,
            "num_latents": 3,
            "num_layers": 1,
            "mlp_dim": 7,
            **DROPOUT,
        },
        TOKENS,
        (20, 6),
        (33, 0),
        extras=MASKED,
    ),
    ("fusion", "concat"): Case(
        {"hidden_dims": [8, 5], "num_members": 3, **DROPOUT},
        VECTORS,
        (20, 5),
        (10, 0),
        extras=PRESENCE,
    ),
}
