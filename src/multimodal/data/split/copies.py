"""How well is a target known from the other rows of the same value, or from a sum of numbers?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MIN_EXPLAINED = 0.999
_LEAST_ROWS = 50


def by_value(keys: Ints, values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Return float64 (N,): the mean of `values` over the *other* known rows of the same key.

    Args:
        keys: (N,), -1 for none.
        values: (N,).
        known: (N,), which rows count.

    Returns:
        NaN where no other known row has the key.

    Example:
    >>> keys, ones = np.array([0, 0, 1, -1]), np.ones(4, bool)
    >>> by_value(keys, np.array([5.0, 7.0, 1.0, 1.0]), ones).tolist()
    [7.0, 5.0, nan, nan]
    """
    there = (keys >= 0) & known
    size = int(keys.max(initial=0)) + 1
    totals = np.bincount(keys[there], values[there], size)[keys]
    counts = np.bincount(keys[there], minlength=size)[keys] - there
    fine = (keys >= 0) & (counts > 0)
    others = totals - np.where(there, values, 0.0)
    return np.asarray(np.divide(others, counts, out=np.full(len(keys), np.nan), where=fine))


def right_by_value(keys: Ints, codes: Ints) -> float:
    """Return the share of rows whose class is the commonest among the other rows of their key.

    0 if fewer than half of the rows have another row of their key. Ties are wrong.

    Args:
        keys: (N,), -1 for none.
        codes: (N,), the class, -1 for none.

    Example:
    >>> right_by_value(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1]))
    1.0
    """
    there = (keys >= 0) & (codes >= 0)
    pairs, own, counts = np.unique(
        keys[there] * (codes.max(initial=0) + 1) + codes[there],
        return_inverse=True, return_counts=True,
    )  # fmt: skip
    value = pairs // (codes.max(initial=0) + 1)
    order = np.lexsort((counts, value))
    best, second = np.zeros((2, int(keys.max(initial=0)) + 1), np.int64)
    for pair in order:  # each value's commonest class comes last
        second[value[pair]], best[value[pair]] = best[value[pair]], counts[pair]
    mine, at = counts[own], keys[there]
    rival = np.where(mine == best[at], second[at], best[at])
    several = (best + second)[at] > 1
    if several.sum() < len(keys) / 2:
        return 0.0
    return float(np.mean((mine - 1 > rival)[several]))


def joined(first: Ints, second: Ints) -> Ints:
    """Return one key for each pair of keys, -1 where one is missing."""
    both = np.where((first >= 0) & (second >= 0), first * (second.max(initial=0) + 1) + second, -1)
    found, keys = np.unique(both, return_inverse=True)
    return np.asarray(keys - (len(found) > 0 and found[0] < 0), np.int64)


def together(numbers: Mapping[str, Floats], truth: Floats) -> tuple[list[str], str, float] | None:
    """Return which numbers make up the target, as a `sum` or `product`, and the share explained.

    Half of the rows are fitted, by least squares, the other half judged; columns go one by one as
    long as the others still explain 99.9 % of the variance.

    Args:
        numbers: by name, float64 (N,), NaN where missing.
        truth: float64 (N,).

    Returns:
        None unless two or more columns explain 99.9 % together.
    """
    for how in ("sum", "product"):
        columns = _usable(numbers, truth, how == "product")
        if columns is None:
            continue
        names, matrix, goal = columns
        left = list(range(len(names)))
        while len(left) > 1 and _explained(matrix[:, left], goal) >= MIN_EXPLAINED:
            without = [[i for i in left if i != gone] for gone in left]
            shares = [_explained(matrix[:, each], goal) for each in without]
            if max(shares) < MIN_EXPLAINED:
                share = _explained(matrix[:, left], goal)
                return [names[i] for i in left], how, share
            left = without[int(np.argmax(shares))]
    return None


def _usable(
    numbers: Mapping[str, Floats], truth: Floats, logarithms: bool
) -> tuple[list[str], Floats, Floats] | None:
    """Return names, numbers (rows, columns) and target of the rows that have them all."""
    names = [name for name, each in numbers.items() if np.isfinite(each).mean() > 0.5]
    if logarithms:
        names = [name for name in names if np.nanmin(numbers[name]) > 0]
        truth = np.log(truth, out=np.full(len(truth), np.nan), where=truth > 0)
    if len(names) < 2:
        return None
    matrix = np.stack([numbers[name] for name in names], axis=1)
    whole = np.isfinite(matrix).all(axis=1) & np.isfinite(truth)
    if whole.sum() < max(_LEAST_ROWS, 5 * len(names)) or truth[whole].min() == truth[whole].max():
        return None
    return names, np.log(matrix[whole]) if logarithms else matrix[whole], truth[whole]


def _explained(matrix: Floats, goal: Floats) -> float:
    """Return R² of least squares on every second row, judged on the others."""
    size = np.abs(matrix).max(axis=0)
    matrix = matrix / np.where(size > 0, size, 1.0)  # squares of large numbers overflow
    goal = goal / (np.abs(goal).max() or 1.0)
    scale = matrix.std(axis=0) + 1e-300
    moved = np.column_stack([(matrix - matrix.mean(axis=0)) / scale, np.ones(len(matrix))])
    mixed = np.random.default_rng(0).permutation(len(goal))
    fit, judge = mixed[::2], mixed[1::2]
    weights = np.linalg.lstsq(moved[fit], goal[fit], rcond=None)[0]
    missed = goal[judge] - moved[judge] @ weights
    return float(1 - np.var(missed) / max(np.var(goal[judge]), 1e-300))
