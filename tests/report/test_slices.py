"""Where errors are: parts of the prediction, values of categories, and their flags."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multimodal.report.slices import by_category, by_prediction, flagged, measured

RANDOM = np.random.default_rng(0)
N = 400
TRUTH = RANDOM.uniform(10, 1000, N)
SHOP = RANDOM.choice(["a", "b", "c"], N, p=[0.5, 0.47, 0.03])
ERROR = np.where(SHOP == "b", 0.5, 0.1)
ROWS = pd.DataFrame(
    {"row": np.arange(N), "weight": 1.0, "true": TRUTH, "prediction": TRUTH * (1 + ERROR)}
)


def test_parts_hold_every_row_and_go_by_the_prediction() -> None:
    found = by_prediction(ROWS, measured(ROWS, "number", []))
    assert [each.rows for each in found] == [40] * 10
    assert all(a.upper < b.lower for a, b in zip(found, found[1:], strict=False))
    assert found[0].lower == ROWS["prediction"].min()
    last = ROWS.nlargest(40, "prediction")
    gap = last["prediction"] - last["true"]
    assert found[-1].bias == pytest.approx(gap.median())
    assert found[-1].mae == pytest.approx(gap.abs().mean())


def test_few_rows_have_fewer_parts_and_a_flag() -> None:
    rows = ROWS.head(50)
    found = by_prediction(rows, measured(rows, "number", []))
    assert [each.flag for each in found] == ["few"] * 3


def test_the_bad_and_the_good_are_flagged_the_rare_is_not_judged() -> None:
    raw = pd.DataFrame({"shop": SHOP, "noise": RANDOM.choice(["x", "y"], N), "one": "1"})
    found = by_category(ROWS, raw, ["shop", "noise", "one", "absent"], measured(ROWS, "number", []))
    assert list(found) == ["shop", "noise"]
    flags = {each.name: each.flag for each in found["shop"]}
    assert flags == {"a": "better", "b": "worse", "c": "few"}
    assert [each.flag for each in found["noise"]] == ["", ""]
    assert {each.name: each.rows for each in found["shop"]} == {
        name: int((SHOP == name).sum()) for name in "abc"
    }
    assert [(column, each.name) for column, each in flagged(found, "worse")] == [("shop", "b")]
    values = {each.name: each.result for each in found["shop"]}
    assert values["b"].value == pytest.approx(0.5)


def test_rare_values_are_taken_together_and_missing_ones_apart() -> None:
    names: list[object] = [f"brand {i % 40}" for i in range(N)]
    names[:100] = ["Acme"] * 100
    names[100:130] = [None, np.nan, ""] * 10
    (found,) = by_category(
        ROWS, pd.DataFrame({"b": names}), ["b"], measured(ROWS, "number", [])
    ).values()
    assert (found[0].name, found[0].rows) == ("Acme", 100)
    assert [(each.name, each.rows) for each in found[-1:]] == [("missing", 30)]
    assert found[-2].name == "all others" and len(found) == 5 + 2
    assert sum(each.rows for each in found) == N


def test_each_kind_has_its_own_measure() -> None:
    gain = ROWS.assign(true=ROWS["true"] - 500)
    assert measured(gain, "number", []).label == "mean absolute error"
    rows = pd.DataFrame({"weight": [1.0, 3.0], "true": ["a", "b"], "prediction": ["a", "a"]})
    assert measured(rows, "class", ["a", "b"]).overall == 0.25
    assert measured(rows, "labels", ["a", "b"]).values.tolist() == [1, 0]
    corners = {"xmin": 0.0, "ymin": 0.0, "xmax": 2.0, "ymax": 2.0}
    box = pd.DataFrame([{"weight": 1.0, **corners, **{f"{c}_true": v for c, v in corners.items()}}])
    assert measured(box, "box", []).overall == 1.0


def test_more_is_better_for_shares() -> None:
    right = np.r_[np.ones(200), np.zeros(200)]
    rows = pd.DataFrame({"weight": 1.0, "true": "a", "prediction": np.where(right, "a", "b")})
    raw = pd.DataFrame({"half": np.where(right, "first", "second")})
    (found,) = by_category(rows, raw, ["half"], measured(rows, "class", ["a", "b"])).values()
    assert {each.name: each.flag for each in found} == {"first": "better", "second": "worse"}


def test_weights_count() -> None:
    heavy = ROWS.assign(weight=np.where(SHOP == "b", 100.0, 1.0))
    assert measured(heavy, "number", []).overall == pytest.approx(0.5)
    assert measured(ROWS, "number", []).overall == pytest.approx(0.1)
