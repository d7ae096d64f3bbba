"""Small networks for tests of the builder: a config, its fitted spec, and batches of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from multimodal.core.config import Config
from multimodal.core.spec import (
    CategoricalColumn,
    FittedGroup,
    FittedHead,
    FittedSpec,
    NumericColumn,
)
from multimodal.models.build import build

TABLE: dict[str, Any] = {
    "name": "table",
    "modality": "tabular",
    "columns": ["w", "b"],
    "encoder": {"name": "dense", "options": {"hidden_dims": [4]}},
}
TITLE: dict[str, Any] = {
    "name": "title",
    "modality": "text",
    "columns": ["t"],
    "encoder": {"name": "recurrent", "options": {"hidden_dim": 2, "embedding_dim": 2}},
}
PHOTOS: dict[str, Any] = {
    "name": "photos",
    "modality": "image",
    "columns": ["p"],
    "encoder": {
        "name": "convolutional",
        "options": {
            "filters": [2],
            "strides": [2],
            "pool_sizes": [1],
            "normalization": "batch",
        },
    },
}
SERIES: dict[str, Any] = {
    "name": "sales",
    "modality": "series",
    "columns": ["s"],
    "encoder": {"name": "recurrent", "options": {"hidden_dim": 3}},
}
LOG = {"name": "regression", "options": {"transform": "log1p"}}
PRICE: dict[str, Any] = {"name": "price", "column": "p", "head": LOG}
CONCAT = {"name": "concat", "options": {"hidden_dims": [4], "dropout": 0.0}}
TOKENS = {
    "name": "transformer",
    "options": {"hidden_dim": 4, "num_heads": 2, "num_layers": 1, "mlp_dim": 4, "dropout": 0.0},
}
FITTED = {
    "tabular": {
        "numeric": [NumericColumn(name="w", source="w")],
        "categorical": [CategoricalColumn(name="b", source="b", categories=["x", "y"])],
    },
    "text": {"vocabulary": ["red", "blue"], "lengths": [3]},
    "image": {"photos": 2, "image_size": 6},
    "series": {"steps": 5, "channels": [NumericColumn(name="s", source="s")]},
}


def config_of(*groups: dict[str, Any], heads: Any = (PRICE,), **sections: Any) -> Config:
    values = {"groups": list(groups), "heads": list(heads), "fusion": CONCAT, **sections}
    return Config.parse(values)


def spec_of(config: Config, optional: Any = (), **changes: Any) -> FittedSpec:
    groups = [
        FittedGroup.model_validate(
            {
                "name": group.name,
                "modality": group.modality,
                "columns": group.columns,
                "optional": group.name in optional,
                **FITTED[group.modality],
                **changes.get(group.name, {}),
            }
        )
        for group in config.groups
    ]
    heads = [
        FittedHead(name=h.name, columns=h.columns, mean=2, scale=1.5, minimum=0, maximum=6)
        for h in config.heads
    ]
    return FittedSpec(groups=groups, heads=heads)


def batch_of(spec: FittedSpec, rows: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {}
    for group in spec.groups:
        side, photos = group.image_size, group.photos
        made |= {
            f"{group.name}_numeric": rng.normal(size=(rows, 1)).astype("float32"),
            f"{group.name}_categorical": rng.integers(0, 4, (rows, 1)).astype("int32"),
            f"{group.name}_tokens": rng.integers(1, 4, (rows, 3)).astype("int32"),
            f"{group.name}_pixels": rng.integers(0, 256, (rows, photos, side, side, 3)).astype(
                "uint8"
            ),
            f"{group.name}_series": rng.normal(size=(rows, group.steps, 1)).astype("float32"),
            f"{group.name}_present": np.ones((rows, photos) if photos else rows, bool),
        }
    return {key: made[key] for key in spec.input_keys}


def build_for(
    *groups: dict[str, Any], optional: Any = (), **sections: Any
) -> tuple[keras.Model, FittedSpec]:
    config = config_of(*groups, **sections)
    spec = spec_of(config, optional)
    return build(config, spec), spec


def predict(model: keras.Model, batch: dict[str, np.ndarray]) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(batch)["price"])
