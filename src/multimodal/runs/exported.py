"""An export of a run: it predicts raw rows as the run does, without Keras and TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, damage_told, read_arrays
from multimodal.core.config import Config
from multimodal.core.errors import RunError
from multimodal.core.manifest import check_manifest, listed_files
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import Schema
from multimodal.data.features.preprocess import Arrays, Preprocessor
from multimodal.data.features.pretrained import Extractors
from multimodal.data.photos.locate import Images, PhotoRoot
from multimodal.data.read.readers import Source
from multimodal.evaluation.calibration import CALIBRATION, Calibration, read_calibration
from multimodal.evaluation.task import Task
from multimodal.runs import raw_rows
from multimodal.runs.declared import CONFIG, SCHEMA, SPEC, read_declared
from multimodal.runs.rows import Predictions
from multimodal.runtime.batches import Inputs, cut_words, fixed_lengths, predict_batches
from multimodal.runtime.boosted_models import (
    MOST_BYTES,
    TREES,
    BoostedModels,
    read_boosted_models,
    with_trees,
)
from multimodal.runtime.export_record import (
    DECODER,
    EXPORT,
    LINEAR,
    NETWORK,
    RAW,
    UNCALIBRATED,
    ExportRecord,
    only_predicts,
    read_export,
)
from multimodal.runtime.extractors import exported_extractors
from multimodal.runtime.sessions import Network

OF_A_RUN = ("explain", "export", "importance", "inputs", "model", "parts", "predictor")
AGAIN = "Export the run again."
Kernels = dict[str, tuple[NDArray[Any], NDArray[Any]]]


class NotOfAnExport(RunError, AttributeError):
    """What a run does and an export does not; `hasattr` tells, too."""


@dataclass(frozen=True)
class Trees:
    """Boosted trees beside the networks, with what they read and what decodes their outputs."""

    models: BoostedModels
    kernels: Kernels
    decoder: Network


@dataclass(frozen=True)
class ExportedRun:
    """A run as `export` wrote it: it predicts and measures rows, and needs no Keras to do so.

    Args:
        path: The folder of the export.
        config: What the user wanted.
        schema: What each column is.
        spec: What preprocessing learned from the training rows.
        record: The file `export.json`.
        network: The networks and what is stacked with them.
        calibration: As of a run.
        trees: Boosted trees, where they have a weight in the predictions of a head.
        extractors: The pretrained models, by group, whose frozen features it reads.
    """

    path: Path
    config: Config
    schema: Schema
    spec: FittedSpec
    record: ExportRecord
    network: Network = field(repr=False)
    calibration: Calibration | None = field(repr=False, default=None)
    trees: Trees | None = field(repr=False, default=None)
    extractors: Extractors = field(repr=False, default_factory=dict)

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """Raw rows to arrays."""
        return Preprocessor(self.spec, self.schema, self.extractors)

    @cached_property
    def tasks(self) -> list[Task]:
        """What each head is asked."""
        return [head.task for head in self.record.heads]

    @cached_property
    def _sources(self) -> dict[str, str]:
        """The output of the network that each head reads; it is calibrated here, in float64."""
        known = self.network.outputs
        return {
            task.name: next(
                name for end in (RAW, UNCALIBRATED, "") if (name := task.name + end) in known
            )
            for task in self.tasks
        }

    def decoded(
        self, arrays: Arrays, watch: Callable[..., None] | None = None
    ) -> tuple[dict[str, Floats], dict[int, str]]:
        """Return calibrated outputs (rows, width) by head, and faults of photos by row."""
        lengths, sources = fixed_lengths(self.spec), self._sources
        widths = {name: int(self.network.outputs[each] or 0) for name, each in sources.items()}

        def predict(batch: Inputs, rows: int) -> Mapping[str, NDArray[Any]]:
            cut = cut_words(batch, lengths, any_shape=True)
            found = self.network(cut, list(sources.values()))
            return {name: found[each] for name, each in sources.items()}

        outputs, faults = predict_batches(arrays, widths, predict, watch)
        if self.trees is not None:
            outputs = self._with_trees(self.trees, arrays, outputs)
        if self.calibration is None:
            return outputs, faults
        return self.calibration.tempered(self.tasks, outputs), faults

    def _with_trees(
        self, trees: Trees, arrays: Arrays, outputs: dict[str, Floats]
    ) -> dict[str, Floats]:
        found = with_trees(trees.models, self.spec, arrays.inputs, trees.kernels, outputs)
        raw = {name + RAW: found[name].astype(np.float32) for name in trees.models.heads}
        decoded = trees.decoder(raw, list(trees.models.heads))
        return found | {name: np.asarray(each, np.float64) for name, each in decoded.items()}

    def predict(
        self, rows: Source, *, images: Images = None, level: float | None = None
    ) -> Predictions:
        """Predict every row, as `Run.predict`."""
        return raw_rows.predict(self, rows, images, level)

    def predict_row(
        self, row: Mapping[str, Any], *, images: str | PhotoRoot = ".", level: float | None = None
    ) -> dict[str, Any]:
        """Predict one raw row, as `Run.predict_row`."""
        return raw_rows.predict_row(self, row, images, level)

    def evaluate(self, rows: Source, *, images: Images = None) -> dict[str, dict[str, float]]:
        """Return the metrics of every head on rows that hold the targets, as `Run.evaluate`."""
        return raw_rows.evaluate(self, rows, images)

    def __getattr__(self, name: str) -> NoReturn:
        if name in OF_A_RUN:
            raise NotOfAnExport(only_predicts(self.path, self.record))
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


def load_export(path: str | Path) -> ExportedRun:
    """Load an export that predicts raw rows.

    Its files must be those of its manifest before any of them is read; nothing in it is executed.

    Raises:
        RunError: A file is missing, changed or damaged, or the export is of another format.
        ConfigError: ONNX Runtime is not installed.
    """
    folder = Path(path)
    check_manifest(folder, [EXPORT])
    record = read_export(folder)
    if record.format != "onnx":
        raise RunError(
            f"{os.fspath(path)}: an export for {record.format}, which holds the network alone, "
            "without the preprocessing of rows. Export the run with --format onnx to predict rows."
        )
    # all of it, as nothing in an export is for a reader to edit; what is not listed is not read
    there = {path.relative_to(folder).as_posix() for path in listed_files(folder)}
    check_manifest(folder, sorted({CONFIG, SCHEMA, SPEC, NETWORK} | there))
    config, schema, spec = read_declared(folder)
    network = Network(folder / NETWORK)
    _check_fit(folder, record, spec, network)
    calibration = read_calibration(folder, spec) if CALIBRATION in there else None
    trees = _read_trees(folder, spec, network) if TREES in there else None
    extractors = exported_extractors(spec, folder, there)
    return ExportedRun(
        folder, config, schema, spec, record, network, calibration, trees, extractors
    )


def _check_fit(folder: Path, record: ExportRecord, spec: FittedSpec, network: Network) -> None:
    """Raise RunError unless network, heads and spec are of one run."""
    keys = {*spec.input_keys, *(("terms_ids", "terms_weights") if spec.terms else ())}
    heads = [(head.name, head.kind, head.classes) for head in record.heads]
    wanted = [(head.name, head.kind, list(head.classes)) for head in spec.heads]
    outputs = {name.partition(".")[0] for name in network.outputs}
    if set(network.inputs) - keys or heads != wanted or outputs != {name for name, *_ in heads}:
        raise RunError(f"{folder / NETWORK}: damaged, or of another run than {SPEC}. {AGAIN}")


def _read_trees(folder: Path, spec: FittedSpec, network: Network) -> Trees:
    widths = {
        name.removesuffix(RAW): int(width or 0)
        for name, width in network.outputs.items()
        if name.endswith(RAW)
    }
    models = read_boosted_models(folder / TREES, spec, widths)
    with damage_told(folder / LINEAR, "of another run", AGAIN):
        arrays = read_arrays(folder / LINEAR, total=MOST_BYTES)
        kernels = {n: (arrays[f"{n}/kernel"], arrays[f"{n}/bias"]) for n in models.heads}
        for name, (kernel, bias) in kernels.items():
            count = 1 + (spec.terms.num_terms if spec.terms else 0)
            if kernel.shape != (count, widths[name]) or bias.shape != (widths[name],):
                raise ValueError(f"the linear model of '{name}' has another shape")
    return Trees(models, kernels, Network(folder / DECODER))
