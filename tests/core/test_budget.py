"""The time of a training: estimates, what is left out, and going on with what was spent."""

from __future__ import annotations

import pytest

from multimodal.core.budget import Budget
from multimodal.core.config import Training


def test_a_budget_estimates_what_is_left_by_the_usual_shares() -> None:
    now = [0.0]
    budget = Budget(Training(explanations=False, baselines=False), clock=lambda: now[0])
    assert budget.remaining() == ""
    budget.begin("networks", 1, 2)
    now[0] = 65.0
    budget.advance(0.5)  # of 65 of 78 parts, a quarter
    assert budget.done() == pytest.approx(0.75 * 65 / 78) and budget.step == "network 2 of 2"
    assert budget.remaining() == "about 2 min left"  # 65 s for 0.21, so 0.375 take 117 s
    now[0] = 100.0  # nothing is known of it but that time goes by
    assert budget.remaining() == "about 82 s left"
    assert budget.allows("anything", 1e9) and budget.note() == ""


def test_what_is_left_out_takes_no_time_of_an_estimate() -> None:
    now = [0.0]
    budget = Budget(clock=lambda: now[0])
    budget.begin("networks", 0, 5)
    now[0] = 13.0
    budget.begin("stacking")  # the other four are left out
    assert budget.done() == pytest.approx(0.65)
    assert budget.remaining() == "about 35 s left"


def test_a_budget_goes_on_with_what_was_spent() -> None:
    first = Budget(Training(minutes=10), clock=lambda: 7.0)
    first.begin("networks")
    again = Budget(Training(minutes=10), {**first.record(), "seconds": 500.0}, clock=lambda: 99.0)
    again.begin("networks")
    assert (again.left(), again.networks_left()) == (100.0, -110.0)
    assert not again.allows("explanations", 95.0) and not again.allows("explanations", 95.0)
    assert again.note() == "explanations were left out, to keep to 10 minutes"
