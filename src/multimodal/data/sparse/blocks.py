"""Sparse feature blocks: what a linear model reads of rows, as matrices and as model inputs.

Words, pairs and triples of words and runs of letters of texts are weighted by TF-IDF, as are the
letters of categories; the value of a category weighs one, a number or a statistic of a text fills
its bins, and a tabular group has its random Fourier features. Each kind of feature of each source
forms a block; those by rarity have a fixed length (L2 norm), so that a long text does not outweigh
a short one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints, decode
from multimodal.core.spec import (
    PADDING,
    SPARSE_KEYS,
    TEXT_STATISTICS,
    FeatureBlock,
    FittedGroup,
    FittedSpec,
    SparseFeatures,
)
from multimodal.data.features import cell_arrays, text
from multimodal.data.features.cell_arrays import Frame, Units
from multimodal.data.sparse.ngrams import (
    ABSENT,
    BY_RARITY,
    LEAST_ROWS,
    OF_TEXTS,
    Amounts,
    FeatureNames,
    Matrix,
    absent_hash,
    block_features,
    feature_names,
    filled,
    hashed,
    letters_of,
    names_in,
    random_feature_hashes,
    statistic_fractions,
    text_statistics,
)
from multimodal.data.sparse.random_features import baseline_cells, random_features_of, read_cells

# SciPy and scikit-learn are imported where they are used: they take longer to load than a row to
# predict, and a model without a linear part needs neither.


def block_matrices(
    features: SparseFeatures,
    spec: FittedSpec,
    units: Units,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> Iterator[Matrix]:
    """Yield one float32 matrix (rows, features) per block; a block's columns are its own.

    The blocks of the groups `without` are as in rows that lack those groups.
    """
    hashes, weights = feature_hashes(features), decode(features.weights, "<f4")
    for i, block in enumerate(features.blocks):
        if block.group in without:
            rows = cell_arrays.row_count(frame)
            yield weighted_features(features, i, [[ABSENT]] * rows)
        elif block.waves is not None:
            cells = read_cells(spec.group(block.group), units, frame)
            found = random_feature_matrix(features, i, random_features_of(block.waves, cells))
            if not cells.there.all():
                absent = [[] if there else [ABSENT] for there in cells.there]
                found = found + weighted_features(features, i, absent)
            yield found
        else:
            names, amounts = block_features(block, spec, units, frame)
            counts = _known(hashed(feature_names(i, names), amounts), hashes)
            yield _weighted(counts, block, weights)


def sparse_matrix(
    features: SparseFeatures,
    spec: FittedSpec,
    units: Units,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> Matrix:
    """Return all features of all rows, float32 (rows, features), sparse."""
    import scipy.sparse as sparse

    shape = cell_arrays.row_count(frame), len(feature_hashes(features))
    total = sparse.csr_matrix(shape, dtype=np.float32)
    for matrix in block_matrices(features, spec, units, frame, without=without):
        total = total + matrix
    return total


def sparse_inputs(
    features: SparseFeatures,
    spec: FittedSpec,
    units: Units,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> dict[str, NDArray[Any]]:
    """Return ids int32 and weights float32, (rows, length), 0 where a row has no more features.

    An id is 1 + the position of a feature's hash; a row longer than the greatest fixed length loses
    the features of least weight. The groups `without` are as in rows that lack them.
    """
    matrix = sparse_matrix(features, spec, units, frame, without=without)
    counts = np.diff(matrix.indptr)
    length = text.fixed_length(int(counts.max(initial=0)), features.lengths)
    ids = np.full((len(counts), length), PADDING, np.int32)
    weights = np.zeros((len(counts), length), np.float32)
    for row, (start, end) in enumerate(pairwise(matrix.indptr)):
        columns, values = matrix.indices[start:end], matrix.data[start:end]
        kept = largest(values, length)
        columns, values = columns[kept], values[kept]
        ids[row, : len(columns)], weights[row, : len(columns)] = columns + 1, values
    return dict(zip(SPARSE_KEYS, (ids, weights), strict=True))


def largest(values: NDArray[np.float32], length: int) -> Ints:
    """Return the places of the `length` values of largest size, rising."""
    if len(values) <= length:
        return np.arange(len(values))
    return np.sort(np.argsort(-np.abs(values), kind="stable")[:length])


def keep_largest(matrices: Sequence[Matrix], length: int) -> list[Matrix]:
    """Return the features of rows without those that are too many for a model.

    Of a row that holds more than `length` features in all blocks together, the smallest go.

    Args:
        matrices: One matrix (rows, features) per block.
        length: The greatest fixed length.
    """
    total: Any = sum(matrices[1:], matrices[0])
    result = [matrix.copy() for matrix in matrices]
    for row in np.flatnonzero(np.diff(total.indptr) > length):
        start, end = total.indptr[row : row + 2]
        kept = total.indices[start:end][largest(total.data[start:end], length)]
        for matrix in result:
            mine = slice(*matrix.indptr[row : row + 2])
            matrix.data[mine] *= np.isin(matrix.indices[mine], kept)
    return result


def feature_counts(
    features: SparseFeatures, position: int, names: FeatureNames, amounts: Amounts | None = None
) -> Matrix:
    """Return how often rows hold the features of a block, or how much of them, (rows, features)."""
    return _known(hashed(feature_names(position, names), amounts), feature_hashes(features))


def weighted_features(
    features: SparseFeatures, position: int, names: FeatureNames, amounts: Amounts | None = None
) -> Matrix:
    """Return named features of a block as `block_matrices` does those of rows, (rows, features)."""
    counts = feature_counts(features, position, names, amounts)
    return _weighted(counts, features.blocks[position], decode(features.weights, "<f4"))


def random_feature_matrix(features: SparseFeatures, position: int, values: Floats) -> Matrix:
    """Return a block's random Fourier features (rows, count) as columns, (rows, features)."""
    import scipy.sparse as sparse

    hashes = feature_hashes(features)
    places = np.searchsorted(hashes, random_feature_hashes(position, values.shape[1]))
    places = places.clip(0, len(hashes) - 1)
    starts = np.arange(len(values) + 1) * len(places)
    scaled = (values * features.blocks[position].scale).astype(np.float32).ravel()
    shape = len(values), len(hashes)
    found = sparse.csr_matrix((scaled, np.tile(places, len(values)), starts), shape)
    found.sort_indices()
    found.eliminate_zeros()
    return found


def feature_hashes(features: SparseFeatures) -> NDArray[np.uint32]:
    """Return the rising hashes of the features; their number is that of the columns."""
    return decode(features.hashes, "<u4")


def absent_contributions(
    features: SparseFeatures, spec: FittedSpec, units: Units, frame: Frame, kernel: Floats
) -> dict[int, Floats]:
    """Return what the kernel (features, outputs) of an absent cell should be, by its row.

    A block that is hardly ever absent in `frame` has taught nothing about its absence: it then
    contributes what it contributes on average, so that an ablated column changes little.
    """
    found, hashes = {}, feature_hashes(features)
    for i, matrix in enumerate(block_matrices(features, spec, units, frame)):
        place = int(np.searchsorted(hashes, absent_hash(i)))
        absent = matrix[:, place].count_nonzero()
        there = matrix.shape[0] - absent
        if absent < LEAST_ROWS and there:
            bare = np.outer(matrix[:, place].toarray(), kernel[place])
            mean = (matrix @ kernel - bare).sum(axis=0) / there
            found[place] = np.asarray(mean / features.blocks[i].scale)
    return found


def _known(counts: Matrix, hashes: NDArray[np.uint32]) -> Matrix:
    """Return the columns of known hashes, (rows, features)."""
    import scipy.sparse as sparse

    places = np.searchsorted(hashes, counts.indices)
    places = np.minimum(places, max(len(hashes) - 1, 0))
    known = hashes[places] == counts.indices
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    shape = counts.shape[0], len(hashes)
    return sparse.csr_matrix((counts.data[known], (rows[known], places[known])), shape)


def block_length(block: FeatureBlock) -> float | None:
    """Return the L2 norm of the features of each row, None where rows differ."""
    return block.scale if block.kind in BY_RARITY else None


def _weighted(counts: Matrix, block: FeatureBlock, weights: NDArray[np.float32]) -> Matrix:
    if block_length(block) is None:
        return counts * block.scale
    import scipy.sparse as sparse

    found = counts.copy()
    found.data = (1 + np.log(found.data)) * weights[found.indices]  # sublinear frequency
    norms = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    scales = np.divide(block.scale, norms, out=np.zeros_like(norms), where=norms > 0)
    return sparse.csr_matrix(sparse.diags(scales.astype(np.float32)) @ found)


def word_matrix(features: SparseFeatures, position: int, cell: str) -> Matrix:
    """Return how much of each feature of a text stands in each of its words, (words, features).

    A pair or triple of words belongs to each of them in equal parts, a run of letters to its word.
    A feature that stands in several places is divided among them. The rows add up to the text's row
    of `block_matrices`, but for a text too short for any feature or without the statistic.

    Args:
        features: The fitted features.
        position: The place of a block of `OF_TEXTS`.
        cell: A text with at least one word.
    """
    import scipy.sparse as sparse

    block = features.blocks[position]
    if block.kind in TEXT_STATISTICS:
        bins = filled(text_statistics(block.kind, [cell]), block)
        fractions = sparse.csr_matrix(statistic_fractions(block.kind, cell)[:, None])
        return sparse.csr_matrix(fractions @ weighted_features(features, position, *bins))
    counts = feature_counts(features, position, *_features_of_words(block.kind, text.words(cell)))
    weight = weighted_features(features, position, [names_in(block.kind, cell)]).toarray()[0]
    often = np.asarray(counts.sum(axis=0)).ravel()
    each = np.divide(weight, often, out=np.zeros_like(weight), where=often > 0)
    return sparse.csr_matrix(counts @ sparse.diags(each))


def _features_of_words(kind: str, words: list[str]) -> tuple[FeatureNames, Amounts | None]:
    """Return the features that each word is part of, and which part of each it is."""
    if kind == "letters":
        return [letters_of(word) for word in words], None
    parts = [
        [
            (" ".join(words[start : start + size]), 1 / size)
            for size in ((3,) if kind == "triples" else (1, 2))
            for start in range(max(i - size + 1, 0), min(i, len(words) - size) + 1)
        ]
        for i in range(len(words))
    ]
    return [[name for name, _ in row] for row in parts], [
        [part for _, part in row] for row in parts
    ]


def baseline_matrices(features: SparseFeatures, spec: FittedSpec) -> Iterator[Matrix]:
    """Yield one float32 matrix (1, features) per block: the features of a typical cell.

    That is the median of a number, the most frequent category, and no text.
    """
    for i, block in enumerate(features.blocks):
        group = spec.group(block.group)
        if block.waves is not None:
            values = random_features_of(block.waves, baseline_cells(group))
            yield random_feature_matrix(features, i, values)
        elif block.kind == "number":  # centred on the median
            yield weighted_features(features, i, *filled(np.zeros(1), block))
        else:
            yield weighted_features(features, i, [names_in(block.kind, _commonest(block, group))])


def _commonest(block: FeatureBlock, group: FittedGroup) -> str | None:
    """Return the most frequent category of a block's column, None for a text."""
    known = {column.source: column.categories for column in group.categorical}
    return None if block.kind in OF_TEXTS else next(iter(known.get(block.source, [])), None)
