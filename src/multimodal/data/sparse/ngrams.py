"""Sparse n-gram features by name and by hash, and statistics of texts.

A feature is a name (a word, a pair or triple of words, a run of letters, a value, a bin) within its
block; its hash is its identity, so that no vocabulary is kept. Statistics of a text are the
greatest and least number in it, how many there are, and its length: sizes, years and pack counts
stand in titles, where words alone do not say that 500 is more than 250.

References:
    Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.spec import TEXT_STATISTICS, FeatureBlock, FittedGroup, FittedSpec
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.features import cell_arrays, text
from multimodal.data.features.cell_arrays import Frame, Units

SPACE = 2**31 - 1  # the largest that FeatureHasher takes: so large that hashes hardly collide
LETTERS = (2, 5)  # lengths of runs of letters
ABSENT = "\x00absent"
LEAST_ROWS = 2  # that hold a feature, for it to be kept
BY_RARITY = ("words", "triples", "letters", "value_letters")
"""Kinds of blocks whose features are weighted by TF-IDF."""
OF_TEXTS = ("words", "triples", "letters", *TEXT_STATISTICS)
"""Kinds of blocks that a group of texts gives."""
Matrix = Any  # scipy.sparse.csr_matrix, (rows, features); SciPy has no types
FeatureNames = list[list[str]]
Amounts = list[list[float]]


def text_statistics(kind: str, cells: Sequence[str]) -> Floats:
    """Return a statistic of each text on a logarithmic scale, (rows,), NaN where it has none.

    Args:
        kind: One of `TEXT_STATISTICS`.
        cells: The texts; an empty one has no statistics.

    Example:
    >>> texts = ["pack of 3, 1,500 g", "a shoe", ""]
    >>> np.expm1(text_statistics("greatest", texts)).round(3).tolist()
    [1500.0, nan, nan]
    >>> np.expm1(text_statistics("numbers", texts)).round(3).tolist()
    [2.0, 0.0, nan]
    """
    lengths = np.array([len(cell) for cell in cells], np.float64)
    found = np.where(lengths > 0, lengths, np.nan)
    if kind != "length":
        written = [text.number_words(cell) for cell in cells]
        values = parse_numbers([word for row in written for word in row]).values
        rows = np.repeat(np.arange(len(cells)), [len(row) for row in written])
        rows, values = rows[np.isfinite(values)], values[np.isfinite(values)]
        if kind == "numbers":
            found[lengths > 0] = np.bincount(rows, minlength=len(cells))[lengths > 0]
        else:
            found[:] = np.nan
            (np.fmax if kind == "greatest" else np.fmin).at(found, rows, values)
    return np.asarray(np.log1p(found))


def statistic_fractions(kind: str, cell: str) -> Floats:
    """Return which fraction of a statistic is due to each word of a text, (words,).

    The first word that says the greatest or least number has it whole; every number has an equal
    part of their count, every word of the length.

    Example:
    >>> statistic_fractions("greatest", "2 packs of 12").tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    numbers = parse_numbers(text.words(cell)).values
    mine = np.ones(len(numbers)) if kind == "length" else np.isfinite(numbers).astype(float)
    if kind in ("greatest", "least") and mine.any():
        best = np.nanargmax(numbers) if kind == "greatest" else np.nanargmin(numbers)
        mine = np.eye(1, len(numbers), int(best))[0]
    return np.asarray(mine / max(mine.sum(), 1.0))


def block_features(
    block: FeatureBlock, spec: FittedSpec, units: Units, frame: Frame
) -> tuple[FeatureNames, Amounts | None]:
    """Return the names of each row's features of a block, and of bins how far each is filled."""
    group = spec.group(block.group)
    if block.bins:
        return filled(_numbers_of(block, group, units, frame), block)
    cells: Sequence[str | None] = (
        cell_arrays.texts(group.columns, frame)
        if block.kind in OF_TEXTS
        else list(as_text(frame[block.source]))
    )
    return [names_in(block.kind, cell) for cell in cells], None


def names_in(kind: str, cell: str | None) -> list[str]:
    """Return the names of the features of a text or category; at least that of an absent one."""
    split = {"words": words_of, "triples": triples, "value": lambda cell: [cell]}
    return (split.get(kind, letters_of)(cell) if cell else []) or [ABSENT]


def _numbers_of(
    block: FeatureBlock, group: FittedGroup, units: Units, frame: Frame
) -> NDArray[Any]:
    if block.kind in TEXT_STATISTICS:
        return text_statistics(block.kind, cell_arrays.texts(group.columns, frame))
    column = next(column for column in group.numeric if column.name == block.source)
    return cell_arrays.scaled(cell_arrays.numbers([column], units, frame).values, [column])[:, 0]


def feature_names(position: int, names: FeatureNames) -> FeatureNames:
    """Return names that no other block has: with the block's position in front."""
    front = f"{position}\x1f"
    return [[front + name for name in row] for row in names]


def words_of(cell: str) -> list[str]:
    """Return the words of a text, then each two that follow each other."""
    found = text.words(cell)
    return found + [f"{first} {second}" for first, second in pairwise(found)]


def triples(cell: str) -> list[str]:
    """Return the words of a text three by three.

    Example:
    >>> triples("a red shoe, new")
    ['a red shoe', 'red shoe new']
    """
    found = text.words(cell)
    return [" ".join(found[i : i + 3]) for i in range(len(found) - 2)]


def letters_of(cell: str) -> list[str]:
    """Return the runs of two to five letters of each word of a text and the blanks around it.

    Example:
    >>> letters_of("ab")
    [' a', 'ab', 'b ', ' ab', 'ab ', ' ab ']
    """
    least, most = LETTERS
    return [
        padded[start : start + length]
        for padded in (f" {word} " for word in text.words(cell))
        for length in range(least, min(most, len(padded)) + 1)
        for start in range(len(padded) - length + 1)
    ]


def filled(values: NDArray[Any], block: FeatureBlock) -> tuple[FeatureNames, Amounts]:
    """Return the bins that numbers reach, by place, and how far each is filled; NaN is absent."""
    rows = [row[row > 0].tolist() for row in filled_bins(values, block)]
    known = (~np.isnan(values)).tolist()
    names = [
        [str(i) for i in range(len(row))] if ok else [ABSENT]
        for row, ok in zip(rows, known, strict=True)
    ]
    return names, [row if ok else [1.0] for row, ok in zip(rows, known, strict=True)]


def filled_bins(values: NDArray[Any], block: FeatureBlock) -> Floats:
    """Return how far each bin of a block is filled, (rows, bins), by scaled values."""
    edges = np.array(block.bins)
    return np.asarray(np.clip((values[:, None] - edges[:-1]) / np.diff(edges), 0, 1))


def hashed(names: FeatureNames, amounts: Amounts | None = None) -> Matrix:
    """Return how often each row holds each hash, or how much of it, (rows, 2^31 - 1), sparse."""
    import scipy.sparse as sparse
    from sklearn.feature_extraction import FeatureHasher

    if not names:  # the hasher looks at the first row
        return sparse.csr_matrix((0, SPACE), dtype=np.float32)
    rows: Any = names
    if amounts is not None:
        rows = [list(zip(row, each, strict=True)) for row, each in zip(names, amounts, strict=True)]
    kind = "string" if amounts is None else "pair"
    # Signs that cancel collisions would make counts negative, and `log` of a count fail.
    hasher = FeatureHasher(SPACE, input_type=kind, alternate_sign=False, dtype=np.float32)
    found = hasher.transform(rows).tocsr()
    found.sum_duplicates()
    return found


def absent_hash(position: int) -> int:
    """Return the hash of the feature that stands for an absent cell of a block."""
    return int(hashed(feature_names(position, [[ABSENT]])).indices[0])


@cache
def random_feature_hashes(position: int, count: int) -> Ints:
    """Return the hashes of a block's `count` random Fourier features; taken once, for speed."""
    # The word is hashed: another one would give the features of saved runs other ids.
    names = [[f"wave {i}"] for i in range(count)]
    return np.asarray(hashed(feature_names(position, names)).indices, np.int64)
