"""Texts of other words or letters; the usual ones pass."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.core.spec import OUT_OF_VOCABULARY
from multimodal.evaluation.novelty.texts import TextNovelty, fit_texts, main_script, novel_texts

RANDOM = np.random.default_rng(0)


def tokens(rows: int, words: int, share: float) -> np.ndarray:
    found = np.where(RANDOM.uniform(size=(rows, words)) < share, OUT_OF_VOCABULARY, 9)
    return np.pad(found, ((0, 0), (0, 4))).astype(np.int32)


def fitted(share: float, rows: int = 300, words: int = 30) -> TextNovelty:
    return fit_texts("t", tokens(rows, words, share), ["plain words here"] * rows)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("A red shoe", "LATIN"),
        ("Ein schönes Haus für", "LATIN"),
        ("красная обувь", "CYRILLIC"),
        ("红色的鞋子很好", "CJK"),
        ("नया लाल जूता", "DEVANAGARI"),
        ("1,299.50 €", None),
        ("ab", None),
        ("", None),
        ("shoe красная обувь", "CYRILLIC"),
    ],
)
def test_the_script_of_most_letters(text: str, script: str | None) -> None:
    assert main_script(text) == script


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("words", [4, 30])
def test_few_fresh_texts_are_novel_and_foreign_ones_are(share: float, words: int) -> None:
    usual = fitted(share, words=words)
    fresh = tokens(2000, words, share)
    found = list(novel_texts(usual, "t", fresh, ["plain words"] * 2000))
    assert len(found) < 40
    other = list(novel_texts(usual, "t", tokens(200, 30, 0.97), ["plain words"] * 200))
    assert usual.most is None or len(other) > 190
    assert share > 0.1 or usual.most is not None


def test_a_text_of_few_words_is_not_judged_by_them() -> None:
    usual = fitted(0.05)
    assert not list(novel_texts(usual, "t", np.array([[1, 1, 0], [0, 0, 0]]), ["xx yy", ""]))


def test_where_all_words_are_unknown_none_is_novel() -> None:
    assert fitted(0.9).most is None


def test_reasons_name_the_column_and_the_fraction() -> None:
    usual = fitted(0.1)
    rows = np.ones((2, 20), np.int32)
    found = list(novel_texts(usual, "title", rows, ["unseen words", "новая обувь"]))
    assert [each.check for each in found] == ["words:title", "script:title"]
    assert found[0].reason.startswith("title: 20 of 20 words are unknown; in the held-out rows 1")
    assert found[1].reason == "title: in Cyrillic letters, not Latin"


def test_a_rare_script_is_novel() -> None:
    texts = ["plain words"] * 999 + ["красная обувь"]
    assert fit_texts("t", tokens(10, 5, 0.1), texts).scripts == ["LATIN"]
    assert fit_texts("t", tokens(10, 5, 0.1), texts[-100:] + texts[-1:]).scripts == [
        "CYRILLIC",
        "LATIN",
    ]


def test_no_held_out_texts() -> None:
    usual = fit_texts("t", np.zeros((0, 8), np.int32), [])
    assert usual.most is None and usual.scripts == []
    assert not list(novel_texts(usual, "t", np.ones((1, 9), int), ["новая обувь"]))
