"""A name is found in the spellings that tools give it, where one alone is meant."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal.core.spelling import Spellings, folded, one_spelling, plain_number

WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("names", "cell", "known"),
    [
        (["02134", "10001"], "2134", "02134"),
        (["02134", "2134"], "02134.0", None),
        (["1.50", "2.25", "3.00"], "1.5", "1.50"),
        (["1.50", "2.25", "3.00"], "3", "3.00"),
        (["-1.50", "1.50"], "-1.5", "-1.50"),
        (["True", "False"], "TRUE", "True"),
        (["True", "False"], "0", "False"),
        (["0", "1"], "true", "1"),
        (["0", "1", "2"], "true", None),
        (["Caf\u00e9"], "CAFE\u0301 ", "Caf\u00e9"),
        (["red", "Red"], "Red", "Red"),
        (["red", "Red"], "RED", None),
        (["a b"], "a\u00a0\u200bb", "a b"),
        (["a"], "b", None),
    ],
)
def test_known(names: list[str], cell: str, known: str | None) -> None:
    assert Spellings(names).known(cell) == known


@given(st.lists(WORDS, min_size=1, max_size=6, unique=True))
def test_other_spellings_mean_the_same_name_or_none(names: list[str]) -> None:
    found = Spellings(names)
    for name in names:
        assert found.known(name) == name
        for form in (name.upper(), f" {name} ", unicodedata.normalize("NFD", name)):
            if folded(form) == folded(name):  # "\u00df" in capitals is "SS"
                assert found.known(form) in {name, None, form}


@given(st.dictionaries(WORDS, st.integers(1, 9), min_size=1))
def test_one_spelling_is_the_most_frequent(counts: dict[str, int]) -> None:
    spelled = one_spelling(counts)
    for name, chosen in spelled.items():
        assert folded(name) == folded(chosen) and counts[chosen] >= counts[name]
        assert spelled[chosen] == chosen


@given(st.integers(-(10**9), 10**9), st.integers(0, 3))
def test_plain_numbers_are_equal_where_the_numbers_are(whole: int, noughts: int) -> None:
    written = f"{whole}" + ("." + "0" * noughts if noughts else "")
    assert plain_number(written) == f"{whole}"
    assert plain_number(f"{whole}x") is None
