"""Stacking weights of raw outputs, and what few rows make of them."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.models.stack.weights import StackingGain, cross_fitted, fit_stacking_weights

RANDOM = np.random.default_rng(0)
SIGNAL = RANDOM.normal(size=300) * 3
ONES = np.ones(300)


SECOND = 1  # the prior model


def test_weight_goes_to_what_predicts():
    noise = RANDOM.normal(size=300)
    parts = [(SIGNAL + noise)[:, None], (SIGNAL - noise)[:, None]]
    both = fit_stacking_weights("number", parts, SIGNAL, ONES, SECOND)
    np.testing.assert_allclose(both, [0.5, 0.5], atol=0.05)
    one = fit_stacking_weights("number", [SIGNAL[:, None], noise[:, None]], SIGNAL, ONES, SECOND)
    np.testing.assert_allclose(one, [1.0, 0.0], atol=0.03)
    y_true = (SIGNAL > 0).astype(int)
    shy = fit_stacking_weights(
        "binary", [0.1 * SIGNAL[:, None], noise[:, None]], y_true, ONES, SECOND
    )
    assert shy[0] > 1.5
    assert shy[1] < 0.5


def test_three_models_are_weighted_by_what_each_knows():
    parts = RANDOM.normal(size=(3, 300, 1))
    y_true = parts.T[0] @ [0.2, 0.0, 0.7]
    known = fit_stacking_weights("number", list(parts), y_true, ONES, SECOND)
    np.testing.assert_allclose(known, [0.2, 0.0, 0.7], atol=0.02)


@pytest.mark.parametrize("kind", ["number", "binary"])
def test_few_rows_leave_the_prior_weights_and_many_do_not(kind):
    """Both models know as much; with few rows, which of them errs less is chance."""
    random = np.random.default_rng(1)
    sizes, mean = (8, 4_000), {}
    for rows in sizes:
        found = []
        for _ in range(20):
            y_true = random.normal(size=rows)
            models = [y_true[:, None] + random.normal(size=(rows, 1)) for _ in range(2)]
            target = y_true if kind == "number" else (y_true > 0).astype(int)
            found.append(fit_stacking_weights(kind, models, target, np.ones(rows), SECOND))
        mean[rows] = np.mean(found, axis=0)
    assert mean[8][1] - mean[8][0] > 0.2
    assert abs(mean[4_000][1] - mean[4_000][0]) < 0.05


def test_a_model_that_is_much_better_wins_with_a_few_rows_against_the_prior_weights():
    y_true = RANDOM.normal(size=27) * 3
    models = [y_true[:, None] + 0.1 * RANDOM.normal(size=(27, 1)), RANDOM.normal(size=(27, 1))]
    found = fit_stacking_weights("number", models, y_true, np.ones(27), SECOND)
    assert found[0] > 0.9
    assert found[1] < 0.6


@pytest.mark.parametrize("kind", ["number", "binary"])
def test_a_row_has_no_part_in_the_weights_that_it_is_measured_with(kind):
    y_true = RANDOM.integers(0, 2, 60)
    models, folds = [RANDOM.normal(size=(60, 1)) for _ in range(2)], np.arange(60) % 3
    other = np.where(folds == 1, 1 - y_true, y_true)
    first, second = (
        cross_fitted(kind, models, each, np.ones(60), folds, SECOND) for each in (y_true, other)
    )
    np.testing.assert_array_equal(first[folds == 1], second[folds == 1])
    assert np.abs(first - second)[folds != 1].max() > 1e-3
    whole = cross_fitted(kind, models, y_true, np.ones(60), np.zeros(60, int), SECOND)
    weights = fit_stacking_weights(kind, models, y_true, np.ones(60), SECOND)
    np.testing.assert_allclose(whole, weights[0] * models[0] + weights[1] * models[1])


def test_what_a_model_of_noise_adds_is_not_above_0():
    """Weights that are fitted to the rows measured on find something in any noise."""
    random, gains = np.random.default_rng(2), []
    for _ in range(40):
        y_true = random.normal(size=40)
        models = [random.normal(size=(40, 1)), y_true[:, None] + random.normal(size=(40, 1))]
        known = "y", "number", models, y_true, np.ones(40)
        folds = np.arange(40) % 5
        models[1] = models[1] / 2  # as good as a weight makes it
        gains.append([StackingGain.of(*known).mean, StackingGain.of(*known, folds).mean])
    fitted, crossed = np.mean(gains, axis=0)
    assert fitted > 0.002 and crossed < 0
