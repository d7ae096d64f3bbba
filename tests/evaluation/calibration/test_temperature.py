"""Temperatures: what they change, what they must not, and that they are never for the worse."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.evaluation.calibration import HIGHEST, LOWEST, apply_temperature, fit_temperature
from multimodal.evaluation.confidence import log_loss
from multimodal.evaluation.metrics import best_class, class_metrics
from multimodal.evaluation.task import Task
from multimodal.heads import BinaryHead, MulticlassHead, MultilabelHead, OrdinalHead

NAMES = ["a", "b", "c", "d"]
CLASS, GRADE = Task("y", "class", NAMES), Task("y", "class", NAMES, ordered=True)
LABELS = Task("y", "labels", NAMES)
RANDOM = np.random.default_rng(0)


def logits(task: Task, rows: int = 300) -> np.ndarray:
    if not task.ordered:
        return RANDOM.normal(0, 2, (rows, 4)).astype("float32")
    return -np.sort(RANDOM.normal(0, 2, (rows, 3)), axis=1).astype("float32")


HEADS = {
    "class": (CLASS, MulticlassHead(4)),
    "grade": (GRADE, OrdinalHead(4)),
    "labels": (LABELS, MultilabelHead(4)),
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_it_is_as_if_the_logits_were_divided(kind: str, temperature: float) -> None:
    task, head = HEADS[kind]
    raw = logits(task)
    expected = np.asarray(head.decode(raw / np.float32(temperature)))
    found = apply_temperature(task, np.asarray(head.decode(raw)), temperature)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_two_classes_too() -> None:
    raw, head = RANDOM.normal(0, 2, (50, 1)).astype("float32"), BinaryHead()
    found = apply_temperature(Task("y", "class", NAMES[:2]), np.asarray(head.decode(raw)), 2.5)
    np.testing.assert_allclose(found, np.asarray(head.decode(raw / 2.5)), atol=2e-6)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("temperature", [LOWEST, 0.5, 2.0, HIGHEST])
def test_what_is_named_stays(kind: str, temperature: float) -> None:
    task, head = HEADS[kind]
    before = np.asarray(head.decode(logits(task, 5000)), np.float64)
    after = apply_temperature(task, before, temperature)
    if task.kind == "labels":
        np.testing.assert_array_equal(after >= 0.5, before >= 0.5)
        return
    names = (best_class(each, ordered=task.ordered) for each in (before, after))
    np.testing.assert_array_equal(*names)
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("kind", HEADS)
def test_certainty_and_missing_predictions_stay_finite_and_missing(kind: str) -> None:
    task = HEADS[kind][0]
    found = apply_temperature(task, [[0.0, 0.0, 1.0, 0.0], [np.nan] * 4], 0.5)
    assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()
    assert found[0, 2] > 0.99


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_it_finds_the_temperature_that_was_lost(kind: str, true: float) -> None:
    task, head = HEADS[kind]
    raw = logits(task, 4000)
    chance = np.asarray(head.decode(raw / np.float32(true)), np.float64)
    if task.kind == "labels":
        y_true: np.ndarray = (RANDOM.uniform(size=chance.shape) < chance).astype(float)
    else:
        y_true = (RANDOM.uniform(size=(4000, 1)) > chance.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    found = fit_temperature(task, np.asarray(head.decode(raw)), y_true, np.ones(4000))
    assert found == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize("rows", [1, 3, 10, 100])
def test_it_never_makes_the_loss_worse_and_stays_in_range(rows: int) -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        p = random.dirichlet(np.full(4, 0.1), rows)
        y, w = random.integers(0, 4, rows), random.uniform(0.1, 3, rows)
        found = fit_temperature(CLASS, p, y, w)
        assert found is not None and LOWEST <= found <= HIGHEST
        assert log_loss(y, apply_temperature(CLASS, p, found), w) <= log_loss(y, p, w) + 1e-12


def test_few_rows_move_it_little() -> None:
    p = np.tile([[0.9, 0.1, 0.0, 0.0]], (3, 1))
    found = fit_temperature(CLASS, p, np.zeros(3, int), np.ones(3))
    assert found is not None and 0.6 < found < 1


def test_rows_without_label_prediction_or_weight_are_left_out() -> None:
    p = RANDOM.dirichlet(np.ones(4), 60)
    y, w = RANDOM.integers(0, 4, 60), np.ones(60)
    expected = fit_temperature(CLASS, p[30:], y[30:], w[30:])
    y[:10], w[10:20], p[20:30] = -1, 0, np.nan
    assert fit_temperature(CLASS, p, y, w) == expected
    assert fit_temperature(CLASS, p[:30], y[:30], w[:30]) is None


def test_numbers_have_none() -> None:
    assert fit_temperature(Task("y"), [[1.0]], [1.0], [1.0]) is None
    assert apply_temperature(Task("y"), [[3.0]], 2.0).tolist() == [[3.0]]


def test_metrics_of_what_is_named_stay() -> None:
    p, y = RANDOM.dirichlet(np.ones(4), 200), RANDOM.integers(0, 4, 200)
    before, after = class_metrics(y, p), class_metrics(y, apply_temperature(CLASS, p, 3.0))
    assert before["accuracy"] == after["accuracy"] and before["log_loss"] != after["log_loss"]
