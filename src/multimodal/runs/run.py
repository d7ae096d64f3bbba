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
from multimodal.core.errors import DataError, first_line
from multimodal.core.manifest import is_listed
from multimodal.data.columns.usage import in_known_usage
from multimodal.data.features.cell_arrays import Frame
from multimodal.data.features.preprocess import Arrays
from multimodal.data.labels.boxes import photo_sizes
from multimodal.data.photos.locate import Images, PhotoRoot, photo_root
from multimodal.data.read.readers import Source, open_table
from multimodal.data.read.sampling import sampled
from multimodal.data.read.table import Dialect, Table
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
from multimodal.models.frozen import check_weights_are_here
from multimodal.models.stack.boosted_models import (
    TREES,
    read_boosted_models,
)
from multimodal.runs.load import check_folder, read_declared, read_parts, with_architectures
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


@dataclass(frozen=True)
class Run(FittedModel):
    """A fitted model in its run directory: predict, explain and evaluate rows as they come.

    Args:
        path: The run directory.
    """

    path: Path = Path()

    def predict_row(
        self, row: Mapping[str, Any], *, images: str | PhotoRoot = ".", level: float | None = None
    ) -> dict[str, Any]:
        """Predict one raw row quickly: a dict of column -> value to a dict of head -> prediction.

        A number is predicted as a number, all else as a dict of what `predict` has in columns:
        `{"mood": {"prediction": "glad", "probability": 0.8, "probability_glad": 0.8, ...}}`. With a
        level, a number is a dict of `prediction`, `low` and `high`, too. Where a cell cannot be
        read, is unknown, or is missing as in no training row, the dict has a `note` that says so.
        A photo that is not there or cannot be read counts as absent, which the `note` says.

        Raises:
            DataError: A column is missing, a photo that the prediction needs cannot be read, or the
                model gives no finite number.
            RunError, ConfigError: As `predict`, of the level.
        """
        if level is not None:
            check_level(self.path, self.calibration, self.tasks, level)
        cells = {key: [value] for key, value in row.items()}
        arrays = self._arrays_of_row(cells, photo_root(images, Path()))
        outputs, damaged = self.decoded(arrays)
        faults = prediction_notes(outputs) | (damaged if self._needs_photos() else {})
        if faults:
            raise DataError(faults[0])
        sizes = self._sizes(cells, photo_root(images, Path()))
        found = {task.name: one_prediction(task, outputs[task.name], sizes) for task in self.tasks}
        intervals = prediction_intervals(
            self.calibration, self.tasks, outputs, arrays.inputs, level
        )
        for name, interval in intervals.items():
            plain = found[name] if isinstance(found[name], dict) else {"prediction": found[name]}
            found[name] = plain | {end: float(values[0]) for end, values in interval.items()}
        names = target_names(self.config, self.spec)
        found = {names[name]: value for name, value in found.items()}
        notes = joined_notes(
            {row: f"{ABSENT}{why}" for row, why in damaged.items()},
            cell_notes(self.preprocessor, cells, arrays),
        )
        return {"note": notes[0], **found} if notes else found

    def _arrays_of_row(self, cells: Frame, root: PhotoRoot) -> Arrays:
        try:
            return self.preprocessor.arrays(cells, root)
        except DataError:
            raise
        except Exception as error:  # of a cell nobody has thought of
            raise DataError(f"the row cannot be read: {first_line(error)}") from error

    def predict(
        self, rows: Source, *, images: Images = None, level: float | None = None
    ) -> Predictions:
        """Predict every row of a file, DataFrame or list of dicts; no target column is needed.

        A category never seen counts as unknown, a photo that is not there or cannot be read as
        absent; they are counted, and the row's `note` says so. A row that cannot be read has no
        prediction but the reason, nor has one whose photo cannot where the model reads photos
        alone, predicts a box, or was trained with `data.missing_photo: drop`. The predictions of a
        DataFrame have its index.

        Args:
            rows: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
            images: Folder that photo paths are relative to; the file's folder by default.
            level: Such as 0.9: each number has an interval around it that holds the truth of at
                least that fraction of rows like the training rows; none by default.

        Raises:
            DataError: The file cannot be read, or a column that the model reads is missing.
            RunError: A level is asked of a run without calibration, or one so high that more rows
                would have been needed to calibrate on.
            ConfigError: The level is not between 0 and 1.
        """
        if level is not None:
            check_level(self.path, self.calibration, self.tasks, level)
        table, root = self._opened(rows, images, allow_empty=True)
        found = self._outputs(table, root)
        intervals = prediction_intervals(
            self.calibration, self.tasks, found.outputs, found.inputs, level
        )
        index = rows.index if isinstance(rows, pd.DataFrame) else None
        names = target_names(self.config, self.spec)
        frame = predictions_frame(table, self.schema, self.tasks, found, intervals, index, names)
        known = {*self.preprocessor.columns(), *(column.name for column in self.schema.columns)}
        unused = [str(name) for name in table.frame if name not in known]
        outputs = outputs_of_all_rows(table, found.outputs, names)
        return Predictions(frame, found.counts, unused, outputs)

    def inputs(self, rows: Source, *, images: Images = None) -> dict[str, NDArray[Any]]:
        """Return the inputs of `model` for raw rows, as `keras.Model.predict` takes them.

        Numbers, category codes, word ids, decoded photos or frozen features by input name, and
        presence flags; a photo that is not there or cannot be read counts as absent.

        Raises:
            DataError: As `predict`.
        """
        table, root = self._opened(rows, images, allow_empty=True)
        frame = without_missing_photos(self.spec, table, root).frame
        found, _ = whole_inputs(self.preprocessor.arrays(frame, root))
        return {key: found[key] for key in self.model.input}

    def explain(
        self,
        rows: Source,
        *,
        images: Images = None,
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
        table, root = self._opened(rows, images, allow_empty=True)
        first = sampled(table, np.arange(min(limit, len(table.frame))))
        photos = without_missing_photos(self.spec, first, root)
        notes = joined_notes(photos.notes, photos.lost)
        first, known = replace(first, frame=photos.frame), neighbours.load(self.path)
        found = explain_rows(self, first, root, head=head, label=label, notes=notes, known=known)
        return list(found)

    def importance(self, rows: Source, *, images: Images = None) -> Importance:
        """Return permutation importance: how much worse each head gets without a group or column.

        Args:
            rows: Rows that hold the targets, as for `evaluate`; up to 1,000 are taken at random.
            images: Folder that photo paths are relative to; the file's folder by default.

        Raises:
            DataError: As `evaluate`.
        """
        table, root = self._opened(rows, images)
        if len(table.frame) > MOST_ROWS:
            logger.info(f"{MOST_ROWS:,} of {len(table.frame):,} rows are taken, at random")
            drawn = np.random.default_rng(0).permutation(len(table.frame))[:MOST_ROWS]
            table = sampled(table, np.sort(drawn))
        labels = read_all_labels(self.spec, self.schema, table, root)
        weights = read_weights(self.schema, table)
        frame = without_missing_photos(self.spec, table, root).frame
        return importance(self, frame, root, labels, dict.fromkeys(labels, weights))

    def evaluate(self, rows: Source, *, images: Images = None) -> dict[str, dict[str, float]]:
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
        table, root = self._opened(rows, images)
        labels = read_all_labels(self.spec, self.schema, table, root)
        found = self._outputs(table, root)
        weights = read_weights(self.schema, table)
        scores = measure_heads(self.tasks, labels, found.outputs, weights, table)
        if not scores:
            columns = " or ".join(f"'{', '.join(head.columns)}'" for head in self.spec.heads)
            raise DataError(f"{table.name}: no row has both a {columns} and a prediction.")
        return scores

    def _opened(
        self, rows: Source, images: Images, *, allow_empty: bool = False
    ) -> tuple[Table, PhotoRoot]:
        """Read rows that are written as the config says, where a file does not decide."""
        asked = Dialect.of(self.config.data)
        table, root = open_table(rows, images, asked, allow_empty=allow_empty)
        if not len(table.frame.columns):  # of no rows at all, which name no columns
            columns = self.preprocessor.columns()
            table = replace(table, frame=pd.DataFrame(columns=columns, dtype=object))
        table, told = in_known_usage(table, self.schema)
        for note in told:
            logger.info(f"{table.name}: {note}")
        return table, root

    def _outputs(self, table: Table, root: PhotoRoot) -> Outputs:
        photos = without_missing_photos(self.spec, table, root)
        frame, arrays, unread = self._readable(photos.frame, root, table.name)
        detector = None if self.calibration is None else self.calibration.usual
        statistics, watch = watch_photos(self.spec, len(frame))
        outputs, damaged = self.decoded(arrays, watch if detector else None)
        needed = self._needs_photos()
        damaged = {r: f"{'photo: ' if needed else ABSENT}{why}" for r, why in damaged.items()}
        lost = joined_notes(photos.lost, damaged if needed else {})
        faults = joined_notes(unread, lost, prediction_notes(outputs))
        for values in outputs.values():
            values[list(faults)] = np.nan
        novel = None
        if detector is not None:
            found = novel_rows(detector, self.preprocessor, frame, arrays, statistics)
            novel = reasons(found, len(frame))
        told = cell_notes(self.preprocessor, table.frame, arrays, novel)
        told = {row: note for row, note in told.items() if row not in unread}
        counts = self._counts(table, arrays) | photos.counts
        counts["rows without a prediction"] = len(faults) + len(table.rejected)
        if novel is not None:
            counts["rows unlike the training rows"] = sum(map(bool, novel))
        counts["photos that cannot be read"] = len(damaged)
        notes = joined_notes(faults, {} if needed else damaged, photos.notes, told)
        return Outputs(outputs, self._sizes(frame, root), notes, counts, arrays.inputs, novel)

    def _needs_photos(self) -> bool:
        """Whether a row has no prediction whose photo cannot be read.

        That is where such rows had no part in training, nothing else is read, or a box would lie on
        nothing.
        """
        alone = all(group.modality == "image" for group in self.spec.groups)
        boxes = any(task.kind == "box" for task in self.tasks)
        return alone or boxes or self.config.data.missing_photo == "drop"

    def _readable(
        self, frame: pd.DataFrame, root: PhotoRoot, source: str
    ) -> tuple[Any, Arrays, Notes]:
        """Return the rows, those that no arrays can be made of blank, the arrays, and why."""

        def make(rows: pd.DataFrame) -> Arrays:
            return self.preprocessor.arrays(rows, root)

        try:
            return frame, make(frame), {}
        except DataError as error:
            raise DataError(f"{source}: {error}") from None
        except Exception:
            faults = failing_rows(make, frame)
            blank = frame.astype(object)
            blank.iloc[list(faults)] = None
            return blank, make(blank), faults

    def _counts(self, table: Table, arrays: Arrays) -> dict[str, int]:
        """Return how many cells of each column are unknown, unreadable, or missing as never."""
        found = {f"unseen in '{name}'": len(rows) for name, rows in arrays.unseen.items()}
        for name, rows in arrays.unreadable.items():
            found[f"taken for missing, since no number or date, in '{name}'"] = len(rows)
        for name, rows in missing_rows(self.preprocessor, table.frame, arrays).items():
            found[f"missing in '{name}', which training rows have"] = len(rows)
        return found

    def _sizes(self, frame: Frame, root: PhotoRoot) -> Floats | None:
        """Return the sizes of the photos that boxes lie on, None where no head predicts a box."""
        boxes = any(task.kind == "box" for task in self.tasks)
        return photo_sizes(pd.DataFrame(frame), self.spec.groups, root) if boxes else None


def load(path: str | Path) -> Run:
    """Load a run directory: rebuild a network from its config and spec, then read the weights.

    Nothing in the directory is executed, and no class is looked up by a name found in it. Its files
    must be those of its manifest, and the weights those of the model that its config describes,
    before any of them is read. A checksum tells damage, not its author: whoever changes a file on
    purpose can write the manifest anew.

    Raises:
        RunError: The directory or a file in it is missing, changed, damaged or too large, or the
            weights of a pretrained model that it names are not on this machine.

    Example:
        load("run").predict("tomorrow.csv").frame
    """
    folder = Path(path)
    check_folder(folder, os.fspath(path))
    config, schema, spec = read_declared(folder)
    spec = with_architectures(folder, config, spec)
    check_weights_are_here(spec, os.fspath(path))
    parts = read_parts(folder, config, spec)
    there = (folder / CALIBRATION).exists() or is_listed(folder, CALIBRATION)
    calibration = read_calibration(folder, spec) if there else None
    boosted_models = None
    if config.training.trees and ((folder / TREES).exists() or is_listed(folder, TREES)):
        output = parts.network.output
        widths = {name: int(output[name].shape[-1]) for name, _ in blended(config, spec)}
        boosted_models = read_boosted_models(folder / TREES, spec, widths)
    return Run(config, schema, spec, parts, calibration, boosted_models, path=folder)
