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

from multimodal.core.encoded import decode
from multimodal.core.spec import PADDING, TERM_KEYS, FittedSpec, FittedTerms, TermBlock
from multimodal.data.features import cell_arrays, text
from multimodal.data.features.cell_arrays import Frame, Units
from multimodal.data.sparse.ngrams import (
    ABSENT,
    BY_RARITY,
    Bags,
    Matrix,
    absent_hash,
    bags_of,
    hashed,
    named,
    wave_hashes,
)
from multimodal.data.sparse.random_features import read_cells, waves_of
from multimodal.models.stack.sparse_linear import LEAST_ROWS

Floats = NDArray[np.float64]


def block_matrices(
    terms: FittedTerms,
    spec: FittedSpec,
    units: Units,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> Iterator[Matrix]:
    """Yield one float32 matrix (rows, terms) per block; a block's columns are its own.

    The blocks of the groups `without` are as in rows that lack those groups.
    """
    hashes, weights = hashes_of(terms), decode(terms.weights, "<f4")
    for i, block in enumerate(terms.blocks):
        if block.group in without:
            yield bag_matrix(terms, i, [[ABSENT]] * cell_arrays.row_count(frame))
            continue
        if block.waves is not None:
            cells = read_cells(spec.group(block.group), units, frame)
            found = wave_matrix(terms, i, waves_of(block.waves, cells))
            if not cells.there.all():
                bare = [[] if there else [ABSENT] for there in cells.there]
                found = found + bag_matrix(terms, i, bare)
            yield found
            continue
        found = _known(hashed(bags_of(block, i, spec, units, frame)), hashes)
        yield _weighed(found, block, weights)


def term_matrix(
    terms: FittedTerms,
    spec: FittedSpec,
    units: Units,
    frame: Frame,
    *,
    without: Collection[str] = (),
) -> Matrix:
    """Return all terms of all rows, float32 (rows, terms), sparse."""
    import scipy.sparse as sparse

    total = sparse.csr_matrix(
        (cell_arrays.row_count(frame), len(hashes_of(terms))), dtype=np.float32
    )
    for matrix in block_matrices(terms, spec, units, frame, without=without):
        total = total + matrix
    return total


def term_inputs(
    terms: FittedTerms,
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
    matrix = term_matrix(terms, spec, units, frame, without=without)
    counts = np.diff(matrix.indptr)
    length = text.fixed_length(int(counts.max(initial=0)), terms.lengths)
    ids = np.full((len(counts), length), PADDING, np.int32)
    weights = np.zeros((len(counts), length), np.float32)
    for row, (start, end) in enumerate(pairwise(matrix.indptr)):
        columns, values = matrix.indices[start:end], matrix.data[start:end]
        kept = heaviest(values, length)
        columns, values = columns[kept], values[kept]
        ids[row, : len(columns)], weights[row, : len(columns)] = columns + 1, values
    return dict(zip(TERM_KEYS, (ids, weights), strict=True))


def heaviest(values: NDArray[np.float32], length: int) -> NDArray[np.int64]:
    """Return the places of the `length` heaviest values, rising."""
    if len(values) <= length:
        return np.arange(len(values))
    return np.sort(np.argsort(-np.abs(values), kind="stable")[:length])


def bag_counts(
    terms: FittedTerms, position: int, bags: Bags, amounts: Sequence[Sequence[float]] | None = None
) -> Matrix:
    """Return how often bags hold the terms of a block, or how much of them, (bags, terms)."""
    names = [[named(position, term) for term in bag] for bag in bags]
    given = names if amounts is None else (names, [list(each) for each in amounts])
    return _known(hashed(given), hashes_of(terms))


def bag_matrix(
    terms: FittedTerms, position: int, bags: Bags, amounts: Sequence[Sequence[float]] | None = None
) -> Matrix:
    """Return bags of terms of a block as `block_matrices` does those of rows, (bags, terms)."""
    counts = bag_counts(terms, position, bags, amounts)
    return _weighed(counts, terms.blocks[position], decode(terms.weights, "<f4"))


def wave_matrix(terms: FittedTerms, position: int, waves: Floats) -> Matrix:
    """Return the waves (rows, waves) of a block as `block_matrices` does, (rows, terms)."""
    import scipy.sparse as sparse

    block, hashes = terms.blocks[position], hashes_of(terms)
    assert block.waves is not None
    places = np.searchsorted(hashes, wave_hashes(position, block.waves)).clip(0, len(hashes) - 1)
    starts = np.arange(len(waves) + 1) * len(places)
    values = (waves * block.scale).astype(np.float32).ravel()
    found = sparse.csr_matrix(
        (values, np.tile(places, len(waves)), starts), (len(waves), len(hashes))
    )
    found.sort_indices()
    found.eliminate_zeros()
    return found


def hashes_of(terms: FittedTerms) -> NDArray[np.uint32]:
    """Return the rising hashes of the terms; their number is that of the columns."""
    return decode(terms.hashes, "<u4")


def absent_contributions(
    terms: FittedTerms, spec: FittedSpec, units: Units, frame: Frame, kernel: NDArray[np.float64]
) -> dict[int, NDArray[np.float64]]:
    """Return what the kernel (terms, outputs) of an absent cell should be, by its row.

    A block that is hardly ever absent in `frame` has taught nothing about its absence: it then
    contributes what it contributes on average, so that a withheld column changes little.
    """
    found, hashes = {}, hashes_of(terms)
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


def block_length(block: TermBlock) -> float | None:
    """Return the L2 norm of the terms of each row, None where rows differ."""
    return block.scale if block.kind in BY_RARITY else None


def _weighed(counts: Matrix, block: TermBlock, weights: NDArray[np.float32]) -> Matrix:
    if block_length(block) is None:
        return counts * block.scale
    import scipy.sparse as sparse

    found = counts.copy()
    found.data = (1 + np.log(found.data)) * weights[found.indices]  # sublinear frequency
    norms = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    scales = np.divide(block.scale, norms, out=np.zeros_like(norms), where=norms > 0)
    return sparse.csr_matrix(sparse.diags(scales.astype(np.float32)) @ found)
