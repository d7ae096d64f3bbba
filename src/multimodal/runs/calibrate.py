"""Calibration of a run: learned on rows out of fold, checked on the test rows.

Temperatures, prediction intervals and novelty are kept in `calibration.json`; how well they hold on
the test rows is kept in `metrics.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.errors import RunError
from multimodal.core.target_transform import TargetTransform
from multimodal.data.features.preprocess import Arrays
from multimodal.data.photos.read import decode_rows
from multimodal.data.prepare import Prepared
from multimodal.data.read.lazy_text import in_memory
from multimodal.data.read.sampling import sample_rows
from multimodal.evaluation.calibration import Calibration, apply_temperature, calibrate
from multimodal.evaluation.calibration.conformal import calibrate_constant_width
from multimodal.evaluation.calibration.intervals import prediction_interval
from multimodal.evaluation.confidence import (
    ConfidenceCheck,
    IntervalCheck,
    PredictionInterval,
    check_intervals,
    confidence_bins,
    expected_calibration_error,
    log_loss,
)
from multimodal.evaluation.novelty import NoveltyDetector, fit_novelty, novel_rows
from multimodal.evaluation.novelty.photos import photo_statistics
from multimodal.evaluation.task import Task, has_label, has_prediction
from multimodal.models.build import head_layer
from multimodal.runs.run import Run

LEVEL = 0.9  # of the intervals that the report shows
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # at which coverage is checked
MOST_ROWS, MOST_PHOTOS = 20_000, 1000  # that novelty is learned from
BATCH = 64  # photos read at once

Arrayed = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class SplitPredictions:
    """Rows of a split with what the model reads and predicts of them.

    Args:
        rows: Their positions in the table.
        outputs: Decoded outputs by head.
        inputs: Arrays as the model reads them, without pixels.
        statistics: Those of their photos by group, as `watch_photos` collects them.
    """

    rows: Ints
    outputs: dict[str, Floats]
    inputs: Arrayed
    statistics: dict[str, NDArray[np.float32]]

    def of(self, some: Bools) -> SplitPredictions:
        """Return some of the rows."""
        return SplitPredictions(
            self.rows[some],
            {name: values[some] for name, values in self.outputs.items()},
            {name: values[some] for name, values in self.inputs.items()},
            {name: values[some] for name, values in self.statistics.items()},
        )


def fit_calibration(
    run: Run, prepared: Prepared, out_of_fold: SplitPredictions, validation: SplitPredictions
) -> Calibration:
    """Return temperatures, conformal intervals and the novelty detector of a run.

    Args:
        run: The run, without calibration.
        prepared: Its data.
        out_of_fold: Rows with outputs, without temperatures, of a model that did not learn from
            them.
        validation: Rows that the vocabulary and the categories were not made from.
    """
    layers = {task.name: head_layer(run.model, task.name) for task in run.tasks}
    labels, weights = labels_of(prepared, out_of_fold.rows)
    calibration = calibrate(
        run.tasks,
        layers,
        run.spec,
        out_of_fold.outputs,
        labels,
        weights,
        out_of_fold.inputs,
        prepared.groups[out_of_fold.rows],
    )
    return calibration.model_copy(update={"usual": _fit_novelty(run, prepared, validation)})


def check_calibration(
    run: Run, prepared: Prepared, out_of_fold: SplitPredictions, tested: SplitPredictions
) -> dict[str, Any]:
    """Return the parts `intervals`, `confidence` and `unusual` of `RunMetrics`.

    Args:
        run: The run with its calibration.
        prepared: Its data.
        out_of_fold: The rows it was calibrated on.
        tested: Test rows, their probabilities calibrated.
    """
    intervals: dict[str, IntervalCheck | None] = {}
    confidence: dict[str, ConfidenceCheck | None] = {}
    labels, weights = labels_of(prepared, tested.rows)
    for task in run.tasks:
        known = labels[task.name], weights[task.name]
        if task.kind == "number":
            constant = _constant_width(run, prepared, task, out_of_fold, tested)
            intervals[task.name] = _check_intervals(run, task, tested, *known, constant)
        elif task.kind in ("class", "labels") and run.calibration is not None:
            temperature = run.calibration.temperatures.get(task.name, 1.0)
            outputs = tested.outputs[task.name]
            confidence[task.name] = _check_confidence(task, outputs, *known, temperature)
    return {
        "intervals": {name: each for name, each in intervals.items() if each is not None},
        "confidence": {name: each for name, each in confidence.items() if each is not None},
        "unusual": _novel_fractions(run, prepared, tested),
    }


def labels_of(prepared: Prepared, rows: Ints) -> tuple[Arrayed, Arrayed]:
    """Return the labels and the weights of rows, by head."""
    labels = {name: y_true[rows] for name, y_true in prepared.labels.items()}
    return labels, {name: each[rows] for name, each in prepared.source.weights.items()}


def _fit_novelty(run: Run, prepared: Prepared, validation: SplitPredictions) -> NoveltyDetector:
    """Learn what rows are like from many training rows, and limits from validation rows."""
    frame, train = prepared.table.frame, sample_rows(prepared.table.frame, prepared.rows("train"))
    some = train[:: -(-len(train) // MOST_ROWS) or 1]
    statistics = {
        name: np.concatenate([_photos(run, prepared, name, some), each])
        for name, each in validation.statistics.items()
    }
    arrays = Arrays(validation.inputs)
    known, others = (in_memory(frame.iloc[rows]) for rows in (some, validation.rows))
    return fit_novelty(run.preprocessor, known, others, arrays, statistics)


def _photos(run: Run, prepared: Prepared, group: str, rows: Ints) -> NDArray[np.float32]:
    """Return the statistics of the photos of at most 1,000 rows."""
    some = rows[:: -(-len(rows) // MOST_PHOTOS) or 1]
    parts = [some[i : i + BATCH] for i in range(0, len(some), BATCH)]
    cache = prepared.source.caches.get(group)
    if cache is not None:
        return np.concatenate([photo_statistics(*cache.get(part)) for part in parts])
    found = []  # no network reads them: they are read as frozen features
    for part in parts:
        frame = in_memory(prepared.table.frame.iloc[part])
        photos = run.preprocessor.photos(frame, prepared.photo_root)[group]
        found.append(photo_statistics(*decode_rows(photos)[:2]))
    return np.concatenate(found)


def _constant_width(
    run: Run,
    prepared: Prepared,
    task: Task,
    out_of_fold: SplitPredictions,
    tested: SplitPredictions,
) -> PredictionInterval | None:
    """Return intervals of the test rows of constant width in the head's space, to compare with."""
    labels, weights = labels_of(prepared, out_of_fold.rows)
    record = calibrate_constant_width(
        out_of_fold.outputs[task.name],
        labels[task.name],
        weights[task.name],
        TargetTransform.of(head_layer(run.model, task.name)),
        quantiles=task.quantiles,
    )
    if record is None or record.most < LEVEL:
        return None
    return prediction_interval(record, tested.outputs[task.name], LEVEL)


def _check_intervals(
    run: Run,
    task: Task,
    tested: SplitPredictions,
    y_true: Floats,
    weight: Floats,
    constant: PredictionInterval | None,
) -> IntervalCheck | None:
    """Return None where the rows to calibrate on were too few, or none can be checked."""
    outputs, calibration = tested.outputs[task.name], run.calibration
    known = has_label(task, y_true) & has_prediction(outputs) & (weight > 0)
    if calibration is None or constant is None or not known.any():
        return None
    inputs = {key: values[known] for key, values in tested.inputs.items()}
    ends: dict[float, PredictionInterval] = {}
    for level in LEVELS:
        try:
            ends[level] = calibration.interval(task.name, outputs[known], level, inputs)
        except RunError:  # too few rows for this level
            continue
    if LEVEL not in ends:
        return None
    narrow = PredictionInterval(*(np.asarray(end)[known] for end in constant))
    middle = outputs[known, task.middle]
    return check_intervals(y_true[known], middle, ends, narrow, LEVEL, weight[known])


def _check_confidence(
    task: Task, outputs: Floats, y_true: NDArray[Any], weight: Floats, temperature: float
) -> ConfidenceCheck | None:
    known = has_label(task, y_true) & has_prediction(outputs) & (weight > 0)
    if not known.any():
        return None
    p, y, w = outputs[known], y_true[known], weight[known]
    # Undone rather than predicted twice: the outputs came with their temperature.
    before = apply_temperature(task, p, 1 / temperature)
    bins, bins_before = (confidence_bins(y, each, w, ordered=task.ordered) for each in (p, before))
    return ConfidenceCheck(
        temperature=temperature,
        n=len(y),
        ece=expected_calibration_error(bins),
        ece_before=expected_calibration_error(bins_before),
        log_loss=log_loss(y, p, w),
        log_loss_before=log_loss(y, before, w),
        bins=bins,
    )


def _novel_fractions(run: Run, prepared: Prepared, tested: SplitPredictions) -> Mapping[str, float]:
    """Return the fraction of the test rows that each check finds novel, and that any does."""
    detector = run.calibration.usual if run.calibration is not None else None
    if detector is None or not len(tested.rows):
        return {}
    frame, arrays = prepared.table.frame.iloc[tested.rows], Arrays(tested.inputs)
    found = novel_rows(detector, run.preprocessor, frame, arrays, tested.statistics)
    checks = Counter(check for _, check in {(each.row, each.check) for each in found})
    fractions = {check: n / len(tested.rows) for check, n in sorted(checks.items())}
    return {**fractions, "any": len({each.row for each in found}) / len(tested.rows)}
