"""What a category stands for: the mean of the targets of the rows that have it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PRIOR = 10.0  # rows that the mean of all rows counts for in a category's mean
Floats = NDArray[np.float64]


def category_means(codes: NDArray[np.int64], count: int, targets: Floats, weight: Floats) -> Floats:
    """Return the mean target of each category of each column, drawn towards that of all rows.

    Args:
        codes: Each row's categories, counted through all columns, (N, C).
        count: Number of categories of all columns together.
        targets: The targets (N, T).
        weight: Weights of the rows (N,), or of each row's targets (N, T).

    Returns:
        float64 (count, T).

    Example:
    >>> codes, targets = np.array([[0], [0], [1]]), np.array([[3.0], [3.0], [0.0]])
    >>> category_means(codes, 2, targets, np.ones(3)).round(2).tolist()
    [[2.17], [1.82]]

    References:
        Micci-Barreca, A Preprocessing Scheme for High-Cardinality Categorical Attributes in
        Classification and Prediction Problems, 2001 (equation 4).
    """
    weights = np.broadcast_to(weight if weight.ndim == 2 else weight[:, None], targets.shape)
    weighed, total = targets * weights, weights.sum(axis=0)
    mean = np.divide(weighed.sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)
    sums, totals = np.tile(PRIOR * mean, (count, 1)), np.full((count, len(mean)), PRIOR)
    for column in codes.T:
        np.add.at(sums, column, weighed)
        np.add.at(totals, column, weights)
    return np.asarray(sums / totals)
