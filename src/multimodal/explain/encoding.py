"""Many rows as the fusion of each model is given them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import tree
from numpy.typing import NDArray

from multimodal.core.spec import TERM_KEYS, FittedSpec
from multimodal.data.features.preprocess import Arrays
from multimodal.data.photos.read import decode_rows
from multimodal.explain.attribution import Part
from multimodal.explain.records import Floats
from multimodal.models.predictor import BATCH, batches
from multimodal.runs.ablation import withhold

FEW = 256
"""Rows that are encoded sooner than the way to encode them is compiled."""
Inputs = dict[str, NDArray[Any]]
Encoded = dict[str, dict[str, NDArray[Any]]]


def encode_rows(parts: Sequence[Part], arrays: Arrays) -> tuple[list[Encoded], dict[int, str]]:
    """Return what each fusion is given of all rows, as arrays in their order; faults by row.

    Terms, which no fusion is given, are left out.

    Args:
        parts: What `cut` returned.
        arrays: The rows as the model takes them.
    """
    places, pieces = [], []
    faults: dict[int, str] = {}
    encode = _eagerly if arrays.rows <= FEW else _compiled
    for rows, (batch, wrong) in batches(arrays):
        places.append(rows)
        faults |= wrong
        for key in TERM_KEYS:
            batch.pop(key, None)
        pieces.append([encode(part, batch, len(rows)) for part in parts])
    order = np.argsort(np.concatenate(places))
    found: list[Encoded] = [
        tree.map_structure(lambda *each: np.concatenate(each)[order], *of_part)
        for of_part in zip(*pieces, strict=True)
    ]
    return found, faults


def fused_vectors(parts: Sequence[Part], encoded: Sequence[Encoded], *, chunk: int = 256) -> Floats:
    """Return the vectors (rows, D) that enter the heads; those of several networks side by side.

    Each network has a space of its own, so that a mean of their vectors would mean nothing.
    """
    found = []
    for part, rows in zip(parts, encoded, strict=True):
        size = len(tree.flatten(rows)[0])
        each = [
            floats(part.fused(take(rows, np.arange(i, min(i + chunk, size)))))
            for i in range(0, size, chunk)
        ]
        found.append(np.concatenate(each))
    return np.concatenate(found, axis=1)


def floats(tensor: Any) -> Floats:
    """Return a tensor as float64 numbers."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def take(rows: Encoded, chosen: NDArray[np.int64]) -> Any:
    """Return the chosen rows as tensors."""
    return tree.map_structure(lambda each: keras.ops.convert_to_tensor(each[chosen]), rows)


def whole_inputs(arrays: Arrays) -> tuple[dict[str, NDArray[Any]], dict[int, str]]:
    """Return the inputs of rows with their photos decoded, and faults by row."""
    inputs, faults = dict(arrays.inputs), dict[int, str]()
    for name, photos in arrays.photos.items():
        inputs[f"{name}_pixels"], inputs[f"{name}_present"], wrong = decode_rows(photos)
        faults |= wrong
    return inputs, faults


def nothing(arrays: Arrays, spec: FittedSpec) -> Arrays:
    """Return arrays in which every group is as in a row that lacks it."""
    for modality in dict.fromkeys(group.modality for group in spec.groups):
        arrays = withhold(arrays, spec, modality)
    return arrays


def _eagerly(part: Part, batch: Inputs, rows: int) -> Any:
    return tree.map_structure(keras.ops.convert_to_numpy, part.encode(batch))


def _compiled(part: Part, batch: Inputs, rows: int) -> Any:
    """Encode a batch, filled up to the size of the others."""
    filler = [0] * (BATCH - rows)
    filled = {key: np.concatenate([array, array[filler]]) for key, array in batch.items()}
    return tree.map_structure(lambda each: each[:rows], part.whole.predict_on_batch(filled))
