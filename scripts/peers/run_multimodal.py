"""multimodal in the harness that also runs its peers: same rows and folds.

    python run_multimodal.py FILE TARGET --folds FOLDS --out answers.csv ...

See `harness.py` for the arguments. Without columns the package is told nothing but the target: it
gets the table as it is. `--variant fast` and `--variant best` take these presets, none the default;
sizes and epochs are then the package's own.
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
        config = preset(options.variant or "balanced").merge(
            data={"split": {"method": "column", "column": "split"}},
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
