"""How good is what `multimodal train` makes of a file, on rows that it has not seen?

    python scripts/cross_validate.py houses.csv price --folds folds.csv --out runs/houses
        [--seeds 2] [--preset best] [--level 0.9] [--config FILE] [--images FOLDER]

Trains one run for each fold and seed on the rows of the other folds, as the command line would,
and predicts the rows of the fold. `--folds` names a column of the table, or a CSV of `id` and
`fold`, where an id is that of the table's column `id` or, without one, a row counted from 0.

Prints the error (of logarithms for numbers, accuracy for classes) of every fold and of all rows
together: of the Keras model alone, and with gradient boosting where the run has it. For numbers,
the coverage of the intervals follows, over all rows and by third of the predicted value,
with the band in which 99 % of exact intervals would lie. A run that is there is not trained again;
the predictions of all rows are kept in `answers.csv`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.cli import load_backend, report_errors

TRUTH = "truth"


def folds_of(table: pd.DataFrame, folds: str) -> Any:
    """Return the fold of each row, missing where a row has none."""
    if not folds.endswith(".csv"):
        return table[folds]
    known = pd.read_csv(folds, dtype={"id": str}).set_index("id")["fold"]
    ids = table["id"] if "id" in table else pd.Series(range(len(table)), table.index)
    return ids.astype(str).map(known)


def answers_of(run: Any, rows: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    """Return what the Keras model says of rows, what the whole run says, and the intervals."""
    name, kind = run.spec.heads[0].name, run.tasks[0].kind
    level = {"level": arguments.level} if kind == "number" else {}
    whole = run.predict(rows, images=arguments.images, **level).frame
    alone = replace(run, boosted_models=None).predict(rows, images=arguments.images).frame
    kept = {"keras": alone[f"{name}_prediction"], "whole": whole[f"{name}_prediction"]}
    if level:
        kept |= {end: whole[f"{name}_{end}"] for end in ("low", "high")}
    return pd.DataFrame({key: values.to_numpy() for key, values in kept.items()}, rows.index)


def one_fold(
    table: pd.DataFrame, inside: Any, seed: int, out: Path, arguments: argparse.Namespace
) -> pd.DataFrame:
    """Train on the rows outside a fold, or go on with that; return those predicted."""
    import multimodal
    from multimodal.core.presets import preset

    predictions = out.with_suffix(".csv")
    if predictions.exists():
        return pd.read_csv(predictions, index_col=0, float_precision="round_trip")
    config = preset(arguments.preset)
    if arguments.config is not None:
        config = multimodal.Config.from_yaml(arguments.config)
    config = config.merge(
        data={"split": {"method": "column", "column": "part"}},
        training={"seed": seed, "baselines": False},
    )
    start = time.perf_counter()
    if (out / "report.html").exists():  # trained, but killed before it predicted
        run = multimodal.load(out)
    else:
        run = multimodal.train(
            table.assign(part=np.where(inside, "test", "train")),
            arguments.target,
            out=out,
            config=config,
            images=arguments.images,
        )
    seconds = time.perf_counter() - start
    found = answers_of(run, table[inside], arguments)
    y_true = table[arguments.target][inside]
    found[TRUTH] = pd.to_numeric(y_true, errors="coerce") if "low" in found else y_true
    found = found.assign(seed=seed, seconds=seconds).dropna()
    found.to_csv(predictions)
    return found


def error(found: pd.DataFrame, model: str) -> float:
    """Return log-RMSE of numbers, accuracy of classes."""
    if pd.api.types.is_numeric_dtype(found[model]):
        logs = np.log1p(found[model].clip(lower=0)) - np.log1p(found[TRUTH])
        return float(np.sqrt(np.mean(logs**2)))
    return float((found[model].astype(str) == found[TRUTH].astype(str)).mean())


def show_errors(found: pd.DataFrame) -> None:
    """Print the error of each fold and of all rows."""
    print(f"\n{'seed':>4} {'fold':>5} {'rows':>7} {'Keras alone':>12} {'whole run':>10} seconds")
    parts = []
    for (seed, fold), part in found.groupby(["seed", "fold"]):
        parts.append([error(part, "keras"), error(part, "whole")])
        alone, whole = parts[-1]
        print(
            f"{seed:>4} {fold:>5} {len(part):>7,} {alone:12.4f} {whole:10.4f} "
            f"{part['seconds'].iloc[0]:7.0f}"
        )
    mean, spread = np.mean(parts, axis=0), np.std(parts, axis=0)
    print(
        "mean ± sd  " + "  ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(mean, spread, strict=True))
    )
    print(f"all rows   {error(found, 'keras'):.4f}  {error(found, 'whole'):.4f}")


def show_intervals(found: pd.DataFrame, level: float, parts: int = 3) -> None:
    """Print the coverage and width of intervals, by predicted value, too."""
    from multimodal.evaluation.confidence import PredictionInterval, binomial_band, check_intervals

    y_true, guess = found[TRUTH].to_numpy(float), found["whole"].to_numpy(float)
    ends = PredictionInterval(found["low"].to_numpy(), found["high"].to_numpy())
    held = ((ends.low <= y_true) & (y_true <= ends.high)).mean()
    logs = np.log1p(np.maximum(guess, 0))  # one factor for all rows, chosen to hold as many
    reach = np.quantile(np.abs(np.log1p(y_true) - logs), held)
    flat = PredictionInterval(np.expm1(logs - reach), np.expm1(logs + reach))
    check: Any = check_intervals(y_true, guess, {level: ends}, flat, level, parts=parts)
    seeds = len(found) / found.index.nunique()  # predictions of one row are no rows of their own
    print(f"\nintervals at {level:.0%}        rows  inside  99 % band        mean width")
    names = ["all", "lower third", "middle third", "upper third"]
    if parts != 3:
        names = ["all", *(f"part {i + 1} of {parts}" for i in range(parts))]
    for name, part in zip(names, (check, *check.parts), strict=True):
        low, high = binomial_band(part.n / seeds, level)
        inside = "" if low <= part.coverage <= high else "  outside"
        print(
            f"{name:22} {part.n:6,}  {part.coverage:6.1%}  {low:.1%} to {high:.1%}  "
            f"{part.width:12,.4g}{inside}"
        )
    ratio = score_ratio(found, (ends, flat), level)
    print(
        f"interval score {check.score:,.4g}, {ratio.value:.3f} times ({ratio.low:.3f} to "
        f"{ratio.high:.3f}) that of one factor for all rows"
    )


def score_ratio(found: pd.DataFrame, ways: Any, level: float) -> Any:
    """Return the interval score of one way to make intervals over that of another, resampling rows.

    A row that several seeds predicted is drawn as one.
    """
    from multimodal.evaluation.bootstrap import confidence_interval, mean_of, resample
    from multimodal.evaluation.confidence import interval_score

    scores = pd.DataFrame(
        {i: interval_score(found[TRUTH], way.low, way.high, level) for i, way in enumerate(ways)},
        found.index,
    )
    rows = scores.groupby(level=0)
    means = [mean_of(column) for column in rows.mean().to_numpy().T]
    return confidence_interval(np.divide(*resample(means, rows.size()).T))


def folds_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what any script asks that goes fold by fold."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("target")
    parser.add_argument("--folds", default="fold", help="column of folds, or a CSV of id and fold")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is measured")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--images", type=Path, help="folder of photos (default: that of the file)")
    return parser


def table_in_folds(arguments: argparse.Namespace) -> tuple[pd.DataFrame, Any]:
    """Return the rows that have a fold, and the folds; make the folder of what is measured."""
    from multimodal.data.read.readers import open_table

    arguments.images = arguments.images or arguments.file.parent
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = open_table(arguments.file, None)[0].frame
    fold = folds_of(table, arguments.folds)
    known = fold.notna()
    return table.drop(columns=arguments.folds, errors="ignore")[known], fold[known]


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = folds_parser(__doc__)
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--level", type=float, default=0.9)
    return parser.parse_args()


def main() -> None:
    """Train, predict and print the tables."""
    arguments = parse()
    load_backend()
    table, fold = table_in_folds(arguments)
    found = []
    for seed in range(arguments.seeds):
        for each in sorted(fold.unique()):
            out = arguments.out / f"seed-{seed}-fold-{each:g}"
            part = one_fold(table, (fold == each).to_numpy(), seed, out, arguments)
            found.append(part.assign(fold=each))
            print(
                f"seed {seed}, fold {each:g}: {error(part, 'keras'):.4f} alone, "
                f"{error(part, 'whole'):.4f} whole",
                flush=True,
            )
            pd.concat(found).to_csv(arguments.out / "answers.csv")
    predictions = pd.concat(found)
    show_errors(predictions)
    if "low" in predictions:
        show_intervals(predictions, arguments.level)


if __name__ == "__main__":
    with report_errors():
        main()
