"""Sparse feature blocks: what a linear model reads of rows, as matrices and as model inputs.

Words, pairs and triples of words and runs of letters of texts are weighted by TF-IDF, as are the
letters of categories; the value of a category weighs one, a number or a statistic of a text fills
its bins, and a tabular group has its random Fourier features. Each kind of feature of each source
forms a block; those by rarity have a fixed length (L2 norm), so that a long text does not outweigh
a short one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
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
from multimodal.data.features.cell_arrays import Frame, Readings
from multimodal.data.sparse.hashing import hash_names
from multimodal.data.sparse.ngrams import (
    BY_RARITY,
    LEAST_ROWS,
    OF_TEXTS,
    Amounts,
    FeatureNames,
    HashedFeatures,
    Matrix,
    RawRows,
    absent_hash,
    counted,
    filled,
    letters_of,
    names_in,
    random_feature_hashes,
    statistic_fractions,
    text_statistics,
)
from multimodal.data.sparse.random_features import baseline_cells, random_features_of

ROWS = 1024  # whose features are made together
# SciPy and scikit-learn are imported where they are used: they take longer to load than a row to
# predict, and a model without a linear part needs neither.


def block_matrices(
    features: SparseFeatures,
    spec: FittedSpec,
    readings: Readings,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> Iterator[Matrix]:
    """Yield one float32 matrix (rows, features) per block; a block's columns are its own.

    The blocks of the groups `without` are as in rows that lack those groups.
    """
    rows = RawRows(spec, readings, frame)
    for position in range(len(features.blocks)):
        yield _stacked(features, rows, [position], without)


def sparse_matrix(
    features: SparseFeatures,
    spec: FittedSpec,
    readings: Readings,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> Matrix:
    """Return all features of all rows, float32 (rows, features), sparse."""
    import scipy.sparse as sparse

    parts = []
    for part in cell_arrays.parts(frame, ROWS):
        rows, positions = RawRows(spec, readings, part), range(len(features.blocks))
        stacked = _stacked(features, rows, positions, without)
        owners = np.tile(np.arange(rows.count), len(positions))
        at = np.repeat(owners, np.diff(stacked.indptr))
        total = sparse.csr_matrix(
            (stacked.data, (at, stacked.indices)), (rows.count, features.num_terms)
        )
        total.eliminate_zeros()
        parts.append(total)
    return parts[0] if len(parts) == 1 else sparse.vstack(parts, "csr")


def _stacked(
    features: SparseFeatures, rows: RawRows, positions: Sequence[int], without: Collection[str]
) -> Matrix:
    """Return the weighted features of blocks, one block's rows below those of the one before."""
    blocks = [features.blocks[position] for position in positions]
    hashed = HashedFeatures(rows, list(zip(positions, blocks, strict=True)), without)
    found = hashed.matrix(_columns(features, hashed.hashes), features.num_terms)
    return _weighted(found, blocks, features.arrays[1])


def _columns(features: SparseFeatures, hashes: Ints) -> Ints:
    """Return the column of each hash, -1 for an unknown one."""
    known = features.arrays[0]
    places = np.minimum(np.searchsorted(known, hashes.astype(np.uint32)), len(known) - 1)
    return np.where(known[places] == hashes, places, -1)


def _weighted(counts: Matrix, blocks: Sequence[FeatureBlock], weights: NDArray[Any]) -> Matrix:
    """Weight the features of blocks whose rows lie one below the other.

    By rarity, with sublinear frequency and a fixed length of each row, or by the block's scale.
    """
    import scipy.sparse as sparse

    each = counts.shape[0] // max(len(blocks), 1)
    # Random features come scaled: they are rounded to float32 once.
    scales = [1.0 if block.waves is not None else block.scale for block in blocks]
    scale = np.repeat(np.array(scales, np.float32), each)
    rare = np.repeat([block_length(block) is not None for block in blocks], each)
    lengths = np.diff(counts.indptr)
    values, at = counts.data.copy(), np.flatnonzero(np.repeat(rare, lengths))
    values[at] = (1 + np.log(values[at])) * weights[counts.indices[at]]
    norms, there = np.zeros_like(scale), np.flatnonzero(lengths)
    if len(there):
        norms[there] = np.sqrt(np.add.reduceat(values * values, counts.indptr[there]))
    np.divide(scale, norms, out=scale, where=rare & (norms > 0))
    scale[rare & (norms == 0)] = 0
    found = (values * np.repeat(scale, lengths), counts.indices, counts.indptr)
    return sparse.csr_matrix(found, counts.shape)


def sparse_inputs(
    features: SparseFeatures,
    spec: FittedSpec,
    readings: Readings,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> dict[str, NDArray[Any]]:
    """Return ids int32 and weights float32, (rows, length), 0 where a row has no more features.

    An id is 1 + the position of a feature's hash; a row longer than the greatest fixed length loses
    the features of least weight. The groups `without` are as in rows that lack them.
    """
    matrix = sparse_matrix(features, spec, readings, frame, without=without)
    counts = np.diff(matrix.indptr)
    length = text.fixed_length(int(counts.max(initial=0)), features.lengths)
    kept = np.ones(matrix.nnz, bool)
    for row in np.flatnonzero(counts > length):
        start, end = matrix.indptr[row : row + 2]
        kept[start:end] = False
        kept[start + largest(matrix.data[start:end], length)] = True
    counts = np.minimum(counts, length)
    ids = np.full((len(counts), length), PADDING, np.int32)
    weights = np.zeros((len(counts), length), np.float32)
    filled = np.arange(length) < counts[:, None]
    ids[filled], weights[filled] = matrix.indices[kept] + 1, matrix.data[kept]
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
    flat = list(chain.from_iterable(names))
    owners = np.repeat(np.arange(len(names)), list(map(len, names)))
    given = np.ones(len(flat)) if amounts is None else list(chain.from_iterable(amounts))
    columns = _columns(features, hash_names(position, flat))
    return counted(owners, columns, given, (len(names), features.num_terms))


def weighted_features(
    features: SparseFeatures, position: int, names: FeatureNames, amounts: Amounts | None = None
) -> Matrix:
    """Return named features of a block as `block_matrices` does those of rows, (rows, features)."""
    counts = feature_counts(features, position, names, amounts)
    return _weighted(counts, [features.blocks[position]], features.arrays[1])


def random_feature_matrix(features: SparseFeatures, position: int, values: Floats) -> Matrix:
    """Return a block's random Fourier features (rows, count) as columns, (rows, features)."""
    import scipy.sparse as sparse

    places = _columns(features, random_feature_hashes(position, values.shape[1]))
    starts = np.arange(len(values) + 1) * len(places)
    scaled = (values * features.blocks[position].scale).astype(np.float32).ravel()
    shape = len(values), features.num_terms
    found = sparse.csr_matrix((scaled, np.tile(places, len(values)), starts), shape)
    found.sort_indices()
    # a row without any cell has zeros, which are no features
    found.eliminate_zeros()
    return found


def feature_hashes(features: SparseFeatures) -> NDArray[np.uint32]:
    """Return the rising hashes of the features; their number is that of the columns."""
    return features.arrays[0]


def absent_contributions(
    features: SparseFeatures, spec: FittedSpec, readings: Readings, frame: Frame, kernel: Floats
) -> dict[int, Floats]:
    """Return what the kernel (features, outputs) of an absent cell should be, by its row.

    A block that is hardly ever absent in `frame` has taught nothing about its absence: it then
    contributes what it contributes on average, so that an ablated column changes little.
    """
    found, hashes = {}, feature_hashes(features)
    for i, matrix in enumerate(block_matrices(features, spec, readings, frame)):
        place = int(np.searchsorted(hashes, absent_hash(i)))
        absent = matrix[:, place].count_nonzero()
        there = matrix.shape[0] - absent
        if absent < LEAST_ROWS and there:
            bare = np.outer(matrix[:, place].toarray(), kernel[place])
            mean = (matrix @ kernel - bare).sum(axis=0) / there
            found[place] = np.asarray(mean / features.blocks[i].scale)
    return found


def block_length(block: FeatureBlock) -> float | None:
    """Return the L2 norm of the features of each row, None where rows differ."""
    return block.scale if block.kind in BY_RARITY else None


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
