"""Formats of networks alone: what each engine computes is what the graph does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import multimodal
from multimodal.core.errors import ConfigError, RunError
from multimodal.evaluation.calibration import apply_temperature
from multimodal.evaluation.task import Task
from multimodal.export import graph as module
from multimodal.export.engines import LITERT, OPENVINO, SAVED_MODEL, engine_of
from multimodal.export.formats import write_litert, write_openvino, write_saved_model
from multimodal.export.graph import Graph, check_backend, tempered, traced
from multimodal.export.onnx import write_onnx
from multimodal.runtime.export_record import NETWORK, ExportRecord, TensorRecord, read_export

WRITERS = {
    "onnx": (write_onnx, NETWORK),
    "saved_model": (write_saved_model, SAVED_MODEL),
    "litert": (write_litert, LITERT),
    "openvino": (write_openvino, OPENVINO),
}


def small_graph(function: Any, *shape: int | None, dtype: str = "float32") -> Graph:
    """Return the graph of a function of one input `x`."""
    import tensorflow as tf

    signature = {"x": tf.TensorSpec(shape, dtype, name="x")}
    return traced(lambda inputs: {"y": function(inputs["x"])}, signature, tf.Module())


def computed(graph: Graph, wanted: str, folder: Path, x: np.ndarray) -> np.ndarray:
    """Return what an engine makes of `x`."""
    write, name = WRITERS[wanted]
    write(graph, folder / name)
    tensor = TensorRecord(name="x", dtype="float32", shape=[None], meaning="")
    record = ExportRecord(
        format=wanted, run="r", checksum="", inputs=[tensor], outputs=[], heads=[]
    )
    (folder / "export.json").write_text(record.model_dump_json())
    return engine_of(folder)({"x": x})["y"]


# What converters get wrong: `where` beside infinity and of bytes, and functions that ONNX lacks.
ops = keras.ops
TRAPS = {
    "where": lambda x: ops.max(ops.where(x > 0, x, -np.inf), axis=1, keepdims=True),
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "expm1": lambda x: ops.expm1(x / 3),
}
X = np.array([[1.0, -2.0, 0.5], [3.0, 1e-4, -30.0], [9.0, 8.0, 0.0]], "float32")


@pytest.mark.parametrize(
    "wanted", ["onnx", "litert", pytest.param("openvino", marks=pytest.mark.large)]
)
@pytest.mark.parametrize("name", TRAPS)
def test_what_converters_get_wrong(name: str, wanted: str, tmp_path: Path) -> None:
    if wanted == "openvino":
        pytest.importorskip("openvino")
    expected = ops.convert_to_numpy(TRAPS[name](ops.convert_to_tensor(X)))
    found = computed(small_graph(TRAPS[name], None, 3), wanted, tmp_path, X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_small_numbers_keep_their_digits(tmp_path: Path) -> None:
    """exp(x) - 1 of 1e-4 would have four."""
    x = np.array([[1e-6, 1e-4, -1e-3], [0.99, 1.01, -1.01]], "float32")
    found = computed(small_graph(ops.expm1, None, 3), "onnx", tmp_path, x)
    np.testing.assert_allclose(found, np.expm1(x.astype(np.float64)), rtol=1e-6)


def test_what_onnx_has_not_is_told(tmp_path: Path) -> None:
    import tensorflow as tf

    with pytest.raises(RunError, match="ONNX has no operator for Lgamma"):
        write_onnx(small_graph(tf.math.lgamma, None, 3), tmp_path / NETWORK)
    assert not list(tmp_path.iterdir())


def test_what_litert_has_not_is_told(tmp_path: Path) -> None:
    layer = keras.layers.GRU(2)
    layer.build((None, None, 3))
    with pytest.raises(RunError, match="LiteRT has no built-in operator for TensorList"):
        write_litert(small_graph(layer, None, None, 3), tmp_path / LITERT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "task",
    [
        Task("y", "class", ["a", "b", "c"]),
        Task("y", "class", ["a", "b", "c"], ordered=True),
        Task("y", "labels", ["a", "b", "c"]),
        Task("y"),
    ],
    ids=["classes", "ordered", "labels", "number"],
)
def test_temperatures_are_those_of_the_calibration(task: Task) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(3), 6).astype("float32")
    p[0] = [0, 0.25, 0.75]
    for temperature in (1.0, 0.6, 2.5):
        expected = apply_temperature(task, p, temperature)
        found = ops.convert_to_numpy(tempered(task, ops.convert_to_tensor(p), temperature))
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "wanted",
    [pytest.param(name, marks=pytest.mark.large) for name in WRITERS],
)
def test_networks_of_a_run(wanted: str, worded_run: Path, tmp_path: Path) -> None:
    """Two networks and a linear model, with a temperature; compared in a fresh process."""
    if wanted == "openvino":
        pytest.importorskip("openvino")
    run, out = multimodal.load(worded_run), tmp_path / "out"
    run.export(out, wanted)
    record = read_export(out)
    assert record.format == wanted and record.comparison is not None
    assert record.comparison.difference < 1e-5 and record.comparison.rows == 64
    # the documented inputs, and the prediction as `predict` gives it
    rows = [{"review": "I like this lamp", "size": 3.0}, {"review": "", "size": None}]
    found = engine_of(out)(run.inputs(rows))["mood"]
    expected = run.predict(rows).frame[["mood_probability_glad", "mood_probability_sad"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    if wanted != "onnx":
        with pytest.raises(RunError, match=f"export for {wanted}, which holds the network alone"):
            multimodal.load(out)


def test_trees_are_no_part_of_a_network(worded_run: Path, tmp_path: Path) -> None:
    from dataclasses import replace
    from types import SimpleNamespace

    run = multimodal.load(worded_run)
    boosted: Any = SimpleNamespace(heads={"mood": None})
    with pytest.raises(RunError, match="boosted trees have a weight in the predictions of mood"):
        replace(run, boosted_models=boosted).export(tmp_path / "out", "litert")
    assert not list(tmp_path.iterdir())


def test_another_backend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match="KERAS_BACKEND=tensorflow"):
        check_backend()


@pytest.mark.parametrize("wanted", ["onnx", "openvino"])
def test_a_package_that_is_not_installed_is_told(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tf2onnx", "openvino"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    write, name = WRITERS[wanted]
    with pytest.raises(ConfigError, match="pip install 'multimodal-keras"):
        write(small_graph(ops.relu, None, 3), tmp_path / name)
