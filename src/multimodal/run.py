"""A run directory: what training left behind, and everything needed to predict on raw rows."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from multimodal.builder import build
from multimodal.config import Config
from multimodal.data.columns import column_of, parse_numbers, parse_target, photo_paths
from multimodal.data.photos import locate
from multimodal.data.preprocessing import Preprocessor
from multimodal.data.readers import Source, open_table
from multimodal.data.schema import Schema
from multimodal.data.table import Table
from multimodal.errors import DataError, MultimodalError, RunError
from multimodal.evaluation import regression_metrics
from multimodal.predictor import Predictor
from multimodal.spec import FittedHead, FittedSpec

CONFIG, SCHEMA, SPEC, MODEL = "config.json", "schema.json", "spec.json", "model.keras"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Predictions of a table, one line per input row and in its order.

    `frame` has `row`, the identifier column where the model knows one, `<head>_prediction` in the
    user's units (NaN for a row that could not be read) and `note`, the reason or a remark.
    `counts` tells what was unusual: unseen categories by column, photos that are not there, rows
    without any photo, rows without a prediction. `unused_columns` are those the model never saw.
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
            DataError: A column is missing, or a photo is named that is not there or unreadable.
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
            DataError: The file cannot be read, a column that the model reads is missing, or a
                photo path leads out of the folder.
        """
        return self._predict(*open_table(rows, images, allow_empty=True))

    def evaluate(
        self,
        rows: Source,
        *,
        images: str | Path | None = None,
        say: Callable[[str], None] = lambda message: None,
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of every head on rows that hold the targets.

        The column of row weights counts, where the run was trained with one and the rows have it.

        Args:
            rows: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
            images: Folder that photo paths are relative to; the file's folder by default.
            say: Called with a line of news, such as how many rows do not count.

        Raises:
            DataError: As `predict`, or a target column is missing or holds no number.
        """
        table, root = open_table(rows, images)
        truths = {head.name: self._truth(table, head) for head in self.spec.heads}
        frame = self._predict(table, root).frame
        weights = self._weights(table)
        scores = {}
        for head in self.spec.heads:
            truth = truths[head.name]
            guess = frame[f"{head.name}_prediction"].to_numpy()[table.rows]
            known = np.isfinite(truth) & np.isfinite(guess) & (weights > 0)
            if not known.any():
                raise DataError(
                    f"{table.name}: no row has both a '{head.column}' and a prediction."
                )
            if known.sum() < table.rows_read:
                left = table.rows_read - int(known.sum())
                say(f"{head.name}: {left:,} of {table.rows_read:,} rows left out; they lack a "
                    "truth, a weight or a prediction")  # fmt: skip
            scores[head.name] = regression_metrics(truth[known], guess[known], weights[known])
        return scores

    def _predict(self, table: Table, root: Path) -> Predictions:
        frame, notes, counts = self._without_absent(table, root)
        try:
            arrays = self.preprocessor.arrays(frame, root)
        except DataError as error:
            raise DataError(f"{table.name}: {error}") from None
        predictions, faults = self.predictor.predict(arrays)
        notes |= {row: f"photo: {why}" for row, why in faults.items()}
        for values in predictions.values():
            values[list(faults)] = np.nan
        unseen = {f"unseen in '{column}'": count for column, count in arrays.unseen.items()}
        for column, count in arrays.unreadable.items():
            unseen[f"taken for missing, since no number or date, in '{column}'"] = count
        lost = {"rows without a prediction": len(faults) + len(table.quarantine)}
        result = self._frame(table, predictions, notes)
        return Predictions(result, unseen | counts | lost, self._unused(table))

    def _without_absent(
        self, table: Table, root: Path
    ) -> tuple[pd.DataFrame, dict[int, str], dict[str, int]]:
        """Return the rows without photos that are not there, notes on those, and counts."""
        frame = table.frame.copy(deep=False)
        notes: dict[int, str] = {}
        columns = [c for g in self.spec.groups if g.modality == "image" for c in g.columns]
        absent, named = 0, np.zeros(len(frame), np.int64)
        for column in (column for column in columns if column in frame):
            cells, gone = _photos(table, column, root)
            notes |= {row: f"photo: {paths[0]}: no such photo" for row, paths in gone.items()}
            absent += sum(map(len, gone.values()))
            named += np.array([len(cell) for cell in cells], np.int64)
            frame[column] = pd.Series(cells, dtype=object, index=frame.index)
        without = int((named == 0).sum()) if columns else 0
        return frame, notes, {"photos not found": absent, "rows without a photo": without}

    def _truth(self, table: Table, head: FittedHead) -> Floats:
        return parse_target(table, head.column, self.schema.column(head.column).unit)[0]

    def _weights(self, table: Table) -> Floats:
        """Return the weights (rows,), 1 where there is no such column; a bad one weighs nothing."""
        for name in self.schema.names("weight"):
            if name in table.frame:
                found = parse_numbers(column_of(table, name), self.schema.column(name).unit).values
                return np.where(np.isfinite(found) & (found > 0), found, 0.0)
        return np.ones(len(table.frame))

    def _frame(
        self, table: Table, predictions: Mapping[str, Floats], notes: Mapping[int, str]
    ) -> pd.DataFrame:
        """Put predictions and notes in the order of the source, with the rows not read."""
        found: dict[str, Any] = {}
        for name in self.schema.names("identifier")[:1]:
            if name in table.frame:
                found["id"] = table.frame[name].to_numpy()
        found |= {f"{head}_prediction": values for head, values in predictions.items()}
        frame = pd.DataFrame(found, index=table.rows).reindex(range(table.rows_read))
        remarks = {int(table.rows[row]): note for row, note in notes.items()}
        remarks |= {f.row: f"line {f.line}: {f.reason}" for f in table.quarantine}
        frame["note"] = [remarks.get(row, "") for row in range(table.rows_read)]
        return frame.rename_axis("row").reset_index()

    def _unused(self, table: Table) -> list[str]:
        known = set(self.preprocessor.columns()) | {column.name for column in self.schema.columns}
        return [str(name) for name in table.frame if name not in known]


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


def load(path: str | Path) -> Run:
    """Load a run directory: rebuild the model from its config and spec, then read its weights.

    Nothing in the directory is executed, and no class is looked up by a name found in it.

    Raises:
        RunError: The directory or a file in it is missing or damaged.

    Example:
        load("run").predict("tomorrow.csv").frame
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run directory. Give the folder that training wrote.")
    config, schema, spec = _declared(folder)
    if not (folder / MODEL).is_file():
        raise RunError(
            f"{folder}: {MODEL} is missing; training did not get as far as saving a model."
        )
    try:
        model = build(config, spec)
    except MultimodalError as error:
        raise RunError(f"{folder}: not a whole run. {error}") from None
    try:
        model.load_weights(folder / MODEL)
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(
            f"{folder / MODEL}: damaged, or of another run than {CONFIG} and {SPEC} "
            f"({_first_line(error)}). Copy the run directory again, or train anew."
        ) from None
    return Run(folder, config, schema, spec, model)


def _declared(folder: Path) -> tuple[Config, Schema, FittedSpec]:
    try:
        config = Config.from_json(_text(folder / CONFIG), str(folder / CONFIG))
        schema = Schema.from_json(_text(folder / SCHEMA), str(folder / SCHEMA))
        return config, schema, FittedSpec.model_validate_json(_text(folder / SPEC))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{folder / SPEC}: damaged; `{where}`: {first['msg']}.") from None
    except MultimodalError as error:
        raise RunError(str(error)) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); not a complete run.") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: damaged; not a text file ({error.reason}).") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def save_parts(
    folder: Path, config: Config, schema: Schema, spec: FittedSpec, model: keras.Model | None
) -> None:
    """Write the files that `load` reads; each is written beside and renamed."""
    write(folder / CONFIG, config.to_json())
    write(folder / SCHEMA, schema.to_json())
    write(folder / SPEC, spec.model_dump_json(indent=2))
    if model is not None:
        beside = folder / f"partial-{MODEL}"
        plain = build(config, spec)  # without mixed precision, for any machine
        plain.set_weights(model.get_weights())
        plain.save(beside)
        beside.replace(folder / MODEL)


def write(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it, so that it is whole or not there."""
    beside = path.with_name(f"partial-{path.name}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
