"""Sparse n-gram features by name and by hash, and statistics of texts.

A feature is a name (a word, a pair or triple of words, a run of letters, a value, a bin) within its
block; its hash is its identity, so that no vocabulary is kept. Statistics of a text are the
greatest and least number in it, how many there are, and its length: sizes, years and pack counts
stand in titles, where words alone do not say that 500 is more than 250.

References:
    Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.spec import TEXT_STATISTICS, FeatureBlock, FittedGroup, FittedSpec
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.features import cell_arrays, text
from multimodal.data.features.cell_arrays import Frame, Readings
from multimodal.data.sparse.hashing import (
    LETTERS,
    Slices,
    Words,
    hash_names,
    hash_slices,
    name_slices,
)
from multimodal.data.sparse.random_features import random_features_of, read_cells

# Hashed, as is the mark between a block's position and a name: they stay as they are in saved runs.
# No word begins with NUL.
ABSENT = "\x00absent"
LEAST_ROWS = 2  # that hold a feature, for it to be kept
BY_RARITY = ("words", "triples", "letters", "value_letters")
"""Kinds of blocks whose features are weighted by TF-IDF."""
OF_TEXTS = ("words", "triples", "letters", *TEXT_STATISTICS)
"""Kinds of blocks that a group of texts gives."""
Matrix = Any  # scipy.sparse.csr_matrix, (rows, features); SciPy has no types
FeatureNames = list[list[str]]
Amounts = list[list[float]]


class NumbersInTexts(NamedTuple):
    """Numbers (N,) that stand in texts, and the row of each."""

    rows: Ints
    values: Floats


class Source:
    """The cells of one source of features, read once for all its blocks.

    Args:
        cells: Texts or categories; None or empty where missing.
    """

    def __init__(self, cells: Sequence[str | None]) -> None:
        self.cells = cells

    @cached_property
    def words(self) -> Words:
        """Their words."""
        return Words(self.cells)

    @cached_property
    def numbers(self) -> NumbersInTexts:
        """The numbers in them."""
        return numbers_in([cell or "" for cell in self.cells])


class RawRows:
    """Raw rows, whose cells are read once for all blocks.

    Args:
        spec: The fitted spec.
        readings: How each source column is read.
        frame: The rows.
    """

    def __init__(self, spec: FittedSpec, readings: Readings, frame: Frame) -> None:
        self.spec, self.readings, self.frame = spec, readings, frame
        self.count = cell_arrays.row_count(frame)
        self._sources: dict[tuple[bool, str], Source] = {}

    def source(self, block: FeatureBlock) -> Source:
        """Return the texts or categories that a block reads."""
        of_texts = block.kind in OF_TEXTS
        key = of_texts, block.group if of_texts else block.source
        if key not in self._sources:
            group = self.spec.group(block.group)
            read = self._texts if of_texts else self._names
            self._sources[key] = Source(read(group, block.source))
        return self._sources[key]

    def _texts(self, group: FittedGroup, source: str) -> list[str]:
        return cell_arrays.texts(group.columns, self.frame, self.readings)

    def _names(self, group: FittedGroup, source: str) -> list[str | None]:
        """Return the categories of a column, which the sparse features of old runs read raw."""
        column = next((c for c in group.categorical if c.source == source), None)
        cells = self.frame[source]
        return list(as_text(cells) if column is None else cell_arrays.names(column, cells))

    def numbers(self, block: FeatureBlock) -> NDArray[Any]:
        """Return the scaled numbers, or statistics of texts, that fill a block's bins, (rows,)."""
        if block.kind in TEXT_STATISTICS:
            source = self.source(block)
            known = None if block.kind == "length" else source.numbers
            return text_statistics(block.kind, [cell or "" for cell in source.cells], known)
        numeric = self.spec.group(block.group).numeric
        column = next(column for column in numeric if column.name == block.source)
        read = cell_arrays.numbers([column], self.readings, self.frame).values
        return cell_arrays.scaled(read, [column])[:, 0]


def text_statistics(
    kind: str, cells: Sequence[str], numbers: NumbersInTexts | None = None
) -> Floats:
    """Return a statistic of each text on a logarithmic scale, (rows,), NaN where it has none.

    Args:
        kind: One of `TEXT_STATISTICS`.
        cells: The texts; an empty one has no statistics.
        numbers: What `numbers_in` returned for them; read anew by default.

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
        rows, values = numbers or numbers_in(cells)
        if kind == "numbers":
            found[lengths > 0] = np.bincount(rows, minlength=len(cells))[lengths > 0]
        else:
            found[:] = np.nan
            (np.fmax if kind == "greatest" else np.fmin).at(found, rows, values)
    return np.asarray(np.log1p(found))


def numbers_in(cells: Sequence[str]) -> NumbersInTexts:
    """Return the numbers in texts, and the row of each."""
    written = [text.number_words(cell) for cell in cells]
    values = parse_numbers([word for row in written for word in row]).values
    rows = np.repeat(np.arange(len(cells)), [len(row) for row in written])
    known = np.isfinite(values)
    return NumbersInTexts(rows[known], values[known])


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


def names_in(kind: str, cell: str | None) -> list[str]:
    """Return the names of the features of a text or category; at least that of an absent one."""
    split = {"words": words_of, "triples": triples, "value": lambda cell: [cell]}
    return (split.get(kind, letters_of)(cell) if cell else []) or [ABSENT]


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


@cache
def absent_hash(position: int) -> int:
    """Return the hash of the feature that stands for an absent cell of a block."""
    return int(hash_names(position, [ABSENT])[0])


@cache
def bin_hashes(position: int, count: int) -> Ints:
    """Return the hashes of a block's bins, (count,)."""
    return hash_names(position, [str(i) for i in range(count)])


@cache
def random_feature_hashes(position: int, count: int) -> Ints:
    """Return the hashes of a block's random Fourier features, (count,)."""
    # The word is hashed: another one would give the features of saved runs other ids.
    return hash_names(position, [f"wave {i}" for i in range(count)])


class _Named(NamedTuple):
    """Names of a block that are to be hashed; its rows start at `first`.

    With `words`, an owner is a place in their vocabulary, and each row that holds the word has it.
    """

    position: int
    slices: Slices
    first: int
    words: Words | None = None


class HashedFeatures:
    """The features that rows have in blocks, by hash; counted once their columns are known.

    Args:
        rows: R raw rows.
        blocks: B blocks, each with its position among all.
        without: Groups that count as absent.

    Attributes:
        hashes: The hash of each feature (N,), with duplicates.
    """

    def __init__(
        self,
        rows: RawRows,
        blocks: Sequence[tuple[int, FeatureBlock]],
        without: Collection[str] = (),
    ) -> None:
        self._shape = rows.count, len(blocks)
        self._named: list[_Named] = []
        self._known: list[tuple[Ints, Ints, NDArray[Any]]] = []  # owners, hashes, amounts
        for place, (position, block) in enumerate(blocks):
            first, absent = place * rows.count, np.ones(rows.count, bool)
            if block.group not in without:
                absent = self._add(rows, position, block, first)
            owners = np.flatnonzero(absent)
            size = block.scale if block.waves is not None else 1.0
            hashes = np.full(len(owners), absent_hash(position))
            self._known.append((first + owners, hashes, np.full(len(owners), size)))
        found = hash_slices([(each.position, each.slices) for each in self._named])
        self._sizes = [len(hashes) for hashes in found]
        self.hashes = np.concatenate([*found, *(hashes for _, hashes, _ in self._known)])

    def _add(self, rows: RawRows, position: int, block: FeatureBlock, first: int) -> Bools:
        """Add the features of a block; return which rows have none, (R,)."""
        if block.waves is not None:
            cells = read_cells(rows.spec.group(block.group), rows.readings, rows.frame)
            values = random_features_of(block.waves, cells) * block.scale
            hashes = random_feature_hashes(position, values.shape[1])
            self._add_table(first, hashes, values)
            return np.asarray(~cells.there)
        if block.bins:
            numbers = rows.numbers(block)
            bins = filled_bins(numbers, block)
            self._add_table(first, bin_hashes(position, bins.shape[1]), bins)
            return np.asarray(np.isnan(numbers))
        source = rows.source(block)
        if block.kind == "value":
            there = np.array([bool(cell) for cell in source.cells], bool)
            names = name_slices([cell for cell in source.cells if cell])
            slices = names._replace(owners=np.flatnonzero(there))
            self._named.append(_Named(position, slices, first))
            return ~there
        words, least = source.words, 1
        if block.kind in ("words", "triples"):
            sizes, least = ((1, 2), 1) if block.kind == "words" else ((3,), 3)
            self._named.append(_Named(position, words.ngrams(sizes), first))
        else:
            self._named.append(_Named(position, words.runs_of_letters, first, words))
        return words.counts < least

    def _add_table(self, first: int, hashes: Ints, values: Floats) -> None:
        """Add the values (R, features) above or below 0 of features with these hashes."""
        owners, places = np.nonzero(np.nan_to_num(values))
        self._known.append((first + owners, hashes[places], values[owners, places]))

    def matrix(self, columns: Ints, count: int) -> Matrix:
        """Return how often rows have features, or how much of them, one block below the other.

        Args:
            columns: The column of each of `hashes`, -1 for none.
            count: Number of columns.

        Returns:
            float32 (B R, count), sparse.
        """
        sizes = [*self._sizes, *(len(hashes) for _, hashes, _ in self._known)]
        parts = np.split(columns, np.cumsum(sizes)[:-1])
        named = len(self._named)
        found = [_counts(*each) for each in zip(self._named, parts[:named], strict=True)]
        found += [
            (owners, part, amounts)
            for (owners, _, amounts), part in zip(self._known, parts[named:], strict=True)
        ]
        owners, places, amounts = (np.concatenate(each) for each in zip(*found, strict=True))
        return counted(owners, places, amounts, (math.prod(self._shape), count))


def _counts(named: _Named, columns: Ints) -> tuple[Ints, Ints, NDArray[Any]]:
    """Return the rows of named features, their columns, and how often they are there."""
    owners, words = named.slices.owners, named.words
    if words is None:
        return named.first + owners, columns, np.ones(len(owners))
    vocabulary, found = words.vocabulary
    if len(words.counts) == 1:  # the row has the whole vocabulary; matrices would take longer
        rows = np.full(len(owners), named.first)
        return rows, columns, np.bincount(found, minlength=len(vocabulary))[owners]
    # The runs of letters of a word are looked up once, however often the word stands in the rows.
    kept, places = np.unique(columns, return_inverse=True)
    rows = np.repeat(np.arange(len(words.counts)), words.counts)
    in_rows = counted(rows, found, np.ones(len(found)), (len(words.counts), len(vocabulary)))
    in_words = counted(owners, places, np.ones(len(places)), (len(vocabulary), len(kept)))
    total = (in_rows @ in_words).tocoo()
    return named.first + total.row, kept[total.col], total.data


def counted(owners: Ints, columns: Ints, amounts: Any, shape: tuple[int, int]) -> Matrix:
    """Return a sparse float32 matrix of amounts, those of one place summed, without columns -1."""
    import scipy.sparse as sparse

    known = columns >= 0
    values = np.asarray(amounts, np.float32)[known]
    return sparse.csr_matrix((values, (owners[known], columns[known])), shape)
