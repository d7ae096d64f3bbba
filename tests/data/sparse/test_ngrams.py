"""N-grams and text statistics in the cells of rows, by name and by hash."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from shoes import FRAME, SPEC

from multimodal.core.spec import TEXT_STATISTICS, FeatureBlock
from multimodal.data.features import text
from multimodal.data.sparse.ngrams import (
    ABSENT,
    absent_hash,
    block_features,
    feature_names,
    filled_bins,
    hashed,
    letters_of,
    statistic_fractions,
    text_statistics,
    triples,
    words_of,
)

TITLE = {"group": "title", "source": "title", "scale": 1.0}


def test_words_stand_alone_and_in_pairs_and_triples_by_three():
    assert words_of("Red, red shoe") == ["red", "red", "shoe", "red red", "red shoe"]
    assert triples("Red shoe") == []
    assert triples("a b c d") == ["a b c", "b c d"]


def test_runs_of_letters_know_where_a_word_begins():
    assert " s" in letters_of("shoe") and "shoe " in letters_of("shoe")
    assert max(map(len, letters_of("shoemaker"))) == 5


def test_blocks_do_not_share_features_and_an_empty_cell_is_named():
    names, amounts = block_features(FeatureBlock(kind="words", **TITLE), SPEC, {}, FRAME)
    assert "shoe" in names[1] and names[4] == [ABSENT] and amounts is None
    one, other = feature_names(2, names), feature_names(3, names)
    assert not set(one[1]) & set(other[1])


def test_bins_fill_one_after_the_other():
    block = FeatureBlock(group="table", source="size", kind="number", scale=1.0, bins=[-1, 0, 1])
    found = filled_bins(np.array([-2.0, -0.5, 0.5, 9.0]), block)
    assert found.tolist() == [[0, 0], [0.5, 0], [1, 0.5], [1, 1]]


def test_hashes_count_names_and_amounts():
    found = hashed([["a", "b", "a"], []])
    assert found.shape[0] == 2 and sorted(found[0].data) == [1, 2] and found[1].nnz == 0
    amounts = hashed([["a"], ["a"]], [[0.5], [-2.0]])
    assert amounts.data.tolist() == [0.5, -2.0]
    assert absent_hash(0) != absent_hash(1)


ODD = ["", " ", "no number", "1.2.3", "12,50", "9" * 400, "3 x 1,500 g, 0.5 %", "٣ 4", "-7"]


def of(kind: str, cell: str) -> float:
    return float(np.expm1(text_statistics(kind, [cell])[0]))


def test_numbers_are_read_as_the_table_reads_them() -> None:
    cell = "3 packs of 1,500 g at 0.5 %, in 12,50"
    assert of("greatest", cell) == pytest.approx(1500)
    assert of("least", cell) == pytest.approx(0.5)
    assert of("numbers", cell) == pytest.approx(3)  # 12,50 may mean two things
    assert of("length", cell) == pytest.approx(len(cell))


@pytest.mark.parametrize("kind", TEXT_STATISTICS)
def test_any_text_has_finite_statistics_or_none(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = text_statistics(kind, ODD)
    assert found.shape == (len(ODD),) and not np.isinf(found).any()
    assert np.isnan(found[0]) and (kind in ("greatest", "least")) == bool(np.isnan(found[2]))


@pytest.mark.parametrize("kind", TEXT_STATISTICS)
@pytest.mark.parametrize("cell", [cell for cell in ODD if text.words(cell)])
def test_fractions_of_words_add_up_to_one_or_none(kind: str, cell: str) -> None:
    found = statistic_fractions(kind, cell)
    assert found.shape == (len(text.words(cell)),)
    known = kind == "length" or of("numbers", cell) > 0
    assert found.sum() == pytest.approx(float(known))


def test_the_word_that_says_it_has_it() -> None:
    assert statistic_fractions("least", "12 or 2 or 2").tolist() == [0, 0, 1, 0, 0]
    assert statistic_fractions("numbers", "12 or 2").tolist() == [0.5, 0, 0.5]
