"""Numbers, spans of time, names and lists as messages and pages write them."""

from __future__ import annotations

import math

import pytest

from multimodal.core.formatting import (
    bare_percent,
    counted,
    duration,
    joined,
    listed,
    percent,
    rough_percent,
    short_number,
    shortened,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1e-5, "1e-05"),
        (0.12345, "0.1235"),
        (449.5, "449.5"),
        (999.96, "1,000"),
        (-1234.5, "-1,234"),
        (1e20, "1e+20"),
        (math.nan, "not a number"),
        (math.inf, "inf"),
    ],
)
def test_short_number(value: float, shown: str) -> None:
    assert short_number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0.0 s"), (59.9, "59.9 s"), (3661, "1 h 1 min")]
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_bare_percent() -> None:
    values = (0.0, -0.0001, 0.0094, -0.0049, -0.25, 1.2)
    assert [bare_percent(value) for value in values] == ["0", "0", "0.9", "−0.5", "−25", "120"]


def test_percent_has_a_dash_for_what_is_not_there() -> None:
    assert [percent(value) for value in (0.5, None, math.nan)] == ["50.0%", "–", "–"]


def test_rough_percent_shows_no_zero_for_a_few() -> None:
    assert [rough_percent(value) for value in (0, 0.001, 0.01, 1)] == [
        "0 %",
        "< 1 %",
        "1 %",
        "100 %",
    ]


def test_lists() -> None:
    assert joined([1, 2, 3], 3) == "1, 2, 3" and joined([1, 2, 3], 2) == "1, 2, …"
    assert [listed(words) for words in (["a"], ["a", "b"])] == ["a", "a and b"]
    assert counted(1, "row") == "1 row" and counted(0, "row") == "0 rows"


def test_shortened_keeps_to_its_length() -> None:
    assert [shortened("abcd", most) for most in (4, 3)] == ["abcd", "ab…"]
