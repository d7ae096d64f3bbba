"""Do intervals hold the truth as often as they say, on rows that no model has seen?

    python scripts/check_coverage.py houses.csv price --fold fold [--level 0.9] [--epochs 25]

Trains one model for each fold in a column of the table, on the rows of the other folds, and
predicts the rows of the fold with intervals. The table shows the share of truths inside, with the
band in which 99 % of exact intervals would lie, over all rows and by third of the predicted value,
mean widths and the interval score (lower is better). It is compared with intervals that are one
factor wide for all rows, the factor chosen afterwards to hold as many of these very truths.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.cli import load_backend, report_errors

Floats = NDArray[np.float64]
LEVELS = (0.5, 0.8, 0.95)


def predicted(table: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    """Return truths, predictions and intervals, each from a model that lacks the row's fold."""
    import multimodal

    config = multimodal.Config()
    if arguments.config is not None:
        config = multimodal.Config.from_yaml(arguments.config)
    config = config.merge(training={"baselines": False, "seed": arguments.seed})
    if arguments.epochs is not None:
        config = config.merge(training={"epochs": arguments.epochs})
    images, found = arguments.images or arguments.file.parent, []
    for fold in sorted(table[arguments.fold].unique()):
        inside = (table[arguments.fold] == fold).to_numpy()
        rows = table.drop(columns=arguments.fold)
        with tempfile.TemporaryDirectory() as folder:
            run = multimodal.train(
                rows[~inside], arguments.target, out=Path(folder) / "run", config=config,
                images=images,
            )  # fmt: skip
            part = pd.DataFrame({"truth": rows[inside][arguments.target].to_numpy(float)})
            for level in sorted({arguments.level, *LEVELS}):
                frame = run.predict(rows[inside], images=images, level=level).frame
                for end in ("prediction", "low", "high"):
                    name = run.spec.heads[0].name
                    part[f"{end}_{level}"] = frame[f"{name}_{end}"].to_numpy()
        found.append(part)
        print(f"fold {fold}: {inside.sum():,} rows", flush=True)
    return pd.concat(found, ignore_index=True).dropna()


def one_factor(truth: Floats, guess: Floats, held: float) -> tuple[Floats, Floats]:
    """Return intervals that are one factor wide and hold a share of these truths."""
    logs = np.log1p(np.maximum(guess, 0))
    reach = np.quantile(np.abs(np.log1p(np.maximum(truth, 0)) - logs), held)
    return np.expm1(logs - reach), np.expm1(logs + reach)


def shown(name: str, part: Any) -> str:
    """Write one line of the table."""
    low, high = part.band
    inside = "" if low <= part.coverage <= high else "  outside"
    return (f"{name:22} {part.n:6,}  {part.coverage:6.1%}  {low:.1%} to {high:.1%}  "
            f"{part.width:12,.4g}{inside}")  # fmt: skip


def main() -> None:
    """Train, predict and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("target", help="a column of numbers")
    parser.add_argument("--fold", default="fold", help="column of folds")
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--config", type=Path)
    arguments = parser.parse_args()
    load_backend()
    from multimodal.evaluation import Ends, check_intervals

    found = predicted(pd.read_csv(arguments.file), arguments)
    truth, level = found["truth"].to_numpy(), arguments.level
    guess = found[f"prediction_{level}"].to_numpy()
    ends = {x: Ends(found[f"low_{x}"], found[f"high_{x}"]) for x in {level, *LEVELS}}
    held = ((ends[level].low <= truth) & (truth <= ends[level].high)).mean()
    check = check_intervals(truth, guess, ends, Ends(*one_factor(truth, guess, held)), level)
    print(f"\nintervals at {level:.0%}        rows  inside  99 % band        mean width")
    print(shown("all", check))
    for name, part in zip(("lower third", "middle third", "upper third"), check.parts, strict=True):
        print(shown(f"{name} predicted", part))
    print("inside at " + ", ".join(f"{x:.0%}: {y:.1%}" for x, y in check.coverages.items()))
    ratio = check.score / check.constant_score
    print(f"interval score {check.score:,.4g}, {ratio:.3f} times that of one factor for all rows")


if __name__ == "__main__":
    with report_errors():
        main()
