"""What stands in the cells of rows, by name and by hash."""

from __future__ import annotations

import numpy as np
from shoes import FRAME, SPEC

from multimodal.core.spec import TermBlock
from multimodal.data.sparse.ngrams import (
    ABSENT,
    absent_hash,
    bags_of,
    filled_bins,
    hashed,
    letters_of,
    named,
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


def test_blocks_do_not_share_terms_and_an_empty_cell_is_named():
    bags = bags_of(TermBlock(kind="words", **TITLE), 2, SPEC, {}, FRAME)
    assert named(2, "shoe") in bags[1] and bags[4] == [named(2, ABSENT)]
    other = bags_of(TermBlock(kind="words", **TITLE), 3, SPEC, {}, FRAME)
    assert not set(bags[1]) & set(other[1])


def test_bins_fill_one_after_the_other():
    block = TermBlock(group="table", source="size", kind="number", scale=1.0, bins=[-1, 0, 1])
    found = filled_bins(np.array([-2.0, -0.5, 0.5, 9.0]), block)
    assert found.tolist() == [[0, 0], [0.5, 0], [1, 0.5], [1, 1]]


def test_hashes_count_names_and_amounts():
    found = hashed([["a", "b", "a"], []])
    assert found.shape[0] == 2 and sorted(found[0].data) == [1, 2] and found[1].nnz == 0
    amounts = hashed(([["a"], ["a"]], [[0.5], [-2.0]]))
    assert amounts.data.tolist() == [0.5, -2.0]
    assert absent_hash(0) != absent_hash(1)
