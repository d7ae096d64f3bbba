"""What models count in their sum."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.models.stack.blend import fit_shares

RANDOM = np.random.default_rng(0)
SIGNAL = RANDOM.normal(size=300) * 3
ONES = np.ones(300)


SECOND = 1  # the trusted model


def test_shares_go_to_what_predicts():
    noise = RANDOM.normal(size=300)
    parts = [(SIGNAL + noise)[:, None], (SIGNAL - noise)[:, None]]
    both = fit_shares("number", parts, SIGNAL, ONES, SECOND)
    np.testing.assert_allclose(both, [0.5, 0.5], atol=0.05)
    one = fit_shares("number", [SIGNAL[:, None], noise[:, None]], SIGNAL, ONES, SECOND)
    np.testing.assert_allclose(one, [1.0, 0.0], atol=0.03)
    truth = (SIGNAL > 0).astype(int)
    shy = fit_shares("binary", [0.1 * SIGNAL[:, None], noise[:, None]], truth, ONES, SECOND)
    assert shy[0] > 1.5
    assert shy[1] < 0.5


def test_three_share_what_each_knows():
    parts = RANDOM.normal(size=(3, 300, 1))
    truth = parts.T[0] @ [0.2, 0.0, 0.7]
    known = fit_shares("number", list(parts), truth, ONES, SECOND)
    np.testing.assert_allclose(known, [0.2, 0.0, 0.7], atol=0.02)


@pytest.mark.parametrize("kind", ["number", "binary"])
def test_few_rows_leave_the_prior_shares_and_many_do_not(kind):
    """Both models know as much; with few rows, which of them errs less is chance."""
    random = np.random.default_rng(1)
    sizes, spread = (8, 4_000), {}
    for rows in sizes:
        found = []
        for _ in range(20):
            truth = random.normal(size=rows)
            models = [truth[:, None] + random.normal(size=(rows, 1)) for _ in range(2)]
            target = truth if kind == "number" else (truth > 0).astype(int)
            found.append(fit_shares(kind, models, target, np.ones(rows), SECOND))
        spread[rows] = np.mean(found, axis=0)
    assert spread[8][1] - spread[8][0] > 0.2
    assert abs(spread[4_000][1] - spread[4_000][0]) < 0.05


def test_a_model_that_is_much_better_wins_with_a_few_rows_against_the_prior_shares():
    truth = RANDOM.normal(size=27) * 3
    models = [truth[:, None] + 0.1 * RANDOM.normal(size=(27, 1)), RANDOM.normal(size=(27, 1))]
    found = fit_shares("number", models, truth, np.ones(27), SECOND)
    assert found[0] > 0.9
    assert found[1] < 0.6
