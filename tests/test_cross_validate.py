"""What `scripts/cross_validate.py` says of intervals: a row with several answers is one row."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from script_files import load_script

ROWS = 400


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("cross_validate")


@pytest.fixture
def answers(script: ModuleType) -> pd.DataFrame:
    """Answers whose intervals are as wide as the errors are: by one factor, or by another."""
    random = np.random.default_rng(0)
    wide = np.where(np.arange(ROWS) % 2, 0.5, 0.05)
    guess = np.exp(random.normal(4, 1, ROWS))
    reach = np.exp(1.645 * wide)
    return pd.DataFrame(
        {
            script.TRUTH: guess * np.exp(random.normal(0, wide)),
            "whole": guess,
            "low": guess / reach,
            "high": guess * reach,
        }
    )


def printed(script: ModuleType, rows: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> str:
    script.show_intervals(rows, 0.9)
    return capsys.readouterr().out


def test_two_answers_of_a_row_make_no_band_or_interval_narrower(
    script: ModuleType, answers: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    once = printed(script, answers, capsys)
    twice = printed(script, pd.concat([answers, answers]), capsys)
    bands = [line.split("%", 1)[1].split("%  ")[0] for line in once.splitlines()[2:6]]
    assert bands == [line.split("%", 1)[1].split("%  ")[0] for line in twice.splitlines()[2:6]]
    assert once.splitlines()[-1] == twice.splitlines()[-1]


def test_intervals_as_wide_as_the_errors_score_below_those_of_one_factor(
    script: ModuleType, answers: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(script, answers, capsys).splitlines()[-1]
    ratio, low, high = (float(part.strip("()")) for part in np.array(said.split())[[3, 5, 7]])
    assert low < ratio < high < 1
