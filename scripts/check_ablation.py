"""Modality ablation: is a model without one modality as good as one that never had it?

    python scripts/check_ablation.py [--rows 8000,1000,5000] [--epochs 25] [--modality-dropout P]

Draws a catalogue, trains the fusion on everything and, with the same settings, one fusion on
everything but the table, the text, the photos. The first predicts the test rows with those cells
empty, the others as they were trained. The table shows both errors of log price and the ratio,
with a paired bootstrap interval over the test rows. Target: each ratio at most 1.05.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.cli import load_backend, report_errors

COLUMNS = {
    "table": ["category", "brand", "weight_g", "width_cm", "height_cm", "depth_cm", "year"],
    "text": ["description"],
    "photos": ["image"],
}
TARGET, DRAWS = 1.05, 2000
Floats = NDArray[np.float64]


def fitted(path: Path, config: Any, without: Sequence[str] = ()) -> Any:
    """Train on the catalogue without some of its columns."""
    import multimodal

    config = config.merge(data={"columns": dict.fromkeys(without, "ignored")})
    with tempfile.TemporaryDirectory() as folder:
        return multimodal.train(path, "price", out=folder, config=config)


def errors(run: Any, rows: pd.DataFrame, images: Path, empty: Sequence[str] = ()) -> Floats:
    """Return the errors of log price (rows,), predicted with some columns empty."""
    shown = rows.drop(columns="price").assign(**dict.fromkeys(empty, None))
    guess = run.predict(shown, images=images).frame["price_prediction"].to_numpy(float)
    return np.asarray(np.log(np.maximum(guess, 1e-3)) - np.log(rows["price"].to_numpy(float)))


def rmse(error: Floats) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(error**2)))


def interval(mine: Floats, other: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of two errors on the same rows, by paired bootstrap."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(mine), (DRAWS, len(mine)))
    ratios = np.sqrt((mine**2)[drawn].mean(axis=1) / (other**2)[drawn].mean(axis=1))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Train all four and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", default="8000,1000,5000", help="train, validation, test")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--modality-dropout", type=float, help="of the fusion of everything")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    load_backend()
    import multimodal
    from multimodal.data.generated import CONFIG, builder_package

    sizes = tuple(map(int, arguments.rows.split(",")))
    folder = Path(tempfile.gettempdir()) / f"catalogue-{'-'.join(map(str, sizes))}"
    path = builder_package().export(folder, sizes, arguments.seed) / "catalogue.csv"
    table = pd.read_csv(path)
    rows = table[table["split"] == "test"].drop(columns="split").reset_index(drop=True)
    training = {"epochs": arguments.epochs, "baselines": False}
    config = multimodal.Config.parse({**CONFIG, "training": training})
    wanted = config
    if arguments.modality_dropout is not None:
        options = {"modality_dropout": arguments.modality_dropout}
        wanted = config.merge(fusion={"name": "concat", "options": options})
    complete = fitted(path, wanted)
    print(f"everything there: {rmse(errors(complete, rows, folder)):.4f}", flush=True)
    print("without    ablated  never had it  ratio  95 % interval")
    for name, columns in COLUMNS.items():
        mine = errors(complete, rows, folder, columns)
        other = errors(fitted(path, config, columns), rows, folder)
        low, high = interval(mine, other)
        ratio = rmse(mine) / rmse(other)
        met = "" if ratio <= TARGET else f"   above {TARGET}"
        print(
            f"{name:8}  {rmse(mine):8.4f}  {rmse(other):12.4f}  {ratio:5.3f}  "
            f"{low:.3f} to {high:.3f}{met}",
            flush=True,
        )


if __name__ == "__main__":
    with report_errors():
        main()
