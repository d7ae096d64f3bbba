"""A run directory: what training left behind, and everything needed to predict on raw rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from pydantic import ValidationError

from multimodal.builder import build
from multimodal.config import Config
from multimodal.data.columns import parse_target, photo_paths
from multimodal.data.photos import examine, locate
from multimodal.data.preprocessing import Arrays, Preprocessor
from multimodal.data.readers import Source, open_table
from multimodal.data.schema import Schema
from multimodal.data.table import Table
from multimodal.errors import DataError, RunError
from multimodal.evaluation import regression_metrics
from multimodal.predictor import Predictor
from multimodal.spec import FittedSpec

CONFIG, SCHEMA, SPEC, MODEL = "config.json", "schema.json", "spec.json", "model.keras"


@dataclass(frozen=True)
class Predictions:
    """Predictions of a table, one line per input row and in its order.

    `frame` has `row`, the identifier column where the model knows one, `<head>_prediction` in the
    user's units (NaN for a row that could not be read) and `note`, the reason or a remark;
    `counts` tells what was unusual: unseen categories by column, absent photos, rows not read,
    columns the model does not use.
    """

    frame: pd.DataFrame
    counts: dict[str, int]
    unused_columns: list[str]


@dataclass(frozen=True)
class Run:
    """A trained model with its config, schema and fitted spec."""

    path: Path
    config: Config
    schema: Schema
    spec: FittedSpec
    model: keras.Model

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """Raw rows to arrays."""
        return Preprocessor(self.spec, self.schema)

    @cached_property
    def predictor(self) -> Predictor:
        """Arrays to predictions; compiled on first use."""
        return Predictor(self.model, self.spec)

    def predict_row(self, row: Mapping[str, Any], *, images: str | Path = ".") -> dict[str, float]:
        """Predict one raw row quickly: a dict of column -> value to a dict of head -> value.

        Raises:
            DataError: A column is missing or a photo is unreadable.
        """
        arrays = self.preprocessor.arrays({k: [v] for k, v in row.items()}, Path(images))
        predictions, faults = self.predictor.predict(arrays)
        if faults:
            raise DataError(faults[0])
        return {head: float(values[0]) for head, values in predictions.items()}

    def predict(self, rows: Source, *, images: str | Path | None = None) -> Predictions:
        """Predict every row of a file, DataFrame or list of dicts; no target column is needed.

        A category never seen counts as unknown and a photo that is not there as absent; both are
        counted. A row that cannot be read, or whose photo cannot, has no prediction but the reason.

        Raises:
            DataError: The file cannot be read, or a column that the model reads is missing.
        """
        table, root = open_table(rows, images, allow_empty=True)
        arrays, notes = self._arrays(table, root)
        predictions, faults = self.predictor.predict(arrays)
        for row, why in faults.items():
            notes[row] = why
            for values in predictions.values():
                values[row] = np.nan
        absent = sum(note.endswith("no such photo") for note in notes.values())
        counts = {f"unseen in '{column}'": count for column, count in arrays.unseen.items()}
        counts |= {"photos absent": absent, "rows not read": len(faults) + len(table.quarantine)}
        return Predictions(self._frame(table, predictions, notes), counts, self._unused(table))

    def evaluate(
        self, rows: Source, *, images: str | Path | None = None
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of every head on rows that hold the targets.

        Raises:
            DataError: As `predict`, or a target column is missing or holds no number.
        """
        table, _ = open_table(rows, images)
        frame = self.predict(rows, images=images).frame.set_index("row")
        scores = {}
        for head in self.spec.heads:
            truth, _ = parse_target(table, head.column)
            predicted = frame.loc[table.rows, f"{head.name}_prediction"].to_numpy()
            known = np.isfinite(truth) & np.isfinite(predicted)
            if not known.any():
                raise DataError(
                    f"{table.name}: no row has both a '{head.column}' and a prediction."
                )
            scores[head.name] = regression_metrics(truth[known], predicted[known])
        return scores

    def _arrays(self, table: Table, root: Path) -> tuple[Arrays, dict[int, str]]:
        """Return arrays in which absent photos are None, and a note for each row that lacks one."""
        frame, notes = table.frame.copy(deep=False), {}
        for group in self.spec.groups:
            for column in group.columns if group.modality == "image" else []:
                if column not in frame:
                    continue
                cells = [photo_paths(cell) for cell in frame[column]]
                for row, names in enumerate(cells):
                    for name in names:
                        fact = examine(locate(name, root))
                        if fact.absent:
                            notes[row] = f"photo: {fact.fault}"
                            cells[row] = [other for other in cells[row] if other != name]
                frame[column] = pd.Series(cells, dtype=object, index=frame.index)
        return self.preprocessor.arrays(frame, root), notes

    def _frame(
        self, table: Table, predictions: Mapping[str, Any], notes: Mapping[int, str]
    ) -> pd.DataFrame:
        frame = pd.DataFrame({"row": table.rows})
        for name in self.schema.names("identifier")[:1]:
            if name in table.frame:
                frame["id"] = table.frame[name]
        for head, values in predictions.items():
            frame[f"{head}_prediction"] = values
        frame["note"] = [notes.get(i, "") for i in range(len(frame))]
        lost = pd.DataFrame({"row": [f.row for f in table.quarantine],
                             "note": [f"line {f.line}: {f.reason}" for f in table.quarantine]})  # fmt: skip
        if len(lost):
            frame = (
                pd.concat([frame, lost.reindex(columns=frame.columns)])
                if len(frame)
                else lost.reindex(columns=frame.columns)
            )
        return frame.sort_values("row", kind="stable").reset_index(drop=True)

    def _unused(self, table: Table) -> list[str]:
        known = set(self.preprocessor.columns()) | {column.name for column in self.schema.columns}
        return [str(name) for name in table.frame if name not in known]


def load(path: str | Path) -> Run:
    """Load a run directory: rebuild the model from its config and spec, then read its weights.

    Nothing in the directory is executed, and no class is looked up by a name found in it.

    Raises:
        RunError: The directory or a file in it is missing or damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run directory. Give the folder that training wrote.")
    config = Config.from_json(_text(folder / CONFIG), str(folder / CONFIG))
    try:
        schema = Schema.from_json(_text(folder / SCHEMA))
        spec = FittedSpec.model_validate_json(_text(folder / SPEC))
    except ValidationError as error:
        raise RunError(f"{folder}: damaged schema or spec. {error}") from None
    if not (folder / MODEL).is_file():
        raise RunError(
            f"{folder}: {MODEL} is missing; training did not get as far as saving a model."
        )
    model = build(config, spec)
    try:
        model.load_weights(folder / MODEL)
    except (ValueError, OSError, KeyError) as error:
        raise RunError(
            f"{folder / MODEL}: weights do not fit the config and spec. {error}"
        ) from None
    return Run(folder, config, schema, spec, model)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); not a complete run.") from None


def save_parts(
    folder: Path, config: Config, schema: Schema, spec: FittedSpec, model: keras.Model | None
) -> None:
    """Write the files that `load` reads; each is written beside and renamed."""
    write(folder / CONFIG, config.to_json())
    write(folder / SCHEMA, schema.to_json())
    write(folder / SPEC, spec.model_dump_json(indent=2))
    if model is not None:
        beside = folder / f".{MODEL}"
        plain = build(config, spec)
        plain.set_weights(model.get_weights())
        plain.save(beside.with_name(f"partial-{MODEL}"))
        beside.with_name(f"partial-{MODEL}").replace(folder / MODEL)


def write(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it, so that it is whole or not there."""
    beside = path.with_name(f"partial-{path.name}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def needed_columns(run: Run) -> Sequence[str]:
    """Return the columns that rows must have for `run.predict`."""
    return run.preprocessor.columns()
