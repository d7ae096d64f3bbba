"""Intervals by resampling: against formulas, against plain resampling, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from multimodal.evaluation.bootstrap import (
    RESAMPLES,
    ConfidenceInterval,
    confidence_interval,
    mean_of,
    median_of,
    precision_of,
    proportion,
    resample,
    root_mean_of,
)

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.gamma(2.0, 3.0, 300)
WEIGHTS = RANDOM.integers(0, 4, (5, 300)).astype(float)


@pytest.mark.parametrize(
    ("statistic", "plain"),
    [
        (mean_of(VALUES), lambda v: v.mean()),
        (root_mean_of(VALUES), lambda v: np.sqrt(v.mean())),
        (median_of(VALUES), lambda v: np.sort(v)[(len(v) - 1) // 2]),
    ],
)
def test_a_weight_is_a_number_of_copies(statistic, plain) -> None:
    expected = [plain(np.repeat(VALUES, times.astype(int))) for times in WEIGHTS]
    np.testing.assert_allclose(statistic(WEIGHTS), expected)


def test_average_precision_is_that_of_scikit_learn_also_with_ties() -> None:
    y_true = RANDOM.random((300, 3)) < [0.5, 0.1, 0.0]
    chance = (RANDOM.random((300, 3)) + 0.3 * y_true).round(1)
    expected = [
        np.mean(
            [
                average_precision_score(y_true[:, i], chance[:, i], sample_weight=weight)
                for i in range(2)  # nobody has the third label
            ]
        )
        for weight in WEIGHTS
    ]
    np.testing.assert_allclose(precision_of(y_true, chance)(WEIGHTS), expected)


def test_the_interval_of_a_mean_is_that_of_the_formula() -> None:
    found = confidence_interval(resample([mean_of(VALUES)], np.ones(300))[:, 0])
    error = VALUES.std() / np.sqrt(300)
    assert found.value == pytest.approx(VALUES.mean())
    assert found.low == pytest.approx(VALUES.mean() - 1.96 * error, abs=0.25 * error)
    assert found.high == pytest.approx(VALUES.mean() + 1.96 * error, abs=0.25 * error)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = 0
    for seed in range(200):
        drawn = np.random.default_rng(seed).normal(1.0, 1.0, 80)
        found = confidence_interval(
            resample([root_mean_of(drawn**2)], np.ones(80), seed=seed)[:, 0]
        )
        held += found.low <= np.sqrt(2.0) <= found.high
    assert 0.89 <= held / 200 <= 0.99


def test_two_statistics_are_drawn_together() -> None:
    other = VALUES + RANDOM.normal(0.5, 0.1, 300)
    values = resample([mean_of(VALUES), mean_of(other)], np.ones(300))
    apart = confidence_interval(values[:, 1] - values[:, 0])
    alone = confidence_interval(values[:, 0])
    assert 0.45 < apart.low < 0.5 < apart.high < 0.55
    assert apart.high - apart.low < 0.05 * (alone.high - alone.low)


def test_chunks_change_nothing_but_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multimodal.evaluation.bootstrap._CHUNK", 900)
    values = resample([mean_of(VALUES)], np.ones(300))
    assert values.shape == (1 + RESAMPLES, 1) and np.isfinite(values).all()
    assert values[1:].std() == pytest.approx(VALUES.std() / np.sqrt(300), rel=0.1)


def test_rows_of_no_weight_do_not_count() -> None:
    weight = np.r_[np.ones(20), np.zeros(20)]
    values = resample([mean_of(np.r_[np.zeros(20), np.ones(20)])], weight)
    assert (values == 0).all() and len(values) > 1


def test_nothing_finite_gives_no_interval() -> None:
    found = confidence_interval([1.0, np.nan])
    assert found.value == 1 and np.isnan([found.low, found.high]).all()


def test_a_share_of_all_or_none_still_has_a_width() -> None:
    assert proportion([False] * 30) == ConfidenceInterval(0.0, 0.0, pytest.approx(0.1135, abs=1e-3))
    assert proportion([True] * 1000).low > 0.99
    assert proportion([True, False], [3.0, 1.0]).value == 0.75
    wide, narrow = proportion([True, False] * 10), proportion([True, False] * 100)
    assert narrow.high - narrow.low < 0.4 * (wide.high - wide.low)
