"""Bootstrap intervals and tests: against formulas, plain resampling, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from multimodal.evaluation.bootstrap import (
    RESAMPLES,
    ConfidenceInterval,
    bootstrap_metrics,
    confidence_interval,
    corrected_t_test,
    mean_of,
    median_of,
    percentile_interval,
    precision_of,
    proportion,
    relative_gain,
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
def test_a_weight_is_a_number_of_duplicates(statistic, plain) -> None:
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


def test_coverage_of_resampled_intervals() -> None:
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


def test_no_finite_value_gives_no_interval() -> None:
    found = confidence_interval([1.0, np.nan])
    assert found.value == 1 and np.isnan([found.low, found.high]).all()


def test_a_proportion_of_all_or_none_still_has_a_width() -> None:
    assert proportion([False] * 30) == ConfidenceInterval(0.0, 0.0, pytest.approx(0.1135, abs=1e-3))
    assert proportion([True] * 1000).low > 0.99
    assert proportion([True, False], [3.0, 1.0]).value == 0.75
    wide, narrow = proportion([True, False] * 10), proportion([True, False] * 100)
    assert narrow.high - narrow.low < 0.4 * (wide.high - wide.low)


CLUSTERS_RANDOM = np.random.default_rng(0)


def squares(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return errors**2, np.ones(len(errors))


def test_coverage_of_clustered_intervals() -> None:
    held = 0
    for trial in range(200):
        errors = np.random.default_rng(trial).normal(0, 2.0, 150)
        _, drawn = bootstrap_metrics(
            "rmse", [squares(errors)], np.ones(150), np.arange(150), draws=300, seed=trial
        )
        low, high = percentile_interval(drawn[:, 0])
        held += low <= 2.0 <= high
    assert 0.89 <= held / 200 <= 0.98


def test_a_paired_difference_has_a_narrower_interval() -> None:
    shared = CLUSTERS_RANDOM.normal(0, 2, 400)
    first, second = shared * 0.95, shared + CLUSTERS_RANDOM.normal(0, 0.1, 400)
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


def test_duplicates_make_no_interval_narrower() -> None:
    errors = CLUSTERS_RANDOM.normal(0, 1, 60)
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


def test_no_error_at_all_is_no_division_by_zero() -> None:
    nothing, some = np.zeros(10), np.full(10, 0.5)
    assert relative_gain(0.0, 0.0, nothing, nothing).value == 0
    assert relative_gain(0.0, 0.5, nothing, some).value == pytest.approx(1)
