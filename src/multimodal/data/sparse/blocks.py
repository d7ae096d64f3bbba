"""Terms: what a linear model reads of a row, each a hash with a weight.

Words, pairs and triples of words and letters of texts weigh by TF-IDF, as do the letters of
categories; the value of a category weighs one, a number or a fact of a text fills its bins, and a
group of the table has its waves. Each kind of term of each source forms a block; those by rarity
have a fixed length (L2 norm), so that a long text does not outweigh a short one.
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
    TEXT_STATISTICS,
    FeatureNames,
    Matrix,
    absent_hash,
    block_features,
    feature_name,
    filled,
    hashed,
    letters_of,
    random_feature_hashes,
    statistic_fractions,
    text_statistics,
    triples,
)
from multimodal.data.sparse.random_features import baseline_cells, random_features_of, read_cells


def block_matrices(
    terms: SparseFeatures,
    spec: FittedSpec,
    units: Units,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> Iterator[Matrix]:
    """Yield one float32 matrix (rows, terms) per block; a block's columns are its own.

    The blocks of the groups `without` are as in rows that lack those groups.
    """
    hashes, weights = feature_hashes(terms), decode(terms.weights, "<f4")
    for i, block in enumerate(terms.blocks):
        if block.group in without:
            yield weighted_features(terms, i, [[ABSENT]] * cell_arrays.row_count(frame))
            continue
        if block.waves is not None:
            cells = read_cells(spec.group(block.group), units, frame)
            found = random_feature_matrix(terms, i, random_features_of(block.waves, cells))
            if not cells.there.all():
                bare = [[] if there else [ABSENT] for there in cells.there]
                found = found + weighted_features(terms, i, bare)
            yield found
            continue
        found = _known(hashed(block_features(block, i, spec, units, frame)), hashes)
        yield _weighed(found, block, weights)


def sparse_matrix(
    terms: SparseFeatures,
    spec: FittedSpec,
    units: Units,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> Matrix:
    """Return all terms of all rows, float32 (rows, terms), sparse."""
    import scipy.sparse as sparse

    total = sparse.csr_matrix(
        (cell_arrays.row_count(frame), len(feature_hashes(terms))), dtype=np.float32
    )
    for matrix in block_matrices(terms, spec, units, frame, without=without):
        total = total + matrix
    return total


def sparse_inputs(
    terms: SparseFeatures,
    spec: FittedSpec,
    units: Units,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> dict[str, NDArray[Any]]:
    """Return ids int32 and weights float32, (rows, length), 0 where a row has no more terms.

    An id is 1 + the position of a term's hash; a row longer than the greatest fixed length loses
    its lightest terms. The groups `without` are as in rows that lack them.
    """
    matrix = sparse_matrix(terms, spec, units, frame, without=without)
    counts = np.diff(matrix.indptr)
    length = text.fixed_length(int(counts.max(initial=0)), terms.lengths)
    ids = np.full((len(counts), length), PADDING, np.int32)
    weights = np.zeros((len(counts), length), np.float32)
    for row, (start, end) in enumerate(pairwise(matrix.indptr)):
        columns, values = matrix.indices[start:end], matrix.data[start:end]
        kept = largest(values, length)
        columns, values = columns[kept], values[kept]
        ids[row, : len(columns)], weights[row, : len(columns)] = columns + 1, values
    return dict(zip(SPARSE_KEYS, (ids, weights), strict=True))


def largest(values: NDArray[np.float32], length: int) -> Ints:
    """Return the places of the `length` heaviest values, rising."""
    if len(values) <= length:
        return np.arange(len(values))
    return np.sort(np.argsort(-np.abs(values), kind="stable")[:length])


def feature_counts(
    terms: SparseFeatures,
    position: int,
    bags: FeatureNames,
    amounts: Sequence[Sequence[float]] | None = None,
) -> Matrix:
    """Return how often bags hold the terms of a block, or how much of them, (bags, terms)."""
    names = [[feature_name(position, term) for term in bag] for bag in bags]
    given = names if amounts is None else (names, [list(each) for each in amounts])
    return _known(hashed(given), feature_hashes(terms))


def weighted_features(
    terms: SparseFeatures,
    position: int,
    bags: FeatureNames,
    amounts: Sequence[Sequence[float]] | None = None,
) -> Matrix:
    """Return bags of terms of a block as `block_matrices` does those of rows, (bags, terms)."""
    counts = feature_counts(terms, position, bags, amounts)
    return _weighed(counts, terms.blocks[position], decode(terms.weights, "<f4"))


def random_feature_matrix(terms: SparseFeatures, position: int, waves: Floats) -> Matrix:
    """Return the waves (rows, waves) of a block as `block_matrices` does, (rows, terms)."""
    import scipy.sparse as sparse

    block, hashes = terms.blocks[position], feature_hashes(terms)
    assert block.waves is not None
    places = np.searchsorted(hashes, random_feature_hashes(position, block.waves)).clip(
        0, len(hashes) - 1
    )
    starts = np.arange(len(waves) + 1) * len(places)
    values = (waves * block.scale).astype(np.float32).ravel()
    found = sparse.csr_matrix(
        (values, np.tile(places, len(waves)), starts), (len(waves), len(hashes))
    )
    found.sort_indices()
    found.eliminate_zeros()
    return found


def feature_hashes(terms: SparseFeatures) -> NDArray[np.uint32]:
    """Return the rising hashes of the terms; their number is that of the columns."""
    return decode(terms.hashes, "<u4")


def absent_contributions(
    terms: SparseFeatures, spec: FittedSpec, units: Units, frame: Frame, kernel: Floats
) -> dict[int, Floats]:
    """Return what the kernel (terms, outputs) of an absent cell should be, by its row.

    A block that is hardly ever absent in `frame` has taught nothing about its absence: it then
    contributes what it contributes on average, so that a withheld column changes little.
    """
    found, hashes = {}, feature_hashes(terms)
    for i, matrix in enumerate(block_matrices(terms, spec, units, frame)):
        place = int(np.searchsorted(hashes, absent_hash(i)))
        absent = matrix[:, place].count_nonzero()
        there = matrix.shape[0] - absent
        if absent < LEAST_ROWS and there:
            bare = np.outer(matrix[:, place].toarray(), kernel[place])
            mean = (matrix @ kernel - bare).sum(axis=0) / there
            found[place] = np.asarray(mean / terms.blocks[i].scale)
    return found


def _known(counts: Matrix, hashes: NDArray[np.uint32]) -> Matrix:
    """Return the columns of known hashes, (rows, terms)."""
    import scipy.sparse as sparse

    places = np.searchsorted(hashes, counts.indices)
    places = np.minimum(places, max(len(hashes) - 1, 0))
    known = hashes[places] == counts.indices
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    shape = counts.shape[0], len(hashes)
    return sparse.csr_matrix((counts.data[known], (rows[known], places[known])), shape)


def block_length(block: FeatureBlock) -> float | None:
    """Return the L2 norm of the terms of each row, None where rows differ."""
    return block.scale if block.kind in BY_RARITY else None


def _weighed(counts: Matrix, block: FeatureBlock, weights: NDArray[np.float32]) -> Matrix:
    if block_length(block) is None:
        return counts * block.scale
    import scipy.sparse as sparse

    found = counts.copy()
    found.data = (1 + np.log(found.data)) * weights[found.indices]  # sublinear frequency
    norms = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    scales = np.divide(block.scale, norms, out=np.zeros_like(norms), where=norms > 0)
    return sparse.csr_matrix(sparse.diags(scales.astype(np.float32)) @ found)


def word_matrix(terms: SparseFeatures, position: int, cell: str) -> Matrix:
    """Return how much of each term of a text stands in each of its words, (words, terms).

    A pair or triple of words belongs to each of them in equal parts, a run of letters to its word.
    A term that stands in several places is shared among them. The lines add up to the text's line
    of `terms.block_matrices`, but for a text too short for any term or without the fact asked for.

    Args:
        terms: The fitted terms.
        position: The place of a block of `terms.OF_TEXTS`.
        cell: A text with at least one word.
    """
    import scipy.sparse as sparse

    found, kind = text.words(cell), terms.blocks[position].kind
    if kind == "letters":
        bags = [letters_of(word) for word in found]
        counts = feature_counts(terms, position, bags)
        whole = weighted_features(terms, position, [[run for bag in bags for run in bag]])
    elif kind == "triples":
        threes = triples(cell)
        bags = [threes[max(i - 2, 0) : i + 1] for i in range(len(found))]
        counts = feature_counts(terms, position, bags, [[1 / 3] * len(bag) for bag in bags])
        whole = weighted_features(terms, position, [threes or [ABSENT]])
    elif kind in TEXT_STATISTICS:
        facts = filled(text_statistics(kind, [cell]), terms.blocks[position])
        shares = sparse.csr_matrix(statistic_fractions(kind, cell)[:, None])
        return sparse.csr_matrix(shares @ weighted_features(terms, position, *facts))
    else:
        pairs = [f"{first} {second}" for first, second in zip(found, found[1:], strict=False)]
        beside = [pairs[max(i - 1, 0) : i + 1] for i in range(len(found))]
        bags = [[word, *halves] for word, halves in zip(found, beside, strict=True)]
        amounts = [[1.0, *[0.5] * len(halves)] for halves in beside]
        counts = feature_counts(terms, position, bags, amounts)
        whole = weighted_features(terms, position, [found + pairs])
    often = np.asarray(counts.sum(axis=0)).ravel()
    weight = whole.toarray()[0]
    each = np.divide(weight, often, out=np.zeros_like(weight), where=often > 0)
    return sparse.csr_matrix(counts @ sparse.diags(each))


def baseline_matrices(terms: SparseFeatures, spec: FittedSpec) -> Iterator[Matrix]:
    """Yield one float32 matrix (1, terms) per block: the terms of a typical cell.

    That is the median of a number, the most frequent category, and no text.
    """
    for i, block in enumerate(terms.blocks):
        if block.waves is not None:
            cells = baseline_cells(spec.group(block.group))
            yield random_feature_matrix(terms, i, random_features_of(block.waves, cells))
            continue
        yield weighted_features(terms, i, *_typical(block, spec.group(block.group)))


def _typical(
    block: FeatureBlock, group: FittedGroup
) -> tuple[FeatureNames, list[list[float]] | None]:
    if block.kind == "number":  # centred on the median
        return filled(np.zeros(1), block)
    known = {column.source: column.categories for column in group.categorical}
    names = [] if block.kind in OF_TEXTS else known.get(block.source, [])[:1]
    if block.kind == "value_letters" and names:
        return [
            [run for word in text.words(names[0]) for run in letters_of(word)] or [ABSENT]
        ], None
    return [names or [ABSENT]], None


def cut(matrices: Sequence[Matrix], length: int) -> list[Matrix]:
    """Return the terms of rows without those that are too many for a model.

    Of a row that holds more than `length` terms in all blocks together, the lightest go.

    Args:
        matrices: One matrix (rows, terms) per block.
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
