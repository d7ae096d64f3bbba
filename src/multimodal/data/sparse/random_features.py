"""Waves over a row of the table: what bends in several columns at once, for a linear model.

A row is its scaled numbers and what each of its categories means for the targets. A linear model of
the waves `cos(row @ frequencies + phases)` is a kernel machine: two rows are alike where all their
columns are.

References:
    Rahimi & Recht, Random Features for Large-Scale Kernel Machines, 2007 (algorithm 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints, decode, encode
from multimodal.core.config import Head
from multimodal.core.spec import FIRST_CODE, MISSING, FittedGroup, FittedHead, FourierFeatures
from multimodal.core.target_transform import TargetTransform
from multimodal.data.features import cell_arrays
from multimodal.data.features.cell_arrays import Frame, Units

COUNT = 256
MOST_ROWS = 20_000  # from which networks learn by themselves what waves tell
MOST_CLASSES = 10


class Cells(NamedTuple):
    """Rows of the table: scaled numbers (N, F), and categories counted through columns (N, C).

    `there` (N,) says which rows have any cell at all.
    """

    numbers: Floats
    codes: Ints
    there: Bools


def random_feature_targets(
    heads: Sequence[Head], fitted: Sequence[FittedHead], labels: Mapping[str, NDArray[Any]]
) -> Floats:
    """Return what categories are measured by, (N, T) with mean 0 and variance 1, NaN where missing.

    A number counts in its head's transformed space, up to ten classes or labels one by one.
    """
    parts: list[Floats] = []
    for head, known in zip(heads, fitted, strict=True):
        y_true = np.asarray(labels[known.name], np.float64)
        if known.kind == "number":
            transform = head.head.options.get("transform", "standardise")
            space = TargetTransform(transform=transform, mean=known.mean, scale=known.scale)
            parts.append(space.encode(y_true).reshape(len(y_true), -1))
        elif known.kind in ("class", "labels") and len(known.classes) <= MOST_CLASSES:
            each = y_true
            if known.kind == "class":
                each = np.where(y_true[:, None] < 0, np.nan, y_true[:, None] == classes_of(known))
            parts.append(each)
    if not parts:
        return np.zeros((len(next(iter(labels.values()))), 0))
    found = np.hstack(parts)
    spread = np.nanstd(found, axis=0)
    return np.asarray((found - np.nanmean(found, axis=0)) / np.where(spread > 0, spread, 1.0))


def classes_of(head: FittedHead) -> Ints:
    """Return the ids of classes that are told apart: of two, the second is enough."""
    return np.arange(1 if len(head.classes) == 2 else 0, len(head.classes))


def fit_random_features(group: FittedGroup, cells: Cells, targets: Floats) -> FourierFeatures:
    """Draw waves for a group of the table, and learn what its categories mean.

    Args:
        group: The group.
        cells: Its training rows.
        targets: Those of `random_feature_targets`, (N, T).
    """
    random = np.random.default_rng(0)
    width = cells.numbers.shape[1] + cells.codes.shape[1] * targets.shape[1]
    frequencies = random.normal(size=(width, COUNT)) / np.sqrt(width)
    phases = random.uniform(0, 2 * np.pi, COUNT)
    return FourierFeatures(
        targets=targets.shape[1],
        frequencies=encode(frequencies, "<f4"),
        phases=encode(phases, "<f4"),
        meanings=encode(_meanings(group, cells.codes, targets), "<f4"),
    )


def read_cells(group: FittedGroup, units: Units, frame: Frame) -> Cells:
    """Return the numbers and categories of a group in raw rows."""
    rows = cell_arrays.row_count(frame)
    codes = np.zeros((rows, len(group.categorical)), np.int32)
    for i, column in enumerate(group.categorical):
        ids = {name: place for place, name in enumerate(column.categories, FIRST_CODE)}
        codes[:, i] = cell_arrays.codes(ids, frame[column.source])
    numbers = np.zeros((rows, 0))
    if group.numeric:
        read = cell_arrays.numbers(group.numeric, units, frame).values
        numbers = np.asarray(cell_arrays.scaled(read, group.numeric))
    return to_cells(group, numbers, codes)


def to_cells(group: FittedGroup, numbers: NDArray[Any], codes: NDArray[Any]) -> Cells:
    """Return cells from arrays as networks read them; a missing number counts as the median."""
    first = np.cumsum([0, *(len(column.categories) + FIRST_CODE for column in group.categorical)])
    there = np.isfinite(numbers).any(axis=1) | (codes != MISSING).any(axis=1)
    return Cells(np.nan_to_num(np.asarray(numbers, np.float64)), codes + first[:-1], there)


def baseline_cells(group: FittedGroup) -> Cells:
    """Return one row: the median of each number, the most frequent category of each column."""
    codes = [[FIRST_CODE if column.categories else MISSING for column in group.categorical]]
    return to_cells(group, np.zeros((1, len(group.numeric))), np.array(codes, np.int64))


def random_features_of(
    waves: FourierFeatures, cells: Cells, meanings: Floats | None = None
) -> Floats:
    """Return the waves of rows, (N, 256), 0 for a row without any cell.

    Args:
        waves: The fitted waves.
        cells: The rows.
        meanings: What categories mean, (categories, T); what was learned by default.
    """
    if meanings is None:
        learned = decode(waves.meanings, "<f4")
        meanings = learned.reshape(len(learned) // max(waves.targets, 1), waves.targets)
    rows, columns = cells.codes.shape
    known = meanings[cells.codes].reshape(rows, columns * meanings.shape[1])
    row = np.hstack([cells.numbers, known])
    phases = decode(waves.phases, "<f4")
    turns = row @ decode(waves.frequencies, "<f4").reshape(-1, len(phases)) + phases
    return np.asarray(np.cos(turns) * np.sqrt(2 / len(phases)) * cells.there[:, None])


def random_features_out_of_fold(
    waves: FourierFeatures,
    group: FittedGroup,
    cells: Cells,
    targets: Floats,
    folds: Ints,
) -> Floats:
    """Return the waves of training rows, where no row's own fold tells what its categories mean.

    Args:
        waves: The fitted waves.
        group: The group.
        cells: The rows that they were fitted on.
        targets: Those of `random_feature_targets`, (N, T).
        folds: Fold of each row (N,), -1 for none.
    """
    found = random_features_of(waves, cells)
    for fold in np.unique(folds[folds >= 0]):
        own = folds == fold
        others = _meanings(group, cells.codes[~own], targets[~own])
        found[own] = random_features_of(waves, Cells(*(each[own] for each in cells)), others)
    return found


def _meanings(group: FittedGroup, codes: Ints, targets: Floats) -> Floats:
    count = sum(len(column.categories) + FIRST_CODE for column in group.categorical)
    known = np.isfinite(targets)
    return target_encoding(codes, count, np.where(known, targets, 0.0), known.astype(float))


PRIOR = 10.0  # rows that the mean of all rows counts for in a category's mean


def target_encoding(codes: Ints, count: int, targets: Floats, weight: Floats) -> Floats:
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
    >>> target_encoding(codes, 2, targets, np.ones(3)).round(2).tolist()
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
