from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from shoes import FRAME, SPEC

from multimodal.core.spec import FittedSpec
from multimodal.data.sparse.blocks import (
    absent_contributions,
    block_matrices,
    hashes_of,
    term_inputs,
    term_matrix,
)
from multimodal.data.sparse.fit import fit_terms
from multimodal.data.sparse.ngrams import ABSENT, absent_hash


def fitted():
    return fit_terms(SPEC, {}, FRAME)


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
    absent = np.searchsorted(hashes_of(terms), absent_hash(1))
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
    matrix = term_matrix(terms, SPEC, {}, FRAME).toarray()
    inputs = term_inputs(terms, SPEC, {}, FRAME)
    ids, weights = inputs["terms_ids"], inputs["terms_weights"]
    assert ids.shape[1] in terms.lengths
    again = np.zeros((len(FRAME), terms.num_terms + 1), np.float32)
    np.add.at(again, (np.arange(len(FRAME))[:, None], ids), weights)
    np.testing.assert_allclose(again[:, 1:], matrix, rtol=1e-6)


def test_a_row_too_long_loses_its_lightest_terms():
    terms = fitted().model_copy(update={"lengths": [3]})
    matrix = term_matrix(terms, SPEC, {}, FRAME).toarray()
    inputs = term_inputs(terms, SPEC, {}, FRAME)
    assert inputs["terms_ids"].shape == (6, 3)
    np.testing.assert_allclose(
        np.sort(inputs["terms_weights"][0])[::-1], np.sort(matrix[0])[::-1][:3], rtol=1e-6
    )


def test_one_row_as_lists_gives_the_same_terms():
    terms = fitted()
    row = {name: [FRAME[name].iloc[1]] for name in FRAME}
    np.testing.assert_allclose(
        term_matrix(terms, SPEC, {}, row).toarray(),
        term_matrix(terms, SPEC, {}, FRAME).toarray()[1:2],
    )


def test_json_keeps_the_terms():
    spec = SPEC.model_copy(update={"terms": fitted()})
    again = FittedSpec.model_validate_json(spec.model_dump_json())
    np.testing.assert_array_equal(
        term_matrix(again.terms, again, {}, FRAME).toarray(),
        term_matrix(spec.terms, spec, {}, FRAME).toarray(),
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
