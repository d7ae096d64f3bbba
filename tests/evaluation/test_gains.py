"""By how much one model is better than another on the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.evaluation.gains import paired_gain
from multimodal.evaluation.measures import ratio_terms
from multimodal.evaluation.task import Task

N = 400
RANDOM = np.random.default_rng(0)
Y = RANDOM.normal(size=N)
ONES = np.ones(N)
GROUPS = np.arange(N)


def terms(error: float, seed: int):
    outputs = Y + error * np.random.default_rng(seed).normal(size=N)
    return ratio_terms("rmse", Task("y"), Y, outputs[:, None])


def test_a_gain_is_a_fraction_of_the_error_with_its_interval() -> None:
    found = paired_gain("rmse", terms(0.5, 1), terms(1.0, 2), ONES, GROUPS)
    assert found.value == pytest.approx(1 - found.score / found.other)
    assert found.least < found.low < found.value < found.high
    assert 0.4 < found.low and found.high < 0.6


def test_two_models_alike_do_not_differ() -> None:
    found = paired_gain("rmse", terms(1.0, 1), terms(1.0, 2), ONES, GROUPS)
    assert found.low < 0 < found.high
    same = paired_gain("rmse", terms(1.0, 1), terms(1.0, 1), ONES, GROUPS)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_share_is_gained_in_points() -> None:
    right, wrong = np.arange(N) < 320, np.arange(N) < 300
    found = paired_gain("accuracy", (1.0 * right, ONES), (1.0 * wrong, ONES), ONES, GROUPS)
    assert found.value == pytest.approx(0.05) and found.least > 0
    assert (found.score, found.other) == pytest.approx((0.8, 0.75))


def test_rows_that_belong_together_are_drawn_together() -> None:
    one, two = terms(0.9, 1), terms(1.0, 2)
    alone = paired_gain("rmse", one, two, ONES, GROUPS)
    together = paired_gain("rmse", one, two, ONES, GROUPS // 40)
    assert together.value == pytest.approx(alone.value) and together.low != alone.low


def test_rows_without_a_weight_say_nothing() -> None:
    heavy = (np.arange(N) < 200).astype(float)
    found = paired_gain("rmse", terms(0.5, 1), terms(1.0, 2), heavy, GROUPS)
    cut = [tuple(part[:200] for part in terms(*each)) for each in ((0.5, 1), (1.0, 2))]
    assert found.value == pytest.approx(
        paired_gain("rmse", *cut, np.ones(200), np.arange(200)).value  # type: ignore[arg-type]
    )
