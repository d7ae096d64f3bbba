"""Folds of cross-validation and of k-fold ensembles; preparing the same rows for other splits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, DataError, choices
from multimodal.data.batches import Source
from multimodal.data.columns.cells import as_text
from multimodal.data.features.fit import fit_rows, fitted_labels, with_sparse_features
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.features.pretrained import with_pretrained
from multimodal.data.labels.cells import Label
from multimodal.data.labels.checks import check_splits
from multimodal.data.labels.read import label_arrays
from multimodal.data.photos.cache import PhotoCache
from multimodal.data.photos.read import PhotoPaths
from multimodal.data.prepared import Labels, Prepared
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.table import Table
from multimodal.data.split.splits import Splits, Targets, deal, random_splits

MOST_FOLDS = 100
LINEAR_FOLDS = 5  # of the linear model, which is fitted out of fold beside a single network, too


def deal_folds(count: int, groups: Ints, targets: Targets, seed: int) -> Ints:
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


def read_folds(table: Table, column: str) -> Ints:
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


def fold_splits(
    folds: Ints, fold: int, groups: Ints, targets: Targets, validation: float, seed: int
) -> Splits:
    """Return the splits of one fold's training: its rows test, some of the others validate.

    Args:
        folds: int64 (N,), each row's fold.
        fold: The one to test on.
        groups: int64 (N,), what stays together.
        targets: Each (N,), spread evenly over training and validation.
        validation: Fraction of all rows that validate, at most half of those left.
        seed: Fixes the draw.

    Returns:
        object (N,) of "train", "validation" and "test".

    Example:
    >>> splits = fold_splits(np.arange(12) % 3, 1, np.arange(12), [np.arange(12.0)], 0.2, seed=0)
    >>> [int((splits == split).sum()) for split in ("train", "validation", "test")]
    [6, 2, 4]
    """
    splits: NDArray[np.object_] = np.full(len(folds), "test", object)
    rest = np.flatnonzero(folds != fold)
    wanted = min(0.5, validation * len(folds) / max(len(rest), 1))
    known = [target[rest] for target in targets]
    splits[rest] = random_splits(wanted, 0.0, groups[rest], known, seed)
    return splits


def _in_order(name: str) -> tuple[float, str]:
    """Sort numbers by value, before words."""
    return (float(name), name) if re.fullmatch(r"-?\d{1,15}(\.\d+)?", name) else (np.inf, name)


def training_folds(
    config: Config, groups: Ints, splits: NDArray[Any], found: Labels, k_fold: bool
) -> Ints:
    """Return the fold of each row but the test rows, int64 (N,), -1 for these.

    With `k_fold` there is one for each fold model, else five for the linear model alone. Rows of a
    class in fewer than three groups are in none, so that every fold model learns from them.

    Raises:
        ConfigError: There are too few rows for `training.fold_models` folds.
    """
    rows = np.flatnonzero(splits != "test")
    targets = [each[rows] for label in found.values() for each in split_targets(label)]
    models = int(config.training.fold_models) if k_fold else 1
    count, folds = models if models > 1 else LINEAR_FOLDS, np.full(len(splits), -1)
    folds[rows] = deal([1 / count] * count, groups[rows], targets, config.training.seed, rare=-1)
    if models > 1 and len(np.unique(folds[folds >= 0])) < models:
        raise ConfigError(
            f"`training.fold_models` is {models}, but the rows that are no test rows do not make "
            f"as many parts: there are {len(rows):,}, and duplicates stay together. Set it to 1."
        )
    return folds


def split_targets(label: Label) -> list[NDArray[Any]]:
    """Return what a split should be stratified by: numbers, classes, or a box's size."""
    if label.kind == "labels":
        each = label.y_true(label.names()).astype(object)
        each[~label.known] = None
        return list(each.T)
    if label.kind == "box":
        return [np.asarray(np.prod(label.values[:, 2:] - label.values[:, :2], axis=1))]
    return [label.values]


def resplit(prepared: Prepared, splits: Splits) -> Prepared:
    """Return the rows of `prepared` in other splits, with scales, words and so on learned anew.

    Nothing is read again: the rows, kinds of columns and labels are those there are, and photos
    that were decoded stay so.

    Args:
        prepared: What `prepare` returned.
        splits: object (N,) of "train", "validation" and "test".

    Raises:
        DataError: The table is larger than memory, a split has no label of a head, or a group has
            nothing to learn in the training rows.
    """
    table, config, found = prepared.table, prepared.config, prepared.raw_labels
    if on_disk(table.frame):
        raise DataError(
            f"{table.name}: larger than memory should hold, so it cannot be split again and again. "
            "Take a sample of its rows."
        )
    check_splits(table, config.heads, found, splits)
    weights = row_weights(prepared)
    spec = fit_rows(config, prepared.schema, table, found, weights, splits == "train", None)
    labels = fitted_labels(config, spec, found)
    spec = with_pretrained(spec, prepared.extractors)
    preprocessor = Preprocessor(spec, prepared.schema, prepared.extractors)
    arrays = preprocessor.arrays(table.frame, prepared.photo_root)
    pixels = {n: each for n, each in arrays.photos.items() if n not in prepared.extractors}
    caches = _caches(prepared.source.caches, pixels, config.data.cache_mb * 2**20)
    given = label_arrays(spec.heads, labels, weights)
    source = Source.of(spec, arrays.inputs, caches, *given)
    folds = training_folds(config, prepared.groups, splits, found, prepared.k_fold)
    if config.training.linear:
        spec = with_sparse_features(config, spec, prepared.schema, table, splits, labels)
    return replace(prepared, spec=spec, splits=splits, source=source, labels=labels, folds=folds)


def row_weights(prepared: Prepared) -> Floats:
    """Return each row's weight (N,), whatever label it lacks; 0 for a row without any label."""
    each = np.stack(list(prepared.source.weights.values()))
    return np.asarray(each.max(axis=0), np.float64)


def strata(prepared: Prepared) -> list[NDArray[Any]]:
    """Return what a split of the rows should be stratified by: each (N,) numbers or classes."""
    return [target for label in prepared.raw_labels.values() for target in split_targets(label)]


def _caches(
    known: Mapping[str, PhotoCache], photos: Mapping[str, PhotoPaths], budget: int
) -> dict[str, PhotoCache]:
    """Return a cache per group: the one there is, where it has the same photos."""
    return {
        name: known[name]
        if name in known and known[name].photos == wanted
        else PhotoCache(wanted, budget=budget)
        for name, wanted in photos.items()
    }
