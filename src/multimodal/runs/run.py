"""A run: a fitted model in its directory, which predicts, explains and evaluates raw rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.errors import DataError
from multimodal.core.manifest import is_listed
from multimodal.data.labels.boxes import photo_sizes
from multimodal.data.read.readers import Source, open_table
from multimodal.data.read.sampling import sampled
from multimodal.data.read.table import Table
from multimodal.evaluation.calibration import CALIBRATION, read_calibration
from multimodal.evaluation.novelty import novel_rows, reasons
from multimodal.evaluation.novelty.photos import watch_photos
from multimodal.evaluation.predictions import one_prediction
from multimodal.evaluation.records import Importance
from multimodal.explain import neighbours
from multimodal.explain.importance import MOST_ROWS, importance
from multimodal.explain.records import Explanation
from multimodal.explain.rows import explain_rows
from multimodal.explain.submodels import whole_inputs
from multimodal.models.build import blended
from multimodal.models.fitted import FittedModel
from multimodal.models.stack.boosted_models import (
    TREES,
    read_boosted_models,
)
from multimodal.runs.load import check_folder, read_declared, read_model
from multimodal.runs.rows import (
    Outputs,
    Predictions,
    check_level,
    measure_heads,
    prediction_intervals,
    predictions_frame,
    read_all_labels,
    read_weights,
    without_missing_photos,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run(FittedModel):
    """A fitted model in its run directory: predict, explain and evaluate rows as they come.

    Args:
        path: The run directory.
    """

    path: Path = Path()

    def predict_row(
        self, row: Mapping[str, Any], *, images: str | Path = ".", level: float | None = None
    ) -> dict[str, Any]:
        """Predict one raw row quickly: a dict of column -> value to a dict of head -> prediction.

        A number is predicted as a number, all else as a dict of what `predict` has in columns:
        `{"mood": {"prediction": "glad", "probability": 0.8, "probability_glad": 0.8, ...}}`. With a
        level, a number is a dict of `prediction`, `low` and `high`, too.

        Raises:
            DataError: A column is missing, or a photo is named that is not there or unreadable.
            RunError, ConfigError: As `predict`, of the level.
        """
        if level is not None:
            check_level(self.path, self.calibration, self.tasks, level)
        cells = {key: [value] for key, value in row.items()}
        arrays = self.preprocessor.arrays(cells, Path(images))
        outputs, faults = self.decoded(arrays)
        if faults:
            raise DataError(faults[0])
        sizes = self._sizes(pd.DataFrame(cells), Path(images))
        found = {task.name: one_prediction(task, outputs[task.name], sizes) for task in self.tasks}
        intervals = prediction_intervals(
            self.calibration, self.tasks, outputs, arrays.inputs, level
        )
        for name, interval in intervals.items():
            plain = found[name] if isinstance(found[name], dict) else {"prediction": found[name]}
            found[name] = plain | {end: float(values[0]) for end, values in interval.items()}
        return found

    def predict(
        self, rows: Source, *, images: str | Path | None = None, level: float | None = None
    ) -> Predictions:
        """Predict every row of a file, DataFrame or list of dicts; no target column is needed.

        A category never seen counts as unknown and a photo that is not there as absent; both are
        counted. A row that cannot be read, or whose photo cannot, has no prediction but the reason.

        Args:
            rows: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
            images: Folder that photo paths are relative to; the file's folder by default.
            level: Such as 0.9: each number has an interval around it that holds the truth of at
                least that fraction of rows like the training rows; none by default.

        Raises:
            DataError: The file cannot be read, a column that the model reads is missing, or a
                photo path leads out of the folder.
            RunError: A level is asked of a run without calibration, or one so high that more rows
                would have been needed to calibrate on.
            ConfigError: The level is not between 0 and 1.
        """
        if level is not None:
            check_level(self.path, self.calibration, self.tasks, level)
        table, root = open_table(rows, images, allow_empty=True)
        found = self._outputs(table, root)
        intervals = prediction_intervals(
            self.calibration, self.tasks, found.outputs, found.inputs, level
        )
        frame = predictions_frame(table, self.schema, self.tasks, found, intervals)
        known = {*self.preprocessor.columns(), *(column.name for column in self.schema.columns)}
        unused = [str(name) for name in table.frame if name not in known]
        return Predictions(frame, found.counts, unused)

    def inputs(self, rows: Source, *, images: str | Path | None = None) -> dict[str, NDArray[Any]]:
        """Return the inputs of `model` for raw rows, as `keras.Model.predict` takes them.

        Numbers, category codes, word ids and decoded photos by input name, and presence flags; a
        photo that is not there or cannot be read counts as absent.

        Raises:
            DataError: As `predict`.
        """
        table, root = open_table(rows, images, allow_empty=True)
        frame = without_missing_photos(self.spec, table, root)[0]
        return whole_inputs(self.preprocessor.arrays(frame, root))[0]

    def explain(
        self,
        rows: Source,
        *,
        images: str | Path | None = None,
        head: str | None = None,
        label: str | None = None,
        limit: int = 20,
    ) -> list[Explanation]:
        """Explain the predictions of the first rows: groups, words, columns, photos, like rows.

        A photo that is not there or cannot be read counts as absent, and the explanation says so.

        Args:
            rows: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
            images: Folder that photo paths are relative to; the file's folder by default.
            head: The head to explain; the first one by default.
            label: The class or label to explain; the predicted one by default.
            limit: Rows to explain at most.

        Raises:
            DataError: As `predict`, or there is no such head or class.
        """
        table, root = open_table(rows, images, allow_empty=True)
        first = sampled(table, np.arange(min(limit, len(table.frame))))
        frame, notes, _ = without_missing_photos(self.spec, first, root)
        first, known = replace(first, frame=frame), neighbours.load(self.path)
        found = explain_rows(self, first, root, head=head, label=label, notes=notes, known=known)
        return list(found)

    def importance(self, rows: Source, *, images: str | Path | None = None) -> Importance:
        """Return permutation importance: how much worse each head gets without a group or column.

        Args:
            rows: Rows that hold the targets, as for `evaluate`; up to 2,000 are taken at random.
            images: Folder that photo paths are relative to; the file's folder by default.

        Raises:
            DataError: As `evaluate`.
        """
        table, root = open_table(rows, images)
        if len(table.frame) > MOST_ROWS:
            logger.info(f"{MOST_ROWS:,} of {len(table.frame):,} rows are taken, at random")
            drawn = np.random.default_rng(0).permutation(len(table.frame))[:MOST_ROWS]
            table = sampled(table, np.sort(drawn))
        labels = read_all_labels(self.spec, self.schema, table, root)
        weights = read_weights(self.schema, table)
        frame = without_missing_photos(self.spec, table, root)[0]
        return importance(self, frame, root, labels, dict.fromkeys(labels, weights))

    def evaluate(
        self, rows: Source, *, images: str | Path | None = None
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of every head on rows that hold the targets.

        The column of row weights counts, where the run was trained with one and the rows have it.
        A row that lacks the label of a head is not scored for that head; a head whose columns are
        not there is left out, as long as the rows hold the label of another.

        Args:
            rows: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
            images: Folder that photo paths are relative to; the file's folder by default.

        Raises:
            DataError: As `predict`, or no head's target column is there or holds a label.
        """
        table, root = open_table(rows, images)
        labels = read_all_labels(self.spec, self.schema, table, root)
        found = self._outputs(table, root)
        weights = read_weights(self.schema, table)
        scores = measure_heads(self.tasks, labels, found.outputs, weights, table)
        if not scores:
            columns = " or ".join(f"'{', '.join(head.columns)}'" for head in self.spec.heads)
            raise DataError(f"{table.name}: no row has both a {columns} and a prediction.")
        return scores

    def _outputs(self, table: Table, root: Path) -> Outputs:
        frame, notes, counts = without_missing_photos(self.spec, table, root)
        try:
            arrays = self.preprocessor.arrays(frame, root)
        except DataError as error:
            raise DataError(f"{table.name}: {error}") from None
        detector = None if self.calibration is None else self.calibration.usual
        statistics, watch = watch_photos(self.spec, len(frame))
        outputs, faults = self.decoded(arrays, watch if detector else None)
        notes |= {row: f"photo: {why}" for row, why in faults.items()}
        for values in outputs.values():
            values[list(faults)] = np.nan
        unseen = {f"unseen in '{column}'": count for column, count in arrays.unseen.items()}
        for column, count in arrays.unreadable.items():
            unseen[f"taken for missing, since no number or date, in '{column}'"] = count
        lost = {"rows without a prediction": len(faults) + len(table.rejected)}
        novel = None
        if detector is not None:
            found = novel_rows(detector, self.preprocessor, frame, arrays, statistics)
            novel = reasons(found, len(frame))
            lost["rows unlike the training rows"] = sum(map(bool, novel))
        counts = unseen | counts | lost
        return Outputs(outputs, self._sizes(frame, root), notes, counts, arrays.inputs, novel)

    def _sizes(self, frame: pd.DataFrame, root: Path) -> Floats | None:
        """Return the sizes of the photos that boxes lie on, None where no head predicts a box."""
        boxes = any(task.kind == "box" for task in self.tasks)
        return photo_sizes(frame, self.spec.groups, root) if boxes else None


def load(path: str | Path) -> Run:
    """Load a run directory: rebuild the model from its config and spec, then read its weights.

    Nothing in the directory is executed, and no class is looked up by a name found in it. Its files
    must be those of its manifest, and the weights those of the model that its config describes,
    before any of them is read. A checksum tells damage, not its author: whoever changes a file on
    purpose can write the manifest anew.

    Raises:
        RunError: The directory or a file in it is missing, changed, damaged or too large.

    Example:
        load("run").predict("tomorrow.csv").frame
    """
    folder = Path(path)
    check_folder(folder, os.fspath(path))
    config, schema, spec = read_declared(folder)
    model = read_model(folder, config, spec)
    there = (folder / CALIBRATION).exists() or is_listed(folder, CALIBRATION)
    calibration = read_calibration(folder, spec) if there else None
    boosted_models = None
    if config.training.trees and ((folder / TREES).exists() or is_listed(folder, TREES)):
        widths = {name: int(model.output[name].shape[-1]) for name, _ in blended(config, spec)}
        boosted_models = read_boosted_models(folder / TREES, spec, widths)
    return Run(config, schema, spec, model, calibration, boosted_models, path=folder)
