"""What is explained of each kind of head, and in which units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.core.errors import DataError
from multimodal.evaluation.task import Task
from multimodal.explain.targets import ExplanationTarget, explanation_target
from multimodal.heads import (
    BinaryHead,
    BoundingBoxHead,
    MulticlassHead,
    MultilabelHead,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
)

COLOURS = ["red", "green", "blue"]


def test_numbers_are_factors_under_a_logarithm_and_amounts_else() -> None:
    price = explanation_target(Task("price"), RegressionHead("log1p", scale=0.5), [[9.0]])
    assert (price.unit, price.scale, list(price.direction)) == ("factor", 0.5, [1.0])
    rent = explanation_target(Task("rent"), RegressionHead("standardise", scale=120.0), [[9.0]])
    assert rent.effect(1.0).split() == ["+", "120"]
    plain = explanation_target(Task("rent"), RegressionHead("none", scale=7.0), [[9.0]])
    assert plain.effect(-2.5).split() == ["−", "2.5"]


def test_the_middle_quantile_is_explained() -> None:
    task = Task("price", quantiles=[0.1, 0.5, 0.9])
    found = explanation_target(task, QuantileHead([0.1, 0.5, 0.9]), [[1.0, 2.0, 3.0]])
    assert list(found.direction) == [0.0, 1.0, 0.0]


def test_classes_are_their_odds_against_the_others() -> None:
    task = Task("colour", "class", COLOURS)
    found = explanation_target(task, MulticlassHead(3), [[0.2, 0.7, 0.1]])
    assert found.name == "colour: green"
    assert list(found.direction) == [-0.5, 1.0, -0.5]
    asked = explanation_target(task, MulticlassHead(3), [[0.2, 0.7, 0.1]], "blue")
    assert list(asked.direction) == [-0.5, -0.5, 1.0]


@pytest.mark.parametrize(("outputs", "sign"), [([[0.9, 0.1]], -1.0), ([[0.1, 0.9]], 1.0)])
def test_two_classes_share_one_logit(outputs: Any, sign: float) -> None:
    found = explanation_target(Task("sold", "class", ["no", "yes"]), BinaryHead(), outputs)
    assert list(found.direction) == [sign]


def test_labels_grades_and_boxes() -> None:
    labels = explanation_target(
        Task("tags", "labels", COLOURS), MultilabelHead(3), [[0.2, 0.1, 0.9]]
    )
    assert (labels.name, list(labels.direction)) == ("tags: blue", [0.0, 0.0, 1.0])
    grades = explanation_target(
        Task("age", "class", COLOURS, ordered=True), OrdinalHead(3), [[0.2, 0.1, 0.9]]
    )
    assert (grades.unit, list(grades.direction)) == ("odds", [1.0, 0.0])
    box = explanation_target(Task("face", "box"), BoundingBoxHead(), [[0.1, 0.1, 0.2, 0.2]])
    assert list(box.direction) == [0.0, 0.0, 1.0, 1.0]


def test_a_learned_weight_is_no_part_of_the_score() -> None:
    found = explanation_target(Task("price"), RegressionHead("none", learned_weight=True), [[1.0]])
    assert list(found.direction) == [1.0, 0.0]


def test_unknown_classes_are_named() -> None:
    with pytest.raises(
        DataError, match="head 'colour' knows no class 'gren'. Did you mean 'green'"
    ):
        explanation_target(Task("colour", "class", COLOURS), MulticlassHead(3), [[1, 0, 0]], "gren")
    with pytest.raises(DataError, match="It predicts no classes"):
        explanation_target(Task("price"), RegressionHead("none"), [[1.0]], "red")


@pytest.mark.parametrize(
    ("score", "shown"),
    [(0.0, "× 1.000"), (0.2, "× 1.22"), (-2.0, "× 0.14"), (-9.0, "× 0.00012"), (9.0, "× 8,103")],
)
def test_factors_are_written_with_the_digits_they_need(score: float, shown: str) -> None:
    found = ExplanationTarget(Task("p"), "p", [1.0], "factor").effect(score)
    assert found.replace("\u00a0", " ") == shown


def test_extreme_scores_are_still_numbers() -> None:
    assert np.isfinite(float(ExplanationTarget(Task("p"), "p", [1.0], "factor").effect(-1e9)[2:]))
