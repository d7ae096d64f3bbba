"""Ridge regression of sparse terms, compared with scikit-learn's dense one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
from sklearn.linear_model import Ridge

from multimodal.models.stack.ridge import fit_ridge, huber_weights, products

RANDOM = np.random.default_rng(0)
RARE = sparse.random(120, 899, 0.05, random_state=1, format="csr", dtype=np.float32)
WIDE = sparse.hstack([np.ones((120, 1), "float32"), RARE], format="csr")  # the first in every row


def test_products_of_common_rare_and_lone_terms():
    counts = np.bincount(WIDE.indices, minlength=900)
    assert {1, 2} <= set(counts) and counts.max() == 120
    dense = WIDE.toarray().astype(np.float64)
    np.testing.assert_allclose(products(WIDE), dense @ dense.T, rtol=1e-12, atol=1e-12)


def test_rows_of_very_different_weights():
    y_true, weight = RANDOM.normal(size=120), np.geomspace(1e-6, 1e6, 120)
    ((slopes, bias),) = fit_ridge(WIDE * 30, y_true, weight, [0.3])
    errors = y_true - (WIDE * 30) @ slopes - bias
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
        np.testing.assert_allclose(slopes, known.coef_, atol=1e-4)
        assert bias == pytest.approx(known.intercept_, abs=1e-4)


def test_weights_of_hubers_loss():
    errors = np.array([-1.0, 1.0, -0.5, 1.0, 100.0])
    edge = 1.345 * 1.0 / 0.6745
    np.testing.assert_allclose(huber_weights(errors), [1, 1, 1, 1, edge / 100])
    assert huber_weights(np.zeros(3)).tolist() == [1, 1, 1]
