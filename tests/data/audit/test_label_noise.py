"""Labels that were swapped or mistyped are found; honest ones mostly are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.data.audit.label_noise import MOST, find_label_issues
from multimodal.data.columns.schema import infer_schema
from multimodal.data.read.readers import read_table

ROWS = 400
WORDS = {"chair": "legs seat oak".split(), "lamp": "bulb light cord".split(), "rug": ["woven"] * 3}


def drawn(rows: int = ROWS) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    kinds = rng.choice(list(WORDS), rows)
    frame = pd.DataFrame(
        {
            "text": [
                f"a {' '.join(rng.permutation(WORDS[k]))} for the home in good order" for k in kinds
            ],
            "brand": [f"{k[0]}{rng.integers(3)}" for k in kinds],
            "size": rng.lognormal(size=rows),
        }
    )
    prices = np.exp(np.log(frame["size"]) + [len(k) for k in kinds] + 0.1 * rng.normal(size=rows))
    return frame, kinds.astype(object), prices.to_numpy(copy=True)


def suspects(frame: pd.DataFrame, y_true: np.ndarray, groups: Any = None) -> list[Any]:
    schema = infer_schema(read_table(frame), overrides={"text": "text"})
    groups = np.arange(len(frame)) if groups is None else groups
    return find_label_issues(frame, schema, y_true, groups)


def test_swapped_classes_are_found() -> None:
    frame, kinds, _ = drawn()
    assert suspects(frame, kinds) == []
    before = kinds.copy()
    for row in (3, 77, 250):
        kinds[row] = "rug" if kinds[row] != "rug" else "lamp"
    found = suspects(frame, kinds)
    assert {each.row for each in found} == {3, 77, 250}
    assert all(each.label == kinds[each.row] for each in found)
    assert all(each.expected == before[each.row] for each in found)


def test_two_classes() -> None:
    frame, kinds, _ = drawn()
    two = np.where(kinds == "rug", "soft", "hard").astype(object)
    two[9] = "hard" if two[9] == "soft" else "soft"
    assert [each.row for each in suspects(frame, two)] == [9]


def test_mistyped_numbers_are_found_in_their_order() -> None:
    frame, _, prices = drawn()
    prices[5] *= 1e4
    prices[6] /= 1000
    found = suspects(frame, prices)
    assert [each.row for each in found[:2]] == [5, 6] and len(found) < 8
    assert found[0].label == f"{prices[5]:,.12g}" and found[0].strength > found[1].strength


def test_missing_labels_and_few_rows_are_passed_over() -> None:
    frame, kinds, prices = drawn()
    kinds[:10], prices[:10] = None, np.nan
    assert all(each.row >= 10 for each in suspects(frame, kinds) + suspects(frame, prices))
    assert suspects(frame.head(50), kinds[:50]) == []
    empty = infer_schema(read_table(frame)).model_copy(update={"columns": []})
    assert find_label_issues(frame, empty, prices, np.arange(ROWS)) == []


def test_a_copy_with_the_same_wrong_label_does_not_cover_up() -> None:
    frame, _, prices = drawn()
    groups = np.arange(ROWS)
    for row in range(1, 12):
        frame.iloc[row] = frame.iloc[0]
        frame.loc[row, "brand"] = frame.loc[0, "brand"] = "only"
        groups[row], prices[row] = 0, prices[0]
    prices[:12] *= 1e5
    assert {each.row for each in suspects(frame, prices, groups)} >= set(range(12))


@pytest.mark.parametrize("kind", ["classes", "numbers", "nearly one number"])
def test_where_nothing_can_be_known_nothing_is_a_suspect(kind: str) -> None:
    frame, _, _ = drawn()
    rng = np.random.default_rng(1)
    y_true = {
        "classes": rng.choice(["yes", "no"], ROWS).astype(object),
        "numbers": rng.standard_cauchy(ROWS),
        "nearly one number": np.where(np.arange(ROWS) < 3, 2.0, 1.0),
    }[kind]
    assert suspects(frame, y_true) == []


def test_at_most_a_few_are_returned() -> None:
    frame, _, prices = drawn()
    prices[::16] *= 50
    assert len(suspects(frame, prices)) == MOST


@pytest.mark.parametrize("y_true", [np.full(ROWS, "one", object), np.full(ROWS, 3.0)])
def test_nothing_to_learn(y_true: np.ndarray) -> None:
    assert suspects(drawn()[0], y_true) == []
