"""Ridge and logistic regression of sparse terms."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from multimodal.models.stack.sparse_linear import _FITS, adaptive_weights, fit_penalised

RANDOM = np.random.default_rng(0)
TERMS = sparse.csr_matrix(RANDOM.normal(size=(300, 6)).astype("float32"))
ONES = np.ones(300)
SIGNAL = TERMS @ np.array([1.0, -2.0, 0.5, 0.0, 0.0, 3.0])


def test_terms_that_tell_weigh_more_and_rows_keep_their_length():
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
    ((kernel, bias),) = _FITS["binary"](terms, y_true, ONES[:1].repeat(400), [1 / 300], 1)
    sure = 1 / (1 + np.exp(-(terms @ kernel + bias)[:, 0]))
    slopes = 300 * (terms.T @ (sure - y_true)) + kernel[:, 0]
    assert np.abs(slopes).max() < 0.1 * np.abs(kernel).max()


def test_a_robust_fit_is_where_the_slopes_of_hubers_loss_vanish():
    """Compared with scikit-learn's Huber regression, which finds its scale along the way."""
    from sklearn.linear_model import HuberRegressor

    y_true = SIGNAL + np.random.default_rng(1).standard_t(1.5, size=300)
    options = dict(weight=ONES, strengths=[1e-3], outputs=1)
    ((robust, _),) = fit_penalised("number", TERMS, y_true, **options, robust=True)
    ((plain, _),) = fit_penalised("number", TERMS, y_true, **options)
    known = HuberRegressor(alpha=1e-3).fit(TERMS.toarray(), y_true).coef_
    assert np.abs(robust[:, 0] - known).max() < 0.3 * np.abs(plain[:, 0] - known).max()
