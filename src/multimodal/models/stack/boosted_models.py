"""Gradient boosting as a base model of a stack: beside the Keras model, never inside it.

Trees read the numbers of a row, target encodings of its categories, SVD features of its texts, and
what the linear model says of it. They are kept as arrays in `trees.npz`, without pickle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from multimodal.models.stack.boosting import Forest, grow
from multimodal.models.stack.linear_solvers import adaptive_weights, to_columns
from multimodal.models.stack.sparse_linear import (
    LabelledRows,
    SparseLinearModel,
    nested_out_of_fold,
)
from multimodal.models.stack.weights import fit_stacking_weights

TREES = "trees.npz"
MOST_BYTES = 1 << 30
# The error on two folds of books is 0.509 with the singular vectors, 0.505 with statistics of texts
# (their numbers and lengths), 0.503 with the most informative n-grams, too.
COMPONENTS, MOST_NGRAMS = 64, 20_000  # singular vectors, of the n-grams that occur in most rows
INFORMATIVE, LEAST_ROWS = 100, 20  # n-grams read one by one, and the rows that hold each
LEAST_WEIGHT = 0.01  # of networks in the Keras model, for trees to change by what they are weighted
FEWEST_CODES, MOST_DIGITS = 10, 15  # a float tells no more digits apart
Inputs = Mapping[str, NDArray[Any]]
Projection = tuple[Ints, NDArray[np.float32]]  # features (M,), and what each adds to sums (M, S)


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
        return np.hstack([*numbers, encodings.reshape(len(linear), -1), summed, linear])

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
        return _weighted(boosted_model.weights, [network, linear, boosted_model.forest.raw(found)])


def _weighted(weights: Floats, outputs: Sequence[Floats]) -> Floats:
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


def fit_boosted_model(
    boosted_models: BoostedModels,
    spec: FittedSpec,
    inputs: Inputs,
    rows: LabelledRows,
    linear: SparseLinearModel,
    networks: Floats,
    blend: Floats,
    seed: int,
) -> tuple[BoostedModel, Floats]:
    """Grow trees on all rows; return them with the raw outputs of all by trees without their fold.

    The trees that are kept read what the linear model says out of fold. Those that are measured on
    a fold read what linear models say that have not learned from that fold, either.

    Args:
        boosted_models: The projection of sparse features.
        spec: The fitted spec.
        inputs: Arrays of the rows (N, ...), as the networks read them.
        rows: Their sparse features and labels.
        linear: The linear model that was fitted on them.
        networks: Raw outputs of the networks, out of fold (N, outputs), NaN where there are none.
        blend: Stacking weights of networks and linear model in the Keras model, (2,).
        seed: Seed of the trees.
    """
    targets = to_columns(rows.kind, rows.y_true, rows.outputs)
    codes, count = codes_of(spec, inputs, len(targets)), category_count(spec.groups)
    raw = np.full((len(targets), rows.outputs), np.nan)

    def features(learned: Bools, said: Floats) -> Floats:
        """Return the features of all rows, each by labels of other folds."""
        weight = rows.weight * learned
        known = out_of_fold_target_encoding(codes, count, targets, weight, rows.folds)
        finite = np.where(np.isfinite(said), said, 0.0)
        return boosted_models.features(spec, inputs, rows.features.all, known, finite)

    def grown(learned: Bools, read: Floats, number: int) -> Forest:
        known = rows.y_true[learned], rows.weight[learned], rows.outputs
        return grow(rows.kind, read[learned], *known, seed + number)

    for fold, said in nested_out_of_fold(rows, linear).items():
        own, learned = rows.folds == fold, rows.without(fold)
        read = features(learned, said)
        raw[own] = grown(learned, read, fold).raw(read[own])
    forest = grown(rows.without(), features(rows.without(), linear.out_of_fold), 0)
    # Networks that are next to nothing in the Keras model cannot get a weight by scaling that.
    known_networks = networks if blend[0] >= LEAST_WEIGHT else networks * 0
    parts = [known_networks, linear.out_of_fold, raw]
    scored, weights = rows.scored(*parts), np.array([*blend, 0.0])
    if scored.any():
        known = rows.y_true[scored], rows.weight[scored]
        outputs = [each[scored] for each in parts]
        weights = fit_stacking_weights(rows.kind, outputs, *known, prior_model=1)
    parts[1:] = [np.where(np.isfinite(each), each, 0.0) for each in parts[1:]]
    encodings = target_encoding(codes, count, targets, rows.weight)
    boosted_model = BoostedModel(forest, relative_to_blend(weights, blend), encodings)
    return boosted_model, _weighted(weights, parts)


def relative_to_blend(weights: Floats, blend: Floats) -> Floats:
    """Return the weights of the Keras model, the linear model in it and the trees, (3,).

    Args:
        weights: Stacking weights of networks, linear model and trees, (3,).
        blend: Those of networks and linear model in the Keras model, (2,).

    Example:
    >>> relative_to_blend(np.array([0.3, 0.2, 0.5]), np.array([0.6, 0.5])).round(2).tolist()
    [0.5, -0.05, 0.5]
    """
    keras = weights[0] / blend[0] if blend[0] >= LEAST_WEIGHT else 0.0
    return np.array([keras, weights[1] - keras * blend[1], weights[2]])


def fit_projection(
    features: SparseFeatures, matrices: Sequence[Matrix], targets: Floats, seed: int
) -> Projection:
    """Return the projection of sparse features that trees read: positions and what each adds.

    The words and letters of all texts together become SVD features, and the hundred n-grams that
    are most informative stay as they are; each statistic of a text, which lies there in bins,
    becomes one number again.

    Args:
        features: The fitted sparse features.
        matrices: Those of training rows, (N, V) for each block.
        targets: What the rows should tell, (N, T) with mean 0, NaN where missing.
        seed: Seed of the singular vectors.
    """
    import scipy.sparse as sparse

    kinds = [block.kind for block in features.blocks]
    none = sparse.csr_matrix(matrices[0].shape, dtype=np.float32)
    ngrams = {*OF_TEXTS} & {*BY_RARITY}
    texts = sum((matrices[i] for i, kind in enumerate(kinds) if kind in ngrams), none)
    parts = [_singular_vectors(texts, seed), _most_informative(texts, targets)]
    parts += [
        _statistic(features, i, matrices[i])
        for i, kind in enumerate(kinds)
        if kind in TEXT_STATISTICS
    ]
    added = sparse.block_diag([vectors for _, vectors in parts]).toarray()
    return np.concatenate([places for places, _ in parts]), added.astype(np.float32)


def _singular_vectors(texts: Matrix, seed: int) -> Projection:
    from sklearn.decomposition import TruncatedSVD

    counts = np.bincount(texts.indices, minlength=texts.shape[1])
    most = np.argsort(-counts, kind="stable")[:MOST_NGRAMS]
    columns = np.sort(most[counts[most] > 0]).astype(np.int64)
    size = min(COMPONENTS, len(columns) - 1, texts.shape[0] - 1)
    if size < 1:
        return columns[:0], np.zeros((0, 0), np.float32)
    found = TruncatedSVD(size, random_state=seed).fit(texts[:, columns])
    return columns, found.components_.T.astype(np.float32)


def _most_informative(texts: Matrix, targets: Floats) -> Projection:
    counts = np.bincount(texts.indices, minlength=texts.shape[1])
    common = np.flatnonzero(counts >= LEAST_ROWS)
    if not targets.shape[1] or not len(common):
        return np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
    factors = adaptive_weights(texts[:, common], np.nan_to_num(targets), np.ones(len(targets)))
    best = np.sort(common[np.argsort(-factors, kind="stable")[:INFORMATIVE]])
    return best.astype(np.int64), np.eye(len(best), dtype=np.float32)


def _statistic(features: SparseFeatures, position: int, matrix: Any) -> Projection:
    """Return the bins of a statistic, each adding how far it is filled; -1 where it is absent."""
    places = np.unique(matrix.indices).astype(np.int64)
    absent = feature_hashes(features)[places] == absent_hash(position)
    each = np.where(absent, -1.0, 1.0) / features.blocks[position].scale
    return places, each[:, None].astype(np.float32)


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
