"""Rows that are copies of each other, by photo, by content, by anything with a key."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.arrays import Ints
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.schema import Column, Schema

Keys = Sequence[Sequence[str | None]]
_CONTENT = ("number", "category", "text", "date")
_FEW_ROWS, _SHARE = 10, 0.01


class Placeholder(NamedTuple):
    """A key that too many rows share to mean anything, such as a "no photo" picture."""

    column: int
    key: str
    rows: int


def placeholders(keys: Keys, rows: int, *, always: Collection[int] = ()) -> list[Placeholder]:
    """Return the keys that more than ten rows and more than 1 % of the rows share.

    Args:
        keys: columns of keys, each (N,); None is no key.
        rows: N.
        always: positions of key columns that are never placeholders.
    """
    most = max(_FEW_ROWS, _SHARE * rows)
    return [
        Placeholder(number, key, count)
        for number, column in enumerate(keys)
        if number not in always
        for key, count in Counter(column).items()
        if key is not None and count > most
    ]


def duplicate_groups(keys: Keys, rows: int, *, always: Collection[int] = ()) -> Ints:
    """Return int64 (N,): the group of each row, numbered by first row.

    Two rows are in one group if they share a key in any column, or both share one with a third.
    None and placeholders (see `placeholders`) join nothing.

    Example:
    >>> duplicate_groups([["a", "b", "a", None], ["x", "y", "z", "y"]], 4).tolist()
    [0, 1, 0, 1]
    """
    skipped = {(found.column, found.key) for found in placeholders(keys, rows, always=always)}
    parent = list(range(rows))
    for number, column in enumerate(keys):
        first: dict[str, int] = {}
        for row, key in enumerate(column):
            if key is None or (number, key) in skipped:
                continue
            low, high = sorted((_root(parent, row), _root(parent, first.setdefault(key, row))))
            parent[high] = low
    roots = [_root(parent, row) for row in range(rows)]
    return np.unique(np.array(roots, dtype=np.int64), return_inverse=True)[1].astype(np.int64)


def photo_keys(digests: Sequence[Sequence[str | None]]) -> list[str | None]:
    """Return one key per row: rows that share a photo, in whatever slot, have the same one.

    A photo that too many rows share to mean anything (see `placeholders`) ties none.

    Args:
        digests: each row's photos; rows may differ in how many they have.

    Returns:
        (N,), None for a row without a photo that could tie it.

    Example:
    >>> keys = photo_keys([["a", "b"], ["c", "a"], ["d"], [None]])
    >>> keys[0] == keys[1] != keys[2], keys[3]
    (True, None)
    """
    rows = [{digest for digest in row if digest is not None} for row in digests]
    common = {p.key for p in placeholders([[d for row in rows for d in row]], len(rows))}
    entries = [(str(i), digest) for i, row in enumerate(rows) for digest in row - common]
    columns = list(zip(*entries, strict=True))
    groups = duplicate_groups(columns, len(entries), always=(0, 1)).tolist()
    keys = {row: f"photos {group}" for (row, _), group in zip(entries, groups, strict=True)}
    return [keys.get(str(i)) for i in range(len(rows))]


def content_keys(frame: pd.DataFrame, schema: Schema) -> list[str | None]:
    """Return one key per row over its numbers, categories, texts and dates.

    Case, blanks and the spelling of numbers do not matter. A row without any of them has None.
    So has, in a table where most rows repeat another, a row without text: there, equal rows are
    a coincidence of few values rather than copies.
    """
    columns = [column for column in schema.columns if column.kind in _CONTENT]
    spelled = [_spelled(frame[column.name], column) for column in columns]
    rows = list(zip(*spelled, strict=True)) if spelled else [()] * len(frame)
    keys = [_digest(row) if any(row) else None for row in rows]
    if 2 * len(set(keys)) >= len(keys):
        return keys
    texts = [number for number, column in enumerate(columns) if column.kind == "text"]
    return [
        key if any(row[number] for number in texts) else None
        for key, row in zip(keys, rows, strict=True)
    ]


def _spelled(series: pd.Series[Any], column: Column) -> list[str]:
    """Return one spelling per cell, "" where missing."""
    texts = [" ".join((text or "").casefold().split()) for text in as_text(series)]
    if column.kind != "number":
        return texts
    values = parse_numbers(series, column.unit).values
    return [
        text if np.isnan(value) else repr(float(value))
        for text, value in zip(texts, values, strict=True)
    ]


def _digest(cells: Sequence[str]) -> str:
    return hashlib.blake2b("\x1f".join(cells).encode(), digest_size=16).hexdigest()


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row
