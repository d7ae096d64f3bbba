"""Two sets of predictions compared row by row, by `scripts/paired_predictions.py`."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from script_files import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("paired_predictions")


def test_half_the_error_is_half_less_and_two_seeds_are_no_more_rows(script: ModuleType) -> None:
    random = np.random.default_rng(0)
    y_true, miss = np.exp(random.normal(4, 1, 200)), random.normal(0, 0.4, 200)
    ours = pd.DataFrame({"truth": y_true, "keras": (y_true + 1) * np.exp(miss / 2) - 1})
    theirs = pd.DataFrame({"prediction": (y_true + 1) * np.exp(-miss) - 1}).sample(frac=1.0)
    once = script.paired(ours, theirs, "keras")
    assert once.value == pytest.approx(-0.5) and once.low == pytest.approx(once.high)
    ours["keras"] *= np.exp(random.normal(0, 0.1, 200))
    once = script.paired(ours, theirs, "keras")
    twice = script.paired(pd.concat([ours, ours]), theirs, "keras")
    assert once.low < once.value < once.high
    assert (once.low, once.high) == pytest.approx((twice.low, twice.high))


def test_of_classes_it_is_the_share_that_is_right(script: ModuleType) -> None:
    ours = pd.DataFrame({"truth": ["a", "b"] * 50, "whole": ["a"] * 100})
    theirs = pd.DataFrame({"prediction": ["a", "b"] * 45 + ["b", "a"] * 5})
    found = script.paired(ours, theirs, "whole")
    assert found.value == pytest.approx(0.5 - 0.9)
    assert found.low < -0.4 < found.high < 0
