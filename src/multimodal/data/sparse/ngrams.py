"""Facts of a text: the greatest and least number in it, how many there are, and its length.

Sizes, years, pack counts and weights stand in titles and descriptions, where the words alone do not
say that 500 is more than 250.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.spec import FeatureBlock, FittedGroup, FittedSpec, FourierFeatures
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.features import cell_arrays, text
from multimodal.data.features.cell_arrays import Frame, Units


def text_statistics(kind: str, cells: Sequence[str]) -> Floats:
    """Return a fact of each text on a logarithmic scale, (rows,), NaN where it has none.

    Args:
        kind: A name in `TEXT_STATISTICS`.
        cells: The texts; an empty one has no facts.

    Example:
    >>> texts = ["pack of 3, 1,500 g", "a shoe", ""]
    >>> np.expm1(text_statistics("greatest", texts)).round(3).tolist()
    [1500.0, nan, nan]
    >>> np.expm1(text_statistics("numbers", texts)).round(3).tolist()
    [2.0, 0.0, nan]
    """
    read = TEXT_STATISTICS[kind]
    return np.log1p(np.array([read(cell) if cell else np.nan for cell in cells], np.float64))


def statistic_fractions(kind: str, cell: str) -> Floats:
    """Return how much of a fact each word of a text makes, (words,).

    That of the greatest or least number is the first word that says it; every number counts for
    their number in equal parts, every word for the length.

    Example:
    >>> statistic_fractions("greatest", "2 packs of 12").tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    numbers = _numbers_in_words(cell)
    mine = np.ones(len(numbers)) if kind == "length" else np.isfinite(numbers).astype(float)
    if kind in ("greatest", "least") and mine.any():
        best = np.nanargmax(numbers) if kind == "greatest" else np.nanargmin(numbers)
        mine = np.eye(1, len(numbers), int(best))[0]
    return np.asarray(mine / max(mine.sum(), 1.0))


def _numbers_in_words(cell: str) -> Floats:
    """Return the number that each word of a text is, NaN where it is none."""
    return parse_numbers(text.words(cell)).values


def _known(cell: str) -> Floats:
    found = parse_numbers(text.number_words(cell)).values
    return np.asarray(found[np.isfinite(found)])


def _extreme(cell: str, of: Callable[[Floats], Any]) -> float:
    found = _known(cell)
    return float(of(found)) if len(found) else np.nan


TEXT_STATISTICS: dict[str, Callable[[str], float]] = {
    "greatest": lambda cell: _extreme(cell, np.max),
    "least": lambda cell: _extreme(cell, np.min),
    "numbers": lambda cell: float(len(_known(cell))),
    "length": lambda cell: float(len(cell)),
}
"""What there is to know of a text that is not empty; NaN where it holds no number."""


SPACE = 2**31 - 1
LETTERS = (2, 5)  # lengths of runs of letters
ABSENT = "\x00absent"
LEAST_ROWS = 2  # that hold a term, for it to be one
BY_RARITY = ("words", "triples", "letters", "value_letters")
"""Kinds of blocks whose terms weigh by TF-IDF."""
OF_TEXTS = ("words", "triples", "letters", *TEXT_STATISTICS)
"""Kinds of blocks that a group of texts gives."""
Matrix = Any  # scipy.sparse.csr_matrix, (rows, terms)
FeatureNames = list[list[str]]


def block_features(
    block: FeatureBlock, position: int, spec: FittedSpec, units: Units, frame: Frame
) -> FeatureNames | tuple[FeatureNames, list[list[float]]]:
    """Return the named terms of every row; of numbers, how much each bin is filled, too."""
    group = spec.group(block.group)
    if block.bins:
        bags, amounts = filled(_numbers_of(block, group, units, frame), block)
        return [[feature_name(position, term) for term in bag] for bag in bags], amounts
    if block.kind in OF_TEXTS:
        cells: Sequence[str | None] = cell_arrays.texts(group.columns, frame)
    else:
        cells = list(as_text(frame[block.source]))
    split = {
        "words": words_of,
        "triples": triples,
        "letters": _letters,
        "value_letters": _letters,
        "value": _value,
    }
    bags = [split[block.kind](cell) if cell else [] for cell in cells]
    return [[feature_name(position, term) for term in bag or [ABSENT]] for bag in bags]


def _numbers_of(
    block: FeatureBlock, group: FittedGroup, units: Units, frame: Frame
) -> NDArray[Any]:
    if block.kind in TEXT_STATISTICS:
        return text_statistics(block.kind, cell_arrays.texts(group.columns, frame))
    column = next(column for column in group.numeric if column.name == block.source)
    return cell_arrays.scaled(cell_arrays.numbers([column], units, frame).values, [column])[:, 0]


def feature_name(position: int, term: str) -> str:
    """Return the name of a term of a block: no two blocks share one."""
    return f"{position}\x1f{term}"


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


def letters_of(word: str) -> list[str]:
    """Return the runs of two to five letters of a word and the blanks around it.

    Example:
    >>> letters_of("ab")
    [' a', 'ab', 'b ', ' ab', 'ab ', ' ab ']
    """
    least, most = LETTERS
    padded = f" {word} "
    return [
        padded[start : start + length]
        for length in range(least, min(most, len(padded)) + 1)
        for start in range(len(padded) - length + 1)
    ]


def _letters(cell: str) -> list[str]:
    return [run for word in text.words(cell) for run in letters_of(word)]


def _value(cell: str) -> list[str]:
    return [cell]


def filled(values: NDArray[Any], block: FeatureBlock) -> tuple[FeatureNames, list[list[float]]]:
    """Return the bins that numbers reach, by place, and how far each is filled; NaN is absent."""
    shares = [row[row > 0].tolist() for row in filled_bins(values, block)]
    known = (~np.isnan(values)).tolist()
    bags = [
        [str(i) for i in range(len(row))] if ok else [ABSENT]
        for row, ok in zip(shares, known, strict=True)
    ]
    return bags, [row if ok else [1.0] for row, ok in zip(shares, known, strict=True)]


def filled_bins(values: NDArray[Any], block: FeatureBlock) -> Floats:
    """Return how far each bin of a block is filled, (rows, bins), by scaled values."""
    edges = np.array(block.bins)
    return np.asarray(np.clip((values[:, None] - edges[:-1]) / np.diff(edges), 0, 1))


def hashed(bags: FeatureNames | tuple[FeatureNames, list[list[float]]]) -> Matrix:
    """Return how often each row holds each hash, or how much of it, (rows, 2^31 - 1), sparse."""
    import scipy.sparse as sparse
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(SPACE, input_type="pair", alternate_sign=False, dtype=np.float32)
    if isinstance(bags, tuple):
        pairs = [list(zip(bag, each, strict=True)) for bag, each in zip(*bags, strict=True)]
    else:
        hasher = FeatureHasher(SPACE, input_type="string", alternate_sign=False, dtype=np.float32)
        pairs = bags  # type: ignore[assignment]
    if not pairs:  # the hasher looks at the first row
        return sparse.csr_matrix((0, SPACE), dtype=np.float32)
    found = hasher.transform(pairs).tocsr()
    found.sum_duplicates()
    return found


def absent_hash(block: int) -> int:
    """Return the hash of the term that stands for an absent cell of a block."""
    return int(hashed([[feature_name(block, ABSENT)]]).indices[0])


def random_feature_hashes(position: int, waves: FourierFeatures) -> Ints:
    """Return the hash of each wave of a block."""
    return _random_feature_hashes(position, waves.count)


@cache
def _random_feature_hashes(position: int, count: int) -> Ints:
    names = [[feature_name(position, f"wave {i}")] for i in range(count)]
    return np.asarray(hashed(names).indices, np.int64)
