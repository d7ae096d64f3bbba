"""Open what a folder holds: a run, which Keras computes, or an export, which does without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multimodal.runs.exported import ExportedRun, load_export
from multimodal.runtime.export_record import is_export

if TYPE_CHECKING:
    from multimodal.runs.run import Run


def load(path: str | Path) -> Run | ExportedRun:
    """Load a run directory, or the export of a run.

    Of a run, a network is built from config and spec, then the weights are read. An export is
    opened by ONNX Runtime: neither Keras nor TensorFlow is imported. Both predict raw rows alike.

    Nothing in the directory is executed, and no class is looked up by a name found in it. Its files
    must be those of its manifest, and the weights those of the model that its config describes,
    before any of them is read. A checksum tells damage, not its author: whoever changes a file on
    purpose can write the manifest anew.

    Raises:
        RunError: The directory or a file in it is missing, changed, damaged or too large, or the
            weights of a pretrained model that it names are not on this machine.
        ConfigError: ONNX Runtime, which an export needs, is not installed.

    Example:
        load("run").predict("tomorrow.csv").frame
    """
    if is_export(Path(path)):
        return load_export(path)
    from multimodal.runs.run import load as load_run

    return load_run(path)
