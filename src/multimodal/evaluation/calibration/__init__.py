"""What makes a model as sure as it may be, learned after training: the file `calibration.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from multimodal.core.errors import RunError
from multimodal.core.files import read_text, write_text
from multimodal.core.spec import FittedSpec
from multimodal.core.target_transform import NumberSpace
from multimodal.evaluation.calibration.conformal import calibrate_number
from multimodal.evaluation.calibration.intervals import Interval, NumberCalibration, interval_of
from multimodal.evaluation.calibration.row_features import (
    MOST_FEATURES,
    Inputs,
    RowFeature,
    choose_features,
    fits,
    row_features,
)
from multimodal.evaluation.calibration.temperature import HIGHEST, LOWEST, fit_temperature, tempered
from multimodal.evaluation.novelty import Usual
from multimodal.evaluation.task import Task

CALIBRATION = "calibration.json"
MOST_BYTES = 1 << 26
Outputs = Mapping[str, NDArray[np.float64]]
Arrays = Mapping[str, NDArray[Any]]


class Calibration(BaseModel):
    """Intervals of number heads, temperatures of class and label heads, and what is usual.

    `features` are those that a spread may have beside the predicted value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    version: Literal[1] = 1
    features: list[RowFeature] = Field([], max_length=MOST_FEATURES)
    numbers: dict[str, NumberCalibration] = {}
    temperatures: dict[str, float] = {}
    usual: Usual | None = None

    def tempered(self, tasks: Sequence[Task], outputs: Outputs) -> dict[str, NDArray[np.float64]]:
        """Return decoded outputs by head with the probabilities as sure as they may be."""
        kinds = {task.name: task for task in tasks}
        return {
            name: tempered(kinds[name], values, self.temperatures.get(name, 1.0))
            for name, values in outputs.items()
        }

    def interval(self, head: str, outputs: Any, level: float, inputs: Inputs) -> Interval:
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
        return interval_of(self.number(head), outputs, level, features)

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
    truths: Arrays,
    weights: Arrays,
    inputs: Inputs,
) -> Calibration:
    """Calibrate all heads on rows that the model did not learn from.

    Args:
        tasks: What the heads are asked.
        layers: Heads by name, which know their space.
        spec: The fitted spec.
        outputs: Decoded outputs (rows, width) by head, without a temperature.
        truths: Labels by head, as `evaluation.measure` takes them.
        weights: Row weights by head.
        inputs: Arrays of the rows, as the model reads them; those of tabular groups at least.
    """
    chosen = choose_features(spec, inputs)
    features = row_features(chosen, inputs)
    numbers: dict[str, NumberCalibration] = {}
    temperatures: dict[str, float] = {}
    for task in tasks:
        known = outputs[task.name], truths[task.name], weights[task.name]
        if task.kind == "number":
            space = NumberSpace.of(layers[task.name])
            found = calibrate_number(*known, space, quantiles=task.quantiles, features=features)
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
    try:
        found = Calibration.model_validate_json(read_text(path, most=MOST_BYTES))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}). {again}") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: damaged; not a text file ({error.reason}).") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{path}: damaged; `{where:.80}`: {first['msg']}. {again}") from None
    kinds = {head.name: head.kind for head in spec.heads}
    wrong = [name for name in found.numbers if kinds.get(name) != "number"]
    wrong += [name for name in found.temperatures if kinds.get(name) not in ("class", "labels")]
    if wrong or not fits(found.features, spec) or not (found.usual or Usual()).fits(spec):
        raise RunError(f"{path}: damaged; it is of another model. {again}")
    if not all(LOWEST <= each <= HIGHEST for each in found.temperatures.values()):
        raise RunError(f"{path}: damaged; a temperature is not from {LOWEST} to {HIGHEST}.")
    return found
