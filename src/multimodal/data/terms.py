"""Terms: what a linear model reads of a row, each a hash with a weight.

Words, pairs and triples of words and letters of texts weigh by TF-IDF, as do the letters of
categories; the value of a category weighs one, a number fills its bins, and a group of the table
has its waves. Each kind of term of each source forms a block of a fixed length (L2 norm), so that a
long text does not outweigh a short one.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.data import features, text
from multimodal.data.cells import as_text
from multimodal.data.features import Frame, Units
from multimodal.data.waves import MOST_ROWS, fit_waves, read_cells, waves_of
from multimodal.spec import (
    PADDING,
    TERM_KEYS,
    FittedGroup,
    FittedSpec,
    FittedTerms,
    TermBlock,
    Waves,
)

SPACE = 2**31 - 1
LETTERS = (2, 5)  # lengths of runs of letters
MOST_LETTERS = 3_000_000  # in a column, above which its runs of letters do not count
MOST_FOR_TRIPLES = 7_000_000  # letters in a column, above which triples do not count
MANY_VALUES = 10  # from which the letters of a category are read, too
MOST_TERMS = 200_000  # of one block
LEAST_ROWS = 2  # that hold a term
ABSENT = "\x00absent"
OF_TEXTS = ("words", "triples", "letters")
"""Kinds of blocks that a group of texts gives."""
SCALES = {
    "words": 1.0, "triples": 1.0, "letters": 1.0, "value": 0.7, "value_letters": 1.0, "number": 0.4,
    "waves": 1.5,
}  # fmt: skip
Matrix = Any  # scipy.sparse.csr_matrix, (rows, terms)
Bags = list[list[str]]
Floats = NDArray[np.float64]


def fit_terms(
    spec: FittedSpec, units: Units, frame: pd.DataFrame, targets: Floats | None = None
) -> FittedTerms | None:
    """Learn which terms the rows of `frame` hold, and how rare each is.

    Args:
        spec: Fitted groups; tabular and text groups give terms.
        units: Phrase around the number by source column, where there is one.
        frame: The training rows.
        targets: What categories are measured by, those of `waves.wave_targets`; None for no waves.

    Returns:
        Terms that occur in two rows or more, at most 200,000 of each block; None where no group
        gives any.
    """
    blocks: list[TermBlock] = []
    hashes, weights = [], []
    for block in [*_blocks(spec, frame), *_wave_blocks(spec, units, frame, targets)]:
        if block.waves is not None:
            kept = np.sort(wave_hashes(len(blocks), block.waves))
            rows = np.full(len(kept), len(frame))
        else:
            kept, rows = _kept(_hashed(_bags(block, len(blocks), spec, units, frame)))
        blocks.append(block)
        hashes.append(np.append(kept, absent_hash(len(blocks) - 1)))
        weights.append(np.append(np.log((1 + len(frame)) / (1 + rows)) + 1, 1.0))
    if not blocks:
        return None
    known, first = np.unique(np.concatenate(hashes), return_index=True)
    idf = np.concatenate(weights)[first]
    terms = FittedTerms(
        blocks=blocks, hashes=_text(known.astype("<u4")), weights=_text(idf.astype("<f4")),
        lengths=[1],
    )  # fmt: skip
    longest = np.diff(term_matrix(terms, spec, units, frame).indptr)
    levels = np.quantile(longest, [0.25, 0.5, 0.8, 1.0])
    lengths = sorted({int(-(-max(level, 1) // 64) * 64) for level in levels})
    return terms.model_copy(update={"lengths": lengths})


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
    hashes, weights = hashes_of(terms), _array(terms.weights, "<f4")
    for i, block in enumerate(terms.blocks):
        if block.group in without:
            yield bag_matrix(terms, i, [[ABSENT]] * features.row_count(frame))
            continue
        if block.waves is not None:
            cells = read_cells(spec.group(block.group), units, frame)
            bare = bag_matrix(terms, i, [[] if there else [ABSENT] for there in cells.there])
            yield bare + wave_matrix(terms, i, waves_of(block.waves, cells))
            continue
        found = _known(_hashed(_bags(block, i, spec, units, frame)), hashes)
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

    total = sparse.csr_matrix((features.row_count(frame), len(hashes_of(terms))), dtype=np.float32)
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
    named = [[_named(position, term) for term in bag] for bag in bags]
    given = named if amounts is None else (named, [list(each) for each in amounts])
    return _known(_hashed(given), hashes_of(terms))


def bag_matrix(
    terms: FittedTerms, position: int, bags: Bags, amounts: Sequence[Sequence[float]] | None = None
) -> Matrix:
    """Return bags of terms of a block as `block_matrices` does those of rows, (bags, terms)."""
    counts = bag_counts(terms, position, bags, amounts)
    return _weighed(counts, terms.blocks[position], _array(terms.weights, "<f4"))


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


def wave_hashes(position: int, waves: Waves) -> NDArray[np.int64]:
    """Return the hash of each wave of a block."""
    names = [[_named(position, f"wave {i}")] for i in range(waves.count)]
    return np.asarray(_hashed(names).indices, np.int64)


def hashes_of(terms: FittedTerms) -> NDArray[np.uint32]:
    """Return the rising hashes of the terms; their number is that of the columns."""
    return _array(terms.hashes, "<u4")


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


def absent_hash(block: int) -> int:
    """Return the hash of the term that stands for an absent cell of a block."""
    return int(_hashed([[_named(block, ABSENT)]]).indices[0])


def _blocks(spec: FittedSpec, frame: pd.DataFrame) -> Iterator[TermBlock]:
    for group in spec.groups:
        if group.modality == "text":
            letters = sum(map(len, features.texts(group.columns, frame)))
            most = {"words": letters, "triples": MOST_FOR_TRIPLES, "letters": MOST_LETTERS}
            for kind in (kind for kind, limit in most.items() if letters <= limit):
                yield _block(group, group.name, kind)
        for category in group.categorical:
            yield _block(group, category.source, "value")
            if len(category.categories) > MANY_VALUES:
                yield _block(group, category.source, "value_letters")
        for number in group.numeric:
            if len(number.bins) > 2:
                yield _block(group, number.name, "number", number.bins)


def _wave_blocks(
    spec: FittedSpec, units: Units, frame: pd.DataFrame, targets: Floats | None
) -> Iterator[TermBlock]:
    if targets is None or not targets.shape[1] or len(frame) > MOST_ROWS:
        return
    for group in spec.groups:
        if group.modality == "tabular" and len(group.numeric) + len(group.categorical) > 1:
            waves = fit_waves(group, read_cells(group, units, frame), targets)
            yield TermBlock(
                group=group.name, source=group.name, kind="waves", scale=SCALES["waves"],
                waves=waves,
            )  # fmt: skip


def _block(group: FittedGroup, source: str, kind: Any, bins: Sequence[float] = ()) -> TermBlock:
    return TermBlock(
        group=group.name, source=source, kind=kind, scale=SCALES[kind], bins=list(bins)
    )


def _bags(
    block: TermBlock, position: int, spec: FittedSpec, units: Units, frame: Frame
) -> Bags | tuple[Bags, list[list[float]]]:
    """Return the named terms of every row; of numbers, how much each bin is filled, too."""
    group = spec.group(block.group)
    if block.kind == "number":
        return _filled(block, position, group, units, frame)
    if block.kind in OF_TEXTS:
        cells: Sequence[str | None] = features.texts(group.columns, frame)
    else:
        cells = list(as_text(frame[block.source]))
    split = {"words": _words, "triples": triples, "letters": _letters, "value_letters": _letters,
             "value": _value}  # fmt: skip
    bags = [split[block.kind](cell) if cell else [] for cell in cells]
    return [[_named(position, term) for term in bag or [ABSENT]] for bag in bags]


def _named(position: int, term: str) -> str:
    return f"{position}\x1f{term}"


def _words(cell: str) -> list[str]:
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


def _letters(cell: str) -> list[str]:
    return [run for word in text.words(cell) for run in letters_of(word)]


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


def _value(cell: str) -> list[str]:
    return [cell]


def _filled(
    block: TermBlock, position: int, group: FittedGroup, units: Units, frame: Frame
) -> tuple[Bags, list[list[float]]]:
    column = next(column for column in group.numeric if column.name == block.source)
    values = features.scaled(features.numbers([column], units, frame).values, [column])[:, 0]
    shares = filled_bins(values, block)
    names = [_named(position, str(i)) for i in range(shares.shape[1])]
    absent = [_named(position, ABSENT)]
    known = ~np.isnan(values)
    bags = [names[: int(np.count_nonzero(row))] if ok else absent
            for row, ok in zip(shares, known, strict=True)]  # fmt: skip
    return bags, [row[row > 0].tolist() if ok else [1.0]
                  for row, ok in zip(shares, known, strict=True)]  # fmt: skip


def filled_bins(values: NDArray[Any], block: TermBlock) -> NDArray[np.float64]:
    """Return how far each bin of a number's block is filled, (rows, bins), by scaled values."""
    edges = np.array(block.bins)
    return np.asarray(np.clip((values[:, None] - edges[:-1]) / np.diff(edges), 0, 1))


def _hashed(bags: Bags | tuple[Bags, list[list[float]]]) -> Matrix:
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


def _kept(counts: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the hashes worth keeping, rising, and the rows that hold each."""
    hashes, rows = np.unique(counts.indices, return_counts=True)
    common = np.flatnonzero(rows >= LEAST_ROWS)
    common = np.sort(common[np.argsort(-rows[common], kind="stable")[:MOST_TERMS]])
    return hashes[common].astype(np.int64), rows[common]


def _known(counts: Matrix, hashes: NDArray[np.uint32]) -> Matrix:
    """Return the columns of known hashes, (rows, terms)."""
    import scipy.sparse as sparse

    places = np.searchsorted(hashes, counts.indices)
    places = np.minimum(places, max(len(hashes) - 1, 0))
    known = hashes[places] == counts.indices
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    shape = counts.shape[0], len(hashes)
    return sparse.csr_matrix((counts.data[known], (rows[known], places[known])), shape)


def _weighed(counts: Matrix, block: TermBlock, weights: NDArray[np.float32]) -> Matrix:
    if block.kind in ("number", "value", "waves"):
        return counts * block.scale
    import scipy.sparse as sparse

    found = counts.copy()
    found.data = (1 + np.log(found.data)) * weights[found.indices]  # sublinear frequency
    norms = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    scales = np.divide(block.scale, norms, out=np.zeros_like(norms), where=norms > 0)
    return sparse.csr_matrix(sparse.diags(scales.astype(np.float32)) @ found)


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _array(written: str, dtype: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(written), dtype)
