"""Near duplicates: rows that share a long text up to some words, or all values but one.

Such rows have an owner, a maker or a place in common that no column names, and so their errors,
too. Time and memory are linear in the words of the texts: no pairs of rows are compared but those
that stand next to each other in the list of a shingle's rows.

References:
    Broder, On the Resemblance and Containment of Documents, 1997 (shingles).
    Irber et al., Lightweight Compositional Analysis of Metagenomes with FracMinHash, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Ints
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.schema import Schema
from multimodal.data.sparse.hashing import Words, hash_slices
from multimodal.data.split.duplicates import Edges, connected, spelled

# Of the shingles of two texts together: a changed word parts five of them, so that one in a text of
# thirty words leaves two thirds.
SHARED = 0.5
_WORDS = 5  # of a shingle
_LEAST = 20  # shingles of a long text; short ones are alike by chance
_NEXT = 3  # rows after it in a shingle's list that a row is compared with
_MOST = 2**24  # shingles of a column; of more, those of a fraction of the hashes are taken
_SPARSEST = 8  # the smallest such fraction is one in so many
_BLOCK = 2**14  # rows whose words are in memory at a time
_MANY = 5  # columns of a table whose rows can be alike in all but one
_CHANCE = 1e-3  # rows with such a partner, per row, if columns were independent
_GROUP_ROWS, _GROUP_FRACTION = 10, 0.1  # a larger group is no group: it is what the table is like


def near_duplicate_groups(frame: pd.DataFrame, schema: Schema, groups: Ints) -> Ints:
    """Return int64 (N,): `groups`, those joined whose rows are near duplicates.

    Two rows are if half of the runs of five words that stand in either's text stand in both, in
    texts of at least twenty such runs; or if, of five or more numbers, categories and dates, all
    but one are equal, and so rare that this is no coincidence. What more than ten rows and a tenth
    of all share joins nothing, and groups that would become larger than that stay as they are.

    Args:
        frame: The rows, their texts in memory.
        schema: Kinds of columns; the targets are not looked at.
        groups: int64 (N,) of `duplicate_groups`.

    Example:
    >>> from multimodal.data.columns.schema import infer_schema
    >>> from multimodal.data.read.readers import read_table
    >>> house = " ".join(f"the {i} th word of a very long text" for i in range(40))
    >>> texts = [f"{house} by the sea", f"{house} in town", *(f"the flat {i}" for i in range(30))]
    >>> table = read_table([{"text": text} for text in texts])
    >>> schema = infer_schema(table, overrides={"text": "text"})
    >>> near_duplicate_groups(table.frame, schema, np.arange(32))[:4].tolist()
    [0, 0, 1, 2]
    """
    rows = np.arange(len(frame))
    edges = [_alike_texts(as_text(frame[name]).tolist()) for name in schema.names("text")]
    edges += _alike_values(frame, schema)
    found = connected(len(rows), [(rows, groups), *edges])
    small = np.bincount(found, minlength=1)[found] <= _most(len(rows))
    return connected(len(rows), [(rows, groups), (rows, np.where(small, found, -1))])


def near_duplicates(groups: Ints, joined: Ints) -> Bools:
    """Return which rows are in a group that was joined of several, (N,).

    Example:
    >>> near_duplicates(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])).tolist()
    [False, False, True, True]
    """
    parts = pd.Series(groups).groupby(joined).nunique().to_numpy()
    return np.asarray(parts[joined] > 1)


def _most(rows: int) -> float:
    return max(_GROUP_ROWS, _GROUP_FRACTION * rows)


def _alike_texts(cells: Sequence[str | None]) -> Edges:
    """Return edges between rows that share a long text up to some words."""
    rows, shingles = _shingles(cells)
    sizes = np.bincount(rows, minlength=len(cells))
    order = np.lexsort((rows, shingles))
    rows, shingles = rows[order], shingles[order]
    codes, counts = np.unique(shingles, return_inverse=True, return_counts=True)[1:]
    rare = counts[codes] <= _most(len(cells))
    rows, shingles = rows[rare], shingles[rare]
    pairs = [np.zeros(0, np.int64)]
    for gap in range(1, min(_NEXT, len(rows) - 1) + 1):
        same = shingles[gap:] == shingles[:-gap]
        pairs.append(rows[:-gap][same] * len(cells) + rows[gap:][same])
    found, shared = np.unique(np.concatenate(pairs), return_counts=True)
    first, second = np.divmod(found, max(len(cells), 1))
    alike = shared >= SHARED * (sizes[first] + sizes[second] - shared)
    pair = np.arange(alike.sum())  # each pair is a key of its own
    return np.concatenate([first[alike], second[alike]]), np.concatenate([pair, pair])


def _shingles(cells: Sequence[str | None]) -> tuple[Ints, Ints]:
    """Return rows and hashes of the different shingles of long texts, in the order of the rows."""
    found, sparse = [np.zeros(0, np.int64)], 1
    for start in range(0, len(cells), _BLOCK):
        slices = Words(cells[start : start + _BLOCK]).ngrams([_WORDS])
        # A row and a hash as one number: a hash has 31 bits.
        each = np.unique((slices.owners + start) << 31 | hash_slices([(0, slices)])[0])
        each = _of_long_texts(each)
        found.append(each[each % sparse == 0])
        while sum(map(len, found)) > _MOST and sparse < _SPARSEST:
            sparse *= 2
            found = [part[part % sparse == 0] for part in found]
    both = np.concatenate(found)
    return both >> 31, both & (2**31 - 1)


def _of_long_texts(shingles: Ints) -> Ints:
    rows = shingles >> 31
    return np.asarray(shingles[np.bincount(rows, minlength=1)[rows] >= _LEAST], np.int64)


def _alike_values(frame: pd.DataFrame, schema: Schema) -> list[Edges]:
    """Return edges between rows that are alike in all numbers, categories and dates but one."""
    columns = [each for each in schema.columns if each.kind in ("number", "category", "date")]
    if len(columns) < _MANY:
        return []
    # A row's key is a sum of random numbers, one for each value; a column is taken out of it.
    random = np.random.default_rng(0)
    keys = np.zeros((len(columns), len(frame)), np.uint64)
    surprise = np.zeros(keys.shape)  # -log of the fraction of rows that have the value
    for i, column in enumerate(columns):
        codes, names = pd.factorize(np.array(spelled(frame[column.name], column), object))
        keys[i] = random.integers(0, 2**63, len(names), np.uint64)[codes]
        told = -np.log(np.bincount(codes, minlength=1) / max(len(codes), 1))
        surprise[i] = np.where(names != "", told, 0.0)[codes]  # a missing one tells nothing
    key, least = keys.sum(axis=0, dtype=np.uint64), np.log(max(len(frame), 1) / _CHANCE)
    told = surprise.sum(axis=0)
    parts = zip(keys, surprise, strict=True)
    return [_alike(key - part, told - without >= least) for part, without in parts]


def _alike(keys: NDArray[np.uint64], told: Bools) -> Edges:
    """Return edges between rows `told` (N,) of one key, but for a key of too many rows."""
    codes, counts = np.unique(keys, return_inverse=True, return_counts=True)[1:]
    joins = told & (counts[codes] <= _most(len(keys)))
    return np.arange(len(keys)), np.asarray(np.where(joins, codes, -1), np.int64)
