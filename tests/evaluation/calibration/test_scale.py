"""The expected size of errors: where it varies, where it must not, and that it stays bounded."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from multimodal.evaluation.calibration.scale import (
    ConditionalScale,
    best_penalty,
    fit_conditional_scale,
    folds_of,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0, 1, 2000)
ONES = np.ones(2000)


def test_it_finds_how_errors_grow() -> None:
    errors = RANDOM.laplace(size=2000) * np.exp(2 * X)
    penalty = best_penalty(errors, X[:, None], ONES)
    assert penalty < 100
    found = fit_conditional_scale(errors, X[:, None], ONES, penalty).of([[0.1], [0.5], [0.9]])
    np.testing.assert_allclose(found, np.exp([0.2, 1.0, 1.8]), rtol=0.2)


def test_errors_of_one_size_get_one_size() -> None:
    errors = RANDOM.normal(size=2000)
    penalty = best_penalty(errors, X[:, None], ONES)
    found = fit_conditional_scale(errors, X[:, None], ONES, penalty).of(X[:, None])
    assert found.max() / found.min() < 1.1
    assert found.mean() == pytest.approx(math.sqrt(2 / math.pi), rel=0.1)


def test_features_add_up_and_those_without_meaning_stay_flat() -> None:
    name, noise = (RANDOM.uniform(size=2000) < 0.3).astype(float), RANDOM.normal(size=2000)
    errors = RANDOM.normal(size=2000) * np.exp(X + name)
    features = np.stack([X, name, noise, np.zeros(2000)], axis=1)
    found = fit_conditional_scale(errors, features, ONES, 10.0)
    rows = np.array([[0.1, 0, 0, 0], [0.9, 0, 0, 0], [0.1, 1, 0, 0], [0.1, 0, 2, 5]])
    logs = np.log(found.of(rows))
    np.testing.assert_allclose(logs - logs[0], [0, 0.8, 1, 0], atol=0.25)


def test_few_rows_or_a_constant_feature_give_one_size() -> None:
    few = RANDOM.normal(size=50) * np.exp(3 * X[:50])
    assert best_penalty(few, X[:50, None], ONES[:50]) == math.inf
    assert not fit_conditional_scale(few, X[:50, None], ONES[:50], math.inf).knots
    same = np.ones((2000, 1))
    assert best_penalty(RANDOM.normal(size=2000), same, ONES) == math.inf
    assert not fit_conditional_scale(RANDOM.normal(size=2000), same, ONES, 3.0).knots


def test_it_is_flat_beyond_what_was_seen_and_one_wild_error_moves_little() -> None:
    errors = RANDOM.normal(size=2000) * (1 + X)
    plain = fit_conditional_scale(errors, X[:, None], ONES, 10.0)
    assert plain.of([[-1e9], [1e9]]) == pytest.approx(plain.of([[0.0], [1.0]]), rel=0.05)
    wild = errors.copy()
    wild[0] = 1e12
    moved = fit_conditional_scale(wild, X[:, None], ONES, 10.0).of(X[:, None])
    np.testing.assert_allclose(moved, plain.of(X[:, None]), rtol=0.1)


def test_errors_of_zero_and_missing_features() -> None:
    assert np.isfinite(
        fit_conditional_scale(np.zeros(200), X[:200, None], ONES[:200], 3.0).of([[0.5]])
    ).all()
    spread = fit_conditional_scale(RANDOM.normal(size=2000), X[:, None], ONES, 3.0)
    assert np.isnan(spread.of([[np.nan]])).all()


def test_weights_count() -> None:
    errors, first = np.where(X < 0.5, 1.0, 3.0), np.where(X < 0.5, 1.0, 1e-9)
    assert fit_conditional_scale(errors, X[:, None], first, math.inf).of([[0.9]]) == pytest.approx(
        1.0
    )


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"knots": [[1.0, 0.0]], "heights": [[0.0, 0.0]]}, "must rise"),
        ({"knots": [[0.0, 1.0]], "heights": [[0.0, 0.0, 0.0]]}, "same lengths"),
        ({"level": 1e9}, "less than or equal"),
        ({"knots": [[0.0, math.inf]], "heights": [[0.0, 0.0]]}, "finite"),
    ],
)
def test_a_damaged_record_is_refused(values: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        ConditionalScale.model_validate(values)


def test_folds_are_the_same_each_time_and_of_one_size() -> None:
    rows = np.arange(103)
    assert (folds_of(rows) == folds_of(rows)).all()
    assert np.bincount(folds_of(rows)).tolist() == [21, 21, 21, 20, 20]
    groups = rows // 4
    assert (pd.Series(folds_of(groups)).groupby(groups).nunique() == 1).all()
