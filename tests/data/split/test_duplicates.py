"""Copies are joined, placeholders are not."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.data.columns.schema import infer_schema
from multimodal.data.read.readers import read_table
from multimodal.data.split.duplicates import (
    content_keys,
    duplicate_groups,
    photo_keys,
)

TEXT = "a sturdy oak table number"


@pytest.mark.parametrize(
    ("keys", "groups"),
    [
        ([], [0, 1, 2, 3]),
        ([["a", "a", "b", None]], [0, 0, 1, 2]),
        ([[None] * 4], [0, 1, 2, 3]),
        ([["a", "b", "b", "c"], ["x", "x", "y", "z"]], [0, 0, 0, 1]),
        ([["a", "b", "c", "d"], ["d", "a", "b", "c"]], [0, 1, 2, 3]),
        ([["a", "b", "c", "d"], ["p", "q", "r", "p"], [None, "u", "u", None]], [0, 1, 1, 0]),
    ],
)
def test_groups(keys: list[list[str | None]], groups: list[int]) -> None:
    found = duplicate_groups(keys, 4)
    assert found.dtype == np.int64 and found.tolist() == groups


def test_groups_are_the_connected_components() -> None:
    rng = np.random.default_rng(0)
    keys = [[f"k{k}" for k in rng.integers(0, 250, 300)] for _ in range(2)]
    groups = duplicate_groups(keys, 300)
    linked = np.eye(300, dtype=bool)
    for column in keys:
        linked |= np.equal.outer(np.array(column), np.array(column))
    for _ in range(9):
        linked = (linked.astype(int) @ linked.astype(int)) > 0
    np.testing.assert_array_equal(np.equal.outer(groups, groups), linked)


@pytest.mark.parametrize(
    ("rows", "shared", "joined"),
    [(100, 10, True), (100, 11, False), (2000, 20, True), (2000, 21, False)],
)
def test_placeholders_join_nothing(rows: int, shared: int, joined: bool) -> None:
    keys = [["no photo"] * shared + [str(i) for i in range(rows - shared)]]
    groups = duplicate_groups(keys, rows)
    assert (len(set(groups[:shared])) == 1) == joined
    assert len(set(duplicate_groups(keys, rows, always=[0])[:shared])) == 1


def test_no_rows() -> None:
    assert duplicate_groups([[]], 0).tolist() == []


def test_content_ignores_spelling_and_what_is_no_content() -> None:
    rows = [
        {"id": f"k{i}z", "n": f"{i}.5", "t": f"{TEXT} {i}", "p": f"{i}.jpg", "price": i}
        for i in range(30)
    ]
    rows.append({"id": "k9x", "n": "3.50", "t": f" {TEXT.upper()}  3", "p": "q.jpg", "price": 99})
    rows.append({"id": "k8x", "n": None, "t": " ", "p": "r.jpg", "price": 5})
    table = read_table(rows)
    keys = content_keys(table.frame, infer_schema(table, targets=["price"]))
    assert keys[30] == keys[3] and keys[31] is None
    assert len(set(keys[:30])) == 30


def test_numbers_in_a_phrase_are_compared_as_numbers() -> None:
    table = read_table([{"n": f"{i} reviews"} for i in range(2, 9)] + [{"n": "2.0 Reviews"}])
    keys = content_keys(table.frame, infer_schema(table))
    assert keys[0] == keys[7]


@pytest.mark.parametrize(("text", "copies"), [(False, False), (True, True)])
def test_coincidence_is_no_copy(text: bool, copies: bool) -> None:
    rows = [
        {"colour": "rgb"[i % 3], "size": i % 4, "t": f"{TEXT} {i % 60} {'rgb'[i % 3]}"}
        for i in range(180)
    ]
    if not text:
        rows = [{key: row[key] for key in ("colour", "size")} for row in rows]
    table = read_table(rows)
    keys = content_keys(table.frame, infer_schema(table))
    assert all((key is not None) == copies for key in keys)


def test_no_content_columns() -> None:
    table = read_table([{"p": f"{i}.jpg"} for i in range(9)])
    assert content_keys(table.frame, infer_schema(table)) == [None] * 9


def test_photos_tie_rows_across_slots() -> None:
    keys = photo_keys([["a", "b"], ["c", "a"], ["d"], [], [None], ["e", "c"], ["d", "d"]])
    assert keys[0] == keys[1] == keys[5] and keys[2] == keys[6]
    assert keys[0] != keys[2] and keys[3] is None and keys[4] is None
    assert duplicate_groups([keys], 7).tolist() == [0, 0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("slots", [1, 4])
def test_a_placeholder_photo_ties_nothing(slots: int) -> None:
    rows = [["none"] * (slots - 1) + [f"{i // 2}"] for i in range(60)]
    keys = photo_keys([*rows, *([["none"]] * 30)])
    assert keys[60:] == [None] * 30 or slots == 1
    assert len(set(keys[:60])) == 30 and all(keys[i] == keys[i + 1] for i in range(0, 60, 2))
    few = photo_keys([["none"]] * 10 + [["x"], ["y"]])
    assert len(set(few[:10])) == 1 and few[0] is not None


def test_photo_keys_of_no_rows() -> None:
    assert photo_keys([]) == [] and photo_keys([[], [None]]) == [None, None]
