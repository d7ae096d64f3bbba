"""Numbers far outside and unknown names: what counts as far, and that usual ones do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.core.spec import FittedGroup, NumericColumn
from multimodal.evaluation.novelty.numbers import (
    NumberRange,
    fit_range,
    novel_categories,
    novel_numbers,
)

RANDOM = np.random.default_rng(0)
COLUMN = NumericColumn(name="n", source="n")


def ranged(values: Any) -> NumberRange:
    found = fit_range(COLUMN, np.asarray(values, float))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "draw",
    [
        lambda n: RANDOM.normal(size=n),
        lambda n: RANDOM.lognormal(3, 1, n),
        lambda n: RANDOM.integers(1, 6, n),
        lambda n: (RANDOM.uniform(size=n) < 0.03) * RANDOM.lognormal(3, 1, n),
        lambda n: RANDOM.standard_t(3, n),
    ],
    ids=["normal", "lognormal", "grades", "mostly zero", "heavy"],
)
@pytest.mark.parametrize("rows", [60, 1000])
def test_few_fresh_rows_are_far(draw: Any, rows: int) -> None:
    shares = []
    for _ in range(20):
        found, fresh = ranged(draw(rows)), draw(2000)
        shares.append(((fresh < found.low) | (fresh > found.high)).mean())
    assert np.mean(shares) < 0.02


def test_slips_of_the_decimal_point_are_far() -> None:
    found = ranged(RANDOM.normal(50, 5, 1000))
    assert 0 < found.low < 32 and 65 < found.high < 150


def test_where_no_number_is_negative_every_negative_one_is_novel() -> None:
    assert ranged(RANDOM.lognormal(0, 1, 500)).low == 0.0
    assert ranged(RANDOM.normal(0, 1, 500)).low < -3


def test_one_wild_training_row_does_not_open_the_range() -> None:
    values = RANDOM.normal(50, 5, 5000)
    values[0] = 1e9
    found = ranged(values)
    assert found.high < 200 and found.greatest == 1e9


def test_nothing_known_and_all_the_same() -> None:
    assert fit_range(COLUMN, np.array([np.nan, np.inf])) is None
    same = ranged([5.0, 5.0, np.nan])
    assert (same.low, same.high) == (5.0, 5.0)


def test_far_numbers_are_named_with_what_was_seen() -> None:
    day = NumericColumn(name="y", source="sold", part="year")
    group = FittedGroup(name="t", modality="tabular", columns=["n"], numeric=[COLUMN, day])
    ranges = [
        NumberRange(source="n", low=0, high=10, least=1, greatest=9),
        NumberRange(source="sold", part="year", low=2000, high=2030, least=2010, greatest=2020),
    ]
    frame = {"n": ["5", None, "$12", "12,000", "-1"], "sold": ["1999-01-01", None, "x", "2015", ""]}
    frame["sold"][3] = "2015-05-05"
    found = {
        (each.row, each.check): each.reason for each in novel_numbers(ranges, group, {}, frame)
    }
    assert set(found) == {(0, "number:year of sold"), (3, "number:n"), (4, "number:n")}
    assert found[3, "number:n"] == "n: 12,000 is far outside the training rows (1 to 9)"
    assert not list(novel_numbers([], group, {}, frame))


def test_unknown_names_only_where_they_are_rare() -> None:
    columns = [{"name": name, "source": name, "categories": ["a"]} for name in ("shop", "brand")]
    group = FittedGroup.model_validate(
        {"name": "t", "modality": "tabular", "columns": ["shop", "brand"], "categorical": columns}
    )
    codes = np.array([[2, 1], [1, 1], [0, 0]])
    frame = {"shop": ["a", "q" * 99, None], "brand": ["x", "y", None]}
    found = list(novel_categories(["shop"], group, codes, frame))
    assert [(each.row, each.check) for each in found] == [(1, "name:shop")]
    assert found[0].reason == f"shop: '{'q' * 40}' is unknown"
