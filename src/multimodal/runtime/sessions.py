"""ONNX Runtime sessions: an exported network as a function of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import ConfigError, RunError, first_line

Array = NDArray[Any]
TYPES = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(uint8)": "uint8"} | {
    "tensor(bool)": "bool"
}


class Network:
    """A network in an ONNX file, ready to run.

    Args:
        path: The file.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        RunError: The file is damaged, or no ONNX file.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ConfigError(
                f"{path.parent}: predictions of an export need onnxruntime, which is not "
                "installed: pip install onnxruntime"
            ) from None
        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        # threads that wait for the next row would keep a core busy
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of damaged bytes the library raises many kinds
            raise RunError(
                f"{path}: damaged, or no network that ONNX Runtime reads ({first_line(error)}). "
                "Export the run again."
            ) from None
        self.inputs = {each.name: TYPES.get(each.type, "") for each in self._session.get_inputs()}
        self.outputs = {
            each.name: each.shape[-1] if each.shape else None
            for each in self._session.get_outputs()
        }

    def __call__(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return some outputs for the inputs, of which there may be more than it reads."""
        given = {
            name: np.ascontiguousarray(inputs[name], dtype) for name, dtype in self.inputs.items()
        }
        found: list[Array] = self._session.run(list(outputs), given)
        return dict(zip(outputs, found, strict=True))
