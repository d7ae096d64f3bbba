"""Facts of texts, and which words say them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from multimodal.core.spec import FACT_KINDS
from multimodal.data.features import text
from multimodal.data.sparse.ngrams import TEXT_STATISTICS, fact_shares, text_statistics

ODD = ["", " ", "no number", "1.2.3", "12,50", "9" * 400, "3 x 1,500 g, 0.5 %", "٣ 4", "-7"]


def of(kind: str, cell: str) -> float:
    return float(np.expm1(text_statistics(kind, [cell])[0]))


def test_the_spec_knows_the_facts() -> None:
    assert tuple(TEXT_STATISTICS) == FACT_KINDS


def test_numbers_are_read_as_the_table_reads_them() -> None:
    cell = "3 packs of 1,500 g at 0.5 %, in 12,50"
    assert of("greatest", cell) == pytest.approx(1500)
    assert of("least", cell) == pytest.approx(0.5)
    assert of("numbers", cell) == pytest.approx(3)  # 12,50 may mean two things
    assert of("length", cell) == pytest.approx(len(cell))


@pytest.mark.parametrize("kind", TEXT_STATISTICS)
def test_any_text_has_finite_facts_or_none(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = text_statistics(kind, ODD)
    assert found.shape == (len(ODD),) and not np.isinf(found).any()
    assert np.isnan(found[0]) and (kind in ("greatest", "least")) == bool(np.isnan(found[2]))


@pytest.mark.parametrize("kind", TEXT_STATISTICS)
@pytest.mark.parametrize("cell", [cell for cell in ODD if text.words(cell)])
def test_words_share_a_fact_wholly_or_not_at_all(kind: str, cell: str) -> None:
    shares = fact_shares(kind, cell)
    assert shares.shape == (len(text.words(cell)),)
    known = kind == "length" or of("numbers", cell) > 0
    assert shares.sum() == pytest.approx(float(known))


def test_the_word_that_says_it_has_it() -> None:
    assert fact_shares("least", "12 or 2 or 2").tolist() == [0, 0, 1, 0, 0]
    assert fact_shares("numbers", "12 or 2").tolist() == [0.5, 0, 0.5]
