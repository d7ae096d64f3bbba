"""How close to the known limit does a run come, and do its intervals hold what they promise?

    python scripts/catalogue_limit.py --out runs/limit [--rows 8000,2000,20000] [--config FILE]

Draws a catalogue, trains the defaults on its training and validation rows (only the latter are
calibrated on) and predicts the fresh ones. Printed are the error of log price beside the noise that
was drawn into these rows, and beside gradient boosting that is handed the latent factors which no
user sees: the best of three settings on the validation rows. For the 90 % intervals: how often they
cover the price, also by tenth of the predicted price, and their score beside that of intervals of
one factor. What is there is neither drawn nor trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cross_validate import show_intervals

from multimodal.cli import load_backend, report_errors, show_news

SETTINGS = (
    {"learning_rate": 0.1, "max_iter": 100},
    {"learning_rate": 0.05, "max_iter": 800, "max_leaf_nodes": 15},
    {"learning_rate": 0.05, "max_iter": 2000, "max_leaf_nodes": 7},
)


def trained(path: Path, out: Path, config: Path | None) -> Any:
    """Return the run of a catalogue, trained or found."""
    import multimodal
    from multimodal.data.generated import CONFIG, TARGET

    if (out / "report.html").exists():
        return multimodal.load(out)
    wanted = multimodal.Config.from_yaml(config) if config else multimodal.Config()
    wanted = wanted.merge(**CONFIG).merge(training={"baselines": False})
    with show_news():
        return multimodal.train(path, TARGET, out=out, config=wanted)


def boosting_on_factors(table: pd.DataFrame, y_true: pd.DataFrame) -> Any:
    """Return log prices of the test rows by gradient boosting on table and latent factors."""
    from multimodal.data.generated import builder_package

    hidden = list(builder_package().records.FACTOR_COLUMNS)
    cells = pd.concat(
        [table.drop(columns=["id", "split", "description", "image", "price"]), y_true[hidden]],
        axis=1,
    ).drop(columns="brand")  # its tier is among the factors
    for name in cells.select_dtypes(exclude="number"):
        cells[name] = cells[name].astype(str).astype("category")
    split, logs = table["split"], np.log(table["price"])
    parts = {name: cells[split == name] for name in ("train", "validation", "test")}
    return _best(parts, {name: logs[split == name] for name in parts})


def _best(parts: dict[str, Any], logs: dict[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    found = []
    for setting in SETTINGS:
        model = HistGradientBoostingRegressor(
            categorical_features="from_dtype", early_stopping=False, random_state=0, **setting
        ).fit(parts["train"], logs["train"])
        error = rmse(model.predict(parts["validation"]) - logs["validation"])
        found.append((error, model.predict(parts["test"])))
    return min(found, key=lambda each: each[0])[1]


def rmse(errors: Any) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def main() -> None:
    """Draw, train, predict and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of catalogue and run")
    parser.add_argument("--rows", default="8000,2000,20000", help="training, validation, fresh")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the catalogue")
    arguments = parser.parse_args()
    load_backend()
    from multimodal.data.generated import builder_package

    package, sizes = builder_package(), tuple(map(int, arguments.rows.split(",")))
    path = package.export(arguments.out / "catalogue", sizes, arguments.seed) / "catalogue.csv"
    table, y_true = pd.read_csv(path), pd.read_csv(path.with_name("truth.csv"))
    run, fresh = trained(path, arguments.out / "run", arguments.config), table["split"] == "test"
    prices = table["price"][fresh].to_numpy(float)
    rows = table[fresh].drop(columns=["price", "split"])
    predictions = run.predict(rows, images=path.parent, level=0.9).frame
    found = pd.DataFrame(
        {
            "truth": prices,
            "whole": predictions["price_prediction"].to_numpy(float),
            "low": predictions["price_low"].to_numpy(float),
            "high": predictions["price_high"].to_numpy(float),
        }
    )
    logs = np.log(prices)
    floor, ours = rmse(y_true["noise"][fresh]), rmse(np.log(found["whole"]) - logs)
    trees = rmse(boosting_on_factors(table, y_true) - logs)
    print(f"\n{'error of log price':44} {'error':>7} {'/ noise':>8} {'/ trees':>8}")
    errors = {"noise alone": floor, "gradient boosting on the latent factors": trees}
    for name, error in {**errors, "the run": ours}.items():
        print(f"{name:44} {error:7.4f} {error / floor:8.3f} {error / trees:8.3f}")
    show_intervals(found, 0.9, parts=10)


if __name__ == "__main__":
    with report_errors():
        main()
