"""What runs the networks of an export, to compare them with the run in a fresh process."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import ConfigError
from multimodal.runtime.export_record import NETWORK, read_export
from multimodal.runtime.sessions import Network

SAVED_MODEL, LITERT, OPENVINO = "saved_model", "network.tflite", "network.xml"
Arrays = Mapping[str, NDArray[Any]]
Engine = Callable[[Arrays], dict[str, NDArray[Any]]]


def engine_of(folder: Path) -> Engine:
    """Return the networks of an export as a function of its inputs, in the engine it is for."""
    record = read_export(folder)
    run = _ENGINES[record.format](folder)
    names = [each.name for each in record.inputs]
    return lambda inputs: run({name: inputs[name] for name in names})


def replay(folder: str, batches: str, answer: str) -> None:
    """Write the outputs for the batches of inputs in a file, which another process has written."""
    run = engine_of(Path(folder))
    found = [run(each) for each in pickle.loads(Path(batches).read_bytes())]
    Path(answer).write_bytes(pickle.dumps(found))


def _onnx(folder: Path) -> Engine:
    network = Network(folder / NETWORK)
    return lambda inputs: network(inputs, list(network.outputs))


def _saved_model(folder: Path) -> Engine:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / SAVED_MODEL))
    run = loaded.signatures["serving_default"]

    def predict(inputs: Arrays) -> dict[str, NDArray[Any]]:
        given = {name: tf.constant(value) for name, value in inputs.items()}
        return {name: np.asarray(value) for name, value in run(**given).items()} if loaded else {}

    return predict


def _litert(folder: Path) -> Engine:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ConfigError(
            "an export to LiteRT is compared with the run by ai-edge-litert, which is not "
            "installed: pip install 'multimodal-keras[litert]'"
        ) from None
    # the reference kernels are not needed: those with XNNPACK are what a device runs
    run = Interpreter(str(folder / LITERT)).get_signature_runner("serving_default")
    return lambda inputs: dict(run(**inputs))


def _openvino(folder: Path) -> Engine:
    import openvino

    # for the processor's own choice of lower precision, a number would no longer be the run's
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(folder / OPENVINO, "CPU", options)

    def predict(inputs: Arrays) -> dict[str, NDArray[Any]]:
        found = model({name: inputs[name] for name in inputs})
        return {output.get_any_name(): np.array(value) for output, value in found.items()}

    return predict


_ENGINES: dict[str, Callable[[Path], Engine]] = {
    "onnx": _onnx,
    "saved_model": _saved_model,
    "litert": _litert,
    "openvino": _openvino,
}
