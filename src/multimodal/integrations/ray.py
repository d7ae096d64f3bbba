"""Ray Data: rows of many files predicted and prepared on many machines.

Classes for `Dataset.map_batches`: each worker loads the run, or the pretrained model, once. Ray is
not imported here; its datasets come in, whose batches are frames, dicts of arrays, or Arrow tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.errors import ConfigError, DataError, choices
from multimodal.core.spec import PADDING, SPARSE_KEYS, FittedSpec, LabelType
from multimodal.data.columns.cells import as_text
from multimodal.data.features.pretrained import FrozenFeatures
from multimodal.data.photos.locate import Images, locate, photo_root
from multimodal.data.photos.names import Photo, cell_photos
from multimodal.data.photos.read import PhotoPaths, why_absent
from multimodal.data.read.readers import read_table
from multimodal.data.read.table import Dialect, Table
from multimodal.runs import raw_rows
from multimodal.runs.open import load
from multimodal.runs.rows import target_names

__all__ = ["ExtractFeatures", "PredictRows", "PrepareRows", "predict", "prepare"]

_TYPES: dict[LabelType, str] = {"integer": "Int64", "float": "Float64", "flag": "boolean"}


class PredictRows:
    """Predict batches of raw rows by a run, which is loaded once.

    The batch comes back with the columns of `Run.predict(...).frame` behind its own, but for `row`
    and `id`. Each row is read as the training rows were written: of a batch, nobody knows how the
    whole file is, so numbers in texts keep the decimal mark of the training.

    Args:
        run: Directory of a run or an export, which all workers see.
        images: Folder that photo paths are relative to; the worker's working directory by default.
        level: As of `Run.predict`.

    Raises:
        RunError, ConfigError: As `multimodal.load` and `Run.predict`.

    Example:
        rows = ray.data.read_parquet("products/")
        rows.map_batches(PredictRows, fn_constructor_args=("run",), batch_format="pandas")
    """

    def __init__(self, run: str, images: Images = None, level: float | None = None) -> None:
        self._run, self._images, self._level = load(run), images, level
        raw_rows.check_model_level(self._run, level)

    def __call__(self, batch: Any) -> pd.DataFrame:
        """Return a batch with its predictions.

        Raises:
            DataError: A column that the model reads is missing, or one of the batch has the name of
                one of the predictions.
        """
        frame = _frame(batch)
        table = _table(frame, self._run.config.data)
        found = raw_rows.predict_part(self._run, table, self._images, self._level, 0).frame
        added = found.drop(columns=["row", "id"], errors="ignore")
        added = added.astype(self._types)
        if both := sorted({str(name) for name in frame} & {str(name) for name in added}):
            raise DataError(
                f"columns {', '.join(both)} of the rows have the names of predictions. Rename or "
                "drop them before (Dataset.rename_columns, Dataset.drop_columns)."
            )
        return pd.concat([frame, added], axis=1)

    @property
    def _types(self) -> dict[str, str]:
        """Return the types of columns of classes, which must be the same in all batches."""
        names = target_names(self._run.config, self._run.spec)
        return {
            f"{names[task.name]}_prediction": _TYPES[task.label_type]
            for task in self._run.tasks
            if task.kind == "class" and task.label_type in _TYPES
        }


class PrepareRows:
    """Turn batches of raw rows into the arrays that a run's networks read: the costly half.

    Numbers, category codes, word ids, decoded photos or frozen features by input name, and presence
    flags, each with one shape in all batches, so that they can be written once and read by many.

    Args:
        run: Directory of a run, which all workers see.
        images: Folder that photo paths are relative to; the worker's working directory by default.
        keep: Columns of the rows that stay, such as an identifier or the label.

    Example:
        rows.map_batches(PrepareRows, fn_constructor_args=("run", "photos", ["id"]))
    """

    def __init__(self, run: str, images: Images = None, keep: Sequence[str] = ()) -> None:
        self._run, self._images, self._keep = load(run), images, list(keep)

    def __call__(self, batch: Any) -> dict[str, NDArray[Any]]:
        """Return the arrays of a batch, and the columns that stay.

        Raises:
            DataError: A column that the model reads, or one that stays, is missing.
        """
        frame = _frame(batch)
        for name in self._keep:
            if name not in frame:
                raise DataError(f"column '{name}' is missing. {choices(name, map(str, frame))}")
        table = _table(frame, self._run.config.data)
        root = photo_root(self._images, Path())
        found = raw_rows.network_inputs(self._run, table, root)
        inputs = {key: _padded(key, each, self._run.spec) for key, each in found.items()}
        return {**{name: frame[name].to_numpy() for name in self._keep}, **inputs}


class ExtractFeatures:
    """Add the features of a pretrained model to batches, of a column of photos or texts.

    The new column, `<column>_<model>`, holds float32 vectors, zeros where there is no photo or
    text. What is computed is kept in the worker's cache of features (`MULTIMODAL_CACHE`).

    Args:
        model: Name of a pretrained model, see `multimodal weights`.
        column: Column of the texts, or of photos: paths or bytes, of which the first is read.
        images: Folder that photo paths are relative to; the worker's working directory by default.

    Raises:
        ConfigError: There is no such model, or its weights are not on the worker's machine.

    Example:
        rows.map_batches(ExtractFeatures, fn_constructor_args=("minilm", "description"))
    """

    def __init__(self, model: str, column: str, images: Images = None) -> None:
        from multimodal.models.pretrained.extractors import load_extractor

        self._features = FrozenFeatures(load_extractor(model), kept=True)
        self._name, self._column, self._images = f"{column}_{model}", column, images

    def __call__(self, batch: Any) -> pd.DataFrame:
        """Return a batch with a further column; raise DataError where the column is missing."""
        frame = _frame(batch)
        if self._column not in frame:
            hint = choices(self._column, map(str, frame))
            raise DataError(f"column '{self._column}' is missing. {hint}")
        cells = frame[self._column]
        if self._features.extractor.size:  # of photos
            root = photo_root(self._images, Path())
            paths = [[_first_photo(cell, root)] for cell in cells]
            found, _ = self._features.photos(PhotoPaths(paths, self._features.extractor.size))
        else:
            found = self._features.texts([text or "" for text in as_text(cells)])
        return frame.assign(**{self._name: list(found[:, 0])})


def predict(
    dataset: Any,
    run: str | Path,
    *,
    images: Images = None,
    level: float | None = None,
    batch_size: int = 1024,
    concurrency: int | tuple[int, int] = 1,
    **options: Any,
) -> Any:
    """Return a dataset of Ray Data with the predictions of its rows, as `PredictRows` makes them.

    Args:
        dataset: Of Ray Data, such as `ray.data.read_parquet("products/")`.
        run: Directory of a run or an export, which all workers see.
        images: Folder that photo paths are relative to; each worker's working directory by default.
        level: As of `Run.predict`.
        batch_size: Rows that are predicted together.
        concurrency: Workers, each of which loads the run once; or the least and the most.
        options: Further ones of `map_batches`, such as `num_cpus` or `num_gpus` of a worker.

    Example:
        predict(ray.data.read_parquet("in/"), "/shared/run", concurrency=8).write_parquet("out/")
    """
    given = (str(run), images, level)
    return _mapped(dataset, PredictRows, given, "pandas", batch_size, concurrency, options)


def prepare(
    dataset: Any,
    run: str | Path,
    *,
    images: Images = None,
    keep: Sequence[str] = (),
    batch_size: int = 1024,
    concurrency: int | tuple[int, int] = 1,
    **options: Any,
) -> Any:
    """Return a dataset of Ray Data with the arrays that a run reads, as `PrepareRows` makes them.

    Args:
        dataset: Of Ray Data, such as `ray.data.read_parquet("products/")`.
        run: Directory of a run, which all workers see.
        images: Folder that photo paths are relative to; each worker's working directory by default.
        keep: Columns of the rows that stay.
        batch_size: Rows that are prepared together.
        concurrency: Workers, each of which loads the run once; or the least and the most.
        options: Further ones of `map_batches`, such as `num_cpus` of a worker.
    """
    given = (str(run), images, list(keep))
    return _mapped(dataset, PrepareRows, given, "pandas", batch_size, concurrency, options)


def _mapped(
    dataset: Any,
    kind: type,
    given: tuple[Any, ...],
    batch_format: str,
    batch_size: int,
    concurrency: int | tuple[int, int],
    options: Mapping[str, Any],
) -> Any:
    if not hasattr(dataset, "map_batches"):
        raise ConfigError(
            f"expected a dataset of Ray Data, got {type(dataset).__name__}. Read one, as by "
            "ray.data.read_parquet(...); Ray is the extra `ray`."
        )
    return dataset.map_batches(
        kind,
        fn_constructor_args=given,
        batch_format=batch_format,
        batch_size=batch_size,
        concurrency=concurrency,
        **options,
    )


def _frame(batch: Any) -> pd.DataFrame:
    """Return a batch as a frame, whether it is one, an Arrow table or a dict of arrays."""
    if isinstance(batch, pd.DataFrame):
        return batch.reset_index(drop=True)
    if isinstance(batch, Mapping):
        cells = {name: np.asarray(values) for name, values in batch.items()}
        return pd.DataFrame({n: list(v) if v.ndim > 1 else v for n, v in cells.items()})
    if hasattr(batch, "to_pandas"):
        return pd.DataFrame(batch.to_pandas())
    raise DataError(
        f"expected a batch of rows as a DataFrame, a dict of arrays or an Arrow table, got "
        f"{type(batch).__name__}."
    )


def _table(frame: pd.DataFrame, data: Any) -> Table:
    return read_table(frame, **Dialect.of(data)._asdict(), allow_empty=True)


def _padded(key: str, array: NDArray[Any], spec: FittedSpec) -> NDArray[Any]:
    """Return an array whose texts are as long as the longest that is read."""
    lengths = {k: each[-1] for group in spec.groups for k, each in group.token_lengths.items()}
    if spec.terms is not None:
        lengths |= dict.fromkeys(SPARSE_KEYS, spec.terms.lengths[-1])
    gap = lengths.get(key, 0) - array.shape[-1]
    return np.pad(array, ((0, 0), (0, gap)), constant_values=PADDING) if gap > 0 else array


def _first_photo(cell: Any, root: Any) -> Photo | None:
    try:
        found = next(iter(cell_photos(cell)), None)
        photo = None if found is None else locate(found, root)
    except (ValueError, OSError):  # leads out of the folder, or is no path at all
        return None
    return None if photo is None or why_absent(photo) else photo
