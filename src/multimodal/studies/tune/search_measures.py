"""What a search goes by: errors on the validation rows; and what it states on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.data.prepare import Prepared
from multimodal.evaluation.measures import shortfall
from multimodal.evaluation.per_row import Parts, compared_metrics, parts
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.resampling import drawn_metrics, gain, metric_by
from multimodal.evaluation.task import Task, has_truth
from multimodal.models.trees import constant_score
from multimodal.studies.compare.records import Difference
from multimodal.studies.fits import tasks
from multimodal.studies.tune.records import TunedHead

SIDES = VALIDATION, TEST = ("validation", "test")
Outputs = Mapping[str, NDArray[np.float64]]


def searched_metric(prepared: Prepared, task: Task) -> str:
    """Name the metric to mend: that of a comparison; of classes the log loss, which is finer."""
    truth = prepared.truths[task.name]
    known = truth[has_truth(task, truth)]
    return "log_loss" if task.kind == "class" else compared_metrics(task, known)[0]


def error_on(prepared: Prepared, task: Task, outputs: Outputs, side: str) -> float:
    """Return how far a head is from perfect on one side.

    Args:
        prepared: Rows, split.
        task: What the head is asked.
        outputs: By head, of the validation rows, or of them and then the test rows.
        side: One of the two.
    """
    metric = searched_metric(prepared, task)
    each, weight, _ = _parts(prepared, task, metric, outputs, side)
    value = metric_by(metric, [each], weight, np.zeros(len(weight)))
    return float(shortfall(metric, float(value[0, 0])))


def guessed_errors(prepared: Prepared) -> dict[str, float]:
    """Return the errors on the validation rows of always one answer, by head."""
    found: dict[str, NDArray[np.float64]] = {}
    for task in tasks(prepared):

        def keep(score: ModelScore, rows: Any, outputs: Any, name: str = task.name) -> None:
            found[name] = outputs

        constant_score(
            task, prepared.truths[task.name], prepared.rows("train"), prepared.rows(VALIDATION),
            prepared.source.weights[task.name], keep,
        )  # fmt: skip
    return {task.name: error_on(prepared, task, found, VALIDATION) for task in tasks(prepared)}


def tuned_head(prepared: Prepared, task: Task, start: Outputs, best: Outputs) -> TunedHead:
    """Compare the answers of two configs on both sides, rows drawn again in pairs."""
    metric = searched_metric(prepared, task)
    values, differences = {}, {}
    for side in SIDES:
        each = [_parts(prepared, task, metric, outputs, side) for outputs in (start, best)]
        _, weight, clusters = each[0]
        value, drawn = drawn_metrics(metric, [found for found, _, _ in each], weight, clusters)
        first, second = (shortfall(metric, float(v)) for v in value)
        errors = 1 - drawn if shortfall(metric, 0.0) == 1 else drawn
        found = gain(second, first, errors[:, 1], errors[:, 0])
        values[side] = (float(value[0]), float(value[1]), len(weight))
        differences[side] = Difference(gain=found.value, low=found.low, high=found.high, p=found.p)
    return TunedHead(head=task.name, metric=metric, values=values, differences=differences)


def _parts(
    prepared: Prepared, task: Task, metric: str, outputs: Outputs, side: str
) -> tuple[Parts, NDArray[Any], NDArray[Any]]:
    """Take a metric apart over the labelled rows of a side: parts, weights, clusters."""
    rows, values = prepared.rows(side), outputs[task.name]
    if len(values) > len(rows):
        values = values[: len(rows)] if side == VALIDATION else values[-len(rows) :]
    truth, weight = prepared.truths[task.name][rows], prepared.source.weights[task.name][rows]
    counts = has_truth(task, truth) & (weight > 0)
    clusters = rows if prepared.groups is None else prepared.groups[rows]
    each = parts(metric, task, truth[counts], values[counts])
    return each, weight[counts], clusters[counts]
