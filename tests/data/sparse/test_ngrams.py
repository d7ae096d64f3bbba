"""N-grams and text statistics in the cells of rows, by name and by hash."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from shoes import FRAME, SPEC
from sklearn.feature_extraction import FeatureHasher

from multimodal.core.spec import TEXT_STATISTICS, FeatureBlock
from multimodal.data.features import text
from multimodal.data.sparse.hashing import SPACE
from multimodal.data.sparse.ngrams import (
    ABSENT,
    HashedFeatures,
    RawRows,
    absent_hash,
    bin_hashes,
    filled_bins,
    letters_of,
    names_in,
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
    block, rows = FeatureBlock(kind="words", **TITLE), RawRows(SPEC, {}, FRAME)
    one, other = (set(HashedFeatures(rows, [(i, block)]).hashes) for i in (2, 3))
    assert not one & other and absent_hash(2) in one and absent_hash(3) in other
    assert names_in("words", "") == [ABSENT]


def test_bins_fill_one_after_the_other():
    block = FeatureBlock(group="table", source="size", kind="number", scale=1.0, bins=[-1, 0, 1])
    found = filled_bins(np.array([-2.0, -0.5, 0.5, 9.0]), block)
    assert found.tolist() == [[0, 0], [0.5, 0], [1, 0.5], [1, 1]]


TEXTS = [
    "Red, red shoe",
    "",
    None,
    "zzz",
    "Don't pay 1,299.50 € für 2 Stück!",
    "İstanbul naïve 日本 日本 日",
    "a b c d a b c d",
]


def by_name(kind: str, position: int) -> Any:
    """What scikit-learn's hasher makes of the names of features, which runs are saved with."""
    hasher = FeatureHasher(SPACE, input_type="string", alternate_sign=False, dtype=np.float32)
    names = [names_in(kind, cell) for cell in TEXTS]
    return hasher.transform([[f"{position}\x1f{name}" for name in row] for row in names])


@pytest.mark.parametrize("position", [0, 7, 12, 345, 6789])
@pytest.mark.parametrize("kind", ["words", "triples", "letters", "value", "value_letters"])
def test_features_are_those_of_their_names(kind: str, position: int) -> None:
    block = FeatureBlock(kind=kind, **TITLE)
    rows = RawRows(SPEC, {}, {"title": TEXTS})
    features = HashedFeatures(rows, [(position, block)])
    hashes, columns = np.unique(features.hashes, return_inverse=True)
    found, wanted = features.matrix(columns, len(hashes)), by_name(kind, position)
    assert set(hashes) == set(wanted.indices)
    # not `wanted[:, hashes]`, for which SciPy fills arrays of all 2**31 columns
    places = np.searchsorted(hashes, wanted.indices)
    narrow = csr_array((wanted.data, places, wanted.indptr), shape=found.shape)
    np.testing.assert_array_equal(found.toarray(), narrow.toarray())


def test_blocks_lie_below_each_other_and_groups_without_are_absent() -> None:
    blocks = [(i, FeatureBlock(kind=kind, **TITLE)) for i, kind in enumerate(["words", "letters"])]
    rows = RawRows(SPEC, {}, {"title": TEXTS})
    both, *each = (HashedFeatures(rows, chosen) for chosen in (blocks, blocks[:1], blocks[1:]))
    count = [len(features.hashes) for features in (both, *each)]
    assert both.matrix(np.zeros(count[0], int), 1).shape == (2 * len(TEXTS), 1)
    assert count[0] == count[1] + count[2]
    bare = HashedFeatures(rows, blocks, without=["title"])
    assert sorted(bare.hashes) == sorted([absent_hash(0), absent_hash(1)] * len(TEXTS))


def test_amounts_of_bins_and_unknown_columns() -> None:
    block = FeatureBlock(group="table", source="size", kind="number", scale=1.0, bins=[-1, 0, 1])
    features = HashedFeatures(RawRows(SPEC, {}, FRAME), [(0, block)])
    columns = np.select([features.hashes == each for each in bin_hashes(0, 2)], [0, 1], -1)
    found = features.matrix(columns, 2).toarray()
    numbers = RawRows(SPEC, {}, FRAME).numbers(block)
    np.testing.assert_allclose(found, np.nan_to_num(filled_bins(numbers, block)), rtol=1e-6)


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
