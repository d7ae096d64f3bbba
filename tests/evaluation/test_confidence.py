"""Checks of calibration: probabilities against the fraction right, intervals against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference

from multimodal.core.errors import DataError
from multimodal.evaluation.confidence import (
    IntervalCheck,
    PredictionInterval,
    binomial_band,
    check_intervals,
    confidence_bins,
    expected_calibration_error,
    interval_score,
    log_loss,
)

RANDOM = np.random.default_rng(0)


def test_calibrated_probabilities_have_a_small_error() -> None:
    p = RANDOM.dirichlet(np.ones(3), 20_000)
    y = (RANDOM.uniform(size=(20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    bins = confidence_bins(y, p)
    assert len(bins) == 15 and sum(each.n for each in bins) == 20_000
    assert max(each.n for each in bins) - min(each.n for each in bins) <= 1
    assert expected_calibration_error(bins) < 0.02


def test_overconfidence_is_the_error() -> None:
    p = np.tile([[0.95, 0.05]], (1000, 1))
    y = (np.arange(1000) % 10 >= 7).astype(int)
    assert expected_calibration_error(confidence_bins(y, p, bins=1)) == pytest.approx(0.25)


def test_labels_are_predictions_of_their_own() -> None:
    found = confidence_bins([[1, 0], [0, 0]], [[0.9, 0.2], [0.7, 0.4]], bins=1)[0]
    assert (found.n, found.right) == (4, 0.75)
    assert found.probability == pytest.approx(np.mean([0.9, 0.8, 0.7, 0.6]))


def test_ordered_classes_are_told_by_their_median() -> None:
    found = confidence_bins([1], [[0.4, 0.25, 0.35]], ordered=True)[0]
    assert (found.probability, found.right) == (0.25, 1.0)


def test_weights_matter_and_few_predictions_make_few_bins() -> None:
    found = confidence_bins([0, 1], [[0.9, 0.1], [0.7, 0.3]], [3.0, 1.0], bins=1)[0]
    assert found.right == 0.75 and found.probability == pytest.approx(0.85)
    assert len(confidence_bins([0, 1], [[0.9, 0.1], [0.7, 0.3]], [1.0, 0.0])) == 1


def test_loss_agrees_with_scikit_learn() -> None:
    p, y, w = RANDOM.dirichlet(np.ones(3), 99), RANDOM.integers(0, 3, 99), RANDOM.uniform(size=99)
    assert log_loss(y, p, w) == pytest.approx(reference(y, p, sample_weight=w, labels=[0, 1, 2]))
    labels = np.array([[1.0, 0.0]])
    assert log_loss(labels, [[0.8, 0.4]], np.ones(1)) == pytest.approx(-np.log([0.8, 0.6]).mean())


INTERVALS_RANDOM = np.random.default_rng(0)
GUESS = INTERVALS_RANDOM.uniform(0, 9, 300)
TRUTH = GUESS + INTERVALS_RANDOM.normal(size=300)
NARROW, WIDE = PredictionInterval(GUESS - 1, GUESS + 1), PredictionInterval(GUESS - 2, GUESS + 2)


def test_coverage_width_and_score_are_weighted() -> None:
    weight = INTERVALS_RANDOM.integers(0, 3, 300).astype(float)
    found = check_intervals(TRUTH, GUESS, {0.7: NARROW, 0.9: WIDE}, NARROW, 0.9, weight)
    inside = np.abs(TRUTH - GUESS) <= 2
    assert found.coverage == pytest.approx(np.average(inside, weights=weight))
    assert found.n == (weight > 0).sum()
    assert found.width == pytest.approx(4) and found.constant_width == pytest.approx(2)
    loss = 4 + 20 * np.maximum(np.abs(TRUTH - GUESS) - 2, 0)
    assert found.score == pytest.approx(np.average(loss, weights=weight))
    narrow = np.average(np.abs(TRUTH - GUESS) <= 1, weights=weight)
    assert found.constant_coverage == pytest.approx(narrow)
    assert found.coverages == pytest.approx({0.7: narrow, 0.9: found.coverage})


def test_parts_are_thirds_of_the_prediction() -> None:
    found = check_intervals(TRUTH, GUESS, {0.9: WIDE}, WIDE, 0.9)
    assert [part.n for part in found.parts] == [100, 100, 100]
    lower = [part.lower for part in found.parts]
    assert lower == sorted(lower) and lower[0] == GUESS.min()
    mean = np.mean([part.coverage for part in found.parts])
    assert mean == pytest.approx(found.coverage)
    assert found.parts[0].band == binomial_band(100, 0.9)


def test_the_band_is_that_of_the_binomial() -> None:
    drawn = np.random.default_rng(1).binomial(157, 0.9, 100_000) / 157
    low, high = binomial_band(157, 0.9)
    assert 0.985 < ((low <= drawn) & (drawn <= high)).mean() < 0.997
    assert binomial_band(0.2, 0.9)[1] == 1.0


def test_the_true_quantiles_have_the_best_score() -> None:
    y = np.random.default_rng(2).exponential(size=200_000)

    def score(low: float, high: float) -> float:
        return float(interval_score(y, low, high, 0.8).mean())

    best = score(-np.log(0.9), -np.log(0.1))
    assert all(
        best < score(-np.log(0.9) + a, -np.log(0.1) + b)
        for a, b in ((0.1, 0), (-0.1, 0), (0, 0.3), (0, -0.3))
    )


def test_equal_predictions_give_one_part() -> None:
    found = check_intervals(
        [1.0, 2, 3],
        [2.0, 2, 2],
        {0.9: PredictionInterval([0] * 3, [9] * 3)},
        PredictionInterval([0] * 3, [9] * 3),
        0.9,
    )
    assert [part.n for part in found.parts] == [3]


def test_it_survives_json() -> None:
    found = check_intervals(TRUTH, GUESS, {0.9: WIDE, 0.99: WIDE}, WIDE, 0.9)
    assert IntervalCheck.model_validate_json(found.model_dump_json()) == found


def test_intervals_of_other_rows_are_refused() -> None:
    with pytest.raises(DataError, match="one interval per row"):
        check_intervals(TRUTH, GUESS, {0.9: PredictionInterval([1.0], [2.0])}, WIDE, 0.9)
    with pytest.raises(DataError, match="finite"):
        check_intervals(
            [np.nan],
            [1.0],
            {0.9: PredictionInterval([1.0], [2.0])},
            PredictionInterval([1.0], [2.0]),
            0.9,
        )
