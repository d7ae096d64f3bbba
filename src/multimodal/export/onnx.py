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
    if strange := _unknown(model.graph):
        raise RunError(f"{path.name}: ONNX has no operator for {', '.join(sorted(strange))}.")
    if model.ByteSize() > MOST_BYTES:
        raise RunError(f"{path.name}: would have {model.ByteSize():,} bytes; ONNX takes 2 GiB.")
    with replace_file(path) as beside:
        onnx.save(model, beside)


def _unknown(graph: Any) -> set[str]:
    """Return the operators of a graph, and of those in it, that ONNX does not have."""
    import onnx

    found: set[str] = set()
    for node in graph.node:
        if not onnx.defs.has(node.op_type, node.domain):
            found.add(node.op_type)
        for attribute in node.attribute:
            if attribute.HasField("g"):  # the body of a loop
                found |= _unknown(attribute.g)
    return found


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
    return {"SelectV2": (_where, []), "Erfc": (_erfc, []), "Expm1": (_expm1, [])}


def _where(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Write `where` as it is: as the product that tf2onnx makes of it, infinity gives NaN."""
    node.type = "Where"


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Write the complementary error function as 1 - erf, which ONNX has."""
    one = _constant(context, node, 1)
    found = context.make_node("Erf", [node.input[0]], op_name_scope=name)
    context.replace_inputs(node, [one, found.output[0]])
    node.type = "Sub"


def _expm1(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Write exp(x) - 1, of which few digits are left near 0: there, by t = tanh(x / 2).

    2 t / (1 - t) is the same, and has them.
    """
    x, one, half = node.input[0], _constant(context, node, 1), _constant(context, node, 0.5)

    def made(kind: str, *inputs: str) -> str:
        return str(context.make_node(kind, list(inputs), op_name_scope=name).output[0])

    far = made("Sub", made("Exp", x), one)
    near = made("Less", made("Abs", x), one)
    t = made("Tanh", made("Mul", x, half))
    close = made("Div", made("Add", t, t), made("Sub", one, t))
    context.replace_inputs(node, [near, close, far])
    node.type = "Where"


def _constant(context: Any, node: Any, value: float) -> str:
    """Return a constant of the type of what a node gives."""
    import numpy as np
    from onnx.helper import tensor_dtype_to_np_dtype
    from tf2onnx import utils

    dtype = tensor_dtype_to_np_dtype(context.get_dtype(node.output[0]))
    name = utils.make_name(f"{node.name}_constant")
    return str(context.make_const(name, np.array(value, dtype)).output[0])
