"""Calibration of predictions: prediction intervals, temperature scaling and novelty detection.

All three are learned after training, from rows that the model did not learn from, and kept in the
file `calibration.json` of a run. Intervals of numbers are in `calibration.conformal`; probabilities
of classes and labels have one temperature per head, below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from multimodal.core.arrays import Floats, Ints
from multimodal.core.errors import RunError
from multimodal.core.files import write_text
from multimodal.core.records import Record, read_json
from multimodal.core.spec import FittedSpec
from multimodal.core.target_transform import TargetTransform
from multimodal.evaluation.calibration.conformal import calibrate_intervals
from multimodal.evaluation.calibration.intervals import (
    MOST_FEATURES,
    Inputs,
    NumberCalibration,
    RowFeature,
    choose_features,
    features_fit,
    prediction_interval,
    row_features,
)
from multimodal.evaluation.confidence import PredictionInterval, log_loss
from multimodal.evaluation.novelty import NoveltyDetector
from multimodal.evaluation.task import Task, has_label, has_prediction

CALIBRATION = "calibration.json"
MOST_BYTES = 1 << 26
LOWEST, HIGHEST = 0.2, 10.0  # temperature
_PRIOR = 0.5  # standard deviation of the log temperature that is expected beforehand
_TINY = 1e-300
Outputs = Mapping[str, Floats]
Arrays = Mapping[str, NDArray[Any]]


def apply_temperature(task: Task, outputs: ArrayLike, temperature: float) -> Floats:
    """Return probabilities (N, C) as if the logits had been divided by `temperature`.

    Predictions stay: the likeliest class, the median of ordered classes, the labels from 0.5 on.
    Outputs that are no probabilities stay as they are.

    Example:
    >>> task = Task("mood", "class", ["sad", "glad"])
    >>> apply_temperature(task, [[0.2, 0.8]], 2.0).round(3).tolist()
    [[0.333, 0.667]]
    """
    p = np.asarray(outputs, np.float64)
    if temperature == 1.0 or task.kind not in ("class", "labels"):
        return p
    if task.kind == "labels":
        return _power(p, 1 - p, temperature)
    if task.ordered:  # the logits are of being above each threshold, not of each class
        above, below = p[:, :0:-1].cumsum(axis=1)[:, ::-1], p[:, :-1].cumsum(axis=1)
        tempered = _power(above, below, temperature)
        return -np.diff(tempered, axis=1, prepend=1.0, append=0.0)
    # Probabilities are all that a decoded head keeps: their logarithms are the logits but for a
    # constant, which the softmax does not see.
    logs = np.log(np.maximum(p, _TINY)) / temperature
    unnormalised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(unnormalised / unnormalised.sum(axis=1, keepdims=True), np.float64)


def fit_temperature(
    task: Task, outputs: ArrayLike, y_true: ArrayLike, weights: ArrayLike
) -> float | None:
    """Return the temperature that maximises the likelihood of rows the model did not learn from.

    A prior keeps it near 1 where rows are few; on the rows given it is never worse than 1.

    Args:
        task: What the head is asked; classes or labels.
        outputs: Probabilities (N, C), as `decode` returns them.
        y_true: Classes (N,) or labels (N, C), as `evaluation.measure` takes them.
        weights: Row weights (N,).

    Returns:
        A number from 0.2 to 10; None where the task is another, or no row has a label.

    References:
        Guo et al., On Calibration of Modern Neural Networks, 2017.

    Example:
    >>> task = Task("mood", "class", ["sad", "glad"])
    >>> overconfident = np.tile([[0.01, 0.99]], (200, 1))
    >>> fit_temperature(task, overconfident, np.arange(200) % 4 > 0, np.ones(200)) > 2
    True
    """
    p, y, w = np.asarray(outputs, np.float64), np.asarray(y_true), np.asarray(weights, np.float64)
    if task.kind not in ("class", "labels"):
        return None
    known = has_label(task, y) & has_prediction(p) & (w > 0)
    if not known.any():
        return None
    p, y, w = p[known], y[known], w[known]

    def loss(log: float) -> float:
        prior = log**2 / (2 * _PRIOR**2 * len(y))
        return log_loss(y, apply_temperature(task, p, math.exp(log)), w) + prior

    from scipy.optimize import minimize_scalar

    ends = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-3})
    return float(math.exp(found.x)) if found.fun < loss(0.0) else 1.0


def _power(first: Floats, second: Floats, temperature: float) -> Floats:
    """Return `first` over the sum of the two, once both are raised to 1 / temperature."""
    logs = (np.log(np.maximum(second, _TINY)) - np.log(np.maximum(first, _TINY))) / temperature
    return np.asarray(1 / (1 + np.exp(logs.clip(-700, 700))), np.float64)


class Calibration(Record):
    """The file `calibration.json`: what the intervals, temperatures and novelty of a run are.

    Args:
        features: What a conditional scale of errors may depend on beside the predicted value.
        numbers: Calibration of the intervals of number heads.
        temperatures: Those of class and label heads.
        usual: The novelty detector; `usual` is its key in saved runs.
    """

    version: Literal[1] = 1
    features: list[RowFeature] = Field([], max_length=MOST_FEATURES)
    numbers: dict[str, NumberCalibration] = {}
    temperatures: dict[str, float] = {}
    usual: NoveltyDetector | None = None

    def tempered(self, tasks: Sequence[Task], outputs: Outputs) -> dict[str, Floats]:
        """Return decoded outputs by head with calibrated probabilities."""
        kinds = {task.name: task for task in tasks}
        return {
            name: apply_temperature(kinds[name], values, self.temperatures.get(name, 1.0))
            for name, values in outputs.items()
        }

    def interval(self, head: str, outputs: Any, level: float, inputs: Inputs) -> PredictionInterval:
        """Return intervals (rows,) of a head at a level.

        Args:
            head: A head that predicts a number.
            outputs: Its decoded outputs (rows, width).
            level: Between 0 and 1, such as 0.9.
            inputs: Arrays of the rows, as the model reads them.

        Raises:
            RunError: There was nothing to calibrate the head on, or too few rows for the level.
            ConfigError: `level` is not between 0 and 1.
        """
        features = row_features(self.features, inputs)
        return prediction_interval(self.number(head), outputs, level, features)

    def number(self, head: str) -> NumberCalibration:
        """Return what the intervals of a head are made of.

        Raises:
            RunError: There was nothing to calibrate the head on.
        """
        if head not in self.numbers:
            raise RunError(f"{head}: there were no rows to calibrate intervals on. Train anew.")
        return self.numbers[head]


def calibrate(
    tasks: Sequence[Task],
    layers: Mapping[str, Any],
    spec: FittedSpec,
    outputs: Outputs,
    labels: Arrays,
    weights: Arrays,
    inputs: Inputs,
    groups: Ints | None = None,
) -> Calibration:
    """Calibrate all heads on rows that the model did not learn from.

    Args:
        tasks: What the heads are asked.
        layers: Heads by name, which know their space.
        spec: The fitted spec.
        outputs: Decoded outputs (rows, width) by head, without a temperature.
        labels: Labels by head, as `evaluation.measure` takes them.
        weights: Row weights by head.
        inputs: Arrays of the rows, as the model reads them; those of tabular groups at least.
        groups: Numbers (N,) of what belongs together and is in one fold; without them, single rows.
    """
    chosen = choose_features(spec, inputs)
    features = row_features(chosen, inputs)
    numbers: dict[str, NumberCalibration] = {}
    temperatures: dict[str, float] = {}
    for task in tasks:
        known = outputs[task.name], labels[task.name], weights[task.name]
        if task.kind == "number":
            space = TargetTransform.of(layers[task.name])
            found = calibrate_intervals(
                *known, space, quantiles=task.quantiles, features=features, groups=groups
            )
            numbers |= {} if found is None else {task.name: found}
        else:
            best = fit_temperature(task, *known)
            temperatures |= {} if best is None else {task.name: best}
    return Calibration(features=chosen, numbers=numbers, temperatures=temperatures)


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write `calibration.json`, whole or not at all."""
    write_text(folder / CALIBRATION, calibration.model_dump_json() + "\n")


def read_calibration(folder: Path, spec: FittedSpec) -> Calibration:
    """Read `calibration.json` of a run with this spec.

    Raises:
        RunError: It cannot be read, is damaged, or belongs to another model.
    """
    path = folder / CALIBRATION
    again = "Copy the run directory again, or train anew."
    found = read_json(Calibration, path, most=MOST_BYTES, mend=again)
    kinds = {head.name: head.kind for head in spec.heads}
    wrong = [name for name in found.numbers if kinds.get(name) != "number"]
    wrong += [name for name in found.temperatures if kinds.get(name) not in ("class", "labels")]
    detector = found.usual or NoveltyDetector()
    if wrong or not (features_fit(found.features, spec) and detector.fits(spec)):
        raise RunError(f"{path}: damaged; it is of another model. {again}")
    if not all(LOWEST <= each <= HIGHEST for each in found.temperatures.values()):
        raise RunError(f"{path}: damaged; a temperature is not from {LOWEST} to {HIGHEST}.")
    return found
