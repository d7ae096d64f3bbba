"""Test rows in the order of how wrong the answers to them are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from multimodal.core.config import LabelKind
from multimodal.evaluation.metrics import worst_rows
from multimodal.report.head_rows import marks, overlap

Order = list[int]
Ranked = tuple[Order, Order]
KEPT = 20
"""Numbers and boxes are never quite right; so many of the worst rows are not among the best."""


def wrong_and_right(kind: LabelKind, rows: pd.DataFrame, classes: Sequence[str]) -> Ranked:
    """Return the indices of rows: wrong answers, worst first, and right ones, best first.

    Numbers are ranked by their error (see `evaluation.worst_rows`), classes by how sure the answer
    is, labels by how many are wrong, boxes by how far they overlap the true ones.

    Args:
        kind: What the head predicts.
        rows: As `head_rows` returns them.
        classes: The names of classes or labels.

    Example:
    >>> rows = pd.DataFrame({"true": [1.0, 2.0, 3.0], "prediction": [1.0, 8.0, 4.0]})
    >>> wrong_and_right("number", rows, ())[0]
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
    sure = rows.get("probability", pd.Series(1.0, index=rows.index))
    order = (sure * np.where(right, -1, 1)).sort_values(ascending=False, kind="stable").index
    return [i for i in order if not right[i]], [i for i in order if right[i]][::-1]


def _labels(rows: pd.DataFrame, classes: Sequence[str]) -> Ranked:
    truth, guess = (marks(rows[ending], classes) for ending in ("true", "prediction"))
    misses = pd.Series((truth != guess).sum(axis=1), index=rows.index)
    order = misses.sort_values(ascending=False, kind="stable").index
    return [i for i in order if misses[i]], [i for i in order if not misses[i]][::-1]


def _boxes(rows: pd.DataFrame, classes: Sequence[str]) -> Ranked:
    shares = pd.Series(overlap(rows), index=rows.index)
    return _parted([*shares.sort_values(kind="stable").index])


def _parted(order: Order) -> Ranked:
    return order[:KEPT], order[KEPT:][::-1]


_RANKS: dict[LabelKind, Callable[[pd.DataFrame, Sequence[str]], Ranked]] = {
    "number": _numbers, "class": _classes, "labels": _labels, "box": _boxes,
}  # fmt: skip
