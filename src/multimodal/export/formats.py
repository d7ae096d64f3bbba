"""Graphs as SavedModel, LiteRT and OpenVINO files: the network alone, for engines given arrays."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multimodal.core.errors import ConfigError, RunError, first_line
from multimodal.core.files import quiet_stderr, replace_file
from multimodal.export.graph import Graph

_OPERATOR = re.compile(r"tf\.(\w+) op|'tf\.(\w+)'|\btf\.(\w+)\(")


def write_saved_model(graph: Graph, path: Path) -> None:
    """Write a graph as a SavedModel folder, whose signature is `serving_default`.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    import tensorflow as tf

    def named(**inputs: Any) -> Any:
        return graph.function(inputs)

    traced = tf.function(named, autograph=False).get_concrete_function(**graph.signature)
    with _quietly():
        tf.saved_model.save(graph.module, str(path), signatures={"serving_default": traced})


def write_litert(graph: Graph, path: Path) -> None:
    """Write a graph as a LiteRT file of built-in operators alone, which every build of LiteRT has.

    Raises:
        RunError: LiteRT has no built-in operator for a part of the graph.
        OSError: The disk is full or cannot be written.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(graph, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            with _quietly():
                content = converter.convert()
        except Exception as error:  # of an operator, of which there are many kinds
            found = {next(filter(None, each)) for each in _OPERATOR.findall(str(error))}
            names = ", ".join(sorted(found)) or first_line(error)
            raise RunError(
                f"{path.name}: LiteRT has no built-in operator for {names}, which a part of the "
                "network needs. See the table in docs/export.md; ONNX has all."
            ) from None
    with replace_file(path) as beside:
        beside.write_bytes(content)


def write_openvino(graph: Graph, path: Path) -> None:
    """Write a graph as the two files of an OpenVINO model, `.xml` and `.bin`, in float32.

    Raises:
        ConfigError: A package that this needs is not installed.
        RunError: OpenVINO has no operator for a part of the graph.
        OSError: The disk is full or cannot be written.
    """
    try:
        import openvino
    except ImportError:
        raise ConfigError(
            "an export to OpenVINO needs openvino, which is not installed: "
            "pip install 'multimodal-keras[openvino]'"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(graph, Path(folder))
        try:
            model = openvino.convert_model(folder)
        except Exception as error:
            raise RunError(f"{path.name}: cannot be written ({first_line(error)}).") from None
        openvino.save_model(model, path, compress_to_fp16=False)


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings(), quiet_stderr():
        warnings.simplefilter("ignore")
        yield
