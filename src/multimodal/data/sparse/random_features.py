"""Random Fourier features over a table, on scaled numbers and target-encoded categories.

A linear model sees one column at a time. Over the features `cos(row @ frequencies + phases)` it is
a kernel machine: two rows are alike where all their columns are, so it learns what bends in several
columns at once. A row is its scaled numbers and, for each category, its target encoding.

References:
    Rahimi & Recht, Random Features for Large-Scale Kernel Machines, 2007 (algorithm 1).
    Micci-Barreca, A Preprocessing Scheme for High-Cardinality Categorical Attributes in
    Classification and Prediction Problems, 2001 (equation 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints, encode
from multimodal.core.config import Head
from multimodal.core.spec import FIRST_CODE, MISSING, FittedGroup, FittedHead, FourierFeatures
from multimodal.core.target_transform import TargetTransform
from multimodal.data.features import cell_arrays
from multimodal.data.features.cell_arrays import Frame, Readings

COUNT = 256
MOST_ROWS = 20_000  # beyond, the networks learn by themselves what these features tell
MOST_CLASSES = 10
PRIOR = 10.0  # rows by which the mean of all rows weighs in a category's mean


class Cells(NamedTuple):
    """Rows of a tabular group: scaled numbers (N, F) and codes of categories (N, C).

    Codes run on from column to column. `there` (N,) says which rows have any cell at all.
    """

    numbers: Floats
    codes: Ints
    there: Bools


def target_encoding(codes: Ints, count: int, targets: Floats, weight: Floats) -> Floats:
    """Return the mean target of each category, drawn towards that of all rows.

    Args:
        codes: Each row's categories, which run on from column to column, (N, C).
        count: Number of categories of all columns together.
        targets: The targets (N, T).
        weight: Weights of the rows (N,), or of each row's targets (N, T).

    Returns:
        float64 (count, T).

    Example:
    >>> codes, targets = np.array([[0], [0], [1]]), np.array([[3.0], [3.0], [0.0]])
    >>> target_encoding(codes, 2, targets, np.ones(3)).round(2).tolist()
    [[2.17], [1.82]]
    """
    # scikit-learn's TargetEncoder knows no weights, no missing targets and one target at a time.
    weights = np.broadcast_to(weight if weight.ndim == 2 else weight[:, None], targets.shape)
    weighted, total = targets * weights, weights.sum(axis=0)
    mean = np.divide(weighted.sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)
    sums, totals = np.tile(PRIOR * mean, (count, 1)), np.full((count, len(mean)), PRIOR)
    # `np.add.at` and not `sums[column] +=`, which adds once where a code occurs several times.
    for column in codes.T:
        np.add.at(sums, column, weighted)
        np.add.at(totals, column, weights)
    return np.asarray(sums / totals)


def out_of_fold_target_encoding(
    codes: Ints, count: int, targets: Floats, weight: Floats, folds: Ints
) -> Floats:
    """Return each row's categories as encoded by the rows of other folds, (N, C, T).

    So no row's own target is in its features, which would tell a model that trains on them.

    Args:
        codes, count, targets, weight: As for `target_encoding`.
        folds: Fold of each row (N,); -1 takes the encoding by all rows.
    """
    found = target_encoding(codes, count, targets, weight)[codes]
    for fold in np.unique(folds[folds >= 0]):
        own = folds == fold
        others = target_encoding(codes[~own], count, targets[~own], weight[~own])
        found[own] = others[codes[own]]
    return found


def category_count(groups: Sequence[FittedGroup]) -> int:
    """Return the number of codes of all categorical columns, those for missing and unknown too."""
    return sum(len(column.categories) + FIRST_CODE for g in groups for column in g.categorical)


def random_feature_targets(
    heads: Sequence[Head], fitted: Sequence[FittedHead], labels: Mapping[str, NDArray[Any]]
) -> Floats:
    """Return the targets of the encoding, (N, T) with mean 0 and variance 1, NaN where missing.

    A number counts in its head's transformed space, up to ten classes or labels one by one.
    """
    parts: list[Floats] = []
    for head, known in zip(heads, fitted, strict=True):
        y_true = np.asarray(labels[known.name], np.float64)
        if known.kind == "number":
            transform = head.head.options.get("transform", "standardise")
            space = TargetTransform(transform=transform, mean=known.mean, scale=known.scale)
            parts.append(space.encode(y_true).reshape(len(y_true), -1))
        elif known.kind == "class" and len(known.classes) <= MOST_CLASSES:
            classes = np.arange(1 if len(known.classes) == 2 else 0, len(known.classes))
            parts.append(np.where(y_true[:, None] < 0, np.nan, y_true[:, None] == classes))
        elif known.kind == "labels" and len(known.classes) <= MOST_CLASSES:
            parts.append(y_true)
    if not parts:
        return np.zeros((len(next(iter(labels.values()))), 0))
    found = np.hstack(parts)
    deviation = np.nanstd(found, axis=0)
    return np.asarray((found - np.nanmean(found, axis=0)) / np.where(deviation > 0, deviation, 1.0))


def fit_random_features(group: FittedGroup, cells: Cells, targets: Floats) -> FourierFeatures:
    """Draw frequencies and phases for a tabular group, and encode its categories.

    Args:
        group: The group.
        cells: Its training rows.
        targets: Those of `random_feature_targets`, (N, T).
    """
    # Not the run's seed: runs that differ in it alone have the same features.
    random = np.random.default_rng(0)
    width = cells.numbers.shape[1] + cells.codes.shape[1] * targets.shape[1]
    frequencies = random.normal(size=(width, COUNT)) / np.sqrt(width)
    phases = random.uniform(0, 2 * np.pi, COUNT)
    encoding = target_encoding(cells.codes, category_count([group]), *_zero_filled(targets))
    return FourierFeatures(
        targets=targets.shape[1],
        frequencies=encode(frequencies, "<f4"),
        phases=encode(phases, "<f4"),
        meanings=encode(encoding, "<f4"),
    )


def _zero_filled(targets: Floats) -> tuple[Floats, Floats]:
    """Return targets without NaN, and the weight of each, 0 where it is missing."""
    known = np.isfinite(targets)
    return np.where(known, targets, 0.0), known.astype(float)


def read_cells(group: FittedGroup, readings: Readings, frame: Frame) -> Cells:
    """Return the numbers and categories of a group in raw rows."""
    rows = cell_arrays.row_count(frame)
    codes = np.zeros((rows, len(group.categorical)), np.int32)
    for i, column in enumerate(group.categorical):
        codes[:, i] = cell_arrays.codes(column, frame[column.source])
    read = cell_arrays.numbers(group.numeric, readings, frame).values
    return to_cells(group, cell_arrays.scaled(read, group.numeric), codes)


def to_cells(group: FittedGroup, numbers: NDArray[Any], codes: NDArray[Any]) -> Cells:
    """Return cells from arrays as networks read them; a missing number becomes the median, 0."""
    first = np.cumsum([0, *(len(column.categories) + FIRST_CODE for column in group.categorical)])
    there = np.isfinite(numbers).any(axis=1) | (codes != MISSING).any(axis=1)
    return Cells(np.nan_to_num(np.asarray(numbers, np.float64)), codes + first[:-1], there)


def baseline_cells(group: FittedGroup) -> Cells:
    """Return one row: the median of each number, the most frequent category of each column."""
    codes = [[FIRST_CODE if column.categories else MISSING for column in group.categorical]]
    return to_cells(group, np.zeros((1, len(group.numeric))), np.array(codes, np.int64))


def random_features_of(
    fourier: FourierFeatures, cells: Cells, encoded: Floats | None = None
) -> Floats:
    """Return the random Fourier features of rows, (N, 256), 0 for a row without any cell.

    Args:
        fourier: The fitted features.
        cells: The rows.
        encoded: The encoding of each row's categories, (N, C, T); the fitted one by default.
    """
    frequencies, phases, _ = fourier.arrays
    encoded = _fitted_encoding(fourier, cells) if encoded is None else encoded
    row = np.hstack([cells.numbers, encoded.reshape(len(encoded), np.prod(encoded.shape[1:]))])
    angles = row @ frequencies.reshape(-1, len(phases)) + phases
    return np.asarray(np.cos(angles) * np.sqrt(2 / len(phases)) * cells.there[:, None])


def _fitted_encoding(fourier: FourierFeatures, cells: Cells) -> Floats:
    """Return the categories of each row as they will be predicted from, (N, C, T)."""
    (_, _, fitted), width = fourier.arrays, fourier.targets
    return fitted.reshape(len(fitted) // max(width, 1), width)[cells.codes]


def random_features_out_of_fold(
    fourier: FourierFeatures, group: FittedGroup, cells: Cells, targets: Floats, folds: Ints
) -> Floats:
    """Return the features of training rows, their categories encoded out of fold, (N, 256).

    Args:
        fourier: The fitted features.
        group: The group.
        cells: The rows that they were fitted on.
        targets: Those of `random_feature_targets`, (N, T).
        folds: Fold of each row (N,), -1 for none.
    """
    known, count = _zero_filled(targets), category_count([group])
    encoded = out_of_fold_target_encoding(cells.codes, count, *known, folds)
    # A row of no fold is to be equal to what is predicted from, which is kept in float32.
    none = folds < 0
    encoded[none] = _fitted_encoding(fourier, cells)[none]
    return random_features_of(fourier, cells, encoded)
