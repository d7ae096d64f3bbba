"""The sides of a split as a run answers them: predicted, measured, side by side with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats, Ints
from multimodal.data.features.preprocess import Arrays
from multimodal.data.prepare import Prepared
from multimodal.evaluation.novelty.photos import watch_photos
from multimodal.evaluation.predictions import label_columns, prediction_columns
from multimodal.evaluation.records import HeadMetrics, ModelScore
from multimodal.evaluation.task import Task, measure
from multimodal.models.predictor import batches
from multimodal.models.stack.stack import OutOfFold
from multimodal.runs.calibrate import Predicted
from multimodal.runs.comparison import input_name
from multimodal.runs.run import Run


def predicted(run: Run, prepared: Prepared, split: str, faults: dict[int, str]) -> Predicted:
    """Predict one side; rows with a damaged photo are left out and go to `faults`."""
    rows, arrays = _rows_of_split(run, prepared, split)
    statistics, watch = watch_photos(run.spec, len(rows))
    outputs, wrong = run.decoded(arrays, watch)
    return _whole(Predicted(rows, outputs, arrays.inputs, statistics), wrong, faults)


def seen(run: Run, prepared: Prepared, split: str, faults: dict[int, str]) -> Predicted:
    """Return one side as the model sees it, with no answers; `faults` as `predicted`."""
    rows, arrays = _rows_of_split(run, prepared, split)
    statistics, watch = watch_photos(run.spec, len(rows))
    wrong: dict[int, str] = {}
    for some, (batch, damaged) in batches(arrays) if arrays.photos else ():
        watch(some, batch)
        wrong |= damaged
    return _whole(Predicted(rows, {}, arrays.inputs, statistics), wrong, faults)


def _rows_of_split(run: Run, prepared: Prepared, split: str) -> tuple[Ints, Arrays]:
    rows = prepared.rows(split)
    frame = prepared.table.frame.iloc[rows]
    return rows, run.preprocessor.arrays(frame, prepared.photo_root)


def _whole(predictions: Predicted, wrong: dict[int, str], faults: dict[int, str]) -> Predicted:
    faults.update({int(predictions.rows[i]): why for i, why in wrong.items()})
    return predictions.of(~np.isin(np.arange(len(predictions.rows)), list(wrong)))


def held_out(prepared: Prepared, held: OutOfFold, faults: dict[int, str]) -> Predicted:
    """Return rows with the answers of what did not learn from them; others go to `faults`."""
    rows, source = held.rows, prepared.source.inputs
    faults.update(held.faults)
    inputs = {key: np.asarray(array[rows]) for key, array in source.items()}
    return Predicted(rows, held.outputs, inputs, {})


def sure(run: Run, predictions: Predicted) -> Predicted:
    """Return what was predicted before the run was calibrated as it is afterwards."""
    if run.calibration is None:
        return predictions
    return replace(predictions, outputs=run.calibration.tempered(run.tasks, predictions.outputs))


def answers_frame(
    prepared: Prepared, tasks: Sequence[Task], predictions: Predicted
) -> pd.DataFrame:
    """Put a side's truths and answers side by side."""
    rows, outputs = predictions.rows, predictions.outputs
    columns: dict[str, Any] = {"row": prepared.table.rows[rows]}
    for name in prepared.schema.names("identifier")[:1]:
        columns["id"] = prepared.table.frame[name].iloc[rows].to_numpy()
    if prepared.schema.names("weight"):
        columns["weight"] = np.max([w[rows] for w in prepared.source.weights.values()], axis=0)
    sizes = None if prepared.photo_sizes is None else prepared.photo_sizes[rows]
    for task in tasks:
        known = label_columns(task, prepared.labels[task.name][rows], sizes)
        guessed = prediction_columns(task, outputs[task.name], sizes)
        columns |= {f"{task.name}_{end}": each for end, each in {**known, **guessed}.items()}
    return pd.DataFrame(columns)


def head_metrics(
    prepared: Prepared, tasks: Sequence[Task], splits: Mapping[str, Predicted]
) -> dict[str, HeadMetrics]:
    """Return the metrics of each head on the sides `validation` and `test`."""
    found = {}
    for task, head in zip(tasks, prepared.spec.heads, strict=True):
        measured = {
            name: _measured(prepared, task, predictions) for name, predictions in splits.items()
        }
        found[task.name] = HeadMetrics(
            column=", ".join(head.columns), kind=task.kind, classes=task.classes, **measured
        )
    return found


def fusion_scores(
    run: Run, prepared: Prepared, heads: Mapping[str, HeadMetrics], seconds: float
) -> dict[str, list[ModelScore]]:
    """Return the run's own lines of the comparison by head: the whole, and it without trees.

    Args:
        run: The run.
        prepared: Its data.
        heads: What the whole run was measured by.
        seconds: The time of fitting.
    """
    inputs, count = input_name(prepared.config), run.model.count_params()
    found = {
        name: [ModelScore("Fusion", "fusion", inputs, head.test, count, seconds)]
        for name, head in heads.items()
    }
    if run.boosted_models is not None:
        predictions = predicted(replace(run, boosted_models=None), prepared, "test", {})
        for task in run.tasks:
            if task.name in run.boosted_models.heads:
                alone = _measured(prepared, task, predictions)
                name = "Fusion without trees"
                found[task.name].append(ModelScore(name, "fusion", inputs, alone, count, seconds))
    return found


def _measured(prepared: Prepared, task: Task, predictions: Predicted) -> dict[str, float]:
    y_true = prepared.labels[task.name][predictions.rows]
    weights = prepared.source.weights[task.name][predictions.rows]
    return measure(task, y_true, predictions.outputs[task.name], weights)


def damage_warning(prepared: Prepared, faults: dict[int, str]) -> list[str]:
    """Return a warning if photos were damaged where it did not show before they were decoded."""
    if not faults:
        return []
    first = min(faults)
    warning = (
        f"rows with a photo that proved damaged when it was decoded: {len(faults):,}. Training "
        "took it as absent, and these rows are not scored. First: "
        f"{prepared.table.place(first)}: {faults[first]}."
    )
    return [warning]


def known_limit(
    prepared: Prepared, noise: Floats | None, rows: Ints
) -> dict[str, dict[str, float]]:
    """Return the error that noise alone makes on some rows, by head and metric."""
    if noise is None:
        return {}
    drawn = noise[prepared.table.rows[rows]]
    return {prepared.spec.heads[0].name: {"log_rmse": float(np.sqrt(np.mean(drawn**2)))}}
