"""What models count in their sum."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.shares import fit_shares

RANDOM = np.random.default_rng(0)
SIGNAL = RANDOM.normal(size=300) * 3
ONES = np.ones(300)


def test_shares_go_to_what_predicts():
    noise = RANDOM.normal(size=300)
    both = fit_shares(
        "number", [(SIGNAL + noise)[:, None], (SIGNAL - noise)[:, None]], SIGNAL, ONES
    )
    np.testing.assert_allclose(both, [0.5, 0.5], atol=0.05)
    one = fit_shares("number", [SIGNAL[:, None], noise[:, None]], SIGNAL, ONES)
    np.testing.assert_allclose(one, [1.0, 0.0], atol=0.02)
    truth = (SIGNAL > 0).astype(int)
    shy = fit_shares("binary", [0.1 * SIGNAL[:, None], noise[:, None]], truth, ONES)
    assert shy[0] == pytest.approx(5.0)
    assert shy[1] < 0.5


def test_three_share_what_each_knows():
    parts = RANDOM.normal(size=(3, 300, 1))
    known = fit_shares("number", list(parts), parts.T[0] @ [0.2, 0.0, 0.7], ONES)
    np.testing.assert_allclose(known, [0.2, 0.0, 0.7], atol=1e-3)
