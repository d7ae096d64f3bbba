"""Rows that a run is given, and the table of its predictions for them.

Photos that are not there, labels, weights and metrics before; notes, intervals and counts after.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.errors import DataError, RunError
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.cells import photo_paths
from multimodal.data.columns.numbers import get_column, parse_numbers
from multimodal.data.columns.schema import Schema
from multimodal.data.labels.read import read_y_true
from multimodal.data.photos.read import locate
from multimodal.data.read.table import Table
from multimodal.evaluation.calibration import CALIBRATION, Calibration
from multimodal.evaluation.calibration.intervals import score_quantiles
from multimodal.evaluation.predictions import prediction_columns
from multimodal.evaluation.task import Task, has_label, has_prediction, measure

logger = logging.getLogger(__name__)


def without_missing_photos(
    spec: FittedSpec, table: Table, root: Path
) -> tuple[pd.DataFrame, dict[int, str], dict[str, int]]:
    """Return the rows without photos that are not there, notes on those, and counts."""
    frame = table.frame.copy(deep=False)
    notes: dict[int, str] = {}
    columns = [c for g in spec.groups if g.modality == "image" for c in g.columns]
    absent, named = 0, np.zeros(len(frame), np.int64)
    for column in (column for column in columns if column in frame):
        cells, gone = _photos(table, column, root)
        notes |= {row: f"photo: {paths[0]}: no such photo" for row, paths in gone.items()}
        absent += sum(map(len, gone.values()))
        named += np.array([len(cell) for cell in cells], np.int64)
        frame[column] = pd.Series(cells, dtype=object, index=frame.index)
    without = int((named == 0).sum()) if columns else 0
    return frame, notes, {"photos not found": absent, "rows without a photo": without}


def read_all_labels(
    spec: FittedSpec, schema: Schema, table: Table, root: Path
) -> dict[str, NDArray[Any]]:
    """Read the labels of the heads whose columns are there, which one must be."""
    there = {h.name for h in spec.heads if set(h.columns) <= set(table.frame.columns)}
    for head in spec.heads:
        if there and head.name not in there:
            logger.info(f"{head.name}: not scored; the rows lack {', '.join(head.columns)}")
    heads = [head for head in spec.heads if head.name in there or not there]
    return {head.name: read_y_true(table, schema, head, root, groups=spec.groups) for head in heads}


def read_weights(schema: Schema, table: Table) -> Floats:
    """Return the weights (rows,), 1 where there is no such column; a bad one weighs nothing."""
    for name in schema.names("weight"):
        if name in table.frame:
            found = parse_numbers(get_column(table, name), schema.column(name).unit).values
            return np.where(np.isfinite(found) & (found > 0), found, 0.0)
    return np.ones(len(table.frame))


def measure_heads(
    tasks: Sequence[Task],
    labels: Mapping[str, NDArray[Any]],
    outputs: Mapping[str, Floats],
    weights: Floats,
    table: Table,
) -> dict[str, dict[str, float]]:
    """Return the metrics of each head that has a label and a prediction in any row of weight."""
    scores: dict[str, dict[str, float]] = {}
    for task in (task for task in tasks if task.name in labels):
        y_true, predicted = labels[task.name], outputs[task.name]
        known = has_label(task, y_true) & has_prediction(predicted) & (weights > 0)
        if known.sum() < table.rows_read:
            left = table.rows_read - int(known.sum())
            logger.info(
                f"{task.name}: {left:,} of {table.rows_read:,} rows left out; they lack a "
                "truth, a weight or a prediction"
            )
        if known.any():
            scores[task.name] = measure(task, y_true, predicted, weights)
    return scores


def _photos(table: Table, column: str, root: Path) -> tuple[list[list[str]], dict[int, list[Path]]]:
    """Return each row's photos that are there, and the paths of those that are not by row."""
    cells, gone = [], {}
    for row, cell in enumerate(table.frame[column]):
        try:
            paths = {name: locate(name, root) for name in photo_paths(cell)}
        except DataError as error:
            raise DataError(f"{table.place(row)}, column '{column}': {error}") from None
        there = {name: _is_there(path) for name, path in paths.items()}
        cells.append([name for name in photo_paths(cell) if there[name]])
        if not all(there.values()):
            gone[row] = [path for name, path in paths.items() if not there[name]]
    return cells, gone


def _is_there(path: Path) -> bool:
    """Whether there is a file; one that cannot be read is there, too."""
    try:
        os.stat(path)  # `Path.exists` takes a file that may not be read for absent
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


@dataclass(frozen=True)
class Predictions:
    """Predictions of a table, one line per input row and in its order.

    `frame` has `row`, the identifier column where the model knows one, the predictions of each head
    as `prediction_columns` names them (blank for a row that could not be read), `note`, the reason
    or a remark, and `unusual`, why the row is unlike the training rows, empty where it is not; a
    run without a novelty detector has no such column. With a level, a head that predicts a number
    also has `<head>_low` and `<head>_high`. Numbers are in the user's units, boxes in pixels of the
    row's first photo.
    `counts` tells what was out of the ordinary: unseen categories by column, photos that are not
    there, rows without any photo, rows without a prediction, rows unlike the training rows.
    `unused_columns` are those the model never saw.
    """

    frame: pd.DataFrame
    counts: dict[str, int]
    unused_columns: list[str]


@dataclass(frozen=True)
class Outputs:
    """Decoded outputs of the rows of a table, the sizes of their photos, remarks and counts.

    `inputs` are the arrays of the rows, and `unusual` why each is unlike the training rows.
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
        score_quantiles(calibration.number(name), level)


def prediction_intervals(
    calibration: Calibration | None,
    tasks: Sequence[Task],
    outputs: Mapping[str, Floats],
    inputs: Mapping[str, NDArray[Any]],
    level: float | None,
) -> dict[str, dict[str, Floats]]:
    """Return the ends (rows,) of the intervals of each number, by head: `low` and `high`."""
    if calibration is None or level is None:
        return {}
    return {
        task.name: calibration.interval(task.name, outputs[task.name], level, inputs)._asdict()
        for task in tasks
        if task.kind == "number"
    }


def predictions_frame(
    table: Table,
    schema: Schema,
    tasks: Sequence[Task],
    predicted: Outputs,
    intervals: Mapping[str, Mapping[str, Floats]],
) -> pd.DataFrame:
    """Put predictions, intervals and notes in the order of the source, with rows not read."""
    found: dict[str, Any] = {}
    for name in schema.names("identifier")[:1]:
        if name in table.frame:
            found["id"] = table.frame[name].to_numpy()
    for task in tasks:
        columns = prediction_columns(task, predicted.outputs[task.name], predicted.sizes)
        columns |= dict(intervals.get(task.name, {}))
        found |= {f"{task.name}_{ending}": column for ending, column in columns.items()}
    frame = pd.DataFrame(found, index=table.rows).reindex(range(table.rows_read))
    remarks = {int(table.rows[row]): note for row, note in predicted.notes.items()}
    remarks |= {f.row: f"line {f.line}: {f.reason}" for f in table.rejected}
    frame["note"] = [remarks.get(row, "") for row in range(table.rows_read)]
    if predicted.unusual is not None:
        odd = pd.Series(predicted.unusual, index=table.rows, dtype=object)
        frame["unusual"] = odd.reindex(range(table.rows_read), fill_value="")
    return frame.rename_axis("row").reset_index()
