"""Fits of a study: one model fitted on the training rows of a split, its predictions of other rows.

Each finished fit is one `.npz` file without pickle, complete or absent, so that a study which was
interrupted goes on with what is there.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints, damage_told, read_arrays
from multimodal.core.errors import TrainingError
from multimodal.core.files import replace_file
from multimodal.core.spec import SPARSE_KEYS
from multimodal.data.batches import evaluation_dataset
from multimodal.data.features.fit import with_sparse_features
from multimodal.data.prepare import Prepared
from multimodal.data.sparse.blocks import sparse_inputs
from multimodal.evaluation.task import Task
from multimodal.models import baselines
from multimodal.models.build import head_layer
from multimodal.models.stack.stack import stack_networks
from multimodal.models.training.fit import TrainingState
from multimodal.models.training.kfold import (
    BATCH,
    Callbacks,
    fit_network,
    network_to_fit,
    new_network,
)

META = "facts"  # the name in files of earlier versions
MOST_META, HEADER = 1 << 20, 256  # bytes of the JSON, and of an array's description
Shape = tuple[int, int]


@dataclass(frozen=True)
class Fit:
    """The predictions of a fitted model, and what it cost.

    Attributes:
        outputs: Decoded outputs float64 (rows, width) by head.
        parameters: The number of the model's weights; 0 where they are not counted.
        seconds: Wall time.
        epochs: Those of all its networks.
    """

    outputs: dict[str, Floats]
    parameters: int = 0
    seconds: float = 0.0
    epochs: int = 0


def fit_rows(
    prepared: Prepared,
    splits: Sequence[str] = ("test",),
    *,
    callbacks: Callbacks = (),
) -> Fit:
    """Train the config's model on the training rows; return its predictions of other rows.

    The model is that of a run: its networks averaged and stacked with the linear model. The best
    epoch of a network is that of the least loss on the rows that it does not learn from.

    Args:
        prepared: The rows, split.
        splits: Whose rows are predicted, one split after the other; those of the test by default.
        callbacks: Further Keras callbacks of the fit.

    Raises:
        TrainingError: The loss is not a number, or the memory is not enough.
        KeyboardInterrupt: Ctrl-C ended the fit.
    """
    start, count = time.perf_counter(), int(prepared.config.training.fold_models)
    keras.utils.clear_session()  # else the graphs of all earlier fits stay in memory
    fitted_on = network_to_fit(prepared)
    found = [_fit_network(prepared, i, fitted_on, callbacks) for i in range(count)]
    networks = [network for network, _ in found]
    model = stack_networks(prepared, networks).model
    seconds = time.perf_counter() - start
    rows = np.concatenate([prepared.rows(split) for split in splits])
    outputs = predict_rows(model, prepared, rows)
    return Fit(outputs, model.count_params(), seconds, sum(epochs for _, epochs in found))


def predict_rows(model: keras.Model, prepared: Prepared, rows: Ints) -> dict[str, Floats]:
    """Return the decoded outputs (len(rows), width) of every head, in the order of `rows`.

    Raises:
        TrainingError: An output is not finite.
    """
    buckets = prepared.source.buckets
    sorting = np.arange(len(rows)) if buckets is None else np.argsort(buckets[rows], kind="stable")
    raw = _raw_outputs(model, prepared, rows[sorting])
    found = {}
    for name in model.output_names:
        decoded = head_layer(model, name).decode(keras.ops.convert_to_tensor(raw[name]))
        values = np.asarray(keras.ops.convert_to_numpy(decoded), np.float64)
        if not np.isfinite(values).all():
            raise TrainingError(
                f"head '{name}': the model answers with what is no number. Lower "
                "`training.learning_rate`, or set `training.precision` to 'float32'."
            )
        found[name] = np.empty_like(values)
        found[name][sorting] = values
    return found


def restrict_modalities(prepared: Prepared, modalities: Collection[str]) -> Prepared:
    """Return the same rows with the groups of some modalities only.

    Arrays and photo caches of the other groups are left out, so that no photo is decoded in vain.
    """
    found = prepared.only(modalities)
    if prepared.spec.terms is None:
        return found
    spec = with_sparse_features(
        found.config, found.spec, found.schema, found.table, found.splits, found.labels
    )
    return replace(found, spec=spec)


def tasks(prepared: Prepared) -> list[Task]:
    """Return what each head predicts."""
    pairs = zip(prepared.config.heads, prepared.spec.heads, strict=True)
    return [Task.of(head, fitted, baselines.head_layer(head, fitted)) for head, fitted in pairs]


def output_width(task: Task) -> int:
    """Return the number of decoded outputs of a head per row.

    Example:
    >>> [output_width(each) for each in (Task("price"), Task("cell", "box"))]
    [1, 4]
    """
    return {"number": max(1, len(task.quantiles)), "box": 4}.get(task.kind, len(task.classes))


def _raw_outputs(model: keras.Model, prepared: Prepared, rows: Ints) -> dict[str, NDArray[Any]]:
    """Return the raw outputs of rows by head, which are sorted by the length of their texts."""
    sparse: dict[str, NDArray[Any]] = {}
    if prepared.spec.terms is not None and SPARSE_KEYS[0] in model.input:
        readings = prepared.schema.readings
        frame = prepared.table.frame.iloc[rows]
        sparse = sparse_inputs(prepared.spec.terms, prepared.spec, readings, frame)
    found, done = [], 0
    # As arrays: JAX's `predict_on_batch` takes no tensors of TensorFlow.
    batches = evaluation_dataset(prepared.source, rows, batch_size=BATCH).as_numpy_iterator()
    for inputs, _, _ in batches:
        # The n-gram features of a linear model are not in the source: no network reads them.
        size = len(next(iter(inputs.values())))
        own = {key: values[done : done + size] for key, values in sparse.items()}
        found.append(model.predict_on_batch({**inputs, **own}))
        done += size
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _fit_network(
    prepared: Prepared, i: int, fitted_on: keras.Model, callbacks: Callbacks
) -> tuple[keras.Model, int]:
    """Return network `i` of the best epoch, and how many epochs it took."""
    (model, _), fitted = new_network(prepared, i), TrainingState()
    fit_network(model, prepared, i, fitted, fitted_on=fitted_on, callbacks=callbacks)
    if fitted.interrupted:
        raise KeyboardInterrupt
    return model, len(fitted.log)


def write_fits(path: Path, fits: Mapping[str, Fit]) -> None:
    """Write fits by the name of their model into one `.npz` file, with its folder.

    Raises:
        OSError: The disk is full or cannot be written; no file is left in part.

    Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "fits", "0.npz")
    >>> write_fits(path, {"median": Fit({"price": np.ones((3, 1))}, seconds=0.5)})
    >>> read_fits(path, {"price": (3, 1)})["median"].seconds
    0.5
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    meta: dict[str, Any] = {}
    for name, fit in fits.items():
        costs = {"parameters": fit.parameters, "seconds": fit.seconds, "epochs": fit.epochs}
        places = {head: f"array_{len(arrays) + i}" for i, head in enumerate(fit.outputs)}
        arrays |= {places[head]: np.asarray(v, np.float64) for head, v in fit.outputs.items()}
        meta[name] = {**costs, "outputs": places}
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    with replace_file(path) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **{META: text, **arrays})


def read_fits(path: Path, shapes: Mapping[str, Shape]) -> dict[str, Fit]:
    """Return the fits in a file by the name of their model.

    Args:
        path: The file.
        shapes: By head, the rows and the width that outputs must have.

    Raises:
        RunError: The file is damaged, or holds something else than finite outputs of these shapes.
    """
    largest = 8 * max(rows * width for rows, width in shapes.values()) + HEADER
    again = "Remove the file; the same command fits it anew."
    with damage_told(path, "not what this comparison writes", again):
        arrays = read_arrays(path, each=lambda name: MOST_META if name == META else largest)
        meta = json.loads(arrays[META].tobytes())
        return {str(name): _fit(arrays, each, shapes) for name, each in meta.items()}


def _fit(
    arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any], shapes: Mapping[str, Shape]
) -> Fit:
    outputs = {}
    for head, place in meta["outputs"].items():
        values = arrays[str(place)]
        if head not in shapes or values.shape != shapes[head] or values.dtype != np.float64:
            raise ValueError(f"head '{head}': outputs of shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"head '{head}': outputs that are not finite")
        outputs[str(head)] = values
    seconds = float(meta["seconds"])
    if not math.isfinite(seconds):
        raise ValueError("seconds that are not finite")
    return Fit(outputs, int(meta["parameters"]), seconds, int(meta["epochs"]))
