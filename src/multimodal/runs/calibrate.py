"""Is the model as sure as it may be? What a run learns about that, and how it is checked."""

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

LEVEL = 0.9
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
MOST_ROWS, MOST_PHOTOS = 20_000, 1000
_BATCH = 64

Outputs = dict[str, Floats]


@dataclass(frozen=True)
class Predicted:
    """Rows as the model sees and answers them.

    Args:
        rows: Their positions in the table.
        outputs: Decoded outputs by head.
        inputs: Arrays as the model reads them, without pixels.
        statistics: Those of their photos by group, as `watch_photos` collects them.
    """

    rows: Ints
    outputs: Outputs
    inputs: dict[str, NDArray[Any]]
    statistics: dict[str, NDArray[np.float32]]

    def of(self, some: Bools) -> Predicted:
        """Return some of the rows."""
        return Predicted(
            self.rows[some],
            {name: values[some] for name, values in self.outputs.items()},
            {name: values[some] for name, values in self.inputs.items()},
            {name: values[some] for name, values in self.statistics.items()},
        )


def learn(run: Run, prepared: Prepared, found: Predicted, held_out: Predicted) -> Calibration:
    """Calibrate a run on rows that the model did not learn from, and learn what is usual.

    Args:
        run: The run, without calibration.
        prepared: Its data.
        found: Rows with outputs, without temperatures, of a model that did not learn from them.
        held_out: Rows that the vocabulary and the categories were not made from.
    """
    layers = {task.name: head_layer(run.model, task.name) for task in run.tasks}
    labels, weights = _labels(prepared, found.rows)
    calibration = calibrate(
        run.tasks, layers, run.spec, found.outputs, labels, weights, found.inputs
    )
    return calibration.model_copy(update={"usual": _usual(run, prepared, held_out)})


def check(run: Run, prepared: Prepared, held_out: Predicted, tested: Predicted) -> dict[str, Any]:
    """Return the parts `intervals`, `confidence` and `unusual` of `RunMetrics`.

    Args:
        run: The run with its calibration.
        prepared: Its data.
        held_out: The rows it was calibrated on.
        tested: Test rows, their outputs as sure as they may be.
    """
    intervals: dict[str, IntervalCheck] = {}
    confidence: dict[str, ConfidenceCheck] = {}
    labels, weights = _labels(prepared, tested.rows)
    for task in run.tasks:
        known = labels[task.name], weights[task.name]
        if task.kind == "number":
            flat = _constant(run, prepared, task, held_out, tested)
            each = _intervals(run, task, tested, *known, flat)
            intervals |= {} if each is None else {task.name: each}
        elif task.kind in ("class", "labels") and run.calibration is not None:
            warmth = run.calibration.temperatures.get(task.name, 1.0)
            sure = _confidence(task, tested.outputs[task.name], *known, warmth)
            confidence |= {} if sure is None else {task.name: sure}
    unusual = _unusual(run, prepared, tested)
    return {"intervals": intervals, "confidence": confidence, "unusual": unusual}


def _labels(
    prepared: Prepared, rows: Ints
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    labels = {name: y_true[rows] for name, y_true in prepared.labels.items()}
    return labels, {name: each[rows] for name, each in prepared.source.weights.items()}


def _usual(run: Run, prepared: Prepared, found: Predicted) -> NoveltyDetector:
    """Learn from many training rows and the held-out ones what rows are like."""
    frame, train = prepared.table.frame, sample_rows(prepared.table.frame, prepared.rows("train"))
    some = train[:: -(-len(train) // MOST_ROWS) or 1]
    statistics = {
        name: np.concatenate([_photos(prepared, name, some), each])
        for name, each in found.statistics.items()
    }
    arrays = Arrays(found.inputs)
    known, others = (in_memory(frame.iloc[rows]) for rows in (some, found.rows))
    return fit_novelty(run.preprocessor, known, others, arrays, statistics)


def _photos(prepared: Prepared, group: str, rows: Ints) -> NDArray[np.float32]:
    """Return the statistics of the photos of at most 1,000 rows."""
    cache, some = prepared.source.caches[group], rows[:: -(-len(rows) // MOST_PHOTOS) or 1]
    starts = range(0, len(some), _BATCH)
    return np.concatenate([photo_statistics(*cache.get(some[i : i + _BATCH])) for i in starts])


def _constant(
    run: Run, prepared: Prepared, task: Task, held_out: Predicted, tested: Predicted
) -> PredictionInterval | None:
    """Return intervals of the test rows of one width in the head's space."""
    labels, weights = _labels(prepared, held_out.rows)
    record = calibrate_constant_width(
        held_out.outputs[task.name],
        labels[task.name],
        weights[task.name],
        TargetTransform.of(head_layer(run.model, task.name)),
        quantiles=task.quantiles,
    )
    if record is None or record.most < LEVEL:
        return None
    return prediction_interval(record, tested.outputs[task.name], LEVEL)


def _intervals(
    run: Run,
    task: Task,
    tested: Predicted,
    y_true: Floats,
    weight: Floats,
    flat: PredictionInterval | None,
) -> IntervalCheck | None:
    """Return None where the rows to calibrate on were too few, or none can be checked."""
    outputs, calibration = tested.outputs[task.name], run.calibration
    known = has_label(task, y_true) & has_prediction(outputs) & (weight > 0)
    if calibration is None or flat is None or not known.any():
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
    flat = PredictionInterval(np.asarray(flat.low)[known], np.asarray(flat.high)[known])
    guess = outputs[known, task.middle]
    return check_intervals(y_true[known], guess, ends, flat, LEVEL, weight[known])


def _confidence(
    task: Task, outputs: Floats, y_true: NDArray[Any], weight: Floats, temperature: float
) -> ConfidenceCheck | None:
    known = has_label(task, y_true) & has_prediction(outputs) & (weight > 0)
    if not known.any():
        return None
    p, y, w = outputs[known], y_true[known], weight[known]
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


def _unusual(run: Run, prepared: Prepared, tested: Predicted) -> Mapping[str, float]:
    """Return the share of the test rows that each check finds unusual, and that any does."""
    usual = run.calibration.usual if run.calibration is not None else None
    if usual is None or not len(tested.rows):
        return {}
    frame, arrays = prepared.table.frame.iloc[tested.rows], Arrays(tested.inputs)
    found = novel_rows(usual, run.preprocessor, frame, arrays, tested.statistics)
    checks = Counter(check for _, check in {(each.row, each.check) for each in found})
    shares = {check: n / len(tested.rows) for check, n in sorted(checks.items())}
    return {**shares, "any": len({each.row for each in found}) / len(tested.rows)}
