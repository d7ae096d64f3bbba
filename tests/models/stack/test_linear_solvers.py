"""Ridge and logistic regression on sparse features, compared with scikit-learn's dense ones."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
from sklearn.linear_model import HuberRegressor, Ridge

from multimodal.models.stack.linear_solvers import (
    adaptive_weights,
    fit_logistic,
    fit_regularised,
    fit_ridge,
    huber_weights,
    products,
)

RANDOM = np.random.default_rng(0)
RARE = sparse.random(120, 899, 0.05, random_state=1, format="csr", dtype=np.float32)
WIDE = sparse.hstack([np.ones((120, 1), "float32"), RARE], format="csr")  # the first in every row
TERMS = sparse.csr_matrix(np.random.default_rng(0).normal(size=(300, 6)).astype("float32"))
ONES = np.ones(300)
SIGNAL = TERMS @ np.array([1.0, -2.0, 0.5, 0.0, 0.0, 3.0])


def test_products_of_common_rare_and_lone_terms():
    counts = np.bincount(WIDE.indices, minlength=900)
    assert {1, 2} <= set(counts) and counts.max() == 120
    dense = WIDE.toarray().astype(np.float64)
    np.testing.assert_allclose(products(WIDE), dense @ dense.T, rtol=1e-12, atol=1e-12)


def test_rows_of_very_different_weights():
    y_true, weight = RANDOM.normal(size=120), np.geomspace(1e-6, 1e6, 120)
    ((slopes, bias),) = fit_ridge(WIDE * 30, y_true, weight, [0.3])
    errors = y_true - (WIDE * 30) @ slopes[:, 0] - bias
    assert np.abs(errors[-20:]).max() < 1e-3  # the heavy ones are met


@pytest.mark.parametrize("terms", [WIDE, WIDE[:, :60]], ids=["more terms", "more rows"])
def test_each_strength_is_the_best_there_is(terms):
    y_true, weight = RANDOM.normal(size=120) + 5, RANDOM.uniform(0.1, 3, size=120)
    strengths = [10.0, 0.3]
    for strength, (slopes, bias) in zip(
        strengths, fit_ridge(terms, y_true, weight, strengths), strict=True
    ):
        known = Ridge(alpha=strength, solver="cholesky", tol=1e-12)
        known.fit(terms.toarray().astype(np.float64), y_true, sample_weight=weight)
        np.testing.assert_allclose(slopes[:, 0], known.coef_, atol=1e-4)
        assert bias[0] == pytest.approx(known.intercept_, abs=1e-4)


def test_weights_of_hubers_loss():
    errors = np.array([-1.0, 1.0, -0.5, 1.0, 100.0])
    edge = 1.345 * 1.0 / 0.6745
    np.testing.assert_allclose(huber_weights(errors), [1, 1, 1, 1, edge / 100])
    assert huber_weights(np.zeros(3)).tolist() == [1, 1, 1]


def test_informative_features_weigh_more_and_rows_keep_their_length():
    factors = adaptive_weights(TERMS, SIGNAL[:, None], ONES)
    assert factors[[1, 5]].min() > 2 * factors[3]  # the fourth slope is 0
    lengths = TERMS.multiply(TERMS).sum(axis=0)
    np.testing.assert_allclose((lengths @ factors**2).item(), lengths.sum(), rtol=1e-6)
    assert adaptive_weights(TERMS, np.ones((300, 1)), ONES).tolist() == [1.0] * 6  # nothing to tell


def test_a_logistic_model_is_the_best_there_is():
    """At the optimum the slopes of the penalised loss are 0."""
    random = np.random.default_rng(2)
    terms = sparse.random(400, 900, 0.02, random_state=3, format="csr") * 0.1
    signal = np.asarray(terms.sum(axis=1)).ravel() + random.normal(size=400) * 0.1
    y_true = (signal > np.median(signal)).astype(int)
    ((kernel, bias),) = fit_logistic(terms, y_true, np.ones(400), [1 / 300], 1)
    sure = 1 / (1 + np.exp(-(terms @ kernel + bias)[:, 0]))
    slopes = 300 * (terms.T @ (sure - y_true)) + kernel[:, 0]
    assert np.abs(slopes).max() < 0.1 * np.abs(kernel).max()


def test_a_robust_fit_is_where_the_slopes_of_hubers_loss_vanish():
    """Compared with scikit-learn's Huber regression, which finds its scale along the way."""
    y_true = SIGNAL + np.random.default_rng(1).standard_t(1.5, size=300)
    options = dict(weight=ONES, strengths=[1e-3], outputs=1)
    ((robust, _),) = fit_regularised("number", TERMS, y_true, **options, robust=True)
    ((plain, _),) = fit_regularised("number", TERMS, y_true, **options)
    known = HuberRegressor(alpha=1e-3).fit(TERMS.toarray(), y_true).coef_
    assert np.abs(robust[:, 0] - known).max() < 0.3 * np.abs(plain[:, 0] - known).max()
