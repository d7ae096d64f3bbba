"""Gradient boosting as a base model of a stack: beside the networks, never inside them.

Trees read the numbers of a row, target encodings of its categories, SVD features of its texts, and
what the linear model says of it. They are kept as arrays in `trees.npz`, without pickle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints, damage_told, read_arrays
from multimodal.core.files import replace_file
from multimodal.core.spec import FIRST_CODE, SPARSE_KEYS, FittedSpec
from multimodal.data.sparse.ngrams import Matrix
from multimodal.data.sparse.random_features import category_count
from multimodal.runtime.trees import Forest

TREES = "trees.npz"
MOST_BYTES = 1 << 30
FEWEST_CODES, MOST_DIGITS = 10, 15  # a float tells no more digits apart
Inputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class BoostedModel:
    """The trees of one head.

    Attributes:
        forest: Its trees.
        weights: By what the raw outputs of the Keras model, of the linear model in it and of the
            trees are weighted, (3,). Below 0, the linear model has less weight than in the Keras
            model. The key in `trees.npz` is `shares`.
        encodings: Target encoding of each category, one column below the other, (categories,
            outputs). The key in `trees.npz` is `meanings`.
    """

    forest: Forest
    weights: Floats
    encodings: Floats


@dataclass(frozen=True)
class BoostedModels:
    """The trees of a run by head, and the projection of sparse features that they read.

    Attributes:
        columns: Positions of the features that are summed up, int64 (M,).
        projection: What each adds to each sum, float32 (M, S). The key in `trees.npz` is
            `summaries`.
        heads: By head.
    """

    columns: Ints
    projection: NDArray[np.float32]
    heads: dict[str, BoostedModel]

    def features(
        self, spec: FittedSpec, inputs: Inputs, sparse: Matrix, encodings: Floats, linear: Floats
    ) -> Floats:
        """Return what the trees read, (rows, features).

        Args:
            spec: The fitted spec.
            inputs: Arrays as the networks read them.
            sparse: The same rows' sparse features.
            encodings: Target encoding of each of a row's categories, (rows, columns, outputs).
            linear: What the linear model says, (rows, outputs).
        """
        numbers = [
            np.asarray(inputs[f"{group.name}_numeric"], np.float64)
            for group in spec.groups
            if group.numeric
        ] + [
            values[np.asarray(inputs[f"{name}_categorical"])[:, [place]]]
            for name, place, values in codes_as_numbers(spec)
        ]
        summed = np.asarray(sparse[:, self.columns] @ self.projection, np.float64)
        flat = encodings.reshape(len(linear), math.prod(encodings.shape[1:]))
        return np.hstack([*numbers, flat, summed, linear])

    def raw(
        self,
        head: str,
        spec: FittedSpec,
        inputs: Inputs,
        sparse: Matrix,
        linear: Floats,
        network: Floats,
    ) -> Floats:
        """Return the raw outputs of the Keras model (rows, outputs) with those of the trees."""
        boosted_model = self.heads[head]
        encodings = boosted_model.encodings[codes_of(spec, inputs, len(linear))]
        found = self.features(spec, inputs, sparse, encodings, linear)
        return weighted_sum(
            boosted_model.weights, [network, linear, boosted_model.forest.raw(found)]
        )


def with_trees(
    boosted_models: BoostedModels,
    spec: FittedSpec,
    inputs: Inputs,
    kernels: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    raw: Mapping[str, Floats],
) -> dict[str, Floats]:
    """Return the raw outputs (rows, outputs) of all heads, with the trees of those that have any.

    Args:
        boosted_models: The trees.
        spec: The fitted spec, of a run with sparse features.
        inputs: Arrays as the networks read them.
        kernels: Kernel and bias of each such head's linear model; row 0 of the kernel is padding,
            which a sparse matrix has no column for.
        raw: Raw outputs of the Keras model.
    """
    assert spec.terms is not None
    sparse, found = sparse_features_of(inputs, spec.terms.num_terms), dict(raw)
    for name in boosted_models.heads:
        kernel, bias = kernels[name]
        linear = np.asarray(sparse @ kernel[1:] + bias, np.float64)
        found[name] = boosted_models.raw(name, spec, inputs, sparse, linear, raw[name])
    return found


def weighted_sum(weights: Floats, outputs: Sequence[Floats]) -> Floats:
    """Return the outputs (rows, outputs) of models, each times its weight."""
    return np.asarray(np.einsum("p,pno->no", weights, np.stack(outputs)))


def codes_as_numbers(spec: FittedSpec) -> list[tuple[str, int, Floats]]:
    """Return where categories are codes of digits, with the number that each code stands for.

    Codes such as zip codes often lie near each other where what they stand for does. For each such
    column: its group, its place among the group's categories, and float64 (codes,), NaN for missing
    and unknown ones.
    """
    return [
        (group.name, place, np.array([np.nan] * FIRST_CODE + [float(c) for c in column.categories]))
        for group in spec.groups
        for place, column in enumerate(group.categorical)
        if len(column.categories) >= FEWEST_CODES
        and all(c.isascii() and c.isdigit() and len(c) <= MOST_DIGITS for c in column.categories)
    ]


def codes_of(spec: FittedSpec, inputs: Inputs, rows: int) -> Ints:
    """Return each row's categories, counted through all columns, (rows, columns)."""
    parts, first = [np.zeros((rows, 0), np.int64)], 0
    for group in spec.groups:
        for i, column in enumerate(group.categorical):
            codes = np.asarray(inputs[f"{group.name}_categorical"])[:, i : i + 1]
            parts.append(codes.astype(np.int64) + first)
            first += len(column.categories) + FIRST_CODE
    return np.hstack(parts)


def sparse_features_of(inputs: Inputs, count: int) -> Matrix:
    """Return the sparse features in a model's inputs as a matrix (rows, count)."""
    import scipy.sparse as sparse

    ids, weights = (np.asarray(inputs[key]) for key in SPARSE_KEYS)
    rows, places = np.nonzero(ids)
    entries = (weights[rows, places], (rows, ids[rows, places] - 1))
    return sparse.csr_matrix(entries, (len(ids), count))


def write_boosted_models(path: Path, boosted_models: BoostedModels) -> None:
    """Write the trees of a run into one `.npz` file, complete or not at all.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "columns": boosted_models.columns,
        "summaries": boosted_models.projection,
    }
    for head, found in boosted_models.heads.items():
        arrays |= {f"{head}/shares": found.weights, f"{head}/meanings": found.encodings}
        arrays |= {f"{head}/{name}": array for name, array in vars(found.forest).items()}
    with replace_file(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_boosted_models(path: Path, spec: FittedSpec, widths: Mapping[str, int]) -> BoostedModels:
    """Return the trees in a file.

    Args:
        path: The file.
        spec: The spec of the run.
        widths: By head, the number of raw outputs.

    Raises:
        RunError: The file is damaged, or holds trees of another run.
    """
    with damage_told(path, "of another run", "Copy the run directory again, or train anew."):
        arrays = read_arrays(path, total=MOST_BYTES)
        columns = arrays["columns"].astype(np.int64)
        projection = arrays["summaries"].astype(np.float32)
        count = 0 if spec.terms is None else spec.terms.num_terms
        if columns.ndim != 1 or projection.shape[:1] != columns.shape or projection.ndim != 2:
            raise ValueError("'summaries' has another shape")
        if ((columns < 0) | (columns >= count)).any() or not np.isfinite(projection).all():
            raise ValueError("'columns' or 'summaries' is out of range")
        heads = dict(_read_heads(arrays, spec, widths, projection.shape[1]))
    return BoostedModels(columns, projection, heads)


def _read_heads(
    arrays: Mapping[str, NDArray[Any]], spec: FittedSpec, widths: Mapping[str, int], sums: int
) -> Iterator[tuple[str, BoostedModel]]:
    columns = sum(len(group.categorical) for group in spec.groups)
    numbers = sum(len(group.numeric) for group in spec.groups) + len(codes_as_numbers(spec))
    types: dict[str, Any] = dict.fromkeys(("start", "threshold", "value"), np.float64)
    types["missing_left"] = np.bool_
    for head in sorted({name.split("/")[0] for name in arrays if "/" in name}):
        width = widths[head]
        nodes = {
            field.name: arrays[f"{head}/{field.name}"].astype(types.get(field.name, np.int64))
            for field in fields(Forest)
        }
        forest = Forest(**nodes)
        forest.check(numbers + (columns + 1) * width + sums, width)
        weights, encodings = (
            arrays[f"{head}/{name}"].astype(np.float64) for name in ("shares", "meanings")
        )
        if weights.shape != (3,) or encodings.shape != (category_count(spec.groups), width):
            raise ValueError(f"'{head}' has shares or meanings of another shape")
        if not (np.isfinite(weights).all() and np.isfinite(encodings).all()):
            raise ValueError(f"'{head}' has shares or meanings that are no numbers")
        yield head, BoostedModel(forest, weights, encodings)
