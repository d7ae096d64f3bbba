"""What trees read of a row's terms: a few dozen numbers in place of thousands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints, damage_told, read_arrays
from multimodal.core.files import replace_file
from multimodal.core.spec import (
    FIRST_CODE,
    SPARSE_KEYS,
    TEXT_STATISTICS,
    FittedSpec,
    SparseFeatures,
)
from multimodal.data.sparse.blocks import feature_hashes
from multimodal.data.sparse.ngrams import BY_RARITY, OF_TEXTS, Matrix, absent_hash
from multimodal.data.sparse.random_features import (
    category_count,
    out_of_fold_target_encoding,
    target_encoding,
)
from multimodal.models.stack.blend import fit_stacking_weights
from multimodal.models.stack.boosting import Forest, grow
from multimodal.models.stack.sparse_linear import (
    Labelled,
    Linear,
    adaptive_weights,
    nested_out_of_fold,
    targets_of,
)

SUMMARIES, MOST_TERMS = 64, 20_000  # singular vectors, of the terms that occur in most rows
TELLING, LEAST_ROWS = 100, 20  # terms read one by one, and the rows that hold each
Summary = tuple[Ints, NDArray[np.float32]]


def summarise(
    terms: SparseFeatures, matrices: Sequence[Matrix], targets: Floats, seed: int
) -> Summary:
    """Return how the terms of texts are summed up: positions (M,) and what each adds, (M, S).

    The words and letters of all texts together become singular vectors, and the hundred that tell
    the targets apart best stay as they are; each fact of a text, which lies there in bins, becomes
    one number again.

    Args:
        terms: The fitted terms.
        matrices: Those of training rows, (N, V) for each block.
        targets: What the rows should tell, (N, T) with mean 0, NaN where missing.
        seed: Seed of the singular vectors.
    """
    import scipy.sparse as sparse

    rare = [i for i, block in enumerate(terms.blocks) if block.kind in {*OF_TEXTS} & {*BY_RARITY}]
    none = sparse.csr_matrix(matrices[0].shape, dtype=np.float32)
    texts = sum((matrices[i] for i in rare), none)
    parts = [_singular(texts, seed), _telling(texts, targets)]
    parts += [
        _fact(terms, i, matrices[i])
        for i, block in enumerate(terms.blocks)
        if block.kind in TEXT_STATISTICS
    ]
    added = sparse.block_diag([vectors for _, vectors in parts]).toarray()
    return np.concatenate([places for places, _ in parts]), added.astype(np.float32)


def _singular(texts: Matrix, seed: int) -> Summary:
    from sklearn.decomposition import TruncatedSVD

    counts = np.bincount(texts.indices, minlength=texts.shape[1])
    most = np.argsort(-counts, kind="stable")[:MOST_TERMS]
    columns = np.sort(most[counts[most] > 0]).astype(np.int64)
    size = min(SUMMARIES, len(columns) - 1, texts.shape[0] - 1)
    if size < 1:
        return columns[:0], np.zeros((0, 0), np.float32)
    found = TruncatedSVD(size, random_state=seed).fit(texts[:, columns])
    return columns, found.components_.T.astype(np.float32)


def _telling(texts: Matrix, targets: Floats) -> Summary:
    counts = np.bincount(texts.indices, minlength=texts.shape[1])
    common = np.flatnonzero(counts >= LEAST_ROWS)
    if not targets.shape[1] or not len(common):
        return np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
    telling = adaptive_weights(texts[:, common], np.nan_to_num(targets), np.ones(len(targets)))
    best = np.sort(common[np.argsort(-telling, kind="stable")[:TELLING]])
    return best.astype(np.int64), np.eye(len(best), dtype=np.float32)


def _fact(terms: SparseFeatures, position: int, matrix: Any) -> Summary:
    """Return the bins of a fact, each of which adds how far it is filled; -1 where it is absent."""
    places = np.unique(matrix.indices).astype(np.int64)
    absent = feature_hashes(terms)[places] == absent_hash(position)
    each = np.where(absent, -1.0, 1.0) / terms.blocks[position].scale
    return places, each[:, None].astype(np.float32)


LEAST_SHARE = 0.01  # of networks in the Keras model, for trees to change what they count
FEWEST_CODES, MOST_DIGITS = 10, 15  # a float tells no more digits apart
Inputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class BoostedModel:
    """The trees of one head.

    Attributes:
        forest: Its trees.
        shares: What the raw outputs of the Keras model, of the linear model in it and of the trees
            count, (3,). Below 0, the linear model counts less than in the Keras model.
        meanings: Mean of the target by category, one column below the other, (categories, outputs).
    """

    forest: Forest
    shares: Floats
    meanings: Floats


@dataclass(frozen=True)
class BoostedModels:
    """The trees of a run by head, and how terms are summed up for them.

    Attributes:
        columns: Positions of the terms that are summed up, int64 (M,).
        summaries: What each adds to each sum, float32 (M, S).
        heads: By head.
    """

    columns: Ints
    summaries: NDArray[np.float32]
    heads: dict[str, BoostedModel]

    def features(
        self, spec: FittedSpec, inputs: Inputs, terms: Matrix, meanings: Floats, linear: Floats
    ) -> Floats:
        """Return what the trees read, (rows, features).

        Args:
            spec: The fitted spec.
            inputs: Arrays as the networks read them.
            terms: The same rows' terms.
            meanings: Mean of the target for each of a row's categories, (rows, columns, outputs).
            linear: What the linear model says, (rows, outputs).
        """
        rows = terms.shape[0]
        numbers = [
            np.asarray(inputs[f"{group.name}_numeric"], np.float64)
            for group in spec.groups
            if group.numeric
        ] + [
            values[np.asarray(inputs[f"{name}_categorical"])[:, [place]]]
            for name, place, values in codes_as_numbers(spec)
        ]
        summed = np.asarray(terms[:, self.columns] @ self.summaries, np.float64)
        return np.hstack([*numbers, meanings.reshape(rows, -1), summed, linear])

    def raw(
        self,
        head: str,
        spec: FittedSpec,
        inputs: Inputs,
        terms: Matrix,
        linear: Floats,
        network: Floats,
    ) -> Floats:
        """Return the raw outputs of the Keras model (rows, outputs) with those of the trees."""
        boosted_model = self.heads[head]
        meanings = boosted_model.meanings[codes_of(spec, inputs, len(linear))]
        found = self.features(spec, inputs, terms, meanings, linear)
        parts = network, linear, boosted_model.forest.raw(found)
        return np.asarray(np.einsum("p,pno->no", boosted_model.shares, np.stack(parts)))


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


def terms_of(inputs: Inputs, count: int) -> Matrix:
    """Return the terms in a model's inputs as a sparse matrix (rows, terms)."""
    import scipy.sparse as sparse

    ids, weights = (np.asarray(inputs[key]) for key in SPARSE_KEYS)
    rows, places = np.nonzero(ids)
    entries = (weights[rows, places], (rows, ids[rows, places] - 1))
    return sparse.csr_matrix(entries, (len(ids), count))


def fit_boosted_model(
    boosted_models: BoostedModels,
    spec: FittedSpec,
    inputs: Inputs,
    rows: Labelled,
    linear: Linear,
    networks: Floats,
    blend: Floats,
    seed: int,
) -> tuple[BoostedModel, Floats]:
    """Grow trees on all rows; return them with the raw outputs of all by trees without their fold.

    The trees that are kept read what the linear model says out of fold. Those that are measured on
    a fold read what linear models say that have not learned from that fold, either.

    Args:
        boosted_models: How terms are summed up.
        spec: The fitted spec.
        inputs: Arrays of the rows (N, ...), as the networks read them.
        rows: Their terms and labels.
        linear: The linear model that was fitted on them.
        networks: Raw outputs of the networks, out of fold (N, outputs), NaN where there are none.
        blend: What networks and linear model count in the Keras model, (2,).
        seed: Seed of the trees.
    """
    targets = targets_of(rows.kind, rows.y_true, rows.outputs)
    codes, count = codes_of(spec, inputs, len(targets)), category_count(spec.groups)
    nested = nested_out_of_fold(rows, linear)
    raw = np.full(targets.shape[:1] + (rows.outputs,), np.nan)

    def features(learned: Bools, said: Floats) -> Floats:
        """Return the features of all rows, each by truths of other folds."""
        weight = rows.weight * learned
        known = out_of_fold_target_encoding(codes, count, targets, weight, rows.folds)
        finite = np.where(np.isfinite(said), said, 0.0)
        return boosted_models.features(spec, inputs, rows.terms.all, known, finite)

    def grown(learned: Bools, read: Floats, number: int) -> Forest:
        known = rows.y_true[learned], rows.weight[learned], rows.outputs
        return grow(rows.kind, read[learned], *known, seed + number)

    for fold, said in nested.items():
        own, learned = rows.folds == fold, rows.without(fold)
        read = features(learned, said)
        raw[own] = grown(learned, read, fold).raw(read[own])
    forest = grown(rows.without(), features(rows.without(), linear.out_of_fold), 0)
    heard = networks if blend[0] >= LEAST_SHARE else networks * 0
    parts = [heard, linear.out_of_fold, raw]
    scored = (rows.weight > 0) & np.all([np.isfinite(each).all(axis=1) for each in parts], axis=0)
    counted = np.array([*blend, 0.0])
    if scored.any():
        known = rows.y_true[scored], rows.weight[scored]
        counted = fit_stacking_weights(
            rows.kind, [each[scored] for each in parts], *known, trusted=1
        )
    parts[1:] = [np.where(np.isfinite(each), each, 0.0) for each in parts[1:]]
    told = np.einsum("p,pno->no", counted, np.stack(parts))
    meanings = target_encoding(codes, count, targets, rows.weight)
    return BoostedModel(forest, beside(counted, blend), meanings), told


def beside(counted: Floats, blend: Floats) -> Floats:
    """Return what the Keras model, the linear model in it and the trees count, (3,).

    Args:
        counted: What networks, linear model and trees should count, (3,).
        blend: What networks and linear model count in the Keras model, (2,).

    Example:
    >>> beside(np.array([0.3, 0.2, 0.5]), np.array([0.6, 0.5])).round(2).tolist()
    [0.5, -0.05, 0.5]
    """
    keras = counted[0] / blend[0] if blend[0] >= LEAST_SHARE else 0.0
    return np.array([keras, counted[1] - keras * blend[1], counted[2]])


TREES = "trees.npz"
MOST_BYTES = 1 << 30


def write_boosted_models(path: Path, boosted_models: BoostedModels) -> None:
    """Write the trees of a run into one `.npz` file, whole or not at all.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "columns": boosted_models.columns,
        "summaries": boosted_models.summaries,
    }
    for head, boosted_model in boosted_models.heads.items():
        arrays |= {
            f"{head}/shares": boosted_model.shares,
            f"{head}/meanings": boosted_model.meanings,
        }
        arrays |= {
            f"{head}/{field.name}": getattr(boosted_model.forest, field.name)
            for field in fields(Forest)
        }
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
        return _checked(read_arrays(path, total=MOST_BYTES), spec, widths)


def _checked(
    arrays: Mapping[str, NDArray[Any]], spec: FittedSpec, widths: Mapping[str, int]
) -> BoostedModels:
    columns, summaries = arrays["columns"].astype(np.int64), arrays["summaries"].astype(np.float32)
    count = 0 if spec.terms is None else spec.terms.num_terms
    if columns.ndim != 1 or summaries.shape[:1] != columns.shape or summaries.ndim != 2:
        raise ValueError("'summaries' has another shape")
    if ((columns < 0) | (columns >= count)).any() or not np.isfinite(summaries).all():
        raise ValueError("'columns' or 'summaries' is out of range")
    categories = [
        len(c.categories) + FIRST_CODE for group in spec.groups for c in group.categorical
    ]
    numbers = sum(len(group.numeric) for group in spec.groups) + len(codes_as_numbers(spec))
    heads = {}
    for head in sorted({name.split("/")[0] for name in arrays if "/" in name}):
        width = widths[head]
        types = {
            "start": np.float64,
            "threshold": np.float64,
            "value": np.float64,
            "missing_left": np.bool_,
        }
        forest = Forest(
            **{
                field.name: arrays[f"{head}/{field.name}"].astype(types.get(field.name, np.int64))
                for field in fields(Forest)
            }
        )
        forest.check(numbers + (len(categories) + 1) * width + summaries.shape[1], width)
        shares, meanings = (
            arrays[f"{head}/{name}"].astype(np.float64) for name in ("shares", "meanings")
        )
        if shares.shape != (3,) or meanings.shape != (sum(categories), width):
            raise ValueError(f"'{head}' has shares or meanings of another shape")
        if not (np.isfinite(shares).all() and np.isfinite(meanings).all()):
            raise ValueError(f"'{head}' has shares or meanings that are no numbers")
        heads[head] = BoostedModel(forest, shares, meanings)
    return BoostedModels(columns, summaries, heads)
