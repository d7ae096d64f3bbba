"""Fit the boosted trees of a stack: what they read, and by what they are weighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.spec import TEXT_STATISTICS, FittedSpec, SparseFeatures
from multimodal.data.sparse.blocks import feature_hashes
from multimodal.data.sparse.ngrams import BY_RARITY, OF_TEXTS, Matrix, absent_hash
from multimodal.data.sparse.random_features import (
    category_count,
    out_of_fold_target_encoding,
    target_encoding,
)
from multimodal.models.stack.boosting import grow
from multimodal.models.stack.linear_solvers import adaptive_weights, to_columns
from multimodal.models.stack.sparse_linear import (
    LabelledRows,
    SparseLinearModel,
    nested_out_of_fold,
)
from multimodal.models.stack.weights import fit_stacking_weights
from multimodal.runtime.boosted_models import BoostedModel, BoostedModels, codes_of, weighted_sum
from multimodal.runtime.trees import Forest

# The error on two folds of books is 0.509 with the singular vectors, 0.505 with statistics of texts
# (their numbers and lengths), 0.503 with the most informative n-grams, too.
COMPONENTS, MOST_NGRAMS = 64, 20_000  # singular vectors, of the n-grams that occur in most rows
INFORMATIVE, LEAST_ROWS = 100, 20  # n-grams read one by one, and the rows that hold each
LEAST_WEIGHT = 0.01  # of networks in the Keras model, for trees to change by what they are weighted
Inputs = Mapping[str, NDArray[Any]]
Projection = tuple[Ints, NDArray[np.float32]]  # features (M,), and what each adds to sums (M, S)


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
    return boosted_model, weighted_sum(weights, parts)


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
