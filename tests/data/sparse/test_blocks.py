"""Sparse feature blocks of rows, words as parts of a text's features, baselines, truncation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from shoes import FRAME, SPEC

from multimodal.core.spec import FittedSpec
from multimodal.data.sparse import blocks as known
from multimodal.data.sparse.blocks import (
    absent_contributions,
    baseline_matrices,
    block_matrices,
    feature_hashes,
    keep_largest,
    sparse_inputs,
    sparse_matrix,
    word_matrix,
)
from multimodal.data.sparse.fit import fit_sparse_features
from multimodal.data.sparse.ngrams import ABSENT, absent_hash


def fitted():
    return fit_sparse_features(SPEC, {}, FRAME)


def test_a_value_seen_twice_has_a_term_of_its_own_and_one_seen_once_none():
    terms = fitted()
    matrix = next(iter(block_matrices(terms, SPEC, {}, FRAME))).toarray()
    np.testing.assert_allclose(matrix[0], matrix[2])
    assert not np.allclose(matrix[0], matrix[1])
    assert not matrix[3].any()
    np.testing.assert_allclose(matrix[0].sum(), 0.7)


def test_a_number_fills_its_bins():
    terms = fitted()
    matrix = list(block_matrices(terms, SPEC, {}, FRAME))[1].toarray()
    assert np.all(np.diff(matrix[[0, 1, 2, 3]].sum(axis=1)) >= 0)
    assert matrix[3].sum() > matrix[0].sum()
    absent = np.searchsorted(feature_hashes(terms), absent_hash(1))
    assert matrix[4, absent] == pytest.approx(0.4)
    assert np.count_nonzero(matrix[4]) == 1


def test_a_text_has_length_one_whatever_its_words():
    words = list(block_matrices(fitted(), SPEC, {}, FRAME))[2].toarray()
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1.0, rtol=1e-6)
    same = pd.DataFrame({**FRAME, "title": ["red shoe a"] * 6})
    other = list(block_matrices(fitted(), SPEC, {}, same))[2].toarray()
    assert not np.allclose(words[0], other[0])  # pairs of words tell the order


def test_unknown_words_change_nothing_but_are_not_absent():
    frame = {"colour": ["mauve"], "size": [2.0], "title": ["zzz qqq"]}
    words = list(block_matrices(fitted(), SPEC, {}, frame))[2]
    assert words.nnz == 0


def test_inputs_hold_the_matrix():
    terms = fitted()
    matrix = sparse_matrix(terms, SPEC, {}, FRAME).toarray()
    inputs = sparse_inputs(terms, SPEC, {}, FRAME)
    ids, weights = inputs["terms_ids"], inputs["terms_weights"]
    assert ids.shape[1] in terms.lengths
    again = np.zeros((len(FRAME), terms.num_terms + 1), np.float32)
    np.add.at(again, (np.arange(len(FRAME))[:, None], ids), weights)
    np.testing.assert_allclose(again[:, 1:], matrix, rtol=1e-6)


def test_a_row_too_long_loses_its_lightest_terms():
    terms = fitted().model_copy(update={"lengths": [3]})
    matrix = sparse_matrix(terms, SPEC, {}, FRAME).toarray()
    inputs = sparse_inputs(terms, SPEC, {}, FRAME)
    assert inputs["terms_ids"].shape == (6, 3)
    np.testing.assert_allclose(
        np.sort(inputs["terms_weights"][0])[::-1], np.sort(matrix[0])[::-1][:3], rtol=1e-6
    )


def test_one_row_as_lists_gives_the_same_terms():
    terms = fitted()
    row = {name: [FRAME[name].iloc[1]] for name in FRAME}
    np.testing.assert_allclose(
        sparse_matrix(terms, SPEC, {}, row).toarray(),
        sparse_matrix(terms, SPEC, {}, FRAME).toarray()[1:2],
    )


def test_json_keeps_the_terms():
    spec = SPEC.model_copy(update={"terms": fitted()})
    again = FittedSpec.model_validate_json(spec.model_dump_json())
    np.testing.assert_array_equal(
        sparse_matrix(again.terms, again, {}, FRAME).toarray(),
        sparse_matrix(spec.terms, spec, {}, FRAME).toarray(),
    )


def test_an_absent_cell_contributes_the_mean_of_those_there():
    terms = fitted()
    kernel = np.random.default_rng(0).normal(size=(terms.num_terms, 1))
    full = FRAME.iloc[:4]
    found = absent_contributions(terms, SPEC, {}, full, kernel)
    for position, contribution in found.items():
        kernel[position] = contribution
    blocks = list(block_matrices(terms, SPEC, {}, full))
    gone = list(block_matrices(terms, SPEC, {}, {n: [None] for n in FRAME}))
    for there, absent in zip(blocks, gone, strict=True):
        np.testing.assert_allclose(absent @ kernel, [(there @ kernel).mean(axis=0)], rtol=1e-5)
    assert ABSENT not in "".join(map(str, FRAME["title"]))


TERMS = fit_sparse_features(SPEC, {}, FRAME)
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
    place = int(known.feature_counts(TERMS, TRIPLES, [["red red shoe"]]).indices[0])
    np.testing.assert_array_equal(found[:, place] > 0, [False, False, True, True, True])
    np.testing.assert_allclose(found[2:, place], found[2, place])


def test_a_pair_belongs_to_both_and_a_repeated_word_to_all_its_places() -> None:
    found = word_matrix(TERMS, WORDS, "a red red shoe").toarray()
    place = {
        word: int(known.feature_counts(TERMS, WORDS, [[word]]).indices[0])
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
        baseline_matrices(TERMS, SPEC), block_matrices(TERMS, SPEC, {}, frame), strict=True
    ):
        np.testing.assert_allclose(found.toarray(), wanted.toarray())


def test_too_many_terms_are_cut_as_the_inputs_are() -> None:
    blocks = list(block_matrices(TERMS, SPEC, {}, FRAME))
    most = TERMS.model_copy(update={"lengths": [7]})
    ids = known.sparse_inputs(most, SPEC, {}, FRAME)["terms_ids"]
    total = sum(matrix.toarray() for matrix in keep_largest(blocks, 7))
    for row, chosen in zip(total, ids, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(row), np.sort(chosen[chosen > 0]) - 1)
    whole = sparse_matrix(TERMS, SPEC, {}, FRAME).toarray()
    np.testing.assert_allclose(sum(m.toarray() for m in keep_largest(blocks, 999)), whole)
    assert np.count_nonzero(whole, axis=1).max() > 7


def test_rows_without_groups_hold_what_rows_that_lack_them_do() -> None:
    bare = FRAME.assign(title=None)
    found = sparse_matrix(TERMS, SPEC, {}, FRAME, without=["title"]).toarray()
    np.testing.assert_allclose(found, sparse_matrix(TERMS, SPEC, {}, bare).toarray())
    assert found.shape == (6, len(feature_hashes(TERMS)))
