"""Bins of numbers: by quantiles, or where a decision tree tells the labels apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.data.labels.cells import known_rows

LEAST_WIDTH = 1e-3
MOST_ROWS = 20_000


def quantile_edges(values: Floats, parts: int) -> Floats:
    """Return the rising edges between `parts` bins of equally many values; NaN is left out."""
    known = values[np.isfinite(values)]
    return np.unique(np.quantile(known, np.arange(1, parts) / parts)) if len(known) else known


def quantile_bins(values: Floats, parts: int, *, among: Bools | None = None) -> Ints:
    """Return which of `parts` quantiles each number is in, int64 (N,), -1 where there is none.

    Args:
        values: (N,), NaN where missing.
        parts: Number of bins; fewer where many values are equal.
        among: Bool (N,), the values whose quantiles they are; all by default.

    Example:
    >>> quantile_bins(np.array([1.0, 2, 3, 4, np.nan]), 2).tolist()
    [0, 0, 1, 1, -1]
    """
    edges = quantile_edges(values if among is None else values[among], parts)
    return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), -1)


def fit_bins(
    numbers: NDArray[Any], num_bins: int, target: NDArray[Any] | None = None
) -> list[float]:
    """Return the rising edges of at most `num_bins` bins; at least two edges.

    Edges closer than 0.001 to the one before are left out, so that no bin is so narrow that a
    number beside it comes out huge.

    Args:
        numbers: float (rows,), scaled and clipped as the model reads them, NaN where missing.
        num_bins: the largest number of bins.
        target: labels to tell apart: float (rows,) or (rows, C), or int (rows,) of classes; NaN
            or -1 where missing. Without, the bins hold the same number of rows each.

    Example:
    >>> fit_bins(np.arange(5.0), 2)
    [0.0, 2.0, 4.0]
    >>> fit_bins(np.arange(8.0), 2, np.array([5.0, 5, 5, 9, 9, 9, 9, 9]))
    [0.0, 2.5, 7.0]

    References:
        Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, 2022.
    """
    finite = np.isfinite(numbers)
    if not finite.any():
        return [-1.0, 1.0]
    known = numbers[finite].astype(np.float64)
    if target is None:
        inner = np.quantile(known[:: _step(known)], np.linspace(0, 1, num_bins + 1))[1:-1]
        edges = np.array([known.min(), *inner, known.max()])
    else:
        cuts = _cuts(numbers, target, finite & known_rows(target), num_bins)
        edges = np.array([known.min(), *cuts, known.max()])
    return _apart(np.round(edges, 4).tolist())


def _cuts(numbers: NDArray[Any], target: NDArray[Any], known: Bools, num_bins: int) -> list[float]:
    """Return the thresholds of a decision tree, rising; each leaf is a bin.

    No leaf holds less than a quarter of an equal share of the rows.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    rows = np.flatnonzero(known)
    # Every n-th row rather than a draw: nothing here depends on a seed.
    rows = rows[:: _step(rows)]
    if len(rows) < 2:
        return []
    kind = DecisionTreeClassifier if target.dtype.kind in "iu" else DecisionTreeRegressor
    tree = kind(
        max_leaf_nodes=num_bins,
        min_samples_leaf=max(1, len(rows) // (4 * num_bins)),
        random_state=0,
    )
    tree.fit(numbers[rows, None], target[rows])
    inner = tree.tree_.children_left != tree.tree_.children_right
    return sorted(tree.tree_.threshold[inner].tolist())


def _step(rows: NDArray[Any]) -> int:
    """Return the step that draws at most 20,000 rows evenly: enough to place the cuts."""
    return math.ceil(len(rows) / MOST_ROWS) or 1


def _apart(edges: list[float]) -> list[float]:
    """Return the rising edges that are wide enough apart; a single value gets one bin around it."""
    kept = edges[:1]
    for edge in edges[1:]:
        if edge - kept[-1] >= LEAST_WIDTH:
            kept.append(edge)
    return kept if len(kept) > 1 else [kept[0] - 1, kept[0] + 1]
