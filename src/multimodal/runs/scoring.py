"""Predictions of a run's splits: made, measured, side by side with the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats, Ints
from multimodal.data.features.preprocess import Arrays
from multimodal.data.prepare import Prepared
from multimodal.evaluation.measures import optimised_metric
from multimodal.evaluation.novelty.photos import watch_photos
from multimodal.evaluation.predictions import label_columns, prediction_columns
from multimodal.evaluation.records import HeadMetrics, ModelScore
from multimodal.evaluation.task import Task, measure
from multimodal.models.stack.stack import OutOfFold
from multimodal.runs.calibrate import SplitPredictions
from multimodal.runs.comparison import input_name
from multimodal.runs.run import Run
from multimodal.runtime.batches import batches


def predict_split(
    run: Run, prepared: Prepared, split: str, faults: dict[int, str]
) -> SplitPredictions:
    """Predict one split; rows with a damaged photo are left out and go to `faults`."""
    rows, arrays = _rows_of_split(run, prepared, split)
    statistics, watch = watch_photos(run.spec, len(rows))
    outputs, wrong = run.decoded(arrays, watch)
    found = SplitPredictions(rows, outputs, arrays.inputs, statistics)
    return _without_faults(found, wrong, faults)


def read_split(
    run: Run, prepared: Prepared, split: str, faults: dict[int, str]
) -> SplitPredictions:
    """Return one split as the model reads it, not predicted; `faults` as in `predict_split`."""
    rows, arrays = _rows_of_split(run, prepared, split)
    statistics, watch = watch_photos(run.spec, len(rows))
    wrong: dict[int, str] = {}
    for some, (batch, damaged) in batches(arrays) if arrays.photos else ():  # decodes the photos
        watch(some, batch)
        wrong |= damaged
    return _without_faults(SplitPredictions(rows, {}, arrays.inputs, statistics), wrong, faults)


def _rows_of_split(run: Run, prepared: Prepared, split: str) -> tuple[Ints, Arrays]:
    rows = prepared.rows(split)
    frame = prepared.table.frame.iloc[rows]
    return rows, run.preprocessor.arrays(frame, prepared.photo_root)


def _without_faults(
    predictions: SplitPredictions, wrong: dict[int, str], faults: dict[int, str]
) -> SplitPredictions:
    faults.update({int(predictions.rows[i]): why for i, why in wrong.items()})
    return predictions.of(~np.isin(np.arange(len(predictions.rows)), list(wrong)))


def out_of_fold_predictions(
    prepared: Prepared, held: OutOfFold, faults: dict[int, str]
) -> SplitPredictions:
    """Return rows as models predict them that did not learn from them; others go to `faults`."""
    rows, source = held.rows, prepared.source.inputs
    faults.update(held.faults)
    inputs = {key: np.asarray(array[rows]) for key, array in source.items()}
    return SplitPredictions(rows, held.outputs, inputs, {})


def calibrated_predictions(run: Run, predictions: SplitPredictions) -> SplitPredictions:
    """Return what was predicted before the run was calibrated, with its temperatures."""
    if run.calibration is None:
        return predictions
    return replace(predictions, outputs=run.calibration.tempered(run.tasks, predictions.outputs))


def predictions_table(
    prepared: Prepared, tasks: Sequence[Task], predictions: SplitPredictions
) -> pd.DataFrame:
    """Return `predictions.csv`: labels and predictions of a split side by side."""
    rows, outputs = predictions.rows, predictions.outputs
    columns: dict[str, Any] = {"row": prepared.table.rows[rows]}
    for name in prepared.schema.names("identifier")[:1]:
        columns["id"] = prepared.table.frame[name].iloc[rows].to_numpy()
    if prepared.schema.names("weight"):
        columns["weight"] = np.max([w[rows] for w in prepared.source.weights.values()], axis=0)
    sizes = None if prepared.photo_sizes is None else prepared.photo_sizes[rows]
    for task in tasks:
        found = label_columns(task, prepared.labels[task.name][rows], sizes)
        found |= prediction_columns(task, outputs[task.name], sizes)
        columns |= {f"{task.name}_{end}": column for end, column in found.items()}
    return pd.DataFrame(columns)


def head_metrics(
    prepared: Prepared, tasks: Sequence[Task], splits: Mapping[str, SplitPredictions]
) -> dict[str, HeadMetrics]:
    """Return the metrics of each head on the splits `validation` and, where given, `test`."""
    found = {}
    for task, head in zip(tasks, prepared.spec.heads, strict=True):
        measured = {
            name: _measured(prepared, task, predictions) for name, predictions in splits.items()
        }
        found[task.name] = HeadMetrics(
            column=", ".join(head.columns),
            kind=task.kind,
            classes=task.classes,
            metric=optimised_metric(task, measured.get("test", measured["validation"])),
            **measured,
        )
    return found


def fusion_scores(
    run: Run, prepared: Prepared, heads: Mapping[str, HeadMetrics], seconds: float
) -> dict[str, list[ModelScore]]:
    """Return the run's own lines of the comparison by head: as it is, and without trees.

    Args:
        run: The run.
        prepared: Its data.
        heads: The metrics of the run as it is.
        seconds: The time of fitting.
    """
    own = "Fusion" if len({group.modality for group in run.spec.groups}) > 1 else "Model"
    inputs, count = input_name(prepared.config), run.model.count_params()
    found = {
        name: [ModelScore(own, "fusion", inputs, head.test, count, seconds)]
        for name, head in heads.items()
    }
    if run.boosted_models is not None:
        predictions = predict_split(replace(run, boosted_models=None), prepared, "test", {})
        for task in run.tasks:
            if task.name in run.boosted_models.heads:
                alone = _measured(prepared, task, predictions)
                name = f"{own} without trees"
                found[task.name].append(ModelScore(name, "fusion", inputs, alone, count, seconds))
    return found


def _measured(prepared: Prepared, task: Task, predictions: SplitPredictions) -> dict[str, float]:
    y_true = prepared.labels[task.name][predictions.rows]
    weights = prepared.source.weights[task.name][predictions.rows]
    return measure(task, y_true, predictions.outputs[task.name], weights)


def damage_warning(prepared: Prepared, faults: dict[int, str]) -> str:
    """Return a warning of photos whose damage did not show before they were decoded."""
    first = min(faults)
    return (
        f"rows with a photo that proved damaged when it was decoded: {len(faults):,}. Training "
        "took it as absent, and these rows are not scored. First: "
        f"{prepared.table.place(first)}: {faults[first]}."
    )


def known_limit(
    prepared: Prepared, noise: Floats | None, rows: Ints
) -> dict[str, dict[str, float]]:
    """Return the error that noise alone makes on some rows, by head and metric."""
    if noise is None:
        return {}
    drawn = noise[prepared.table.rows[rows]]
    return {prepared.spec.heads[0].name: {"log_rmse": float(np.sqrt(np.mean(drawn**2)))}}
