"""Rows that a run is given, and the table of its predictions for them.

Labels, weights and metrics before; notes, intervals and counts after.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.config import Config
from multimodal.core.errors import RunError
from multimodal.core.spec import FittedSpec, slug
from multimodal.data.columns.numbers import get_column, parse_numbers
from multimodal.data.columns.schema import Schema
from multimodal.data.labels.read import read_y_true
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.read.table import Table
from multimodal.evaluation.calibration import CALIBRATION, Calibration
from multimodal.evaluation.calibration.intervals import score_quantiles
from multimodal.evaluation.predictions import prediction_columns, typed_classes
from multimodal.evaluation.task import Task, has_label, has_prediction, measure
from multimodal.runs.notes import Notes

logger = logging.getLogger(__name__)

_NULLABLE = {"i": "Int64", "b": "boolean"}  # by NumPy's kind


def read_all_labels(
    spec: FittedSpec, schema: Schema, table: Table, root: PhotoRoot
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
            found = parse_numbers(get_column(table, name), schema.column(name)).values
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


@dataclass(frozen=True)
class Predictions:
    """Predictions of a table, one line per input row and in its order.

    `predictions["price"]` is the prediction of the head `price`, or else a column of `frame`, which
    has the index of the DataFrame that came, so that `df["price"] = predictions["price"]` puts each
    prediction on its row; rows of a file or list are counted from 0.

    `frame` has `row`, the identifier column where the model knows one, the predictions of each head
    as `prediction_columns` names them, `note` and `unusual`. Predictions are blank for a row that
    could not be read, classes of the type they had in training. The `note` is the reason, or a
    remark: a cell that could not be read, one that is missing as in no training row. `unusual` is
    why the row is unlike the training rows, empty where it is not; a run without a novelty detector
    has no such column. With a level, a number also has `<target>_low` and `<target>_high`.
    Numbers are in the user's units, boxes in pixels of the row's first photo.
    `counts` tells what was out of the ordinary: unseen categories by column, photos that are not
    there, rows without any photo, rows without a prediction, rows unlike the training rows.
    `unused_columns` are those the model never saw.
    `outputs` are the plain numbers of each head, float64 (rows, width), NaN for a row without a
    prediction: a number or its quantiles, probabilities of all classes or labels, however many, or
    a box as fractions of its photo.
    """

    frame: pd.DataFrame
    counts: dict[str, int]
    unused_columns: list[str]
    outputs: dict[str, Floats] = field(default_factory=dict)

    def __getitem__(self, name: str) -> pd.Series[Any]:
        known = [c for c in map(str, self.frame) if slug(c) == slug(f"{name}_prediction")]
        for column in (f"{name}_prediction", *known[:1]):
            if column in self.frame:
                return self.frame[column].rename(name)
        return self.frame[name]


@dataclass(frozen=True)
class Outputs:
    """Decoded outputs of the rows of a table, the sizes of their photos, remarks and counts.

    `unusual` says why each is unlike the training rows, and `intervals` has the ends of intervals,
    by head, where a level was asked for.
    """

    outputs: dict[str, Floats]
    sizes: Floats | None
    notes: Notes
    counts: dict[str, int]
    unusual: list[str] | None
    intervals: dict[str, dict[str, Floats]] = field(default_factory=dict)


def joined_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of consecutive rows as one.

    Example:
    >>> part = Outputs({"y": np.ones((2, 1))}, None, {1: "odd"}, {"unknown": 1}, None)
    >>> found = joined_outputs([part, part])
    >>> found.notes, found.counts, len(found.outputs["y"])
    ({1: 'odd', 3: 'odd'}, {'unknown': 2}, 4)
    """
    if len(parts) == 1:
        return parts[0]
    notes: Notes = {}
    counts: dict[str, int] = {}
    rows = 0
    for part in parts:
        notes |= {rows + row: note for row, note in part.notes.items()}
        rows += len(next(iter(part.outputs.values())))
        for name, number in part.counts.items():
            counts[name] = counts.get(name, 0) + number
    sizes = [part.sizes for part in parts if part.sizes is not None]
    unusual = [part.unusual for part in parts if part.unusual is not None]
    return Outputs(
        {name: np.concatenate([p.outputs[name] for p in parts]) for name in parts[0].outputs},
        np.concatenate(sizes) if sizes else None,
        notes,
        counts,
        [why for each in unusual for why in each] if unusual else None,
        {
            name: {end: np.concatenate([p.intervals[name][end] for p in parts]) for end in ends}
            for name, ends in parts[0].intervals.items()
        },
    )


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


def target_names(config: Config, spec: FittedSpec) -> dict[str, str]:
    """Return what the user calls that which each head predicts: its name, or else its column.

    Heads of a model are named in the letters that every backend accepts, see `slug`.
    """
    found = {}
    for head, fitted in zip(config.heads, spec.heads, strict=True):
        column = str(head.column)
        inferred = re.fullmatch(rf"{slug(column)}(_\d+)?", head.name) is not None
        found[fitted.name] = column if inferred else head.name
    names = list(found.values())
    return {head: name if names.count(name) == 1 else head for head, name in found.items()}


def outputs_of_all_rows(
    table: Table, outputs: Mapping[str, Floats], names: Mapping[str, str], start: int = 0
) -> dict[str, Floats]:
    """Return outputs (rows, width) of all rows from `start` on, NaN of those not read, by name."""
    found = {}
    for head, values in outputs.items():
        found[names[head]] = np.full((table.rows_read, values.shape[1]), np.nan)
        found[names[head]][table.rows - start] = values
    return found


def predictions_frame(
    table: Table,
    schema: Schema,
    tasks: Sequence[Task],
    predicted: Outputs,
    index: pd.Index[Any] | None = None,
    names: Mapping[str, str] | None = None,
    start: int = 0,
) -> pd.DataFrame:
    """Put predictions, intervals and notes in the order of the source, with rows not read.

    The frame has the `index` of the source, where there is one; columns begin with the `names` of
    heads, those in the model by default. A part of a source begins with its row `start`.
    """
    found: dict[str, Any] = {}
    for name in schema.names("identifier")[:1]:
        if name in table.frame:
            found["id"] = table.frame[name].to_numpy()
    for task in tasks:
        columns = prediction_columns(task, predicted.outputs[task.name], predicted.sizes)
        if task.kind == "class":
            columns["prediction"] = typed_classes(task, columns["prediction"])
        columns |= dict(predicted.intervals.get(task.name, {}))
        name = (names or {}).get(task.name, task.name)
        found |= {f"{name}_{ending}": column for ending, column in columns.items()}
    frame = pd.DataFrame(found, index=table.rows)
    if table.rejected:  # NaN would make floats of integers
        kinds = {name: _NULLABLE.get(kind.kind) for name, kind in frame.dtypes.items()}
        frame = frame.astype({name: kind for name, kind in kinds.items() if kind})
    places = range(start, start + table.rows_read)
    frame = frame.reindex(places)
    # Notes count the rows that could be read, the answer all rows of the source.
    remarks = {int(table.rows[row]): note for row, note in predicted.notes.items()}
    remarks |= {f.row: f"line {f.line}: {f.reason}" for f in table.rejected}
    frame["note"] = [remarks.get(row, "") for row in places]
    if predicted.unusual is not None:
        odd = pd.Series(predicted.unusual, index=table.rows, dtype=object)
        frame["unusual"] = odd.reindex(places, fill_value="")
    frame = frame.rename_axis("row").reset_index()
    return frame if index is None else frame.set_axis(index)
