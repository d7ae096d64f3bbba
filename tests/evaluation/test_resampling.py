"""Intervals and tests that keep their promise: on simulated rows whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.evaluation.bootstrap import (
    bootstrap_metrics,
    corrected_t_test,
    percentile_interval,
    relative_gain,
)

RANDOM = np.random.default_rng(0)


def squares(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return errors**2, np.ones(len(errors))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for trial in range(200):
        errors = np.random.default_rng(trial).normal(0, 2.0, 150)
        _, drawn = bootstrap_metrics(
            "rmse", [squares(errors)], np.ones(150), np.arange(150), draws=300, seed=trial
        )
        low, high = percentile_interval(drawn[:, 0])
        held += low <= 2.0 <= high
    assert 0.89 <= held / 200 <= 0.98


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    shared = RANDOM.normal(0, 2, 400)
    first, second = shared * 0.95, shared + RANDOM.normal(0, 0.1, 400)
    value, drawn = bootstrap_metrics(
        "rmse", [squares(first), squares(second)], np.ones(400), np.arange(400)
    )
    found = relative_gain(value[0], value[1], drawn[:, 0], drawn[:, 1])
    assert 0 < found.low < found.value < found.high < 0.1
    assert found.p < 0.01
    assert (
        percentile_interval(drawn[:, 0])[1] > percentile_interval(drawn[:, 1])[0]
    )  # alone they overlap


def test_no_difference_is_rarely_found() -> None:
    found = []
    for trial in range(200):
        random = np.random.default_rng(trial)
        errors = random.normal(size=(2, 120))
        value, drawn = bootstrap_metrics(
            "mae",
            [squares(each) for each in errors],
            np.ones(120),
            np.arange(120),
            draws=300,
            seed=trial,
        )
        found.append(relative_gain(value[0], value[1], drawn[:, 0], drawn[:, 1]).p)
    assert np.mean(np.array(found) < 0.05) < 0.1


def test_copies_make_no_result_surer() -> None:
    errors = RANDOM.normal(0, 1, 60)
    _, alone = bootstrap_metrics("rmse", [squares(errors)], np.ones(60), np.arange(60))
    five, groups = np.repeat(errors, 5), np.repeat(np.arange(60), 5)
    _, together = bootstrap_metrics("rmse", [squares(five)], np.ones(300), groups)
    _, apart = bootstrap_metrics("rmse", [squares(five)], np.ones(300), np.arange(300))
    widths = [np.ptp(percentile_interval(drawn[:, 0])) for drawn in (alone, together, apart)]
    assert widths[1] == pytest.approx(widths[0], rel=0.02)
    assert widths[2] < 0.6 * widths[0]


def test_weights_count() -> None:
    weight = np.r_[np.ones(50), np.zeros(50)]
    errors = np.r_[np.full(50, 1.0), np.full(50, 9.0)]
    value, drawn = bootstrap_metrics("rmse", [squares(errors)], weight, np.arange(100), draws=50)
    assert value[0] == 1.0
    assert drawn == pytest.approx(1.0)


def test_the_test_over_folds_is_that_of_nadeau_and_bengio() -> None:
    d = np.array([0.10, 0.20, 0.15, 0.12, 0.18])
    t = d.mean() / np.sqrt((1 / 5 + 1 / 4) * d.var(ddof=1))
    from scipy.stats import t as student

    assert corrected_t_test(d, 0.25) == pytest.approx(2 * student.sf(t, 4))
    assert corrected_t_test(-d, 0.25) == pytest.approx(corrected_t_test(d, 0.25))
    assert corrected_t_test([0.1], 1.0) is None
    assert corrected_t_test([0.1, 0.1], 1.0) is None


def test_nothing_wrong_at_all_is_no_division_by_zero() -> None:
    nothing, some = np.zeros(10), np.full(10, 0.5)
    assert relative_gain(0.0, 0.0, nothing, nothing).value == 0
    assert relative_gain(0.0, 0.5, nothing, some).value == pytest.approx(1)
