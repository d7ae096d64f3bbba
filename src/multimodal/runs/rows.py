"""The rows that a run is given: which photos are there, what labels and weights they hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.data.columns.parse import column_of, parse_numbers, photo_paths
from multimodal.data.labels.read import read_truth
from multimodal.data.photos.read import locate
from multimodal.data.columns.schema import Schema
from multimodal.data.read.table import Table
from multimodal.core.errors import DataError
from multimodal.evaluation.task import Task, has_answer, has_truth, measure
from multimodal.core.spec import FittedSpec

Floats = NDArray[np.float64]


def without_absent(
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


def read_truths(
    spec: FittedSpec, schema: Schema, table: Table, root: Path, say: Callable[[str], None]
) -> dict[str, NDArray[Any]]:
    """Read the labels of the heads whose columns are there, which one must be."""
    there = {h.name for h in spec.heads if set(h.columns) <= set(table.frame.columns)}
    for head in spec.heads:
        if there and head.name not in there:
            say(f"{head.name}: not scored; the rows lack {', '.join(head.columns)}")
    heads = [head for head in spec.heads if head.name in there or not there]
    return {
        head.name: read_truth(table, schema, head, root, groups=spec.groups, say=say)
        for head in heads
    }


def read_weights(schema: Schema, table: Table) -> Floats:
    """Return the weights (rows,), 1 where there is no such column; a bad one weighs nothing."""
    for name in schema.names("weight"):
        if name in table.frame:
            found = parse_numbers(column_of(table, name), schema.column(name).unit).values
            return np.where(np.isfinite(found) & (found > 0), found, 0.0)
    return np.ones(len(table.frame))


def scored(
    tasks: Sequence[Task], truths: Mapping[str, NDArray[Any]], outputs: Mapping[str, Floats],
    weights: Floats, table: Table, say: Callable[[str], None],
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Return the metrics of each head that has a truth and an answer in any row of weight."""
    scores: dict[str, dict[str, float]] = {}
    for task in (task for task in tasks if task.name in truths):
        truth, answered = truths[task.name], outputs[task.name]
        known = has_truth(task, truth) & has_answer(answered) & (weights > 0)
        if known.sum() < table.rows_read:
            left = table.rows_read - int(known.sum())
            say(f"{task.name}: {left:,} of {table.rows_read:,} rows left out; they lack a "
                "truth, a weight or a prediction")  # fmt: skip
        if known.any():
            scores[task.name] = measure(task, truth, answered, weights)
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
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
