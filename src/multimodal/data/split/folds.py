"""Folds of a cross-validation: every row is tested once, and rows that belong together stay so."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import DataError, choices
from multimodal.data.columns.cells import as_text
from multimodal.data.read.table import Table
from multimodal.data.split.duplicates import IntArray
from multimodal.data.split.sides import SIDES, Sides, Targets, deal

MOST_FOLDS = 100


def deal_folds(count: int, groups: IntArray, targets: Targets, seed: int) -> IntArray:
    """Deal rows to folds: whole groups, and the targets spread evenly.

    Args:
        count: Number of folds.
        groups: int64 (N,), what stays together.
        targets: Each (N,) numbers, or objects for classes; see `split_rows`.
        seed: Fixes the draw.

    Returns:
        int64 (N,), each row's fold from 0 on.

    Raises:
        DataError: There are fewer groups than folds.

    Example:
    >>> folds = deal_folds(3, np.arange(9) // 2, [np.arange(9.0)], seed=0)
    >>> sorted(set(folds.tolist())), bool(folds[0] == folds[1])
    ([0, 1, 2], True)
    """
    found = len(np.unique(groups))
    if found < count:
        raise DataError(
            f"cannot deal {len(groups):,} rows to {count} folds: they form {found} groups that "
            "must stay together. Ask for fewer folds, or use more rows."
        )
    return deal([1 / count] * count, groups, targets, seed, rare=None)


def read_folds(table: Table, column: str) -> IntArray:
    """Return each row's fold, int64 (N,) from 0 on, as a column of the table says.

    The cells are taken as names, such as `1` or `spring`; numbers count in their order.

    Raises:
        DataError: No such column, an empty cell, or not 2 to 100 different folds.
    """
    names = [str(name) for name in table.frame.columns]
    if column not in names:
        raise DataError(
            f"{table.name}: column of folds '{column}' is missing. {choices(column, names)}"
        )
    cells = as_text(table.frame[column]).tolist()
    if None in cells:
        raise DataError(
            f"{table.place(cells.index(None))}, column '{column}': expected the row's fold, got "
            "an empty cell. Name a fold in every row."
        )
    found = sorted(set(cells), key=_in_order)
    if not 2 <= len(found) <= MOST_FOLDS:
        raise DataError(
            f"{table.name}: column '{column}' names {len(found):,} different folds, such as "
            f"{found[0]!r:.60}; expected 2 to {MOST_FOLDS}. Name another --folds-column."
        )
    number = {name: fold for fold, name in enumerate(found)}
    return np.array([number[cell] for cell in cells], np.int64)


def rows_apart(folds: IntArray, groups: IntArray) -> IntArray:
    """Return the positions of rows whose group lies in several folds, ascending.

    Example:
    >>> rows_apart(np.array([0, 1, 1]), np.array([7, 7, 8])).tolist()
    [0, 1]
    """
    member = np.unique(groups, return_inverse=True)[1]
    low, high = np.full(len(groups), len(folds)), np.full(len(groups), -1)
    np.minimum.at(low, member, folds)
    np.maximum.at(high, member, folds)
    return np.flatnonzero((low != high)[member]).astype(np.int64)


def fold_sides(
    folds: IntArray, fold: int, groups: IntArray, targets: Targets, validation: float, seed: int
) -> Sides:
    """Return the sides of one fold's training: its rows test, some of the others validate.

    Args:
        folds: int64 (N,), each row's fold.
        fold: The one to test on.
        groups: int64 (N,), what stays together.
        targets: Each (N,), spread evenly over training and validation.
        validation: Share of all rows that validate, at most half of those left.
        seed: Fixes the draw.

    Returns:
        object (N,) of "train", "validation" and "test".

    Example:
    >>> sides = fold_sides(np.arange(12) % 3, 1, np.arange(12), [np.arange(12.0)], 0.2, seed=0)
    >>> [int((sides == side).sum()) for side in SIDES]
    [6, 2, 4]
    """
    sides: NDArray[np.object_] = np.full(len(folds), SIDES[2], object)
    rest = np.flatnonzero(folds != fold)
    share = min(0.5, validation * len(folds) / max(len(rest), 1))
    parts = deal([1 - share, share], groups[rest], [target[rest] for target in targets], seed)
    sides[rest] = np.array(SIDES, object)[parts]
    return sides


def _in_order(name: str) -> tuple[float, str]:
    """Sort numbers by value, before words."""
    return (float(name), name) if re.fullmatch(r"-?\d{1,15}(\.\d+)?", name) else (np.inf, name)
