"""Probabilities against the share that was right."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference

from multimodal.evaluation.confidence import confidence_bins, expected_calibration_error, log_loss

RANDOM = np.random.default_rng(0)


def test_honest_probabilities_are_hardly_off() -> None:
    p = RANDOM.dirichlet(np.ones(3), 20_000)
    y = (RANDOM.uniform(size=(20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    bins = confidence_bins(y, p)
    assert len(bins) == 15 and sum(each.n for each in bins) == 20_000
    assert max(each.n for each in bins) - min(each.n for each in bins) <= 1
    assert expected_calibration_error(bins) < 0.02


def test_too_sure_is_as_far_off_as_it_is() -> None:
    p = np.tile([[0.95, 0.05]], (1000, 1))
    y = (np.arange(1000) % 10 >= 7).astype(int)
    assert expected_calibration_error(confidence_bins(y, p, bins=1)) == pytest.approx(0.25)


def test_labels_count_one_by_one_from_the_side_named() -> None:
    found = confidence_bins([[1, 0], [0, 0]], [[0.9, 0.2], [0.7, 0.4]], bins=1)[0]
    assert (found.n, found.right) == (4, 0.75)
    assert found.probability == pytest.approx(np.mean([0.9, 0.8, 0.7, 0.6]))


def test_grades_take_the_median() -> None:
    found = confidence_bins([1], [[0.4, 0.25, 0.35]], ordered=True)[0]
    assert (found.probability, found.right) == (0.25, 1.0)


def test_weights_count_and_few_answers_make_few_bins() -> None:
    found = confidence_bins([0, 1], [[0.9, 0.1], [0.7, 0.3]], [3.0, 1.0], bins=1)[0]
    assert found.right == 0.75 and found.probability == pytest.approx(0.85)
    assert len(confidence_bins([0, 1], [[0.9, 0.1], [0.7, 0.3]], [1.0, 0.0])) == 1


def test_loss_agrees_with_scikit_learn() -> None:
    p, y, w = RANDOM.dirichlet(np.ones(3), 99), RANDOM.integers(0, 3, 99), RANDOM.uniform(size=99)
    assert log_loss(y, p, w) == pytest.approx(reference(y, p, sample_weight=w, labels=[0, 1, 2]))
    labels = np.array([[1.0, 0.0]])
    assert log_loss(labels, [[0.8, 0.4]], np.ones(1)) == pytest.approx(-np.log([0.8, 0.6]).mean())
