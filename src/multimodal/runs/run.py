"""A run: a fitted model in its directory, which predicts, explains and evaluates raw rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.manifest import is_listed
from multimodal.data.photos.locate import Images, PhotoRoot
from multimodal.data.read.readers import Source
from multimodal.data.read.sampling import sampled
from multimodal.evaluation.calibration import CALIBRATION, read_calibration
from multimodal.evaluation.records import Importance
from multimodal.explain import neighbours
from multimodal.explain.importance import MOST_ROWS, importance
from multimodal.explain.records import Explanation
from multimodal.explain.rows import explain_rows
from multimodal.explain.submodels import whole_inputs
from multimodal.models.build import blended
from multimodal.models.fitted import FittedModel
from multimodal.models.frozen import check_weights_are_here
from multimodal.runs import raw_rows
from multimodal.runs.declared import check_folder, read_declared
from multimodal.runs.load import read_parts, with_architectures
from multimodal.runs.notes import (
    joined_notes,
)
from multimodal.runs.photos import without_missing_photos
from multimodal.runs.raw_rows import opened
from multimodal.runs.rows import (
    Predictions,
    read_all_labels,
    read_weights,
)
from multimodal.runtime.boosted_models import (
    TREES,
    read_boosted_models,
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
        return raw_rows.predict_row(self, row, images, level)

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
        return raw_rows.predict(self, rows, images, level)

    def inputs(self, rows: Source, *, images: Images = None) -> dict[str, NDArray[Any]]:
        """Return the inputs of `model` for raw rows, as `keras.Model.predict` takes them.

        Numbers, category codes, word ids, decoded photos or frozen features by input name, and
        presence flags; a photo that is not there or cannot be read counts as absent.

        Raises:
            DataError: As `predict`.
        """
        table, root = opened(self, rows, images, allow_empty=True)
        frame = without_missing_photos(self.spec, table, root).frame
        found, _ = whole_inputs(self.preprocessor.arrays(frame, root))
        return {key: found[key] for key in self.model.input}

    def export(
        self,
        out: str | Path,
        format: str = "onnx",
        *,
        rows: Source | None = None,
        images: Images = None,
    ) -> Path:
        """Write the run for another engine into a new folder; return the folder.

        Outputs are in the user's units, inputs named as those of the networks; `export.json` says
        what each holds. With "onnx" all that belongs to raw rows lies beside the network, so that
        `multimodal.load(out)` predicts them by ONNX Runtime, without Keras and TensorFlow. The
        others are the network alone, for engines that are given arrays.

        What is written is loaded in a fresh process and predicts rows, which must be within 1e-5 of
        what the run predicts; else nothing is kept.

        Args:
            out: The folder, which must not be there yet.
            format: "onnx", "saved_model", "litert" or "openvino".
            rows: Rows to compare on, up to 64 are taken; by default those of the table that the run
                was trained on, if it is still there, else rows drawn from what the run knows.
            images: Folder that photo paths are relative to; the file's folder by default.

        Raises:
            RunError: There is no such format, something is at `out`, the format has no operator for
                a part of the model, or the export predicts something else than the run.
            ConfigError: A package that the format needs is not installed, or Keras runs on another
                backend than TensorFlow.
            DataError: The rows cannot be read.
            OSError: The disk is full or cannot be written.

        Example:
            run.export("run-onnx"); multimodal.load("run-onnx").predict("tomorrow.csv")
        """
        from multimodal.runs.exporting import export

        return export(self, out, format, rows=rows, images=images)

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
        table, root = opened(self, rows, images, allow_empty=True)
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
        table, root = opened(self, rows, images)
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
        return raw_rows.evaluate(self, rows, images)


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
