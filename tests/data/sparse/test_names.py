"""Words of a text share its terms; typical cells; rows that hold too many terms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from shoes import FRAME, SPEC

from multimodal.data.sparse import blocks as known
from multimodal.data.sparse.blocks import (
    block_matrices,
    cut,
    hashes_of,
    term_matrix,
    typical_matrices,
    word_matrix,
)
from multimodal.data.sparse.fit import fit_terms

TERMS = fit_terms(SPEC, {}, FRAME)
assert TERMS is not None
WORDS, TRIPLES, LETTERS, NUMBERS, LENGTH = 2, 3, 4, 5, 6


def line(text: str, block: int) -> np.ndarray:
    frame = FRAME.head(1).assign(title=text)
    return list(block_matrices(TERMS, SPEC, {}, frame))[block].toarray()[0]


@pytest.mark.parametrize("block", [WORDS, TRIPLES, LETTERS, NUMBERS, LENGTH])
@pytest.mark.parametrize(
    "text", ["a red red shoe", "Red, red SHOE of zzz red shoe 7 12", "shoe", "zzz"]
)
def test_words_add_up_to_the_text(text: str, block: int) -> None:
    found = word_matrix(TERMS, block, text)
    assert found.shape[0] == len(text.split())
    said = {TRIPLES: len(text.split()) > 2, NUMBERS: "7" in text}.get(block, True)
    wanted = line(text, block) * said
    np.testing.assert_allclose(found.toarray().sum(axis=0), wanted, atol=1e-6)


def test_a_triple_belongs_to_its_three_words() -> None:
    found = word_matrix(TERMS, TRIPLES, "zzz a red red shoe").toarray()
    place = int(known.bag_counts(TERMS, TRIPLES, [["red red shoe"]]).indices[0])
    np.testing.assert_array_equal(found[:, place] > 0, [False, False, True, True, True])
    np.testing.assert_allclose(found[2:, place], found[2, place])


def test_a_pair_belongs_to_both_and_a_repeated_word_to_all_its_places() -> None:
    found = word_matrix(TERMS, WORDS, "a red red shoe").toarray()
    place = {
        word: int(known.bag_counts(TERMS, WORDS, [[word]]).indices[0])
        for word in ("a", "red", "shoe", "red red", "red shoe")
    }
    np.testing.assert_allclose(found[1, place["red"]], found[2, place["red"]])
    assert found[0, place["red"]] == found[3, place["red"]] == 0
    np.testing.assert_allclose(found[1, place["red red"]], found[2, place["red red"]])
    np.testing.assert_allclose(found[2, place["red shoe"]], found[3, place["red shoe"]])
    assert found[0, place["a"]] > 0 and np.count_nonzero(found[:, place["a"]]) == 1


def test_letters_belong_to_their_word() -> None:
    found = word_matrix(TERMS, LETTERS, "red shoe").toarray()
    alone = word_matrix(TERMS, LETTERS, "red").toarray()[0]
    np.testing.assert_array_equal(found[0] != 0, alone != 0)
    assert not (found[0] * found[1]).any()


def test_a_typical_row_has_the_median_and_the_most_frequent_category() -> None:
    frame = pd.DataFrame({"colour": ["red"], "size": [3.0], "title": [""]})
    for found, wanted in zip(
        typical_matrices(TERMS, SPEC), block_matrices(TERMS, SPEC, {}, frame), strict=True
    ):
        np.testing.assert_allclose(found.toarray(), wanted.toarray())


def test_too_many_terms_are_cut_as_the_inputs_are() -> None:
    blocks = list(block_matrices(TERMS, SPEC, {}, FRAME))
    most = TERMS.model_copy(update={"lengths": [7]})
    ids = known.term_inputs(most, SPEC, {}, FRAME)["terms_ids"]
    total = sum(matrix.toarray() for matrix in cut(blocks, 7))
    for row, chosen in zip(total, ids, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(row), np.sort(chosen[chosen > 0]) - 1)
    whole = term_matrix(TERMS, SPEC, {}, FRAME).toarray()
    np.testing.assert_allclose(sum(m.toarray() for m in cut(blocks, 999)), whole)
    assert np.count_nonzero(whole, axis=1).max() > 7


def test_rows_without_groups_hold_what_rows_that_lack_them_do() -> None:
    bare = FRAME.assign(title=None)
    found = term_matrix(TERMS, SPEC, {}, FRAME, without=["title"]).toarray()
    np.testing.assert_allclose(found, term_matrix(TERMS, SPEC, {}, bare).toarray())
    assert found.shape == (6, len(hashes_of(TERMS)))
