"""pytorch-widedeep in the harness: a dense network on the table, a GRU on each text, a small CNN.

    python run_widedeep.py FILE TARGET --folds FOLDS --out answers.csv ...

See `harness.py` for the arguments. `--variant attentive` reads texts with attention over the GRU's
states, `--variant joined` reads all texts of a row as one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from harness import Columns, LogScale, main
from pytorch_widedeep import Trainer
from pytorch_widedeep.callbacks import Callback, EarlyStopping
from pytorch_widedeep.models import AttentiveRNN, BasicRNN, TabMlp, Vision, WideDeep
from pytorch_widedeep.preprocessing import ImagePreprocessor, TabPreprocessor, TextPreprocessor


class Clock(Callback):
    """Seconds that each epoch trained for, without its validation."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begin = time.perf_counter()

    def on_eval_begin(self, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.begin)


class WideDeepPeer:
    """The library behind the harness's two methods."""

    def prepare(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Fill absent numbers, which the library would pass on; a category tells of them."""
        frame = frame.copy()
        for name, usual in self.usual.items():
            frame[f"{name} absent"] = frame[name].isna().astype(str)
            frame[name] = frame[name].fillna(usual)
        if self.joined:
            frame["words"] = frame[self.columns.texts].agg(" . ".join, axis=1)
        return frame

    def arrays(self, frame: pd.DataFrame, fit: bool = False) -> dict[str, Any]:
        """Return the inputs of the network."""
        frame = self.prepare(frame)
        made: dict[str, Any] = {}
        for key, steps in self.steps.items():
            parts = [(step.fit_transform if fit else step.transform)(frame) for step in steps]
            made[key] = parts[0] if len(parts) == 1 else parts
        return made

    def set_steps(self, columns: Columns, root: Path, options: argparse.Namespace) -> None:
        """Choose the preprocessing of each kind of column."""
        numbers = list(columns.numbers) or None
        categories = columns.categories + [f"{name} absent" for name in columns.numbers]
        texts = ["words"] if self.joined else columns.texts
        self.steps: dict[str, list[Any]] = {
            "X_tab": [
                TabPreprocessor(
                    cat_embed_cols=categories or None,
                    continuous_cols=numbers,
                    cols_to_scale=numbers,
                    verbose=0,
                )
            ]
            if categories
            else [],
            "X_text": [
                TextPreprocessor(name, min_freq=3, maxlen=options.words, n_cpus=1, verbose=0)
                for name in texts
            ],
            "X_img": [
                ImagePreprocessor(name, str(root), options.size, options.size, verbose=0)
                for name in columns.images
            ],
        }
        self.steps = {key: steps for key, steps in self.steps.items() if steps}

    def network(self, variant: str, outputs: int) -> WideDeep:
        """Return the network for what the preprocessing found."""
        parts: dict[str, Any] = {}
        reader = AttentiveRNN if variant == "attentive" else BasicRNN
        for step in self.steps.get("X_tab", []):
            parts["deeptabular"] = TabMlp(
                column_idx=step.column_idx,
                cat_embed_input=step.cat_embed_input,
                continuous_cols=list(self.usual) or None,
                mlp_hidden_dims=[128, 64],
            )
        if "X_text" in self.steps:
            readers = [
                reader(
                    vocab_size=len(step.vocab.itos),
                    embed_dim=32,
                    hidden_dim=64,
                    n_layers=1,
                    rnn_type="gru",
                    bidirectional=True,
                )
                for step in self.steps["X_text"]
            ]
            parts["deeptext"] = readers[0] if len(readers) == 1 else readers
        if "X_img" in self.steps:
            eyes = [
                Vision(channel_sizes=[32, 64, 128], kernel_sizes=[3, 3, 3], strides=[1, 2, 2])
                for _ in self.steps["X_img"]
            ]
            parts["deepimage"] = eyes[0] if len(eyes) == 1 else eyes
        return WideDeep(**parts, head_hidden_dims=[64], pred_dim=outputs)

    def learned(self, frame: pd.DataFrame) -> Any:
        """Return the target as the network learns it."""
        values = frame[self.columns.target]
        if not self.columns.classes:
            return self.scale.scaled(values)
        return values.map({name: at for at, name in enumerate(self.names)}).to_numpy("int64")

    def fit(
        self,
        train: pd.DataFrame,
        validation: pd.DataFrame,
        root: Path,
        columns: Columns,
        options: argparse.Namespace,
    ) -> list[float]:
        """Train until the loss on `validation` has not fallen for `patience` epochs."""
        torch.manual_seed(options.seed)
        np.random.seed(options.seed)
        self.columns, self.joined = columns, options.variant == "joined" and bool(columns.texts)
        self.usual = {name: train[name].median() for name in columns.numbers}
        self.names = sorted(train[columns.target].unique()) if columns.classes else []
        validation = validation[validation[columns.target].isin(self.names) | (not self.names)]
        if not columns.classes:
            self.scale = LogScale(train[columns.target])
        self.set_steps(columns, root, options)
        seen = self.arrays(train, fit=True) | {"target": self.learned(train)}
        held = self.arrays(validation) | {"target": self.learned(validation)}
        kind = "multiclass" if len(self.names) > 2 else "binary" if self.names else "regression"
        outputs = len(self.names) if kind == "multiclass" else 1
        network, clock = self.network(options.variant, outputs), Clock()
        stop = EarlyStopping(patience=options.patience, restore_best_weights=True)
        self.trainer = Trainer(
            network,
            objective=kind,
            optimizers=torch.optim.Adam(network.parameters(), lr=1e-3),
            callbacks=[stop, clock],
            seed=options.seed,
            verbose=0,
            num_workers=0,
        )
        self.trainer.fit(
            X_train=seen,
            X_val=held,
            n_epochs=options.epochs,
            batch_size=options.batch,
            shuffle=True,
        )
        return clock.seconds

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return prices or classes of raw rows."""
        told = np.asarray(self.trainer.predict(**self.arrays(frame), batch_size=256))
        if self.columns.classes:
            return np.array(self.names)[told.ravel().astype(int)]
        return self.scale.price(told)


if __name__ == "__main__":
    main(WideDeepPeer)
