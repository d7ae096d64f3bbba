"""The sparse linear model: its strength, its outputs out of fold, and nested out of fold."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse

from multimodal.models.stack import sparse_linear
from multimodal.models.stack.sparse_linear import (
    FeatureBlocks,
    LabelledRows,
    fit_sparse_linear,
    nested_out_of_fold,
)
from multimodal.models.stack.weights import raw_loss

RANDOM = np.random.default_rng(0)
MATRIX = sparse.csr_matrix(RANDOM.normal(size=(300, 6)).astype("float32"))
TERMS = FeatureBlocks([MATRIX], [None])
FOLDS = np.arange(300) % 5
ONES = np.ones(300)
SLOPES = np.array([1.0, -2.0, 0.5, 0.0, 0.0, 3.0])
SIGNAL = MATRIX @ SLOPES


def test_a_line_is_found_and_measured_out_of_fold():
    linear = fit_sparse_linear(LabelledRows("number", TERMS, SIGNAL + 4, ONES, FOLDS, 1))
    np.testing.assert_allclose(linear.kernel[:, 0], SLOPES, atol=0.02)
    assert linear.strength == 0.3  # without noise, the weakest is best
    assert linear.out_of_fold.shape == (300, 1)
    assert raw_loss("number", linear.out_of_fold, SIGNAL + 4, ONES) < 1e-3


def test_out_of_fold_rows_teach_nothing_about_themselves():
    y_true = SIGNAL.copy()
    y_true[7] += 1000.0
    first = fit_sparse_linear(LabelledRows("number", TERMS, y_true, ONES, FOLDS, 1))
    y_true[7] -= 2000.0
    second = fit_sparse_linear(LabelledRows("number", TERMS, y_true, ONES, FOLDS, 1))
    own = FOLDS == FOLDS[7]
    if first.strength == second.strength:
        np.testing.assert_allclose(first.out_of_fold[own], second.out_of_fold[own])
    assert not np.allclose(first.out_of_fold[~own], second.out_of_fold[~own])


def test_far_off_rows_count_less_where_that_is_better_out_of_fold():
    heavy = SIGNAL + np.random.default_rng(5).standard_t(1.5, size=300)
    linear = fit_sparse_linear(LabelledRows("number", TERMS, heavy, ONES, FOLDS, 1))
    assert linear.robust
    assert np.abs(linear.kernel[:, 0] - SLOPES).max() < 0.2


def test_far_off_rows_count_fully_where_the_mean_needs_them():
    """A tenth of the rows lies 15 higher: a fit that passes them by is 1.5 too low on average."""
    higher = SIGNAL + np.where(np.random.default_rng(4).random(300) < 0.1, 15.0, 0.0)
    assert not fit_sparse_linear(LabelledRows("number", TERMS, higher, ONES, FOLDS, 1)).robust


def test_rows_without_weight_are_predicted_but_not_learned_from():
    y_true, weight = SIGNAL.copy(), ONES.copy()
    y_true[:50], weight[:50] = 1e6, 0.0
    linear = fit_sparse_linear(LabelledRows("number", TERMS, y_true, weight, FOLDS, 1))
    np.testing.assert_allclose(linear.kernel[:, 0], SLOPES, atol=0.05)
    assert np.isfinite(linear.out_of_fold).all()


def test_rows_without_a_fold_have_no_measure():
    folds = np.where(np.arange(300) < 10, -1, FOLDS)
    linear = fit_sparse_linear(LabelledRows("number", TERMS, SIGNAL, ONES, folds, 1))
    assert np.isnan(linear.out_of_fold[:10]).all()
    assert np.isfinite(linear.out_of_fold[10:]).all()
    assert (
        fit_sparse_linear(LabelledRows("number", TERMS, SIGNAL, ONES, np.full(300, -1), 1)) is None
    )


@pytest.mark.parametrize(
    ("kind", "y_true", "outputs"),
    [
        ("binary", (SIGNAL > 0).astype(int), 1),
        ("class", np.digitize(SIGNAL, [-2, 2]), 3),
        ("labels", np.stack([SIGNAL > 0, SIGNAL > 3], axis=1).astype(float), 2),
    ],
)
def test_classes(kind, y_true, outputs):
    linear = fit_sparse_linear(LabelledRows(kind, TERMS, y_true, ONES, FOLDS, outputs))
    assert linear.kernel.shape == (6, outputs)
    raw = linear.out_of_fold
    guess = raw.argmax(axis=1) if kind == "class" else (raw > 0).astype(int)
    assert np.mean(guess.reshape(y_true.shape) == y_true) > 0.9


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_class_that_is_alone_in_training_is_what_is_predicted(outputs):
    kind = "binary" if outputs == 1 else "class"
    folds = np.where(np.arange(300) < 150, 0, 1)
    y_true = (np.arange(300) < 150).astype(int)
    raw = fit_sparse_linear(LabelledRows(kind, TERMS, y_true, ONES, folds, outputs)).out_of_fold
    guess = raw.argmax(axis=1) if outputs > 1 else (raw[:, 0] > 0).astype(int)
    assert (guess == 1 - y_true).all()


def test_two_of_three_classes():
    y_true = np.where(SIGNAL > 0, 2, 0)
    raw = fit_sparse_linear(LabelledRows("class", TERMS, y_true, ONES, FOLDS, 3)).out_of_fold
    assert np.mean(raw.argmax(axis=1) == y_true) > 0.9


@pytest.mark.parametrize("kind", ["number", "binary"])
def test_what_is_told_of_other_folds_does_not_know_a_folds_labels(kind):
    y_true = SIGNAL if kind == "number" else (SIGNAL > 0).astype(int)
    linear = fit_sparse_linear(LabelledRows(kind, TERMS, y_true, ONES, FOLDS, 1))
    moved = np.where(FOLDS == 2, np.roll(y_true, 5), y_true)
    first = nested_out_of_fold(LabelledRows(kind, TERMS, y_true, ONES, FOLDS, 1), linear)
    second = nested_out_of_fold(LabelledRows(kind, TERMS, moved, ONES, FOLDS, 1), linear)
    others = FOLDS != 2
    np.testing.assert_array_equal(first[2][others], second[2][others])
    np.testing.assert_array_equal(first[2][~others], linear.out_of_fold[~others])
    assert not np.allclose(first[1][others & (FOLDS != 1)], second[1][others & (FOLDS != 1)])


def test_the_scale_of_weights_does_not_matter():
    one, two = (
        LabelledRows("number", TERMS, SIGNAL, ONES * scale, FOLDS, 1) for scale in (1.0, 20.0)
    )
    np.testing.assert_allclose(
        fit_sparse_linear(one).kernel, fit_sparse_linear(two).kernel, rtol=1e-6
    )
    nested = (nested_out_of_fold(rows, fit_sparse_linear(rows)) for rows in (one, two))
    for first, second in zip(*(each.values() for each in nested), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)


def test_labels_in_one_fold_alone_cannot_be_measured():
    assert (
        fit_sparse_linear(LabelledRows("number", TERMS, SIGNAL, ONES * (FOLDS == 0), FOLDS, 1))
        is None
    )


def test_terms_that_only_the_row_itself_brought_in_are_left_out():
    block = sparse.csr_matrix(np.array([[3, 4, 0], [3, 4, 0], [0.6, 0.8, 5]], "float32"))
    terms = FeatureBlocks([block, block], [5.0, None])
    learned = np.array([True, True, False])
    found = terms.known_from(learned).toarray()
    np.testing.assert_allclose(found[0], [6, 8, 0])
    np.testing.assert_allclose(found[2], [3 + 0.6, 4 + 0.8, 0], rtol=1e-6)
    assert not terms.known_from(np.array([True, False, False])).toarray().any()
    np.testing.assert_array_equal(terms.known_from(learned).toarray(), found)  # nothing is used up
    np.testing.assert_allclose(terms.all.toarray()[2], [1.2, 1.6, 10])


def test_a_rows_own_words_do_not_flatter_it():
    """Each row has a word of its own that one other row shares: beyond folds nothing is learned."""
    pairs = np.arange(300) // 2
    common, own = sparse.csr_matrix(np.ones((300, 1), "float32")), sparse.eye(150).tocsr()[pairs]
    terms = FeatureBlocks([sparse.hstack([common * 0.1, own]).tocsr().astype("float32")], [1.0])
    rows = LabelledRows(
        "number", terms, RANDOM.normal(size=150)[pairs], ONES, np.arange(300) % 2, 1
    )
    found = fit_sparse_linear(rows).out_of_fold[:, 0]
    assert np.ptp(found[:1]) == 0 and np.ptp(found[rows.folds == 0]) < 1e-6


def test_of_many_rows_the_first_fold_chooses_the_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = SIGNAL + np.random.default_rng(3).normal(scale=20.0, size=300)
    for y_true, wanted in ((SIGNAL, 0.3), (noisy, 10.0)):
        rows = LabelledRows("number", TERMS, y_true, ONES, FOLDS, 1)
        every = fit_sparse_linear(rows)
        with monkeypatch.context() as patch:
            patch.setattr(sparse_linear, "MANY_ROWS", 1)
            first = fit_sparse_linear(rows)
        assert first.strength == wanted and not first.robust
        assert np.isfinite(first.out_of_fold).all()
        assert raw_loss("number", first.out_of_fold, y_true, ONES) < 1.02 * raw_loss(
            "number", every.out_of_fold, y_true, ONES
        )
