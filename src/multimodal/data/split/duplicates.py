"""Duplicate detection: rows that share a photo, their content, or anything else with a key."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Ints
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.schema import Column, Schema

_CONTENT = ("number", "category", "text", "date")
# A key of more than ten rows and 1 % of the rows means nothing, such as a "no photo" picture.
_PLACEHOLDER_ROWS, _PLACEHOLDER_FRACTION = 10, 0.01
Edges = tuple[Ints, Ints]  # positions of rows, and codes of their keys, -1 for no edge


def duplicate_groups(
    keys: Sequence[Sequence[str | None]], rows: int, *, always: Collection[int] = ()
) -> Ints:
    """Return int64 (N,): the group of each row, numbered by first row.

    Two rows are in one group if they share a key in any column, or both share one with a third.
    None joins nothing, nor does a key that more than ten rows and more than 1 % of the rows share.

    Args:
        keys: Columns of keys, each (N,).
        rows: N.
        always: Positions of the columns whose keys join however many rows share them.

    Example:
    >>> duplicate_groups([["a", "b", "a", None], ["x", "y", "z", "y"]], 4).tolist()
    [0, 1, 0, 1]
    """
    codes = [
        _codes(column, np.inf if number in always else _most(rows))
        for number, column in enumerate(keys)
    ]
    return connected(rows, [(np.arange(rows), each) for each in codes])


def photo_keys(digests: Sequence[Sequence[str | None]]) -> list[str | None]:
    """Return one key per row: rows that share a photo, in whatever slot, have the same one.

    A photo that too many rows share to mean anything ties none.

    Args:
        digests: Each row's photos; rows may differ in how many they have.

    Returns:
        (N,), None for a row without a photo that could tie it.

    Example:
    >>> keys = photo_keys([["a", "b"], ["c", "a"], ["d"], [None]])
    >>> keys[0] == keys[1] != keys[2], keys[3]
    (True, None)
    """
    entries = [(i, digest) for i, row in enumerate(digests) for digest in {*row} - {None}]
    rows = np.array([row for row, _ in entries], np.int64)
    codes = _codes([digest for _, digest in entries], _most(len(digests)))
    groups, tied = connected(len(digests), [(rows, codes)]), set(rows[codes >= 0].tolist())
    return [f"photos {group}" if i in tied else None for i, group in enumerate(groups.tolist())]


def _most(rows: int) -> float:
    return max(_PLACEHOLDER_ROWS, _PLACEHOLDER_FRACTION * rows)


def _codes(keys: Sequence[str | None], most: float) -> Ints:
    """Return keys as numbers (N,), -1 for None and for a key that occurs more than `most` times."""
    codes = np.asarray(pd.factorize(np.array(keys, object))[0], np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=1)
    return np.where(counts[codes] > most, -1, codes)


def connected(rows: int, columns: Sequence[Edges]) -> Ints:
    """Return int64 (N,): each row's connected component, numbered by first row.

    The graph's nodes are the rows and the keys; keys of two `columns` are different ones.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    nodes, starts, ends = rows, [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for row, codes in columns:
        starts.append(row[codes >= 0])
        ends.append(nodes + codes[codes >= 0])
        nodes += int(codes.max(initial=-1)) + 1
    edges = np.concatenate(starts), np.concatenate(ends)
    graph = coo_matrix((np.ones(len(edges[0]), bool), edges), (nodes, nodes))
    labels = connected_components(graph, directed=False)[1] if nodes else edges[0]
    return np.asarray(pd.factorize(labels[:rows])[0], np.int64)


def content_keys(frame: pd.DataFrame, schema: Schema) -> list[str | None]:
    """Return one key per row over its numbers, categories, texts and dates.

    Case, blanks and the spelling of numbers do not matter. A row without any of them has None.
    So has, in a table where most rows repeat another, a row without text: there, equal rows are
    a coincidence of few values rather than copies.
    """
    columns = [column for column in schema.columns if column.kind in _CONTENT]
    cells = [spelled(frame[column.name], column) for column in columns]
    rows = list(zip(*cells, strict=True)) if cells else [()] * len(frame)
    keys = [_digest(row) if any(row) else None for row in rows]
    if 2 * len(set(keys)) >= len(keys):
        return keys
    texts = [number for number, column in enumerate(columns) if column.kind == "text"]
    return [
        key if any(row[number] for number in texts) else None
        for key, row in zip(keys, rows, strict=True)
    ]


def spelled(series: pd.Series[Any], column: Column) -> list[str]:
    """Return one spelling per cell, "" where missing."""
    texts = [" ".join((text or "").casefold().split()) for text in as_text(series)]
    if column.kind != "number":
        return texts
    values = parse_numbers(series, column).values
    return [
        text if np.isnan(value) else repr(float(value))
        for text, value in zip(texts, values, strict=True)
    ]


def _digest(cells: Sequence[str]) -> str:
    # The separator stands in no cell that was typed: joined by a blank, "a b" and "c" would equal
    # "a" and "b c".
    return hashlib.blake2b("\x1f".join(cells).encode(), digest_size=16).hexdigest()
