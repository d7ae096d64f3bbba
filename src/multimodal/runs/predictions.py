"""What a run answers to the rows of a table, as a frame that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.evaluation.predictions import answers
from multimodal.evaluation.calibration import CALIBRATION, Calibration
from multimodal.data.columns.schema import Schema
from multimodal.data.read.table import Table
from multimodal.core.errors import RunError
from multimodal.evaluation.task import Task
from multimodal.evaluation.calibration.intervals import reaches

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Predictions of a table, one line per input row and in its order.

    `frame` has `row`, the identifier column where the model knows one, the answers of each head as
    :func:`multimodal.evaluation.predictions.answers` names them (blank for a row that could not be read), `note`,
    the reason or a remark, and `unusual`, why the row is unlike the training rows, empty where it
    is not; a run that does not know what is usual has no such column. With a level, a head that
    predicts a number also has `<head>_low` and `<head>_high`. Numbers are in the user's units,
    boxes in pixels of the row's first photo.
    `counts` tells what was unusual: unseen categories by column, photos that are not there, rows
    without any photo, rows without a prediction, rows unlike the training rows. `unused_columns`
    are those the model never saw.
    """

    frame: pd.DataFrame
    counts: dict[str, int]
    unused_columns: list[str]


@dataclass(frozen=True)
class Outputs:
    """Decoded outputs of the rows of a table, the sizes of their photos, remarks and counts.

    `inputs` are the arrays of the rows, and `unusual` what is unusual about each.
    """

    outputs: dict[str, Floats]
    sizes: Floats | None
    notes: dict[int, str]
    counts: dict[str, int]
    inputs: dict[str, NDArray[Any]]
    unusual: list[str] | None


def check_level(
    path: Path, calibration: Calibration | None, tasks: Sequence[Task], level: float
) -> None:
    """Raise RunError or ConfigError unless a run has intervals at this level."""
    if calibration is None:
        raise RunError(
            f"{path}: has no {CALIBRATION}, so it knows no intervals; it was trained "
            "before there were any, or not to its end. Train anew, or ask for no level."
        )
    numbers = [task.name for task in tasks if task.kind == "number"]
    if not numbers:
        raise RunError(f"{path}: no head predicts a number, so there are no intervals.")
    for name in numbers:
        reaches(calibration.number(name), level)


def interval_ends(
    calibration: Calibration, tasks: Sequence[Task], outputs: Mapping[str, Floats],
    inputs: Mapping[str, NDArray[Any]], level: float,
) -> dict[str, dict[str, Floats]]:  # fmt: skip
    """Return the ends (rows,) of the intervals of each number, by head: `low` and `high`."""
    found = {}
    for task in tasks:
        if task.kind == "number":
            ends = calibration.interval(task.name, outputs[task.name], level, inputs)
            found[task.name] = ends._asdict()
    return found


def predictions_frame(
    table: Table, schema: Schema, tasks: Sequence[Task], predicted: Outputs,
    ends: Mapping[str, Mapping[str, Floats]],
) -> pd.DataFrame:  # fmt: skip
    """Put answers, `ends` of intervals and notes in the order of the source, with rows not read."""
    found: dict[str, Any] = {}
    for name in schema.names("identifier")[:1]:
        if name in table.frame:
            found["id"] = table.frame[name].to_numpy()
    for task in tasks:
        columns = answers(task, predicted.outputs[task.name], predicted.sizes)
        columns |= dict(ends.get(task.name, {}))
        found |= {f"{task.name}_{ending}": column for ending, column in columns.items()}
    frame = pd.DataFrame(found, index=table.rows).reindex(range(table.rows_read))
    remarks = {int(table.rows[row]): note for row, note in predicted.notes.items()}
    remarks |= {f.row: f"line {f.line}: {f.reason}" for f in table.quarantine}
    frame["note"] = [remarks.get(row, "") for row in range(table.rows_read)]
    if predicted.unusual is not None:
        odd = pd.Series(predicted.unusual, index=table.rows, dtype=object)
        frame["unusual"] = odd.reindex(range(table.rows_read), fill_value="")
    return frame.rename_axis("row").reset_index()
