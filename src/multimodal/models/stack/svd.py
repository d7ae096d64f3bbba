"""What trees read of a row's terms: a few dozen numbers in place of thousands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.spec import FittedTerms
from multimodal.data.sparse.blocks import hashes_of
from multimodal.data.sparse.ngrams import BY_RARITY, OF_TEXTS, Matrix, absent_hash
from multimodal.data.sparse.text_facts import FACTS
from multimodal.models.stack.penalised import emphasis

SUMMARIES, MOST_TERMS = 64, 20_000  # singular vectors, of the terms that occur in most rows
TELLING, LEAST_ROWS = 100, 20  # terms read one by one, and the rows that hold each
Summary = tuple[NDArray[np.int64], NDArray[np.float32]]


def summarise(
    terms: FittedTerms, matrices: Sequence[Matrix], targets: NDArray[np.float64], seed: int
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
        _fact(terms, i, matrices[i]) for i, block in enumerate(terms.blocks) if block.kind in FACTS
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


def _telling(texts: Matrix, targets: NDArray[np.float64]) -> Summary:
    counts = np.bincount(texts.indices, minlength=texts.shape[1])
    common = np.flatnonzero(counts >= LEAST_ROWS)
    if not targets.shape[1] or not len(common):
        return np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
    telling = emphasis(texts[:, common], np.nan_to_num(targets), np.ones(len(targets)))
    best = np.sort(common[np.argsort(-telling, kind="stable")[:TELLING]])
    return best.astype(np.int64), np.eye(len(best), dtype=np.float32)


def _fact(terms: FittedTerms, position: int, matrix: Any) -> Summary:
    """Return the bins of a fact, each of which adds how far it is filled; -1 where it is absent."""
    places = np.unique(matrix.indices).astype(np.int64)
    absent = hashes_of(terms)[places] == absent_hash(position)
    each = np.where(absent, -1.0, 1.0) / terms.blocks[position].scale
    return places, each[:, None].astype(np.float32)
