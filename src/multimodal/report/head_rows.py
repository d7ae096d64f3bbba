"""The test rows of one head as a table: label, prediction and weight, by model or baseline.

Columns are named by their endings (`true`, `prediction`, `probability_glad`, `q05`, `xmin`,
`xmin_true`), as :mod:`multimodal.evaluation.predictions` names them, the index is the position in
`predictions.csv`. Rows without a label, a complete prediction or a weight are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Bools, Floats
from multimodal.core.config import LabelKind
from multimodal.core.spec import unique_slugs
from multimodal.data.labels.boxes import CORNERS, iou
from multimodal.evaluation.bootstrap import (
    Statistic,
    mean_of,
    median_of,
    precision_of,
    root_mean_of,
)
from multimodal.evaluation.metrics import log_floored, log_losses, pinball_losses, worst_rows
from multimodal.evaluation.predictions import NO_LABEL, SEPARATOR
from multimodal.report.run_files import RunFiles

_OF_NUMBERS = ("log_rmse", "rmse", "mae", "median_ape", "pinball", "coverage")
Order = list[int]
Ranked = tuple[Order, Order]
KEPT = 20  # of the worst numbers and boxes, which are never quite right, not among the best
_QUANTILE = re.compile(r"q(\d+)(?:_(\d+))?")


def head_rows(run: RunFiles, head: str) -> pd.DataFrame:
    """Return the rows of the run's own model; empty where the run does not hold them."""
    everything = run.predictions.reset_index(drop=True)
    prefix = f"{head}_"
    named = {c: c.removeprefix(prefix) for c in map(str, everything) if c.startswith(prefix)}
    found = everything[list(named)].rename(columns=named)
    found["row"] = everything["row"] if "row" in everything else np.arange(len(everything))
    found["weight"] = everything["weight"] if "weight" in everything else 1.0
    return _complete(found, run, head)


def baseline_rows(run: RunFiles, head: str) -> dict[str, pd.DataFrame]:
    """Return the rows of each baseline by its name, with the labels of `predictions.csv`."""
    table, own = run.baselines, head_rows(run, head)
    if not len(table) or not len(own):
        return {}
    known = [c for c in map(str, own) if c.endswith("true") or c in ("row", "weight")]
    y_true = own[known].rename_axis("position").reset_index()
    result = {}
    for model, lines in table[table["head"] == head].groupby("model", sort=False):
        lines = lines.drop(columns=["head", "model"]).dropna(axis="columns", how="all")
        # By row, since a baseline may have predicted in an order of its own.
        joined = y_true.merge(lines.drop_duplicates("row"), on="row").set_index("position")
        result[str(model)] = _complete(joined, run, head)
    return result


def quantiles(rows: pd.DataFrame) -> dict[str, float]:
    """Return the columns that hold quantiles, with their levels, lowest first.

    Example:
    >>> quantiles(pd.DataFrame(columns=["q97_5", "q05", "prediction"]))
    {'q05': 0.05, 'q97_5': 0.975}
    """
    matches = [(str(c), _QUANTILE.fullmatch(str(c))) for c in rows]
    found = {name: float(f"{m[1]}.{m[2] or 0}") / 100 for name, m in matches if m}
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def probability_columns(classes: Sequence[str]) -> list[str]:
    """Return the endings of the columns that hold the probabilities of classes or labels."""
    return unique_slugs([f"probability {each}" for each in classes])


def label_matrix(names: Sequence[Any] | pd.Series[Any], classes: Sequence[str]) -> Bools:
    """Return bool (rows, C): which labels a cell such as `red|big` names.

    Example:
    >>> label_matrix(["red|big", "[]"], ["big", "red"]).tolist()
    [[True, True], [False, False]]
    """
    sets = [set() if cell == NO_LABEL else set(str(cell).split(SEPARATOR)) for cell in names]
    return np.array([[each in found for each in classes] for found in sets], bool)


def box_overlap(rows: pd.DataFrame) -> Floats:
    """Return the IoU (rows,) of true and predicted boxes."""
    y_true = rows[[f"{corner}_true" for corner in CORNERS]].to_numpy(float)
    return np.asarray(iou(y_true, rows[list(CORNERS)].to_numpy(float)), np.float64)


def statistic(metric: str, rows: pd.DataFrame, classes: Sequence[str]) -> Statistic | None:
    """Return a metric of rows as a function of their weights; None for one that is not known.

    Args:
        metric: A name of `multimodal.evaluation.measures`.
        rows: As `head_rows` returns them; without any, nothing is known.
        classes: The names of classes or labels, ordinal ones lowest first.
    """
    if not len(rows) or metric not in _STATISTICS:
        return None
    if metric in _OF_NUMBERS and rows.dtypes.get("true") != np.float64:
        return None
    try:
        found: Statistic | None = _STATISTICS[metric](rows, classes)
    except KeyError:  # a column that this run does not have
        return None
    return found


def _number(rows: pd.DataFrame) -> tuple[Floats, Floats]:
    return rows["true"].to_numpy(float), rows["prediction"].to_numpy(float)


def _log_rmse(rows: pd.DataFrame, classes: Sequence[str]) -> Statistic | None:
    y, p = _number(rows)
    if y.min() <= 0:
        return None
    return root_mean_of((log_floored(p, y) - np.log(y)) ** 2)


def _median_ape(rows: pd.DataFrame, classes: Sequence[str]) -> Statistic | None:
    y, p = _number(rows)
    there = y != 0
    if 2 * there.sum() <= len(y):
        return None
    median = median_of(np.abs((p - y)[there] / y[there]))
    return lambda weights: median(weights[:, there])


def _pinball(rows: pd.DataFrame, classes: Sequence[str]) -> Statistic | None:
    found = quantiles(rows)
    if not found:
        return None
    y, p = rows["true"].to_numpy(float), rows[[*found]].to_numpy(float)
    return mean_of(pinball_losses(y, p, [*found.values()]))


def covered(rows: pd.DataFrame) -> Bools:
    """Tell which true values (rows,) the outer quantiles cover; KeyError without quantiles."""
    names = [*quantiles(rows)]
    if not names:
        raise KeyError("quantiles")
    return rows["true"].between(rows[names[0]], rows[names[-1]]).to_numpy(bool)


def _ordinal_error(rows: pd.DataFrame, classes: Sequence[str]) -> Statistic | None:
    where = {name: i for i, name in enumerate(classes)}
    gap = rows["true"].map(where) - rows["prediction"].map(where)
    return None if gap.isna().any() else mean_of(gap.abs())


def _log_loss(rows: pd.DataFrame, classes: Sequence[str]) -> Statistic | None:
    where = {name: i for i, name in enumerate(classes)}
    codes, p = rows["true"].map(where), rows[probability_columns(classes)].to_numpy(float)
    if codes.isna().any():
        return None
    return mean_of(log_losses(codes.to_numpy(int), p))


def all_labels_right(rows: pd.DataFrame, classes: Sequence[str]) -> Bools:
    """Tell in which rows (rows,) exactly the true labels are predicted."""
    y_true, y_pred = (label_matrix(rows[ending], classes) for ending in ("true", "prediction"))
    return np.asarray((y_true == y_pred).all(axis=1), np.bool_)


_STATISTICS: dict[str, Any] = {
    "log_rmse": _log_rmse,
    "rmse": lambda rows, _: root_mean_of((rows["prediction"] - rows["true"]) ** 2),
    "mae": lambda rows, _: mean_of((rows["prediction"] - rows["true"]).abs()),
    "median_ape": _median_ape,
    "pinball": _pinball,
    "coverage": lambda rows, _: mean_of(covered(rows)),
    "accuracy": lambda rows, _: mean_of(rows["true"] == rows["prediction"]),
    "mae_grades": _ordinal_error,
    "log_loss": _log_loss,
    "average_precision": lambda rows, classes: precision_of(
        label_matrix(rows["true"], classes), rows[probability_columns(classes)].to_numpy(float)
    ),
    "exact": lambda rows, classes: mean_of(all_labels_right(rows, classes)),
    "mean_iou": lambda rows, _: mean_of(box_overlap(rows)),
    "iou_50": lambda rows, _: mean_of(box_overlap(rows) >= 0.5),
}


def _complete(rows: pd.DataFrame, run: RunFiles, head: str) -> pd.DataFrame:
    """Return the rows that have all their kind needs, numbers as numbers and finite."""
    kind, classes = run.kind(head), run.classes(head)
    words = ["true", "prediction"] if kind in ("class", "labels") else []
    if kind == "box":
        needed = [*(f"{corner}_true" for corner in CORNERS), *CORNERS]
    else:
        needed = ["true", "prediction"]
    if not set(needed) <= set(rows):
        return pd.DataFrame()
    known = [
        c for c in ("probability", *probability_columns(classes), *quantiles(rows)) if c in rows
    ]
    numbers = ["weight", *known, *(name for name in needed if name not in words)]
    found = rows[["row", *dict.fromkeys([*numbers, *words])]].copy()
    for name in dict.fromkeys(numbers):
        found[name] = pd.to_numeric(found[name], errors="coerce").astype(float)
    found = found.replace([np.inf, -np.inf], np.nan).dropna()
    return found[found["weight"] > 0]


def rank_rows(kind: LabelKind, rows: pd.DataFrame, classes: Sequence[str]) -> Ranked:
    """Return the indices of rows: wrong predictions, worst first, and right ones, best first.

    Numbers are ranked by their error (see `evaluation.worst_rows`), classes by the probability of
    the prediction, labels by how many are wrong, boxes by their IoU.

    Args:
        kind: What the head predicts.
        rows: As `head_rows` returns them.
        classes: The names of classes or labels.

    Example:
    >>> rows = pd.DataFrame({"true": [1.0, 2.0, 3.0], "prediction": [1.0, 8.0, 4.0]})
    >>> rank_rows("number", rows, ())[0]
    [1, 2, 0]
    """
    if not len(rows):
        return [], []
    return _RANKS[kind](rows, classes)


def _numbers(rows: pd.DataFrame, classes: Sequence[str]) -> Ranked:
    order = worst_rows(rows["true"], rows["prediction"], len(rows))
    return _parted([rows.index[i] for i in order])


def _classes(rows: pd.DataFrame, classes: Sequence[str]) -> Ranked:
    right = rows["true"] == rows["prediction"]
    confidence = rows.get("probability", pd.Series(1.0, index=rows.index))
    order = (confidence * np.where(right, -1, 1)).sort_values(ascending=False, kind="stable").index
    return [i for i in order if not right[i]], [i for i in order if right[i]][::-1]


def _labels(rows: pd.DataFrame, classes: Sequence[str]) -> Ranked:
    y_true, guess = (label_matrix(rows[ending], classes) for ending in ("true", "prediction"))
    misses = pd.Series((y_true != guess).sum(axis=1), index=rows.index)
    order = misses.sort_values(ascending=False, kind="stable").index
    return [i for i in order if misses[i]], [i for i in order if not misses[i]][::-1]


def _boxes(rows: pd.DataFrame, classes: Sequence[str]) -> Ranked:
    ious = pd.Series(box_overlap(rows), index=rows.index)
    return _parted([*ious.sort_values(kind="stable").index])


def _parted(order: Order) -> Ranked:
    return order[:KEPT], order[KEPT:][::-1]


_RANKS: dict[LabelKind, Callable[[pd.DataFrame, Sequence[str]], Ranked]] = {
    "number": _numbers,
    "class": _classes,
    "labels": _labels,
    "box": _boxes,
}
