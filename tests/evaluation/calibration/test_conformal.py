"""Intervals hold the truth as often as they say: on errors that grow, lean, jump, are few."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.core.target_transform import TargetTransform
from multimodal.evaluation.calibration.conformal import (
    calibrate_constant_width,
    calibrate_intervals,
)
from multimodal.evaluation.calibration.intervals import NumberCalibration, prediction_interval
from multimodal.evaluation.confidence import interval_score
from multimodal.evaluation.metrics import effective_rows

SPACE = TargetTransform()
LOG = TargetTransform(transform="log1p", mean=3.0, scale=0.7)


def drawn(rows: int, seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and truths of a kind of noise."""
    random = np.random.default_rng(seed)
    guess = random.uniform(0, 4, rows)
    noise = {
        "even": lambda: random.normal(size=rows),
        "growing": lambda: random.normal(size=rows) * (0.2 + guess),
        "skewed": lambda: random.exponential(size=rows) - 0.5,
        "heavy": lambda: random.standard_t(2, size=rows),
        "discrete": lambda: np.round(guess + random.normal(size=rows)) - guess,
        "none": lambda: np.zeros(rows),
    }[kind]()
    return guess[:, None], guess + noise


def learned(rows: int, seed: int, kind: str) -> NumberCalibration:
    guess, y_true = drawn(rows, seed, kind)
    found = calibrate_intervals(guess, y_true, np.ones(rows), SPACE)
    assert found is not None
    return found


def share(record: NumberCalibration, kind: str, level: float, seed: int = 99) -> float:
    guess, y_true = drawn(20_000, seed, kind)
    low, high = prediction_interval(record, guess, level)
    return float(((low <= y_true) & (y_true <= high)).mean())


@pytest.mark.parametrize("kind", ["even", "growing", "skewed", "heavy"])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_the_coverage_is_the_level(kind: str, level: float) -> None:
    found = [share(learned(1000, seed, kind), kind, level) for seed in range(5)]
    deviation = np.sqrt(level * (1 - level) / 1000 / 5)
    assert np.mean(found) == pytest.approx(level, abs=4 * deviation)


@pytest.mark.parametrize("kind", ["discrete", "none"])
def test_ties_hold_at_least_the_level(kind: str) -> None:
    assert np.mean([share(learned(500, seed, kind), kind, 0.9) for seed in range(5)]) > 0.89


@pytest.mark.parametrize("rows", [9, 19, 50, 150])
def test_few_rows_hold_at_least_the_level_on_average(rows: int) -> None:
    found = [share(learned(rows, seed, "growing"), "growing", 0.9, seed) for seed in range(60)]
    assert 0.88 < np.mean(found) < 0.97


def test_the_width_follows_the_prediction() -> None:
    record = learned(2000, 0, "growing")
    low, high = prediction_interval(record, [[0.5], [3.5]], 0.9)
    assert (high - low)[1] / (high - low)[0] == pytest.approx(3.7 / 0.7, rel=0.25)
    guess, y_true = drawn(20_000, 7, "growing")
    held = np.logical_and(
        *(np.array([1, -1])[:, None] * (prediction_interval(record, guess, 0.9) - y_true) <= 0)
    )
    tenth = np.digitize(guess[:, 0], np.arange(0.4, 4, 0.4))
    assert all(0.86 < held[tenth == i].mean() < 0.94 for i in range(10))


def test_it_beats_one_width_where_errors_grow_and_equals_it_where_not() -> None:
    for kind, most in (("growing", 0.9), ("even", 1.01)):
        (guess, y_true), fresh = drawn(1000, 1, kind), drawn(20_000, 2, kind)
        ways = [
            way(guess, y_true, np.ones(1000), SPACE)
            for way in (calibrate_intervals, calibrate_constant_width)
        ]
        mine, flat = (
            interval_score(fresh[1], *prediction_interval(way, fresh[0], 0.9), 0.9).mean()
            for way in ways
        )
        assert mine < most * flat


def test_skewed_errors_get_two_quantiles_and_even_ones_do_not() -> None:
    assert learned(1000, 0, "skewed").lower
    assert sum(bool(learned(1000, seed, "even").lower) for seed in range(10)) <= 3
    assert not learned(150, 0, "skewed").lower


def test_few_rows_keep_one_width() -> None:
    assert not learned(50, 0, "growing").spread.knots
    assert learned(500, 0, "growing").spread.knots


def test_prices_get_intervals_in_the_space_of_the_head() -> None:
    random = np.random.default_rng(0)
    guess = np.exp(random.normal(5, 1, 2000))
    y_true = guess * np.exp(random.normal(0, 0.3, 2000))
    record = calibrate_intervals(guess[:, None], y_true, np.ones(2000), LOG)
    assert record is not None
    low, high = prediction_interval(record, [[10.0], [1000.0]], 0.9)
    np.testing.assert_allclose(high / [10, 1000], np.exp(0.3 * 1.645), rtol=0.12)
    assert (low > 0).all()


def quantile_rows(rows: int, seed: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return quantiles of a noise that an unseen column rules, wrong by a factor, and truths."""
    random = np.random.default_rng(seed)
    guess, size = random.uniform(0, 4, rows), np.exp(random.uniform(-1.5, 1.5, rows))
    outer = 1.645 * size * factor
    return np.stack([guess - outer, guess, guess + outer], axis=1), guess + size * random.normal(
        size=rows
    )


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_quantiles_of_a_head_are_kept_in_proportion_and_put_right(factor: float) -> None:
    outputs, y_true = quantile_rows(1000, 0, factor)
    asked = [0.05, 0.5, 0.95]
    record = calibrate_intervals(outputs, y_true, np.ones(1000), SPACE, quantiles=asked)
    assert record is not None and record.shape.outer == (0, 2)
    fresh, came = quantile_rows(20_000, 1, factor)
    for level in (0.6, 0.9):
        low, high = prediction_interval(record, fresh, level)
        assert ((low <= came) & (came <= high)).mean() == pytest.approx(level, abs=0.04)
    width = (high - low) / (fresh[:, 2] - fresh[:, 0])
    assert np.quantile(width, 0.95) / np.quantile(width, 0.05) < 1.6


def test_uninformative_quantiles_are_not_used() -> None:
    guess, y_true = drawn(1000, 0, "even")
    wild = np.exp(np.random.default_rng(3).normal(0, 2, (1000, 1)))
    outputs = np.hstack([guess - wild, guess, guess + wild])
    record = calibrate_intervals(outputs, y_true, np.ones(1000), SPACE, quantiles=[0.1, 0.5, 0.9])
    assert record is not None and record.shape.outer is None


@pytest.mark.parametrize("quantiles", [[0.5], [0.5, 0.9], [0.1, 0.2]])
def test_quantiles_on_one_side_only(quantiles: list[float]) -> None:
    guess, y_true = drawn(1000, 0, "growing")
    outputs = np.tile(guess, (1, len(quantiles)))
    record = calibrate_intervals(outputs, y_true, np.ones(1000), SPACE, quantiles=quantiles)
    assert record is not None
    low, high = prediction_interval(record, outputs, 0.9)
    assert ((low <= y_true) & (y_true <= high)).mean() == pytest.approx(0.9, abs=0.03)


def test_further_features_are_taken_where_they_help() -> None:
    random = np.random.default_rng(0)
    guess, name = random.uniform(0, 4, 2000), (random.uniform(size=2000) < 0.4).astype(float)
    y_true = guess + random.normal(size=2000) * np.exp(2 * name)
    features = np.stack([name, random.normal(size=2000)], axis=1)
    record = calibrate_intervals(guess[:, None], y_true, np.ones(2000), SPACE, features=features)
    assert record is not None and len(record.spread.knots) == 3
    low, high = prediction_interval(record, [[2.0], [2.0]], 0.9, [[0.0, 0.0], [1.0, 0.0]])
    assert (high - low)[1] / (high - low)[0] == pytest.approx(np.exp(2), rel=0.3)
    even = guess + random.normal(size=2000)
    record = calibrate_intervals(guess[:, None], even, np.ones(2000), SPACE, features=features)
    assert record is not None and len(record.spread.knots) < 3


def test_rows_without_label_prediction_or_weight_are_left_out() -> None:
    guess, y_true = drawn(400, 0, "even")
    weights = np.ones(400)
    y_true[:50], weights[50:100], guess[100:150] = np.nan, 0.0, np.nan
    y_true[50:100] = 1e9
    record = calibrate_intervals(guess, y_true, weights, SPACE)
    plain = calibrate_intervals(guess[150:], y_true[150:], weights[150:], SPACE)
    assert record == plain and record is not None and record.rows == 250
    assert calibrate_intervals(guess[:100], y_true[:100], weights[:100], SPACE) is None
    assert calibrate_constant_width(guess[:0], y_true[:0], weights[:0], SPACE) is None


def test_a_weight_of_two_counts_as_two_rows() -> None:
    guess, y_true = drawn(60, 0, "even")
    weights = np.where(np.arange(60) % 2, 2.0, 1.0)
    twice = np.repeat(np.arange(60), weights.astype(int))
    weighted = calibrate_constant_width(guess, y_true, weights, SPACE)
    repeated = calibrate_constant_width(guess[twice], y_true[twice], np.ones(len(twice)), SPACE)
    assert weighted is not None and repeated is not None
    assert len(weighted.upper) == int(effective_rows(weights)) < len(repeated.upper)
    for level in (0.5, 0.8, 0.9):
        mine, other = (prediction_interval(each, [[2.0]], level) for each in (weighted, repeated))
        assert mine.high[0] == pytest.approx(other.high[0], abs=0.25)


def test_many_rows_are_thinned_without_missing_the_level() -> None:
    record = learned(23_456, 0, "growing")
    assert len(record.upper) == 5000
    assert share(record, "growing", 0.9) == pytest.approx(0.9, abs=0.01)
    assert share(record, "growing", 0.99) == pytest.approx(0.99, abs=0.004)


def drawn_groups(seed: int) -> tuple[np.ndarray, ...]:
    """Return groups of 20 rows that share features and the size of their errors."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(30), 20)
    features, size = random.normal(size=(30, 6))[group], np.exp(random.normal(size=30))[group]
    guess = random.uniform(0, 9, len(group))
    return group, features, guess[:, None], guess + size * random.normal(size=len(group))


def test_intervals_hold_rows_of_new_groups() -> None:
    held = []
    for seed in range(0, 12, 2):
        (group, features, outputs, y_true), new = drawn_groups(seed), drawn_groups(seed + 1)
        for groups in (None, group):
            record = calibrate_intervals(
                outputs, y_true, np.ones(600), TargetTransform(), features=features, groups=groups
            )
            low, high = prediction_interval(record, new[2], 0.9, new[1])
            held.append(((low <= new[3]) & (new[3] <= high)).mean())
    by_row, by_group = np.reshape(held, (6, 2)).mean(axis=0)
    # Features that name a group tell the sizes of its errors, and nothing of another group's.
    assert by_group > 0.88 > by_row + 0.02
