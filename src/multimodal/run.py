"""A run directory: what training left behind, and everything needed to predict on raw rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from multimodal.answers import answers, one_answer
from multimodal.builder import assemble, blended
from multimodal.calibration import CALIBRATION, Calibration, read_calibration
from multimodal.config import Config
from multimodal.data.boxes import photo_sizes
from multimodal.data.columns import column_of, parse_numbers, photo_paths
from multimodal.data.labels import read_truth
from multimodal.data.photos import locate
from multimodal.data.preprocessing import Arrays, Preprocessor
from multimodal.data.readers import Source, open_table
from multimodal.data.schema import Schema
from multimodal.data.table import Table
from multimodal.data.unusual import reasons, unusual_rows
from multimodal.data.unusual_photos import watch_photos
from multimodal.errors import DataError, MultimodalError, RunError, first_line
from multimodal.evaluation import Task, has_answer, has_truth, measure
from multimodal.expert import TREES, Experts, read_experts, terms_of, write_experts
from multimodal.files import read_text, replace_file, write_text
from multimodal.intervals import reaches
from multimodal.manifest import MANIFEST, check_manifest, is_listed, write_manifest
from multimodal.members import decoded, head_layer
from multimodal.predictor import Predictor
from multimodal.sizes import MOST_PARAMETERS
from multimodal.spec import FittedGroup, FittedSpec
from multimodal.weights import check_weights, stored_bytes

if TYPE_CHECKING:
    from multimodal.explain import Explanation, Importance

CONFIG, SCHEMA, SPEC, MODEL = "config.json", "schema.json", "spec.json", "model.keras"
RECORD = "unfinished.json"
MOST_BYTES = 1 << 26  # of a JSON file
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Predictions of a table, one line per input row and in its order.

    `frame` has `row`, the identifier column where the model knows one, the answers of each head as
    :func:`multimodal.answers.answers` names them (blank for a row that could not be read), `note`,
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
class _Outputs:
    """Decoded outputs of the rows of a table, the sizes of their photos, remarks and counts.

    `inputs` are the arrays of the rows, and `unusual` what is unusual about each.
    """

    outputs: dict[str, Floats]
    sizes: Floats | None
    notes: dict[int, str]
    counts: dict[str, int]
    inputs: dict[str, NDArray[Any]]
    unusual: list[str] | None


@dataclass(frozen=True)
class Run:
    """A trained model with its config, schema and fitted spec, and how sure it may be."""

    path: Path
    config: Config
    schema: Schema
    spec: FittedSpec
    model: keras.Model
    calibration: Calibration | None = None
    experts: Experts | None = None

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """Raw rows to arrays."""
        return Preprocessor(self.spec, self.schema)

    @cached_property
    def predictor(self) -> Predictor:
        """Arrays to predictions; compiled on first use."""
        return Predictor(self.model, self.spec)

    @cached_property
    def _raw_predictor(self) -> Predictor:
        return Predictor(self.model, self.spec, raw=True)

    @cached_property
    def tasks(self) -> list[Task]:
        """What each head is asked."""
        heads = zip(self.config.heads, self.spec.heads, strict=True)
        return [
            Task.of(head, fitted, head_layer(self.model, fitted.name)) for head, fitted in heads
        ]

    def calibrated(self, calibration: Calibration) -> Run:
        """Return the run with this calibration; what is compiled stays."""
        result = replace(self, calibration=calibration)
        kept = ("preprocessor", "predictor", "_raw_predictor", "tasks")
        vars(result).update({name: vars(self)[name] for name in kept if name in vars(self)})
        return result

    def decoded(
        self, arrays: Arrays, watch: Callable[..., None] | None = None
    ) -> tuple[dict[str, Floats], dict[int, str]]:
        """Return what `predictor.predict` does, with probabilities as sure as they may be."""
        if self.experts is None:
            outputs, faults = self.predictor.predict(arrays, watch)
        else:
            outputs, faults = self._with_trees(arrays, self.experts, watch)
        if self.calibration is None:
            return outputs, faults
        return self.calibration.tempered(self.tasks, outputs), faults

    def _with_trees(
        self, arrays: Arrays, experts: Experts, watch: Callable[..., None] | None
    ) -> tuple[dict[str, Floats], dict[int, str]]:
        raw, faults = self._raw_predictor.predict(arrays, watch)
        assert self.spec.terms is not None
        terms = terms_of(arrays.inputs, self.spec.terms.num_terms)
        for name in experts.heads:
            layer = self.model.get_layer(name)
            kernel, bias = (keras.ops.convert_to_numpy(w) for w in (layer.kernel, layer.bias))
            linear = np.asarray(terms @ kernel[1:] + bias, np.float64)
            raw[name] = experts.raw(name, self.spec, arrays.inputs, terms, linear, raw[name])
        found = {name: decoded(self.model, name, each) for name, each in raw.items()}
        return {name: np.asarray(values, np.float64) for name, values in found.items()}, faults

    def predict_row(
        self, row: Mapping[str, Any], *, images: str | Path = ".", level: float | None = None
    ) -> dict[str, Any]:
        """Predict one raw row quickly: a dict of column -> value to a dict of head -> answer.

        A number is answered by a number, all else by a dict of what `predict` has in columns:
        `{"mood": {"prediction": "glad", "probability": 0.8, "probability_glad": 0.8, ...}}`. With a
        level, a number is answered by a dict of `prediction`, `low` and `high`, too.

        Raises:
            DataError: A column is missing, or a photo is named that is not there or unreadable.
            RunError, ConfigError: As `predict`, of the level.
        """
        if level is not None:
            self._check_level(level)
        cells = {key: [value] for key, value in row.items()}
        arrays = self.preprocessor.arrays(cells, Path(images))
        outputs, faults = self.decoded(arrays)
        if faults:
            raise DataError(faults[0])
        sizes = self._sizes(pd.DataFrame(cells), Path(images))
        found = {task.name: one_answer(task, outputs[task.name], sizes) for task in self.tasks}
        if level is not None:
            for name, ends in self._ends(outputs, arrays.inputs, level).items():
                plain = (
                    found[name] if isinstance(found[name], dict) else {"prediction": found[name]}
                )
                found[name] = plain | {end: float(values[0]) for end, values in ends.items()}
        return found

    def predict(
        self, rows: Source, *, images: str | Path | None = None, level: float | None = None
    ) -> Predictions:
        """Predict every row of a file, DataFrame or list of dicts; no target column is needed.

        With a level, such as 0.9, each number has an interval around it that holds the truth of at
        least that share of rows like the training rows.

        A category never seen counts as unknown and a photo that is not there as absent; both are
        counted. A row that cannot be read, or whose photo cannot, has no prediction but the reason.

        Raises:
            DataError: The file cannot be read, a column that the model reads is missing, or a
                photo path leads out of the folder.
            RunError: A level is asked of a run without calibration, or one so high that more rows
                would have been needed to calibrate on.
            ConfigError: The level is not between 0 and 1.
        """
        if level is not None:
            self._check_level(level)
        return self._predict(*open_table(rows, images, allow_empty=True), level)

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
        from multimodal.explain import explain_rows

        table, root = open_table(rows, images, allow_empty=True)
        kept = np.arange(len(table.frame)) < limit
        first = replace(
            table, frame=table.frame[kept], rows=table.rows[kept], lines=table.lines[kept]
        )
        frame, notes, _ = self._without_absent(first, root)
        first = replace(first, frame=frame)
        return list(explain_rows(self, first, root, head=head, label=label, notes=notes))

    def importance(
        self,
        rows: Source,
        *,
        images: str | Path | None = None,
        say: Callable[[str], None] = lambda message: None,
    ) -> Importance:
        """Return how much worse each head gets where a group or column is shuffled among rows.

        Args:
            rows: Rows that hold the targets, as for `evaluate`; up to 2,000 are taken at random.
            images: Folder that photo paths are relative to; the file's folder by default.
            say: Called with a line of news.

        Raises:
            DataError: As `evaluate`.
        """
        from multimodal.explain.importance import MOST_ROWS, importance

        table, root = open_table(rows, images)
        if len(table.frame) > MOST_ROWS:
            say(f"{MOST_ROWS:,} of {len(table.frame):,} rows are taken, at random")
            drawn = np.random.default_rng(0).permutation(len(table.frame))[:MOST_ROWS]
            kept = np.isin(np.arange(len(table.frame)), drawn)
            frame = table.frame[kept].reset_index(drop=True)
            table = replace(table, frame=frame, rows=table.rows[kept], lines=table.lines[kept])
        truths, weights = self._truths(table, root, say), self._weights(table)
        frame = self._without_absent(table, root)[0]
        return importance(self, frame, root, truths, dict.fromkeys(truths, weights))

    def evaluate(
        self,
        rows: Source,
        *,
        images: str | Path | None = None,
        say: Callable[[str], None] = lambda message: None,
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of every head on rows that hold the targets.

        The column of row weights counts, where the run was trained with one and the rows have it.
        A row that lacks the label of a head is not scored for that head; a head whose columns are
        not there is left out, as long as the rows hold the label of another.

        Args:
            rows: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
            images: Folder that photo paths are relative to; the file's folder by default.
            say: Called with a line of news, such as how many rows do not count.

        Raises:
            DataError: As `predict`, or no head's target column is there or holds a label.
        """
        table, root = open_table(rows, images)
        truths = self._truths(table, root, say)
        found = self._outputs(table, root)
        weights = self._weights(table)
        scores: dict[str, dict[str, float]] = {}
        for task in (task for task in self.tasks if task.name in truths):
            truth, outputs = truths[task.name], found.outputs[task.name]
            known = has_truth(task, truth) & has_answer(outputs) & (weights > 0)
            if known.sum() < table.rows_read:
                left = table.rows_read - int(known.sum())
                say(f"{task.name}: {left:,} of {table.rows_read:,} rows left out; they lack a "
                    "truth, a weight or a prediction")  # fmt: skip
            if known.any():
                scores[task.name] = measure(task, truth, outputs, weights)
        if not scores:
            columns = " or ".join(f"'{', '.join(head.columns)}'" for head in self.spec.heads)
            raise DataError(f"{table.name}: no row has both a {columns} and a prediction.")
        return scores

    def _check_level(self, level: float) -> None:
        """Raise RunError or ConfigError unless the run has intervals at this level."""
        if self.calibration is None:
            raise RunError(
                f"{self.path}: has no {CALIBRATION}, so it knows no intervals; it was trained "
                "before there were any, or not to its end. Train anew, or ask for no level."
            )
        numbers = [task.name for task in self.tasks if task.kind == "number"]
        if not numbers:
            raise RunError(f"{self.path}: no head predicts a number, so there are no intervals.")
        for name in numbers:
            reaches(self.calibration.number(name), level)

    def _ends(
        self, outputs: Mapping[str, Floats], inputs: Mapping[str, NDArray[Any]], level: float
    ) -> dict[str, dict[str, Floats]]:
        """Return the ends (rows,) of the intervals of each number, by head: `low` and `high`."""
        found = {}
        for task in self.tasks:
            if task.kind == "number" and self.calibration is not None:
                ends = self.calibration.interval(task.name, outputs[task.name], level, inputs)
                found[task.name] = ends._asdict()
        return found

    def _predict(self, table: Table, root: Path, level: float | None) -> Predictions:
        found = self._outputs(table, root)
        result = self._frame(table, found, level)
        return Predictions(result, found.counts, self._unused(table))

    def _outputs(self, table: Table, root: Path) -> _Outputs:
        frame, notes, counts = self._without_absent(table, root)
        try:
            arrays = self.preprocessor.arrays(frame, root)
        except DataError as error:
            raise DataError(f"{table.name}: {error}") from None
        usual = None if self.calibration is None else self.calibration.usual
        statistics, watch = watch_photos(self.spec, len(frame))
        outputs, faults = self.decoded(arrays, watch if usual else None)
        notes |= {row: f"photo: {why}" for row, why in faults.items()}
        for values in outputs.values():
            values[list(faults)] = np.nan
        unseen = {f"unseen in '{column}'": count for column, count in arrays.unseen.items()}
        for column, count in arrays.unreadable.items():
            unseen[f"taken for missing, since no number or date, in '{column}'"] = count
        lost = {"rows without a prediction": len(faults) + len(table.quarantine)}
        odd = None
        if usual is not None:
            found = unusual_rows(usual, self.preprocessor, frame, arrays, statistics)
            odd = reasons(found, len(frame))
            lost["rows unlike the training rows"] = sum(map(bool, odd))
        counts = unseen | counts | lost
        return _Outputs(outputs, self._sizes(frame, root), notes, counts, arrays.inputs, odd)

    def _sizes(self, frame: pd.DataFrame, root: Path) -> Floats | None:
        """Return the sizes of the photos that boxes lie on, None where no head predicts a box."""
        boxes = any(task.kind == "box" for task in self.tasks)
        return photo_sizes(frame, self.spec.groups, root) if boxes else None

    def _truths(
        self, table: Table, root: Path, say: Callable[[str], None]
    ) -> dict[str, NDArray[Any]]:
        """Read the labels of the heads whose columns are there, which one must be."""
        there = {h.name for h in self.spec.heads if set(h.columns) <= set(table.frame.columns)}
        for head in self.spec.heads:
            if there and head.name not in there:
                say(f"{head.name}: not scored; the rows lack {', '.join(head.columns)}")
        heads = [head for head in self.spec.heads if head.name in there or not there]
        return {
            head.name: read_truth(table, self.schema, head, root, groups=self.spec.groups, say=say)
            for head in heads
        }

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

    def _weights(self, table: Table) -> Floats:
        """Return the weights (rows,), 1 where there is no such column; a bad one weighs nothing."""
        for name in self.schema.names("weight"):
            if name in table.frame:
                found = parse_numbers(column_of(table, name), self.schema.column(name).unit).values
                return np.where(np.isfinite(found) & (found > 0), found, 0.0)
        return np.ones(len(table.frame))

    def _frame(self, table: Table, predicted: _Outputs, level: float | None) -> pd.DataFrame:
        """Put answers and notes in the order of the source, with the rows not read."""
        found: dict[str, Any] = {}
        for name in self.schema.names("identifier")[:1]:
            if name in table.frame:
                found["id"] = table.frame[name].to_numpy()
        ends = {} if level is None else self._ends(predicted.outputs, predicted.inputs, level)
        for task in self.tasks:
            columns = answers(task, predicted.outputs[task.name], predicted.sizes)
            columns |= ends.get(task.name, {})
            found |= {f"{task.name}_{ending}": column for ending, column in columns.items()}
        frame = pd.DataFrame(found, index=table.rows).reindex(range(table.rows_read))
        remarks = {int(table.rows[row]): note for row, note in predicted.notes.items()}
        remarks |= {f.row: f"line {f.line}: {f.reason}" for f in table.quarantine}
        frame["note"] = [remarks.get(row, "") for row in range(table.rows_read)]
        if predicted.unusual is not None:
            odd = pd.Series(predicted.unusual, index=table.rows, dtype=object)
            frame["unusual"] = odd.reindex(range(table.rows_read), fill_value="")
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
    _check_folder(folder, os.fspath(path))
    config, schema, spec = _declared(folder)
    with _damaged(folder):
        most = stored_bytes(folder / MODEL)  # a weight takes four bytes
    try:
        model = assemble(config, spec, most=min(MOST_PARAMETERS, most))
    except Exception as error:
        raise RunError(f"{folder}: not a whole run. {first_line(error)}") from error
    with _damaged(folder):
        check_weights(folder / MODEL, model)
        model.load_weights(folder / MODEL)
    there = (folder / CALIBRATION).exists() or is_listed(folder, CALIBRATION)
    calibration = read_calibration(folder, spec) if there else None
    experts = None
    if config.training.trees and ((folder / TREES).exists() or is_listed(folder, TREES)):
        widths = {name: int(model.output[name].shape[-1]) for name, _ in blended(config, spec)}
        experts = read_experts(folder / TREES, spec, widths)
    return Run(folder, config, schema, spec, model, calibration, experts)


@contextmanager
def _damaged(folder: Path) -> Iterator[None]:
    """Tell what is wrong with the weights."""
    try:
        yield
    except Exception as error:
        raise RunError(
            f"{folder / MODEL}: damaged, or of another run than {CONFIG} and {SPEC} "
            f"({first_line(error)}). Copy the run directory again, or train anew."
        ) from error


def _check_folder(folder: Path, given: str) -> None:
    """Raise RunError unless `folder` is a whole run directory."""
    wanted = "Give the folder that training wrote."
    if folder.is_file():
        raise RunError(f"{folder}: a file, not a run directory. {wanted}")
    if not folder.is_dir():
        remote = ", and only local folders are read" if ":/" in given else ""
        raise RunError(f"{given}: no such run directory{remote}. {wanted}")
    whole = (folder / MODEL).exists() and (folder / MANIFEST).exists()
    if (folder / RECORD).exists() and not whole:
        raise RunError(
            f"{folder}: the training in it is unfinished. Give the command it was started with "
            "again; it goes on from there."
        )
    for name in (CONFIG, SCHEMA, SPEC):
        if not (folder / name).exists():
            raise RunError(f"{folder / name}: cannot be read (no such file); not a complete run.")
    if not (folder / MODEL).exists():
        raise RunError(
            f"{folder}: {MODEL} is missing; training did not get as far as saving a model."
        )
    names = [CONFIG, SCHEMA, SPEC, MODEL]
    if (folder / CALIBRATION).exists() or is_listed(folder, CALIBRATION):
        names.append(CALIBRATION)
    check_manifest(folder, names)


def _declared(folder: Path) -> tuple[Config, Schema, FittedSpec]:
    try:
        config = Config.from_json(_text(folder / CONFIG), str(folder / CONFIG))
        schema = Schema.from_json(_text(folder / SCHEMA), str(folder / SCHEMA))
        spec = FittedSpec.model_validate_json(_text(folder / SPEC))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{folder / SPEC}: damaged; `{where}`: {first['msg']}.") from None
    except MultimodalError as error:
        raise RunError(str(error)) from None
    for group in spec.groups:
        if not (group.columns and _is_whole(group)):
            raise RunError(f"{folder / SPEC}: damaged; group '{group.name:.60}' is not whole.")
    return config, schema, spec


def _is_whole(group: FittedGroup) -> bool:
    """Whether a group has what its modality needs, all of it from its own columns."""
    needs = {
        "tabular": bool(group.numeric or group.categorical),
        "text": bool(group.lengths),
        "image": group.photos * group.image_size > 0,
        "series": group.steps * len(group.channels) > 0,
    }
    sources = [*(each.source for each in group.numeric), *(c.source for c in group.categorical)]
    return needs[group.modality] and {*sources} <= {*group.columns}


def _text(path: Path) -> str:
    try:
        return read_text(path, most=MOST_BYTES)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); not a complete run.") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: damaged; not a text file ({error.reason}).") from None


def save_parts(
    folder: Path, config: Config, schema: Schema, spec: FittedSpec, model: keras.Model | None,
    experts: Experts | None = None,
) -> None:  # fmt: skip
    """Write the files that `load` reads, each whole or not at all, and with a model the manifest.

    The calibration of an earlier model goes.

    Raises:
        OSError: The disk is full or cannot be written; no file is left in part.
    """
    write_text(folder / CONFIG, config.to_json())
    write_text(folder / SCHEMA, schema.to_json())
    write_text(folder / SPEC, spec.model_dump_json(indent=2))
    if model is not None:
        plain = assemble(config, spec)  # without mixed precision, for any machine
        plain.set_weights(model.get_weights())
        with replace_file(folder / MODEL) as beside:
            plain.save(beside)
        for gone in (CALIBRATION, TREES):
            (folder / gone).unlink(missing_ok=True)
        if experts is not None:
            write_experts(folder / TREES, experts)
        write_manifest(folder)
