"""Raw rows to predictions and back to their source, whatever computes the networks.

A run predicts by Keras, an export by ONNX Runtime; what is done with their rows is the same, here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.config import Config
from multimodal.core.errors import DataError, first_line
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import Schema
from multimodal.data.columns.usage import in_known_usage
from multimodal.data.features.cell_arrays import Frame
from multimodal.data.features.preprocess import Arrays, Preprocessor
from multimodal.data.labels.boxes import photo_sizes
from multimodal.data.photos.locate import Images, PhotoRoot, photo_root
from multimodal.data.photos.read import decode_rows
from multimodal.data.read.parts import number_of_parts, part_of
from multimodal.data.read.readers import Source, open_table
from multimodal.data.read.table import Dialect, Table
from multimodal.evaluation.calibration import Calibration
from multimodal.evaluation.novelty import novel_rows, reasons
from multimodal.evaluation.novelty.photos import watch_photos
from multimodal.evaluation.predictions import one_prediction
from multimodal.evaluation.task import Task
from multimodal.runs.notes import (
    Notes,
    cell_notes,
    failing_rows,
    joined_notes,
    missing_rows,
    prediction_notes,
)
from multimodal.runs.photos import without_missing_photos
from multimodal.runs.rows import (
    Outputs,
    Predictions,
    check_level,
    joined_outputs,
    measure_heads,
    outputs_of_all_rows,
    prediction_intervals,
    predictions_frame,
    read_all_labels,
    read_weights,
    target_names,
)

logger = logging.getLogger(__name__)

ABSENT = "photo, which counts as absent: "


class RowModel(Protocol):
    """What predicts rows: `decoded` turns their arrays into calibrated outputs by head."""

    @property
    def path(self) -> Path: ...
    @property
    def config(self) -> Config: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def spec(self) -> FittedSpec: ...
    @property
    def calibration(self) -> Calibration | None: ...
    @property
    def preprocessor(self) -> Preprocessor: ...
    @property
    def tasks(self) -> list[Task]: ...
    def decoded(
        self, arrays: Arrays, watch: Callable[..., None] | None = None
    ) -> tuple[dict[str, Floats], dict[int, str]]: ...


def predict_row(
    model: RowModel, row: Mapping[str, Any], images: str | PhotoRoot, level: float | None
) -> dict[str, Any]:
    """Predict one raw row, as `Run.predict_row` says."""
    check_model_level(model, level)
    cells = {key: [value] for key, value in row.items()}
    arrays = _arrays_of_row(model, cells, photo_root(images, Path()))
    outputs, damaged = model.decoded(arrays)
    faults = prediction_notes(outputs) | (damaged if _needs_photos(model) else {})
    if faults:
        raise DataError(faults[0])
    sizes = _sizes(model, cells, photo_root(images, Path()))
    found = {task.name: one_prediction(task, outputs[task.name], sizes) for task in model.tasks}
    intervals = prediction_intervals(model.calibration, model.tasks, outputs, arrays.inputs, level)
    for name, interval in intervals.items():
        plain = found[name] if isinstance(found[name], dict) else {"prediction": found[name]}
        found[name] = plain | {end: float(values[0]) for end, values in interval.items()}
    names = target_names(model.config, model.spec)
    found = {names[name]: value for name, value in found.items()}
    notes = joined_notes(
        {row: f"{ABSENT}{why}" for row, why in damaged.items()},
        cell_notes(model.preprocessor, cells, arrays),
    )
    return {"note": notes[0], **found} if notes else found


def _arrays_of_row(model: RowModel, cells: Frame, root: PhotoRoot) -> Arrays:
    try:
        return model.preprocessor.arrays(cells, root)
    except DataError:
        raise
    except Exception as error:  # of a cell nobody has thought of
        raise DataError(f"the row cannot be read: {first_line(error)}") from error


def predict(model: RowModel, rows: Source, images: Images, level: float | None) -> Predictions:
    """Predict every row, as `Run.predict` says."""
    check_model_level(model, level)
    table, root = opened(model, rows, images, allow_empty=True)
    found = _outputs(model, table, root, level)
    index = rows.index if isinstance(rows, pd.DataFrame) else None
    return _predictions(model, table, found, index)


def predict_part(
    model: RowModel, table: Table, images: Images, level: float | None, start: int
) -> Predictions:
    """Predict a part of a file that `open_table_file` reads, as `predict` does the whole file.

    Args:
        model: What predicts.
        table: The part.
        images: Folder that photo paths are relative to; the file's folder by default.
        level: As of `predict`; `check_model_level` says whether there are such intervals.
        start: The number of the part's first row in the file.

    Raises:
        DataError: A column that the model reads is missing.
    """
    table = _with_columns(model, table)
    found = _part(model, table, photo_root(images, table.root), level)
    return _predictions(model, table, found, start=start)


def network_inputs(model: RowModel, table: Table, root: PhotoRoot) -> dict[str, NDArray[Any]]:
    """Return all arrays of rows by input, photos decoded; an absent photo is zeros.

    Raises:
        DataError: A column that the model reads is missing.
    """
    frame = without_missing_photos(model.spec, _with_columns(model, table), root).frame
    arrays = model.preprocessor.arrays(frame, root)
    inputs = dict(arrays.inputs)
    for name, photos in arrays.photos.items():
        inputs[f"{name}_pixels"], inputs[f"{name}_present"], _ = decode_rows(photos)
    return inputs


def check_model_level(model: RowModel, level: float | None) -> None:
    """Raise RunError or ConfigError unless there are intervals at a level; None is none."""
    if level is not None:
        check_level(model.path, model.calibration, model.tasks, level)


def _predictions(
    model: RowModel,
    table: Table,
    found: Outputs,
    index: pd.Index[Any] | None = None,
    start: int = 0,
) -> Predictions:
    names = target_names(model.config, model.spec)
    frame = predictions_frame(table, model.schema, model.tasks, found, index, names, start)
    known = {*model.preprocessor.columns(), *(column.name for column in model.schema.columns)}
    unused = [str(name) for name in table.frame if name not in known]
    outputs = outputs_of_all_rows(table, found.outputs, names, start)
    return Predictions(frame, found.counts, unused, outputs)


def evaluate(model: RowModel, rows: Source, images: Images) -> dict[str, dict[str, float]]:
    """Return the metrics of every head, as `Run.evaluate` says."""
    table, root = opened(model, rows, images)
    labels = read_all_labels(model.spec, model.schema, table, root)
    found = _outputs(model, table, root)
    weights = read_weights(model.schema, table)
    scores = measure_heads(model.tasks, labels, found.outputs, weights, table)
    if not scores:
        columns = " or ".join(f"'{', '.join(head.columns)}'" for head in model.spec.heads)
        raise DataError(f"{table.name}: no row has both a {columns} and a prediction.")
    return scores


def opened(
    model: RowModel, rows: Source, images: Images, *, allow_empty: bool = False
) -> tuple[Table, PhotoRoot]:
    """Read rows that are written as the config says, where a file does not decide."""
    asked = Dialect.of(model.config.data)
    table, root = open_table(rows, images, asked, allow_empty=allow_empty)
    table, told = in_known_usage(_with_columns(model, table), model.schema)
    for note in told:
        logger.info(f"{table.name}: {note}")
    return table, root


def _with_columns(model: RowModel, table: Table) -> Table:
    if len(table.frame.columns):
        return table
    # of no rows at all, which name no columns
    columns = model.preprocessor.columns()
    return replace(table, frame=pd.DataFrame(columns=columns, dtype=object))


def _outputs(model: RowModel, table: Table, root: PhotoRoot, level: float | None = None) -> Outputs:
    # In parts, so that a row of a large file has the same last digits as where the file is read in
    # parts: rows that share a batch are padded together.
    numbers = range(number_of_parts(table.rows_read))
    return joined_outputs([_part(model, part_of(table, i), root, level) for i in numbers])


def _part(model: RowModel, table: Table, root: PhotoRoot, level: float | None) -> Outputs:
    photos = without_missing_photos(model.spec, table, root)
    frame, arrays, unread = _readable(model, photos.frame, root, table.name)
    detector = None if model.calibration is None else model.calibration.usual
    statistics, watch = watch_photos(model.spec, len(frame))
    outputs, damaged = model.decoded(arrays, watch if detector else None)
    needed = _needs_photos(model)
    damaged = {r: f"{'photo: ' if needed else ABSENT}{why}" for r, why in damaged.items()}
    lost = joined_notes(photos.lost, damaged if needed else {})
    faults = joined_notes(unread, lost, prediction_notes(outputs))
    for values in outputs.values():
        values[list(faults)] = np.nan
    novel = None
    if detector is not None:
        found = novel_rows(detector, model.preprocessor, frame, arrays, statistics)
        novel = reasons(found, len(frame))
    told = cell_notes(model.preprocessor, table.frame, arrays, novel)
    told = {row: note for row, note in told.items() if row not in unread}
    counts = _counts(model, table, arrays) | photos.counts
    counts["rows without a prediction"] = len(faults) + len(table.rejected)
    if novel is not None:
        counts["rows unlike the training rows"] = sum(map(bool, novel))
    counts["photos that cannot be read"] = len(damaged)
    notes = joined_notes(faults, {} if needed else damaged, photos.notes, told)
    ends = prediction_intervals(model.calibration, model.tasks, outputs, arrays.inputs, level)
    return Outputs(outputs, _sizes(model, frame, root), notes, counts, novel, ends)


def _needs_photos(model: RowModel) -> bool:
    """Whether a row has no prediction whose photo cannot be read.

    That is where such rows had no part in training, nothing else is read, or a box would lie on
    nothing.
    """
    alone = all(group.modality == "image" for group in model.spec.groups)
    boxes = any(task.kind == "box" for task in model.tasks)
    return alone or boxes or model.config.data.missing_photo == "drop"


def _readable(
    model: RowModel, frame: pd.DataFrame, root: PhotoRoot, source: str
) -> tuple[Any, Arrays, Notes]:
    """Return the rows, those that no arrays can be made of blank, the arrays, and why."""

    def make(rows: pd.DataFrame) -> Arrays:
        return model.preprocessor.arrays(rows, root)

    try:
        return frame, make(frame), {}
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    except Exception:
        faults = failing_rows(make, frame)
        blank = frame.astype(object)
        blank.iloc[list(faults)] = None
        return blank, make(blank), faults


def _counts(model: RowModel, table: Table, arrays: Arrays) -> dict[str, int]:
    """Return how many cells of each column are unknown, unreadable, or missing as never."""
    found = {f"unseen in '{name}'": len(rows) for name, rows in arrays.unseen.items()}
    for name, rows in arrays.unreadable.items():
        found[f"taken for missing, since no number or date, in '{name}'"] = len(rows)
    for name, rows in missing_rows(model.preprocessor, table.frame, arrays).items():
        found[f"missing in '{name}', which training rows have"] = len(rows)
    return found


def _sizes(model: RowModel, frame: Frame, root: PhotoRoot) -> Floats | None:
    """Return the sizes of the photos that boxes lie on, None where no head predicts a box."""
    boxes = any(task.kind == "box" for task in model.tasks)
    return photo_sizes(pd.DataFrame(frame), model.spec.groups, root) if boxes else None
