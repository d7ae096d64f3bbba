"""Splits that differ are named by column; chance is not taken for drift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.data.audit.drift import drift, stability
from multimodal.data.columns.schema import infer_schema
from multimodal.data.read.readers import read_table

RNG = np.random.default_rng(0)


def found(cells: list[Any], kind: Any, train: int = 300) -> list[tuple[str, str]]:
    table = read_table([{"x": cell, "y": i} for i, cell in enumerate(cells)])
    schema = infer_schema(table, overrides={"x": kind, "y": "ignored"})
    splits = np.array(["train"] * train + ["test"] * (len(cells) - train), object)
    return [(each.column, each.side) for each in drift(table.frame, schema, splits)]


def test_stability_is_the_index_less_chance() -> None:
    p, q = np.repeat([0, 1], [5000, 5000]), np.repeat([0, 1], [8000, 2000])
    known = (0.5 - 0.8) * np.log(0.5 / 0.8) + (0.5 - 0.2) * np.log(0.5 / 0.2)
    assert stability(p, q) == pytest.approx(known - 2e-4, abs=1e-3)
    assert stability(p, p) == 0.0 and stability(p, p[:0]) == 0.0


@pytest.mark.parametrize("rows", [20, 100])
def test_small_sides_do_not_drift_by_chance(rows: int) -> None:
    wrong = sum(
        stability(RNG.integers(0, 11, 300), RNG.integers(0, 11, rows)) >= 0.25 for _ in range(200)
    )
    assert wrong <= 20


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("number", lambda: RNG.normal(), lambda: RNG.normal() + 1.5),
        ("number", lambda: RNG.normal(), lambda: None),
        ("category", lambda: RNG.choice(["a", "b"]), lambda: "c"),
        ("text", lambda: "a word " * RNG.integers(1, 9), lambda: "a word " * 30),
        ("date", lambda: f"2020-0{RNG.integers(1, 9)}-11", lambda: "2023-01-01"),
        ("image", lambda: "a.jpg", lambda: None),
    ],
)
def test_each_kind_of_column(kind: str, before: Any, after: Any) -> None:
    same = [before() for _ in range(600)]
    assert found(same, kind) == []
    assert found(same[:300] + [after() for _ in range(300)], kind) == [("x", "test")]
