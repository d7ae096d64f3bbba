"""A run directory drawn for the tests of the report: every file it reads, of known errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from multimodal.evaluation.metrics import regression_metrics
from multimodal.evaluation.predictions import BASELINE_PREDICTIONS_FILE
from multimodal.evaluation.records import (
    DataSummary,
    HeadMetrics,
    ModelScore,
    RunMetrics,
    TrainingSummary,
)

ATTACK = "<script>alert('x')</script> & \"quoted\""
ROWS = 300
NOISE = 0.15


def draw_photo(path: Path, seed: int) -> Path:
    """Draw one product photo of 120 x 90 pixels."""
    colour = np.random.default_rng(seed).integers(40, 220, 3)
    image = Image.new("RGB", (120, 90), (240, 238, 230))
    box = (20 + seed % 20, 15, 90 + seed % 20, 75)
    ImageDraw.Draw(image).rounded_rectangle(box, 12, fill=tuple(int(c) for c in colour))
    image.save(path, "JPEG")
    return path


def catalogue(rows: int = ROWS) -> pd.DataFrame:
    """Make the raw test rows: prices over three decades, brands, texts, a script tag in row 0."""
    random = np.random.default_rng(7)
    price = np.exp(random.normal(5, 1.3, rows))
    words = np.array(["steel", "oak", "linen", "worn", "new", "set of 3", "not scratched", "large"])
    texts = [" ".join(random.choice(words, random.integers(4, 60))) for _ in range(rows)]
    texts[0] = ATTACK
    return pd.DataFrame(
        {
            "sku": [f"00{i:05d}" for i in range(rows)],
            "title": [
                f"{w.capitalize()} lamp no. {i}" for i, w in enumerate(random.choice(words, rows))
            ],
            "description": texts,
            "brand": random.choice(["Acme", "Bolt", "Côte & Fils"], rows),
            "weight_kg": np.where(random.random(rows) < 0.1, np.nan, random.gamma(2, 1.5, rows)),
            "photo": [f"images/{i}.jpg" for i in range(rows)],
            "price": price,
        }
    )


def models(y_true: np.ndarray, fusion: np.ndarray) -> list[tuple[ModelScore, np.ndarray]]:
    """Score and predictions of eight models whose log errors are known, the fusion last."""
    random = np.random.default_rng(3)
    drawn: list[tuple[str, Any, str, float, int, float]] = [
        ("median", "constant", "nothing", 1.25, 0, 0.0),
        ("trees on the table", "trees", "table", 0.61, 0, 2.3),
        ("trees on TF-IDF", "trees", "text", 0.70, 0, 8.1),
        ("trees on table + TF-IDF", "trees", "table + text", 0.42, 0, 11.9),
        ("MLP", "sequential", "table", 0.66, 12_431, 31.0),
        ("recurrent", "sequential", "text", 0.72, 410_233, 95.2),
        ("CNN", "sequential", "photos", 0.83, 288_001, 143.8),
        ("fusion", "fusion", "table + text + photos", 0.0, 731_940, 187.4),
    ]
    found = []
    for name, kind, inputs, error, *costs in drawn:
        guess = y_true * np.exp(random.normal(0, error, len(y_true))) if error else fusion
        found.append(
            (ModelScore(name, kind, inputs, regression_metrics(y_true, guess), *costs), guess)
        )
    return found


def record(y_true: np.ndarray, prediction: np.ndarray) -> RunMetrics:
    """Fill every part of `metrics.json`."""
    test = regression_metrics(y_true, prediction)
    return RunMetrics(
        heads={"price": HeadMetrics(column="price", unit="EUR", test=test, validation=test)},
        comparison={"price": [score for score, _ in models(y_true, prediction)]},
        limit={"price": {"log_rmse": NOISE}},
        data=DataSummary(
            source="catalogue.csv",
            read=2012,
            kept=2000,
            quarantined=12,
            reasons={"photo is absent: images/17.jpg": 3, "price is not a number": 9},
            train=1450,
            validation=250,
            test=300,
            warnings=["816 of 1,049 descriptions state the price itself (column `description`)."],
        ),
        training=TrainingSummary(
            epochs=14, best_epoch=10, seconds=187.4, precision="float32", parameters=731_940, seed=3
        ),
        versions={"multimodal": "0.1.0", "keras": "3.15.1"},
        machine={"processor": "Acme 9000", "cores": "2", "memory": "8 GiB"},
        date="2026-01-31",
        command="multimodal train catalogue.csv --target price --seed 3",
    )


def training_log(epochs: int = 14) -> pd.DataFrame:
    """A validation loss that turns upwards after epoch 9."""
    epoch = np.arange(1, epochs + 1)
    loss = 0.9 * np.exp(-epoch / 4) + 0.03
    return pd.DataFrame(
        {"epoch": epoch, "loss": loss, "val_loss": loss + 0.04 + 0.002 * (epoch - 5) ** 2}
    )


SCHEMA = [
    {"name": "sku", "kind": "identifier", "missing": 0, "distinct": 2000, "example": "0000017"},
    {"name": "title", "kind": "text", "missing": 0, "distinct": 1990, "example": "Oak lamp no. 4"},
    {"name": "description", "kind": "text", "missing": 0.002, "distinct": 1999, "example": "oak"},
    {"name": "brand", "kind": "category", "missing": 0, "distinct": 3, "example": "Acme"},
    {"name": "weight_kg", "kind": "number", "missing": 211, "distinct": 1780, "example": 2.25},
    {
        "name": "photo",
        "kind": "image",
        "missing": 0,
        "distinct": 2000,
        "example": "images/0.jpg",
        "note": "relative to the file",
    },
    {"name": "price", "kind": "target", "missing": 0, "distinct": 2000, "example": 148.41},
]


def make_run(folder: Path) -> tuple[Path, pd.DataFrame, dict[int, list[Path]]]:
    """Write a whole run directory; return it with the raw test rows and their photos."""
    run = folder / "run"
    (folder / "images").mkdir(parents=True)
    run.mkdir()
    rows = catalogue()
    y_true = rows["price"].to_numpy()
    prediction = y_true * np.exp(np.random.default_rng(1).normal(0, 0.24, len(rows)))
    prediction[0] *= 40
    table = pd.DataFrame({"row": 3 * np.arange(len(rows)), "id": rows["sku"]})
    table["price_true"], table["price_prediction"] = y_true, prediction
    table.to_csv(run / "predictions.csv", index=False)
    kept = [
        pd.DataFrame(
            {"head": "price", "model": score.label, "row": table["row"], "prediction": guess}
        )
        for score, guess in models(y_true, prediction)[:-1]
    ]
    pd.concat(kept).to_csv(run / BASELINE_PREDICTIONS_FILE, index=False)
    training_log().to_csv(run / "training_log.csv", index=False)
    (run / "schema.json").write_text(json.dumps({"columns": SCHEMA}))
    (run / "config.json").write_text(json.dumps({"training": {"epochs": 25, "seed": 3}}))
    (run / "metrics.json").write_text(record(y_true, prediction).to_json())
    photos = {i: [draw_photo(folder / "images" / f"{i}.jpg", i)] for i in range(len(rows))}
    photos[0] = [*photos[0], *photos[1], *photos[2], *photos[3], *photos[4]]
    return run, rows, photos
