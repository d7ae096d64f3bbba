"""The models of a run beside each other, row by row: intervals of each, and of the differences."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import pandas as pd

from multimodal.evaluation.bootstrap import LEAST, Interval, interval, resample
from multimodal.evaluation.measures import main_metric, measure_of, ranked, readable, written
from multimodal.evaluation.metrics import Floats
from multimodal.evaluation.records import ModelScore
from multimodal.report.head_rows import baseline_rows, head_rows, statistic
from multimodal.report.run_files import RunFiles


@dataclass(frozen=True)
class Compared:
    """Intervals of a head's models on the test rows they share, by the model's label.

    `values` are of the main metric; `changes` is what separates each model from the simple one
    that did best (`simple`), `gains` what separates the fusion from each other model: a share of
    the other's error, or a difference where higher is better.
    """

    metric: str
    rows: int = 0
    simple: str = ""
    values: dict[str, Interval] = field(default_factory=dict)
    changes: dict[str, Interval] = field(default_factory=dict)
    gains: dict[str, Interval] = field(default_factory=dict)


def compare(run: RunFiles, head: str) -> Compared:
    """Resample the test rows of a head for all its models at once.

    Without rows, or with fewer than 20, there are no intervals; models whose rows were not kept
    have none. The best simple model is chosen on these same rows, which favours it a little.
    """
    scores = run.metrics.comparison.get(head, [])
    metric = main_metric(scores)
    own = next((score.label for score in scores if score.kind == "fusion"), "Fusion")
    tables = {own: head_rows(run, head), **baseline_rows(run, head)}
    tables = _shared({name: rows for name, rows in tables.items() if len(rows)})
    found = {name: statistic(metric, rows, run.classes(head)) for name, rows in tables.items()}
    known = {name: each for name, each in found.items() if each is not None}
    rows = len(next(iter(tables.values()), ()))
    if own not in known or rows < LEAST:
        return Compared(metric, rows)
    values = resample([*known.values()], tables[own]["weight"])
    drawn = {name: values[:, i] for i, name in enumerate(known)}
    simple = _simple(scores, metric, drawn, own)
    others = [name for name in drawn if name != own]
    beside = [name for name in drawn if simple and name != simple]
    return Compared(
        metric=metric, rows=rows, simple=simple,
        values={name: interval(each) for name, each in drawn.items()},
        changes={name: interval(_gap(metric, drawn[name], drawn[simple])) for name in beside},
        gains={name: interval(_gap(metric, drawn[own], drawn[name])) for name in others},
    )  # fmt: skip


def said(metric: str, found: Interval | None, unit: str = "") -> str:
    """Write an interval of a metric, such as `0.21 to 0.26`; nothing where there is none.

    Example:
    >>> said("accuracy", Interval(0.9, 0.85, 0.931)), said("rmse", None)
    ('85.0% to 93.1%', '')
    """
    if found is None or not np.isfinite([found.low, found.high]).all():
        return ""
    return f"{written(metric, found.low)} to {written(metric, found.high)}{unit}"


def said_change(metric: str, found: Interval | None) -> str:
    """Write a difference with its interval: per cent of an error, points of a share.

    Example:
    >>> said_change("rmse", Interval(-0.12, -0.2, 0.01))
    '−12% (−20% to +1%)'
    >>> said_change("accuracy", Interval(0.03, 0.01, 0.05))
    '+3.0 points (+1.0 to +5.0)'
    """
    if found is None or not np.isfinite([found.value, found.low, found.high]).all():
        return ""
    value, low, high = (_signed(metric, each) for each in (found.value, found.low, found.high))
    points = " points" if measure_of(metric).better == "higher" and _is_share(metric) else ""
    return f"{value}{points} ({low} to {high})"


def is_better(metric: str, gain: Interval) -> bool | None:
    """Tell whether a gain is one (True), a loss (False), or may be either (None).

    Example:
    >>> is_better("rmse", Interval(-0.2, -0.3, -0.1)), is_better("accuracy", Interval(0, -1, 1))
    (True, None)
    """
    sign = -1 if measure_of(metric).better != "higher" else 1
    low, high = sorted((sign * gain.low, sign * gain.high))
    return True if low > 0 else False if high < 0 else None


def _signed(metric: str, value: float) -> str:
    if measure_of(metric).better != "higher":
        text = f"{value:+.0%}"
    elif _is_share(metric):
        text = f"{100 * value:+.1f}"
    else:
        text = f"{'+' if value >= 0 else '-'}{readable(abs(value), 2)}"
    return {"-0%": "0%", "+0%": "0%"}.get(text, text).replace("-", "−")


def _is_share(metric: str) -> bool:
    return measure_of(metric).written == "percent"


def _gap(metric: str, mine: Floats, other: Floats) -> Floats:
    if measure_of(metric).better == "higher":
        return mine - other
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mine / other - 1, np.float64)


def _simple(scores: list[ModelScore], metric: str, drawn: dict[str, Floats], own: str) -> str:
    """Name the best of the models that are no fusion and whose rows are known."""
    names = [score.label for score in ranked(scores, metric) if score.kind != "fusion"]
    return next((name for name in names if name in drawn and name != own), "")


def _shared(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the rows that all tables have, in one order."""
    if not tables:
        return {}
    index = reduce(lambda a, b: a.intersection(b), (rows.index for rows in tables.values()))
    return {name: rows.loc[index.sort_values()] for name, rows in tables.items()}
