"""Columns that give the target away are named, others are not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.config import Config
from multimodal.data.leakage import leakage_warnings
from multimodal.data.prepare import prepare
from multimodal.data.readers import read_table
from multimodal.data.schema import infer_schema

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
    truth = np.where(np.arange(200) < 50, np.nan, PRICES)
    table = read_table(pd.DataFrame({"x": PRICES, "t": [f"for {p:.0f}" for p in PRICES]}))
    schema = infer_schema(table, overrides={"t": "text", "x": "number"})
    assert len(leakage_warnings(table.frame, schema, "price", truth)) == 2


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason="MULTIMODAL_DATA names no folder")
def test_real_tables() -> None:
    raw = prepare(DATA / "flipkart/products_raw.csv", ["discounted_price"], Config(),
                  images=DATA / "flipkart/images")  # fmt: skip
    said = " ".join(raw.warnings)
    assert "column 'description': 814 of 1,046 cells state their own discounted_price" in said
    assert "column 'retail_price' follows the discounted_price closely" in said
    assert "3 rows set aside: their photos are absent." in raw.warnings
    for name in ("flipkart/products.csv", "houses/houses.csv", "books/books.csv"):
        warnings = prepare(DATA / name, ["price"], Config()).warnings
        assert [line for line in warnings if "what follows is not read" not in line] == []
