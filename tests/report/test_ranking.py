"""Worst and best answers of every kind of head."""

from __future__ import annotations

import pandas as pd
import pytest

from multimodal.report.head_rows import KEPT, rank_rows


def test_numbers_by_their_ratio() -> None:
    rows = pd.DataFrame({"true": [10.0, 1000.0, 5.0], "prediction": [20.0, 1100.0, 5.0]})
    assert rank_rows("number", rows, ()) == ([0, 1, 2], [])
    many = pd.DataFrame({"true": [10.0] * 30, "prediction": [10.0 + i for i in range(30)]})
    wrong, right = rank_rows("number", many, ())
    assert wrong == list(range(29, 29 - KEPT, -1)) and right == list(range(10))


@pytest.mark.parametrize("sure", [True, False])
def test_classes_by_how_sure_the_answer_is(sure: bool) -> None:
    rows = pd.DataFrame(
        {
            "true": ["a", "a", "b", "b", "a"],
            "prediction": ["a", "b", "a", "b", "a"],
            "probability": [0.6, 0.7, 0.9, 0.95, 0.8],
        },
        index=[3, 4, 5, 8, 9],
    )
    found = rank_rows("class", rows if sure else rows.drop(columns="probability"), ["a", "b"])
    assert found == (([5, 4], [8, 9, 3]) if sure else ([4, 5], [9, 8, 3]))


def test_labels_by_how_many_are_wrong() -> None:
    rows = pd.DataFrame({"true": ["a|b", "[]", "c"], "prediction": ["c", "[]", "b|c"]})
    assert rank_rows("labels", rows, ["a", "b", "c"]) == ([0, 2], [1])


def test_boxes_by_their_overlap() -> None:
    corners = {"xmin": 0.0, "ymin": 0.0, "xmax": 1.0, "ymax": 1.0}
    rows = pd.DataFrame(
        {
            **{f"{k}_true": [v, v] for k, v in corners.items()},
            **{k: [v, v / 2] for k, v in corners.items()},
        }
    )
    assert rank_rows("box", rows, ()) == ([1, 0], [])


def test_no_rows_have_no_order() -> None:
    assert rank_rows("number", pd.DataFrame(), ()) == ([], [])
