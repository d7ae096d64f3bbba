"""A tiny catalogue's config and rows, so that a whole run takes seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.config import Config
from multimodal.core.spec import FittedSpec

TABLE = {
    "name": "table",
    "modality": "tabular",
    "columns": ["category", "brand", "weight_g", "year"],
    "encoder": {"name": "dense", "options": {"hidden_dims": [8], "embedding_dim": 4}},
}
WORDS = {
    "name": "words",
    "modality": "text",
    "columns": ["description"],
    "encoder": {
        "name": "recurrent",
        "options": {"hidden_dim": 4, "embedding_dim": 4, "bidirectional": False},
    },
}
PHOTOS = {
    "name": "photos",
    "modality": "image",
    "columns": ["image"],
    "encoder": {
        "name": "convolutional",
        "options": {"filters": [4, 8], "strides": [1, 1], "pool_sizes": [2, 1]},
    },
}
DATA = {"image_size": 16, "split": {"method": "column", "column": "split"}}
TRAINING = {"epochs": 2, "batch_size": 32, "precision": "float32", "baselines": False}


def tiny_config(*groups: dict[str, Any], data: Any = None, **training: Any) -> Config:
    """Return a config of small parts; without groups, all three of the catalogue."""
    return Config.parse(
        {
            "groups": groups or (TABLE, WORDS, PHOTOS),
            "fusion": {"name": "concat", "options": {"hidden_dims": [8]}},
            "data": DATA if data is None else data,
            "training": {**TRAINING, **training},
        }
    )


def spec_of(table: dict[str, Any], words: list[str], *, photos: bool) -> FittedSpec:
    """Return a fitted spec of a table, given without its name, texts and, if asked for, photos."""
    groups = [
        {"name": "table", "modality": "tabular", **table},
        {
            "name": "words",
            "modality": "text",
            "columns": ["t"],
            "vocabulary": words,
            "lengths": [8],
        },
        {
            "name": "photos",
            "modality": "image",
            "columns": ["i"],
            "photos": 1,
            "image_size": 16,
            "optional": True,
        },
    ]
    heads = [{"name": "price", "columns": ["price"]}]
    return FittedSpec.model_validate({"groups": groups[: 3 if photos else 2], "heads": heads})


def plain_config(**training: Any) -> Config:
    """Return a config for `plain_rows`, whose groups are inferred."""
    options = {"name": "concat", "options": {"hidden_dims": [8]}}
    return Config.parse({"fusion": options, "training": {**TRAINING, **training}})


def plain_rows(rows: int = 80, seed: int = 0) -> pd.DataFrame:
    """Return rows without texts and photos: a size, a shop, two prices, a weight."""
    random = np.random.default_rng(seed)
    size = random.uniform(1, 9, rows)
    shop = random.choice(["north", "south", "west"], rows)
    price = size * 10 + (shop == "west") * 20 + random.normal(0, 1, rows)
    values = {"size": size.round(3), "shop": shop, "price": price.round(2)}
    return pd.DataFrame({**values, "cost": (price / 2).round(2), "weight": 1.0})


def worded_rows(rows: int = 80, seed: int = 0) -> pd.DataFrame:
    """Return rows of a review, a size and the mood that the review tells."""
    random = np.random.default_rng(seed)
    glad = random.random(rows) < 0.5
    likes = np.where(glad, "I like", "I hate")
    things = random.choice(["this lamp", "my new chair", "the red table"], rows)
    reviews = [
        f"{like} {thing} no {i}" for i, (like, thing) in enumerate(zip(likes, things, strict=True))
    ]
    size = random.uniform(1, 9, rows).round(3)
    mood = np.where(glad, "glad", "sad")
    return pd.DataFrame({"review": reviews, "size": size, "mood": mood})


def partial_rows(rows: int = 90, seed: int = 0) -> pd.DataFrame:
    """Return plain rows with a mood that follows from the price; every third row has none."""
    found = plain_rows(rows, seed).drop(columns=["cost", "weight"])
    found["mood"] = np.where(found["price"] > found["price"].median(), "glad", "sad")
    found["mood"] = found["mood"].where(found.index % 3 != 0)
    return found


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_same_batches(first: list[Any], second: list[Any]) -> None:
    """Compare batches of inputs, targets and weights, bit by bit."""
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        for left, right in zip(one, other, strict=True):
            assert left.keys() == right.keys()
            for key in left:
                np.testing.assert_array_equal(left[key], right[key], strict=True)
