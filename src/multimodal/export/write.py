"""The folder of an export: the networks in their format, and the files that belong to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from multimodal.core.errors import RunError
from multimodal.core.files import replace_file, sha256_of, write_text
from multimodal.core.interrupted import MODEL
from multimodal.evaluation.calibration import CALIBRATION
from multimodal.export.engines import LITERT, OPENVINO, SAVED_MODEL
from multimodal.export.extractors import write_extractors
from multimodal.export.formats import write_litert, write_openvino, write_saved_model
from multimodal.export.graph import Graph, decoder_of, graph_of
from multimodal.export.onnx import write_onnx
from multimodal.models.fitted import FittedModel
from multimodal.runtime.boosted_models import TREES
from multimodal.runtime.export_record import (
    DECODER,
    EXPORT,
    FORMATS,
    LINEAR,
    NETWORK,
    ExportRecord,
    HeadRecord,
    TensorRecord,
    meaning_of,
    output_meaning,
)

COPIED = ("config.json", "schema.json", "spec.json", CALIBRATION, TREES)


def write_folder(
    model: FittedModel, run: Path, folder: Path, wanted: str, versions: dict[str, str]
) -> ExportRecord:
    """Write the files of an export into an empty folder, all but its manifest; return its record.

    Args:
        model: The model of the run.
        run: The run directory, whose files are copied.
        folder: The folder.
        wanted: The format.
        versions: What it was made with.

    Raises:
        ConfigError: A package that the format needs is not installed, or Keras runs on another
            backend than TensorFlow.
        RunError: The format has no operator for a part, or does not hold what the run has.
        OSError: The disk is full or cannot be written.
    """
    graph = _WRITERS[wanted](model, run, folder)
    record = ExportRecord(
        format=wanted,
        run=run.resolve().name,
        checksum=sha256_of(run / MODEL),
        inputs=_inputs(model, graph),
        outputs=_outputs(model, graph),
        heads=[HeadRecord.of(task, model.predictor.widths[task.name]) for task in model.tasks],
        versions=versions,
    )
    write_record(folder, record)
    return record


def write_record(folder: Path, record: ExportRecord) -> None:
    """Write `export.json`."""
    write_text(folder / EXPORT, record.model_dump_json(indent=2) + "\n")


def whole_graph(model: FittedModel, *, raw: frozenset[str] = frozenset(), both: bool) -> Graph:
    """Return the graph of a model, with its calibration."""
    temperatures = {} if model.calibration is None else model.calibration.temperatures
    return graph_of(model.parts, model.tasks, temperatures, raw=raw, both=both)


def _write_onnx(model: FittedModel, run: Path, folder: Path) -> Graph:
    trees = model.boosted_models
    boosted = [] if trees is None else list(trees.heads)
    graph = whole_graph(model, raw=frozenset(boosted), both=True)
    write_onnx(graph, folder / NETWORK)
    if boosted:
        write_onnx(decoder_of(model.parts, boosted), folder / DECODER)
        kernels: dict[str, Any] = {}
        for name in boosted:
            kernel, bias = model.parts.linear_model(name)
            kernels |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
        with replace_file(folder / LINEAR) as beside, beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **kernels)
    write_extractors(model, folder)
    for name in COPIED:
        if (run / name).exists() and (name != TREES or boosted):
            shutil.copyfile(run / name, folder / name)
    return graph


def _write_network(
    write: Callable[[Graph, Path], None], name: str
) -> Callable[[FittedModel, Path, Path], Graph]:
    """Return what writes the networks of a run alone, as a file or folder of this name."""

    def written(model: FittedModel, run: Path, folder: Path) -> Graph:
        if model.boosted_models is not None:
            heads = ", ".join(model.boosted_models.heads)
            raise RunError(
                f"{run}: boosted trees have a weight in the predictions of {heads}, and {name} "
                "holds networks alone. Export to onnx, or train with `training: {trees: false}`."
            )
        graph = whole_graph(model, both=False)
        write(graph, folder / name)
        return graph

    return written


_WRITERS: dict[str, Callable[[FittedModel, Path, Path], Graph]] = {
    "onnx": _write_onnx,
    "saved_model": _write_network(write_saved_model, SAVED_MODEL),
    "litert": _write_network(write_litert, LITERT),
    "openvino": _write_network(write_openvino, OPENVINO),
}


def _inputs(model: FittedModel, graph: Graph) -> list[TensorRecord]:
    return [
        TensorRecord(
            name=name,
            dtype=each.dtype.name,
            shape=list(each.shape),
            meaning=meaning_of(model.spec, name),
        )
        for name, each in graph.signature.items()
    ]


def _outputs(model: FittedModel, graph: Graph) -> list[TensorRecord]:
    tasks, found = {task.name: task for task in model.tasks}, []
    for name, width in graph.widths.items():
        head, _, more = name.partition(".")
        meaning = output_meaning(tasks[head])
        if more == "raw":
            meaning = f"raw outputs; {TREES} adds to them, {DECODER} decodes them"
        elif more:
            meaning += ", before they are calibrated"
        shape: list[int | None] = [None, width]
        found.append(TensorRecord(name=name, dtype="float32", shape=shape, meaning=meaning))
    return found


def check_format(wanted: str) -> None:
    """Raise RunError unless there is such a format."""
    if wanted not in FORMATS:
        raise RunError(f"format '{wanted}': expected one of {', '.join(FORMATS)}.")
