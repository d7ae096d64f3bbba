"""Ludwig in the harness: embeddings on the table, a text encoder on each text, a small CNN.

    python run_ludwig.py FILE TARGET --folds FOLDS --out answers.csv ...

See `harness.py` for the arguments. Texts are read by a bidirectional GRU; `--variant` names another
of Ludwig's text encoders that needs no download (`parallel_cnn`, its default, `embed`, `tf_idf`).
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing pretrained is asked for

import numpy as np
import pandas as pd
from harness import Columns, LogScale, main
from ludwig.api import LudwigModel
from ludwig.callbacks import Callback

ANSWER = "answer"
CNN = [  # the last pooling leaves one vector of the photo
    {"out_channels": 32, "pool_kernel_size": 2, "pool_stride": 2},
    {"out_channels": 64, "stride": 2, "pool_kernel_size": 1, "pool_stride": 1},
    {"out_channels": 128, "stride": 2, "pool_function": "average"},
]


class Clock(Callback):
    """Seconds that each epoch trained for, without its validation."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_start(self, trainer: Any, progress_tracker: Any, save_path: str) -> None:
        self.begin, self.asked = time.perf_counter(), 0.0

    def on_eval_start(self, trainer: Any, progress_tracker: Any, save_path: str) -> None:
        self.paused = time.perf_counter()

    def on_eval_end(self, trainer: Any, progress_tracker: Any, save_path: str) -> None:
        self.asked += time.perf_counter() - self.paused

    def on_epoch_end(self, trainer: Any, progress_tracker: Any, save_path: str) -> None:
        self.seconds.append(time.perf_counter() - self.begin - self.asked)


def text(name: str, variant: str, words: int) -> dict[str, Any]:
    """Return the input feature of a text."""
    encoder: dict[str, Any] = {"type": variant or "rnn"}
    if not variant:
        encoder |= {"cell_type": "gru", "bidirectional": True, "state_size": 64}
    if variant != "tf_idf":
        encoder |= {"embedding_size": 32}
    prepared = {"tokenizer": "space_punct", "max_sequence_length": words}
    return {"name": name, "type": "text", "preprocessing": prepared, "encoder": encoder}


def photo(name: str, size: int) -> dict[str, Any]:
    """Return the input feature of a photo."""
    last = {"pool_kernel_size": size // 8, "pool_stride": size // 8}
    layers = [{"kernel_size": 3, "padding": 1, "norm": "batch"} | layer for layer in CNN]
    return {
        "name": name,
        "type": "image",  # stacked_cnn drops `height` and `width` without a word
        "preprocessing": {"infer_image_max_height": size, "infer_image_max_width": size},
        "encoder": {
            "type": "stacked_cnn",
            "conv_layers": [*layers[:-1], layers[-1] | last],
            "fc_layers": [{"output_size": 128}],
        },
    }


class Ludwig:
    """The library behind the harness's two methods."""

    def config(self, options: argparse.Namespace) -> dict[str, Any]:
        """Return Ludwig's config for the columns."""
        columns, scaled = self.columns, {"normalization": "zscore"}
        inputs: list[dict[str, Any]] = [{"name": n, "type": "category"} for n in columns.categories]
        filled = scaled | {"missing_value_strategy": "fill_with_mean"}
        inputs += [
            {"name": name, "type": "number", "preprocessing": filled} for name in columns.numbers
        ]
        inputs += [{"name": f"{name}_absent", "type": "binary"} for name in self.absent]
        inputs += [text(name, options.variant, options.words) for name in columns.texts]
        inputs += [photo(name, options.size) for name in columns.images]
        kind = "category" if columns.classes else "number"
        return {
            "input_features": inputs,
            "output_features": [{"name": ANSWER, "type": kind}],
            "combiner": {
                "type": "concat",
                "fc_layers": [{"output_size": 128}, {"output_size": 64}],
            },
            "trainer": {
                "epochs": options.epochs,
                "early_stop": options.patience,
                "validation_field": ANSWER,
                "validation_metric": "loss",  # by accuracy it would stop on ties
                "batch_size": options.batch,
                "eval_batch_size": 256,
                "learning_rate": 1e-3,
                "optimizer": {"type": "adam"},
            },
        }

    def frame(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows as Ludwig reads them."""
        made = rows[self.columns.used].copy()
        for name in self.absent:
            made[f"{name}_absent"] = rows[name].isna()
        for name in self.columns.images:
            made[name] = [str(self.root / photo) for photo in rows[name]]
        if self.columns.target in rows:
            target = rows[self.columns.target]
            made[ANSWER] = target if self.columns.classes else self.scale.scaled(target)
        return made

    def fit(
        self,
        train: pd.DataFrame,
        validation: pd.DataFrame,
        root: Path,
        columns: Columns,
        options: argparse.Namespace,
    ) -> list[float]:
        """Train until the error on `validation` has not fallen for `patience` epochs."""
        self.columns, self.root, clock = columns, root.resolve(), Clock()
        self.absent = [name for name in columns.numbers if train[name].isna().any()]
        if not columns.classes:
            self.scale = LogScale(train[columns.target])
        self.model = LudwigModel(
            self.config(options), logging_level=logging.ERROR, backend="local", callbacks=[clock]
        )
        with tempfile.TemporaryDirectory() as folder:
            self.model.train(
                training_set=self.frame(train),
                validation_set=self.frame(validation),
                output_directory=folder,
                skip_save_processed_input=True,
                random_seed=options.seed,
            )
        return clock.seconds

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return prices or classes of raw rows."""
        told, _ = self.model.predict(
            self.frame(frame),
            batch_size=256,
            skip_save_predictions=True,
            skip_save_unprocessed_output=True,
        )
        said = told[f"{ANSWER}_predictions"].to_numpy()
        return said.astype(str) if self.columns.classes else self.scale.price(np.asarray(said))


if __name__ == "__main__":
    main(Ludwig)
