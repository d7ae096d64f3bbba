"""Which words of a text a linear model's terms stand for, and what a typical row's terms are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from multimodal.core.spec import FittedGroup, FittedSpec, FittedTerms, TermBlock
from multimodal.data.features import text
from multimodal.data.sparse.blocks import bag_counts, bag_matrix, heaviest, wave_matrix
from multimodal.data.sparse.ngrams import (
    ABSENT,
    OF_TEXTS,
    Bags,
    Matrix,
    filled,
    letters_of,
    triples,
)
from multimodal.data.sparse.random_features import typical_cells, waves_of
from multimodal.data.sparse.text_facts import FACTS, fact_shares, fact_values


def word_matrix(terms: FittedTerms, position: int, cell: str) -> Matrix:
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
        counts = bag_counts(terms, position, bags)
        whole = bag_matrix(terms, position, [[run for bag in bags for run in bag]])
    elif kind == "triples":
        threes = triples(cell)
        bags = [threes[max(i - 2, 0) : i + 1] for i in range(len(found))]
        counts = bag_counts(terms, position, bags, [[1 / 3] * len(bag) for bag in bags])
        whole = bag_matrix(terms, position, [threes or [ABSENT]])
    elif kind in FACTS:
        facts = filled(fact_values(kind, [cell]), terms.blocks[position])
        shares = sparse.csr_matrix(fact_shares(kind, cell)[:, None])
        return sparse.csr_matrix(shares @ bag_matrix(terms, position, *facts))
    else:
        pairs = [f"{first} {second}" for first, second in zip(found, found[1:], strict=False)]
        beside = [pairs[max(i - 1, 0) : i + 1] for i in range(len(found))]
        bags = [[word, *halves] for word, halves in zip(found, beside, strict=True)]
        amounts = [[1.0, *[0.5] * len(halves)] for halves in beside]
        counts = bag_counts(terms, position, bags, amounts)
        whole = bag_matrix(terms, position, [found + pairs])
    often = np.asarray(counts.sum(axis=0)).ravel()
    weight = whole.toarray()[0]
    each = np.divide(weight, often, out=np.zeros_like(weight), where=often > 0)
    return sparse.csr_matrix(counts @ sparse.diags(each))


def typical_matrices(terms: FittedTerms, spec: FittedSpec) -> Iterator[Matrix]:
    """Yield one float32 matrix (1, terms) per block: the terms of a typical cell.

    That is the median of a number, the most frequent category, and no text.
    """
    for i, block in enumerate(terms.blocks):
        if block.waves is not None:
            cells = typical_cells(spec.group(block.group))
            yield wave_matrix(terms, i, waves_of(block.waves, cells))
            continue
        yield bag_matrix(terms, i, *_typical(block, spec.group(block.group)))


def _typical(block: TermBlock, group: FittedGroup) -> tuple[Bags, list[list[float]] | None]:
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
        kept = total.indices[start:end][heaviest(total.data[start:end], length)]
        for matrix in result:
            mine = slice(*matrix.indptr[row : row + 2])
            matrix.data[mine] *= np.isin(matrix.indices[mine], kept)
    return result
