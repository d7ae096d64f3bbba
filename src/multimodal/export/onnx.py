"""Graphs as ONNX files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multimodal.core.errors import ConfigError, RunError, first_line
from multimodal.core.files import replace_file
from multimodal.export.graph import Graph

OPSET = 18  # the newest that tf2onnx writes
MOST_BYTES = 2**31 - 1  # of a file of protocol buffers


def write_onnx(graph: Graph, path: Path) -> None:
    """Write a graph as an ONNX file.

    Raises:
        ConfigError: A package that this needs is not installed.
        RunError: ONNX has no operator for a part of it, or it is too large.
        OSError: The disk is full or cannot be written.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ConfigError(
            f"an export to ONNX needs {error.name}, which is not installed: "
            "pip install 'multimodal-keras[export]'"
        ) from None
    with _quietly():
        try:
            model, _ = tf2onnx.convert.from_function(
                graph.function,
                input_signature=[graph.signature],
                opset=OPSET,
                custom_op_handlers=_handlers(),
            )
        except Exception as error:  # of an operator that nobody has translated
            raise RunError(f"{path.name}: cannot be written ({first_line(error)}).") from error
    strange = {node.domain for node in model.graph.node} - {"", "ai.onnx", "ai.onnx.ml"}
    if strange:
        wanted = ", ".join(sorted({n.op_type for n in model.graph.node if n.domain in strange}))
        raise RunError(f"{path.name}: ONNX has no operator for {wanted}.")
    if model.ByteSize() > MOST_BYTES:
        raise RunError(f"{path.name}: would have {model.ByteSize():,} bytes; ONNX takes 2 GiB.")
    with replace_file(path) as beside:
        onnx.save(model, beside)


@contextmanager
def _quietly() -> Iterator[None]:
    """Let the converter say nothing: it reports each step, and of libraries that are not there."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _handlers() -> dict[str, Any]:
    """Return how operators are written that tf2onnx writes wrongly, or not at all."""
    return {
        "SelectV2": (_where, []),
        "Erfc": (_erfc, []),
    }


def _where(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Write `where` as it is: as the product that tf2onnx makes of it, infinity gives NaN."""
    node.type = "Where"


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Write the complementary error function as 1 - erf, which ONNX has."""
    import numpy as np
    from tf2onnx import utils

    types = {1: np.float32, 11: np.float64, 10: np.float16}
    one = context.make_const(
        utils.make_name(name), np.array(1, types[context.get_dtype(node.output[0])])
    )
    found = context.make_node("Erf", [node.input[0]], op_name_scope=name)
    context.replace_inputs(node, [one.output[0], found.output[0]])
    node.type = "Sub"
