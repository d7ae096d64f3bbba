"""The same rows split otherwise: everything learned anew from the new training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import DataError
from multimodal.data.batches import Source
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.features.row_fitting import fit_rows, with_terms
from multimodal.data.labels.checks import check_sides
from multimodal.data.labels.read import label_arrays
from multimodal.data.photos.cache import PhotoCache
from multimodal.data.photos.read import PhotoPaths
from multimodal.data.prepared import Prepared
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.sparse.random_features import wave_targets
from multimodal.data.split.member_folds import member_folds, split_targets
from multimodal.data.split.sides import Sides


def resplit(prepared: Prepared, sides: Sides) -> Prepared:
    """Return the rows of `prepared` on other sides, with scales, words and so on learned anew.

    Nothing is read again: the rows, kinds of columns and labels are those there are, and photos
    that were decoded stay so.

    Args:
        prepared: What `prepare` returned.
        sides: object (N,) of "train", "validation" and "test".

    Raises:
        DataError: The table is larger than memory, a side has no label of a head, or a group has
            nothing to learn in the training rows.
    """
    table, config, found = prepared.table, prepared.config, prepared.labels
    if on_disk(table.frame):
        raise DataError(
            f"{table.name}: larger than memory should hold, so it cannot be split again and again. "
            "Take a sample of its rows."
        )
    check_sides(table, config.heads, found, sides)
    weights = row_weights(prepared)
    spec = fit_rows(config, prepared.schema, table, found, weights, sides == "train", None)
    truths = {
        fitted.name: found[head.name].truth(fitted.classes)
        for fitted, head in zip(spec.heads, config.heads, strict=True)
    }
    arrays = Preprocessor(spec, prepared.schema).arrays(table.frame, prepared.photo_root)
    caches = _caches(prepared.source.caches, arrays.photos, config.data.cache_mb * 2**20)
    given = label_arrays(spec.heads, truths, weights)
    source = Source.of(spec, arrays.inputs, caches, *given)
    groups = prepared.groups if prepared.groups is not None else np.arange(len(sides))
    folds = member_folds(config, groups, sides, found, prepared.parts)
    if config.training.linear:
        measured = wave_targets(config.heads, spec.heads, truths)
        spec = with_terms(spec, prepared.schema, table, sides, measured)
    return replace(prepared, spec=spec, sides=sides, source=source, truths=truths, folds=folds)


def row_weights(prepared: Prepared) -> NDArray[np.float64]:
    """Return each row's weight (N,), whatever label it lacks; 0 for a row without any label."""
    each = np.stack(list(prepared.source.weights.values()))
    return np.asarray(each.max(axis=0), np.float64)


def strata(prepared: Prepared) -> list[NDArray[Any]]:
    """Return what a split of the rows should share out evenly: each (N,) numbers or classes."""
    return [target for label in prepared.labels.values() for target in split_targets(label)]


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
