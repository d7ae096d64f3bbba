"""Odd values are named with an example and its line; ordinary ones are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.data.audit.outliers import outliers
from multimodal.data.columns.schema import infer_schema
from multimodal.data.read.readers import read_table

RNG = np.random.default_rng(0)
SIZES = RNG.lognormal(1, 0.5, 200).round(2).tolist()
PRICES = [round(20 + 3 * size, 2) for size in SIZES]
ALIKE = "the same but for case, blanks or Unicode form"
WRITTEN = [f"{size}" for size in SIZES]


def odd(cells: list[Any], kind: Any = None) -> list[str]:
    table = read_table([{"x": cell, "y": i / 7} for i, cell in enumerate(cells)])
    targets = ["x"] if kind == "target" else []
    told = {} if kind in (None, "target") else {"x": kind}
    schema = infer_schema(table, targets=targets, overrides=told)
    return list(outliers(table.frame["x"], schema.columns[0], table.lines))


@pytest.mark.parametrize(
    ("cells", "kind", "said"),
    [
        (
            [*WRITTEN, "12,50"],
            "number",
            "no numbers, and so taken as missing: 1 cell, such as '12,50' (line 201)",
        ),
        ([*SIZES, 999999], "number", "far from all others: 1 cell, such as 999999"),
        ([*SIZES, -1.0], "number", "below 0, unlike the others: 1 cell, such as -1.0 (line 201)"),
        ([*SIZES, 999999], "target", "far from all others: 1 cell, such as 999999"),
        (
            ["2020-01-01", "1066-10-14"] * 9,
            "date",
            "before 1900 or more than a year ahead: 9 cells, such as '1066-10-14' (line 2)",
        ),
        (["2020-01-01", "2999-01-01"], "date", "before 1900 or more than a year ahead: 1 cell"),
        (["2020-01-01", "03/04/2016"], "date", "no dates, and so taken as missing: 1 cell"),
        (
            ["red", "Red", "red", "blue"],
            "category",
            f"{ALIKE}: 'red' (2) / 'Red' (1)",
        ),
        (
            ["a  b", "a b", "c"],
            "category",
            "the same but for case, blanks or Unicode form: 'a  b' (1) / 'a b' ",
        ),
        (
            ["neg", "Neg", "pos"],
            "target",
            "the same but for case, blanks or Unicode form: 'neg' (1) / 'Neg' ",
        ),
        (
            ["red", "NA", "blue"],
            "category",
            "words for nothing, kept as a category: 1 cell, such as 'NA' (line 2)",
        ),
        (
            ["gr\u00c3\u00bcn", "rot"],
            "text",
            "decoded wrongly: 1 cell, such as 'gr\u00c3\u00bcn' (line 1)",
        ),
        ([*SIZES, *[-999.0] * 20], "number", "-999 comes again and again, far from all others: 20"),
        ([*SIZES, *[9999.0] * 20], "target", "9999 comes again and again, far from all others: 20"),
        ([*PRICES, *[0.0] * 6], "target", "0 or below, unlike the others: 6 cells, such as 0.0"),
        ([*PRICES, -5.0], "target", "0 or below, unlike the others: 1 cell, such as -5.0"),
        (["5 cm", "3 kg", "7 cm", "8 kg"] * 9, "category", "numbers in several units ('# cm', "),
        (["caf\ufffd", "tea"], "category", "decoded wrongly: 1 cell"),
        (
            ["12,50", "3,75", "9"],
            "category",
            "decimal commas, and so read as category, not as "
            "numbers: 2 cells, such as '12,50' (line 1)",
        ),
    ],
)
def test_what_is_odd(cells: list[Any], kind: str, said: str) -> None:
    (sentence,) = odd(cells, kind)
    assert sentence.startswith(said)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (SIZES, "number"),
        (SIZES, "target"),
        ([-s for s in SIZES], "number"),
        (RNG.normal(size=300).tolist(), "number"),
        (RNG.lognormal(0, 2, 300).tolist(), "number"),
        ([0] * 150 + SIZES, "number"),
        (["2020-01-01", "2021-05-05"], "date"),
        (["red", "blue"], "category"),
        (["größer als ein Haus", "Ã la carte"], "text"),
        ([None] * 30, "number"),
        (RNG.lognormal(3, 1.5, 2000).round(1).tolist(), "target"),
        ([0] * 40 + RNG.pareto(1.1, 2000).round(2).tolist(), "number"),
        (RNG.poisson(1.2, 300).tolist(), "target"),
        (RNG.normal(0, 1, 300).tolist(), "target"),
        ([1, 2, 3, 4, 5] * 40, "number"),
        ([4.9, 4.8, 5.0, 4.9, 4.7] * 40 + [3.9], "number"),
        ([], "target"),
    ],
)
def test_what_is_not(cells: list[Any], kind: str) -> None:
    assert not cells or odd(cells, kind) == []


def test_many_are_shown_shortly() -> None:
    (sentence,) = odd([*(word for c in "abcde" for word in (c, c.upper())), *"xyz"], "category")
    assert sentence.endswith("; and 2 more") and sentence.count(" / ") == 3
    (sentence,) = odd([*WRITTEN, *(f"{i},5" for i in range(5))], "number")
    assert "5 cells, such as '0,5' (line 201), '1,5' (line 202), '2,5' (line 203), …" in sentence
