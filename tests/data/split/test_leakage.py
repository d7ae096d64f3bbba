"""Columns that give the target away are named, others are not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Config
from multimodal.data.columns.schema import infer_schema
from multimodal.data.prepare import prepare
from multimodal.data.read.readers import read_table
from multimodal.data.split.leakage import (
    accuracy_of_others,
    determined_by,
    joint_keys,
    leakage_warnings,
    mean_of_others,
)

RNG = np.random.default_rng(0)
PRICES = RNG.integers(100, 9000, 200).astype(float)
DATA = Path(os.environ.get("MULTIMODAL_DATA", "absent"))


def warnings(kind: Any, cells: Any, prices: np.ndarray = PRICES) -> list[str]:
    table = read_table(pd.DataFrame({"x": pd.Series(cells, dtype=object), "price": prices}))
    schema = infer_schema(table, targets=["price"], overrides={"x": kind})
    return leakage_warnings(table.frame, schema, "price", prices)


@pytest.mark.parametrize("written", ["{:.0f}", "{:,.0f}", "{:,.2f}"])
@pytest.mark.parametrize("kind", ["text", "category"])
def test_texts_that_state_the_target(written: str, kind: str) -> None:
    cells = [f"Buy it now for Rs. {written.format(price)}!" for price in PRICES]
    (sentence,) = warnings(kind, cells)
    assert sentence.startswith("column 'x': 200 of 200 cells state their own price (100%).")
    assert "Remove the number" in sentence and "'ignored'" in sentence


@pytest.mark.parametrize(("stating", "said"), [(6, False), (10, False), (11, True)])
def test_a_few_texts_are_no_leak(stating: int, said: bool) -> None:
    cells = [f"for {price:.0f}" if i < stating else "cheap" for i, price in enumerate(PRICES)]
    assert bool(warnings("text", cells)) == said


def test_numbers_that_happen_to_agree_are_no_leak() -> None:
    stars = RNG.integers(1, 6, 200).astype(float)
    cells = [f"{k} of 5 in 3 days, 4 parts, 2 screws" for k in RNG.integers(1, 6, 200)]
    assert warnings("text", cells, stars) == []


def test_a_table_sorted_by_price_hides_nothing() -> None:
    prices = np.repeat(np.arange(20.0, 40.0), 10)
    assert warnings("text", [f"only {price:.0f}" for price in prices], prices)


@pytest.mark.parametrize(
    ("copy", "said"),
    [
        (PRICES * 1.2, True),
        (np.sqrt(PRICES), True),
        (-PRICES, True),
        (PRICES * np.exp(RNG.normal(0, 0.1, 200)), True),
        (PRICES * np.exp(RNG.normal(0, 2, 200)), False),
        (RNG.normal(size=200), False),
        (np.full(200, 3.5), False),
    ],
)
def test_numbers_that_follow_the_target(copy: np.ndarray, said: bool) -> None:
    found = warnings("number", copy)
    assert bool(found) == said
    assert all("column 'x' follows the price closely (correlation " in each for each in found)


def test_few_known_numbers_say_nothing() -> None:
    cells = [price if i < 19 else None for i, price in enumerate(PRICES)]
    assert warnings("number", cells) == []
    assert warnings("number", [*PRICES[:20], *[None] * 180])


def test_missing_targets_are_passed_over() -> None:
    y_true = np.where(np.arange(200) < 50, np.nan, PRICES)
    table = read_table(pd.DataFrame({"x": PRICES, "t": [f"for {p:.0f}" for p in PRICES]}))
    schema = infer_schema(table, overrides={"t": "text", "x": "number"})
    assert len(leakage_warnings(table.frame, schema, "price", y_true)) == 2


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason="MULTIMODAL_DATA names no folder")
def test_real_tables() -> None:
    config = Config.parse({"training": {"linear": False}})  # its features take most of the time
    raw = prepare(
        DATA / "flipkart/products_raw.csv",
        ["discounted_price"],
        config,
        images=DATA / "flipkart/images",
    )
    said = " ".join(raw.warnings)
    assert "column 'description': 816 of 1,049 cells state their own discounted_price" in said
    assert "column 'retail_price' follows the discounted_price closely" in said
    assert any("photos" in line and "absent" in line for line in raw.warnings), raw.warnings
    ordinary = ("what follows is not read", "are kept together in splits")
    for name in ("flipkart/products.csv", "houses/houses.csv", "books/books.csv"):
        warnings = prepare(DATA / name, ["price"], config).warnings
        assert [line for line in warnings if not any(each in line for each in ordinary)] == []


def class_warnings(cells: Any, kinds: Any, y_true: Any) -> list[str]:
    columns = {f"x{i}": pd.Series(each, dtype=object) for i, each in enumerate(cells)}
    table = read_table(pd.DataFrame({**columns, "y": y_true}))
    told = {f"x{i}": kind for i, kind in enumerate(kinds)}
    schema = infer_schema(table, targets=["y"], overrides=told)
    return leakage_warnings(table.frame, schema, "y", np.array(y_true, object))


KINDS = RNG.choice(["chair", "lamp", "rug"], 300)


def test_a_category_that_tells_the_class() -> None:
    codes = [f"{kind[0]}{RNG.integers(9)}" for kind in KINDS]
    (sentence,) = class_warnings([codes], ["category"], KINDS)
    assert sentence.startswith("column 'x0' tells the y: in 100% of the rows")
    mixed = [code if i % 5 else "c1" for i, code in enumerate(codes)]
    assert class_warnings([mixed], ["category"], KINDS) == []
    assert class_warnings([[f"k{i}" for i in range(300)]], ["category"], KINDS) == []


def test_a_number_that_tells_the_class() -> None:
    scores = [{"chair": 1, "lamp": 5, "rug": 9}[kind] + RNG.normal() / 9 for kind in KINDS]
    (sentence,) = class_warnings([scores], ["number"], KINDS)
    assert sentence.startswith("column 'x0' tells the y")
    assert class_warnings([RNG.normal(size=300)], ["number"], KINDS) == []


def test_a_pair_that_tells_the_class() -> None:
    first, second = RNG.integers(0, 4, (2, 300))
    y_true = np.array([f"kind {(a + b) % 4}" for a, b in zip(first, second, strict=True)])
    cells = [[f"a{k}" for k in first], [f"b{k}" for k in second], [f"c{k % 3}" for k in first]]
    (sentence,) = class_warnings(cells, ["category"] * 3, y_true)
    assert sentence.startswith("columns 'x0' and 'x1' together tell the y: in 100% of the rows")


def test_texts_that_name_their_class() -> None:
    texts = [f"a fine {kind.upper()} for the home" for kind in KINDS]
    (sentence,) = class_warnings([texts], ["text"], KINDS)
    assert sentence.startswith("column 'x0': 300 of 300 cells name their own y.")
    others = [f"a {kind} in red" for kind in RNG.permutation(KINDS)]
    assert class_warnings([others], ["text"], KINDS) == []
    assert class_warnings([["nothing said at all"] * 299 + ["a rug"]], ["text"], KINDS) == []


def test_a_rare_class_is_not_told_by_its_rarity() -> None:
    y_true = np.array(["no"] * 295 + ["yes"] * 5)
    assert class_warnings([RNG.choice(["a", "b"], 300)], ["category"], y_true) == []


def test_a_category_that_tells_the_number() -> None:
    bands = [f"b{int(price) // 100}" for price in PRICES]
    (sentence,) = warnings("category", bands)
    assert sentence.startswith("column 'x' tells the price: with a correlation of 1.00")
    assert warnings("category", RNG.choice(bands, 200)) == []


def test_numbers_that_make_up_the_target_together() -> None:
    net, tax = PRICES * RNG.uniform(0.02, 0.98, 200), RNG.normal(size=200)
    frame = pd.DataFrame({"net": net, "rest": PRICES - net, "tax": tax, "price": PRICES})
    table = read_table(frame)
    schema = infer_schema(table, targets=["price"])
    (sentence,) = leakage_warnings(table.frame, schema, "price", PRICES)
    assert sentence.startswith("columns 'net' and 'rest' together give the price away: as a sum")


def test_large_tables_are_drawn_from() -> None:
    prices = np.random.default_rng(1).uniform(1, 9, 12_000).round(4)
    (sentence,) = warnings("text", [f"{price} only" for price in prices], prices)
    assert "10,000 of 10,000 cells" in sentence


@pytest.mark.parametrize("rare", [1, 5, 20, 60])
def test_a_rare_value_does_not_tell_the_number(rare: int) -> None:
    """Without its own row, the mean of a value falls as the row's number rises."""
    prices = np.exp(np.random.default_rng(0).normal(5, 1, 600))
    assert warnings("category", ["yes"] * rare + ["no"] * (600 - rare), prices) == []


def test_a_date_that_follows_the_number() -> None:
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(PRICES, "D")
    (sentence,) = warnings("date", list(days))
    assert sentence.startswith("column 'x' follows the price closely (correlation 1.00)")


RNG = np.random.default_rng(0)


def test_the_own_row_does_not_count() -> None:
    keys = np.array([0, 0, 0, 1, 2, 2, -1])
    values = np.array([1.0, 2.0, 6.0, 5.0, 7.0, 9.0, 3.0])
    known = np.array([True, True, True, True, True, False, True])
    found = mean_of_others(keys, values, known)
    np.testing.assert_array_equal(found, [4.0, 3.5, 1.5, np.nan, np.nan, 7.0, np.nan])


def test_right_by_value_is_leave_one_out() -> None:
    keys, codes = np.array([0, 0, 0, 0, 1, 1, 1, 2]), np.array([1, 1, 1, 0, 0, 0, 0, 1])
    assert accuracy_of_others(keys, codes) == pytest.approx(6 / 7)  # the 0 among 1s; key 2 is alone


def test_unique_keys_tell_nothing() -> None:
    assert accuracy_of_others(np.arange(9), np.zeros(9, int)) == 0.0
    assert accuracy_of_others(np.full(9, -1), np.zeros(9, int)) == 0.0


def test_chance_is_not_taken_for_knowledge() -> None:
    keys, codes = RNG.integers(0, 100, 400), RNG.integers(0, 2, 400)
    assert accuracy_of_others(keys, codes) < 0.6


def test_joined_keys() -> None:
    found = joint_keys(np.array([0, 0, 1, 1, -1]), np.array([0, 1, 0, 0, 1]))
    assert found[4] == -1 and found[2] == found[3]
    assert len(set(found[:3].tolist())) == 3 and found[:4].min() == 0
    assert joint_keys(np.array([0, 1]), np.array([0, 0])).tolist() == [0, 1]


@pytest.mark.parametrize("how", ["sum", "product"])
def test_numbers_that_make_up_the_target(how: str) -> None:
    a, b, c = (RNG.lognormal(size=300) for _ in range(3))
    y_true = a + 2 * b if how == "sum" else a * b
    found = determined_by({"a": a, "noise": c, "b": b}, y_true)
    assert found is not None and found[:2] == (["a", "b"], how) and found[2] > 0.999


def test_good_features_are_no_copy() -> None:
    a, b = RNG.normal(size=(2, 300))
    y_true = a + b + 0.3 * RNG.normal(size=300)
    assert determined_by({"a": a, "b": b}, y_true) is None
    assert determined_by({"a": a}, a) is None
    assert determined_by({"a": a[:30], "b": b[:30]}, (a + b)[:30]) is None
