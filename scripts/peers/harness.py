"""A neutral harness: each opponent is trained and asked on the same rows, folds and columns.

    python run_PEER.py FILE TARGET --folds FILE_OR_COLUMN --out answers.csv
        [--categories a,b] [--numbers c,d=[0-9]{4}] [--texts e,f] [--images g] [--root FOLDER]
        [--fold K ...] [--seed 0] [--epochs 25] [--patience 5] [--batch 64] [--size 64]
        [--words 80] [--variant NAME] [--speed]

An opponent has `fit(train, validation, root, columns, options)`, which returns the seconds that
each epoch trained for, and `predict(frame)`, which returns numbers or class names. Everything that
is the same for all stands here: which rows count (a target above 0, or a class), the folds, the
validation rows (a tenth of the rows outside the fold, drawn with the seed), and how errors are
counted: log-RMSE, sqrt(mean((log1p(p) - log1p(y))^2)), of numbers, accuracy of classes.

`--folds` means what it means in `scripts/cross_validate.py`: a column of the table, or a CSV of
`id` and `fold`, where an id is that of the table's column `id` or, without one, a row counted from
0. A number may be words: of "4.0 out of 5 stars" the first number is taken, or what the pattern
after `=` finds first (the year of "Paperback, 10 Mar 2016" with `edition=[0-9]{4}`). Where a
category or text is absent, it is empty; an absent number is NaN.

Needs numpy and pandas, and what the opponent needs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
SPEED_ROWS, SPEED_TIMES = 1000, 50


@dataclass
class Columns:
    """What an opponent may use, by kind; all empty: every column but the target."""

    target: str
    classes: bool = False
    categories: list[str] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    @property
    def used(self) -> list[str]:
        """The names of all that are named."""
        return [*self.categories, *self.numbers, *self.texts, *self.images]


class Peer(Protocol):
    """What the harness asks of an opponent."""

    def fit(
        self,
        train: pd.DataFrame,
        validation: pd.DataFrame,
        root: Path,
        columns: Columns,
        options: argparse.Namespace,
    ) -> list[float]: ...

    def predict(self, frame: pd.DataFrame) -> Any: ...


class LogScale:
    """The standardized logarithm of prices, for opponents that learn such a number best."""

    def __init__(self, values: pd.Series) -> None:
        logs = np.log1p(values.to_numpy(float))
        self.mean, self.spread = logs.mean(), logs.std() or 1.0

    def scaled(self, values: pd.Series) -> Any:
        """Return what is learned."""
        return ((np.log1p(values.to_numpy(float)) - self.mean) / self.spread).astype("float32")

    def price(self, scaled: Any) -> Any:
        """Return what was meant."""
        return np.expm1(np.asarray(scaled, float).ravel() * self.spread + self.mean)


def first_number(values: pd.Series, pattern: str = "") -> pd.Series:
    """Return numbers, or the first number in each text; commas between digits are dropped."""
    if pd.api.types.is_numeric_dtype(values) and not pattern:
        return values.astype(float)
    text = values.astype(str).str.replace(r"(?<=[0-9]),(?=[0-9]{3})", "", regex=True)
    return pd.to_numeric(text.str.extract(f"({pattern or NUMBER})")[0], errors="coerce")


def folds_of(table: pd.DataFrame, folds: str) -> pd.Series:
    """Return the fold of each row, missing where a row has none."""
    if not folds.endswith(".csv"):
        return pd.to_numeric(table[folds])
    known = pd.read_csv(folds, dtype={"id": str}).set_index("id")["fold"]
    ids = table["id"] if "id" in table else pd.Series(range(len(table)), table.index)
    return ids.astype(str).map(known)


def read(file: Path, columns: Columns, folds: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return the rows that have a target and a fold, ready to use, and their folds."""
    words = [*columns.categories, *columns.texts, *columns.images]
    table = pd.read_csv(file, dtype=dict.fromkeys(["id", *words], str))
    fold = folds_of(table, folds)
    table[words] = table[words].fillna("")
    for name, pattern in columns.numbers.items():
        table[name] = first_number(table[name], pattern)
    said = table[columns.target].dropna()
    numbers = pd.to_numeric(table[columns.target], errors="coerce")
    columns.classes = bool(numbers[said.index].isna().any())
    has = table[columns.target].notna() if columns.classes else numbers > 0
    table[columns.target] = table[columns.target].astype(str) if columns.classes else numbers
    kept = has & fold.notna()
    named = [*columns.used, columns.target] if columns.used else table.columns
    return table.loc[kept, [name for name in named if name != folds]], fold[kept]


def score(y_true: pd.Series, guess: pd.Series, classes: bool) -> float:
    """Return accuracy of classes, log-RMSE of numbers."""
    if classes:
        return float((y_true.astype(str) == guess.astype(str)).mean())
    logs = np.log1p(guess.astype(float).clip(lower=0)) - np.log1p(y_true.astype(float))
    return float(np.sqrt(np.mean(logs**2)))


def apart(rows: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on and the tenth to stop by."""
    order = np.random.default_rng(seed).permutation(len(rows))
    held = max(1, round(len(rows) / 10))
    return rows.iloc[np.sort(order[held:])], rows.iloc[np.sort(order[:held])]


def fresh(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows numbered from 0, as opponents expect them."""
    return rows.reset_index(drop=True)


def show_speed(peer: Peer, rows: pd.DataFrame) -> None:
    """Print how long one raw row takes, and how many rows of a thousand a second."""
    many = fresh(pd.concat([rows] * (SPEED_ROWS // len(rows) + 1)).head(SPEED_ROWS))
    taken = []
    for at in [*range(3), *range(SPEED_TIMES)]:  # the first three warm up
        start = time.perf_counter()
        peer.predict(fresh(many.iloc[[at]]))
        taken.append(1000 * (time.perf_counter() - start))
    start = time.perf_counter()
    peer.predict(many)
    rate = SPEED_ROWS / (time.perf_counter() - start)
    print(f"  one raw row {np.median(taken[3:]):.1f} ms, {SPEED_ROWS:,} raw rows {rate:,.0f} /s")


def one_fold(
    peer: Peer, rows: pd.DataFrame, inside: Any, columns: Columns, options: argparse.Namespace
) -> pd.DataFrame:
    """Train outside a fold, ask inside it; return truth and prediction by row of the file."""
    train, validation = apart(rows[~inside], options.seed)
    start = time.perf_counter()
    epochs = peer.fit(fresh(train), fresh(validation), options.root, columns, options)
    seconds = time.perf_counter() - start
    y_true = rows.loc[inside, columns.target]
    asked = rows[inside].drop(columns=columns.target)
    found = pd.DataFrame({"truth": y_true, "prediction": np.ravel(peer.predict(fresh(asked)))})
    usual = float(np.median(epochs[1:] or epochs))  # the first epoch may compile or decode
    print(f"  {len(epochs)} epochs, {usual:.2f} s to train one, {len(train) / usual:,.0f} rows/s")
    if options.speed:
        show_speed(peer, asked)
    return found.assign(seconds=seconds)


def run(peer: Callable[[], Peer], columns: Columns, options: argparse.Namespace) -> pd.DataFrame:
    """Train and ask in every fold wanted; write the predictions and print the scores."""
    rows, fold = read(options.file, columns, options.folds)
    wanted = options.fold or sorted(fold.unique())
    kind = "accuracy" if columns.classes else "log-RMSE"
    print(f"{options.file.name}: {len(rows):,} rows, {columns.target}, {columns}", flush=True)
    found, scores = [], []
    for each in wanted:
        inside = (fold == float(each)).to_numpy()
        if not inside.any():
            raise SystemExit(f"No row is in fold {each}. Folds: {sorted(fold.unique())}")
        part = one_fold(peer(), rows, inside, columns, options)
        found.append(part.assign(fold=float(each)))
        scores.append(score(part["truth"], part.prediction, columns.classes))
        print(
            f"fold {float(each):g}: {kind} {scores[-1]:.4f}, {len(part):,} rows, "
            f"{part.seconds.iloc[0]:.0f} s",
            flush=True,
        )
        answers = pd.concat(found).rename_axis("row")
        answers[["fold", "truth", "prediction"]].to_csv(options.out)
    pooled = score(answers["truth"], answers.prediction, columns.classes)
    print(
        f"{kind}: mean {np.mean(scores):.4f} ± {np.std(scores):.4f} over {len(found)} folds, "
        f"all rows {pooled:.4f}"
    )
    return answers


def parse(words: list[str] | None = None) -> tuple[Columns, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("target")
    parser.add_argument("--folds", default="fold", help="column of folds, or a CSV of id and fold")
    for kind in ("categories", "numbers", "texts", "images"):
        parser.add_argument(f"--{kind}", default="", help="column names, separated by commas")
    parser.add_argument("--root", type=Path, help="folder of the photos; else the file's")
    parser.add_argument("--fold", type=float, nargs="*", help="these folds alone")
    for name, usual in (("seed", 0), ("epochs", 25), ("patience", 5), ("batch", 64)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--size", type=int, default=64, help="side of a photo in pixels")
    parser.add_argument("--words", type=int, default=80, help="words read of a text")
    parser.add_argument("--variant", default="", help="what an opponent makes of it")
    parser.add_argument("--speed", action="store_true", help="time predictions as well")
    parser.add_argument("--out", type=Path, required=True, help="CSV of the predictions")
    options = parser.parse_args(words)
    options.root = options.root or options.file.parent
    lists = {
        kind: [name for name in getattr(options, kind).split(",") if name]
        for kind in ("categories", "numbers", "texts", "images")
    }
    numbers = dict((*name.split("=", 1), "")[:2] for name in lists.pop("numbers"))
    return Columns(options.target, numbers=numbers, **lists), options


def main(peer: Callable[[], Peer]) -> None:
    """Run an opponent as the command line says."""
    run(peer, *parse())
