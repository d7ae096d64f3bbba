"""The table of parts and formats in `docs/export.md`: it names all, and says what is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import pytest
from cases import CASES
from checks import functional
from keras import tree
from runs import only_models, shared
from tiny import DATA, PHOTOS, TABLE, TRAINING, WORDS

import multimodal
from multimodal.core.config import Config
from multimodal.core.errors import RunError
from multimodal.export import engines
from multimodal.export.formats import write_litert, write_openvino, write_saved_model
from multimodal.export.graph import Graph, traced
from multimodal.export.onnx import write_onnx
from multimodal.layers import registry
from multimodal.runtime.export_record import NETWORK, read_export

WRITERS = {
    "onnx": (write_onnx, NETWORK),
    "saved_model": (write_saved_model, engines.SAVED_MODEL),
    "litert": (write_litert, engines.LITERT),
    "openvino": (write_openvino, engines.OPENVINO),
}
DOCS = Path(__file__).parents[2] / "docs" / "export.md"
QUICK = {("pooling", "max"), ("head", "ordinal"), ("text_encoder", "recurrent")}


class Line(NamedTuple):
    """A part, a format, and whether the table says that the part exports to it."""

    kind: str
    name: str
    wanted: str
    works: bool


def lines() -> Iterator[Line]:
    """Yield what the table says."""
    formats = ("onnx", "saved_model", "litert", "openvino")
    for kind, names, *cells in re.findall(
        r"^\| `(\w+)` \| (`[^|]*`) \| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", DOCS.read_text(), re.M
    ):
        for name in re.findall(r"`(\w+)`", names):
            for wanted, cell in zip(formats, cells, strict=True):
                assert cell in ("yes", "no")
                yield Line(kind, name, wanted, cell == "yes")


def test_every_part_is_in_the_table_once() -> None:
    known = [(line.kind, line.name) for line in lines() if line.wanted == "onnx"]
    assert sorted(known) == sorted((k, n) for k in registry.kinds() for n in registry.names(k))
    assert all(line.works for line in lines() if line.wanted == "onnx")


def marked(line: Line) -> Any:
    quick = (line.kind, line.name) in QUICK and line.wanted in ("onnx", "litert")
    label = f"{line.kind}-{line.name}-{line.wanted}"
    return pytest.param(line, id=label, marks=[] if quick else [pytest.mark.large])


@pytest.mark.parametrize("line", [marked(line) for line in lines()])
def test_a_part_exports_as_the_table_says(line: Line, tmp_path: Path) -> None:
    if line.wanted == "openvino":
        pytest.importorskip("openvino")
    case = CASES[line.kind, line.name]
    keras.utils.set_random_seed(0)
    cls = registry.get(line.kind, line.name)
    model, inputs = functional(cls(**case.arguments, name="part"), case)
    random = np.random.default_rng(0)
    for weight in model.weights:  # none is left at zero
        shift = random.uniform(0.01, 0.1, weight.shape)
        weight.assign(keras.ops.convert_to_numpy(weight) + shift.astype("float32"))
    graph, given = graph_of_part(model, inputs, decode=line.kind == "head")
    write, name = WRITERS[line.wanted]
    if not line.works:
        with pytest.raises(RunError, match="no built-in operator"):
            write(graph, tmp_path / name)
        return
    write(graph, tmp_path / name)
    found = engines._ENGINES[line.wanted](tmp_path)(given)
    tensors = {key: keras.ops.convert_to_tensor(value) for key, value in given.items()}
    expected = graph.function(tensors)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], np.asarray(value), rtol=1e-5, atol=1e-5)


def graph_of_part(
    model: keras.Model, inputs: Any, *, decode: bool
) -> tuple[Graph, dict[str, np.ndarray]]:
    """Return the graph of a model of one part, a head with its predictions, and its inputs."""
    import tensorflow as tf

    flat = tree.flatten(model.input)
    names = [f"input_{i}" for i in range(len(flat))]
    signature = {
        name: tf.TensorSpec(tuple(each.shape), each.dtype, name=name)
        for name, each in zip(names, flat, strict=True)
    }
    decoder = getattr(model.get_layer("part"), "decode", None) if decode else None

    def function(given: dict[str, Any]) -> dict[str, Any]:
        outputs = model(tree.pack_sequence_as(model.input, [given[name] for name in names]))
        found = {f"output_{i}": each for i, each in enumerate(tree.flatten(outputs))}
        return found if decoder is None else found | {"decoded": decoder(outputs)}

    module = tf.Module()
    module.model = model
    given = zip(names, tree.flatten(inputs), flat, strict=True)
    arrays = {name: np.asarray(value, each.dtype) for name, value, each in given}
    return traced(function, signature, module), arrays


@pytest.mark.large
def test_a_run_of_every_kind_of_head(
    catalogue_folder: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Numbers, quantiles, classes, ordered ones and labels, of table, text and photos."""
    rows = pd.read_csv(catalogue_folder / "catalogue.csv")
    order = pd.qcut(rows["price"], 3, labels=["low", "middle", "high"]).astype(str)
    rows = rows.assign(
        cost=rows["price"] / 2,
        dear=np.where(rows["price"] > rows["price"].median(), "yes", "no"),
        level=order,
        grade=order,
        tags=[f"{a}|{b}" for a, b in zip(order, rows["category"], strict=True)],
    )
    heads = [
        {"name": "price", "column": "price"},
        {"name": "cost", "column": "cost", "head": {"name": "quantile"}},
        {"name": "dear", "column": "dear", "head": "binary"},
        {"name": "level", "column": "level", "head": "multiclass"},
        {"name": "grade", "column": "grade", "head": "ordinal"},
        {"name": "tags", "column": "tags", "head": "multilabel"},
    ]
    sections = {"groups": [TABLE, WORDS, PHOTOS], "heads": heads, "data": DATA}
    config = Config.parse({**sections, "training": {**TRAINING, "fold_models": 2}})

    def make(out: Path) -> None:
        with only_models():
            targets = [head["column"] for head in heads]
            multimodal.train(rows, targets, out=out, config=config, images=catalogue_folder)

    run = multimodal.load(shared(tmp_path_factory, "every_head", make))
    out = run.export(tmp_path / "onnx", rows=rows, images=catalogue_folder)
    comparison = read_export(out).comparison
    assert comparison is not None and comparison.difference < 1e-5
    few, both = rows.head(3), (run, multimodal.load(out))
    expected, found = (each.predict(few, images=catalogue_folder).frame for each in both)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-6)
