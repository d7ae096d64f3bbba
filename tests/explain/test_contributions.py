"""Contributions and gates of whole models: additive, by head, on built models of any fusion."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.config import Config
from multimodal.core.spec import FittedGroup, FittedHead, FittedSpec, NumericColumn
from multimodal.explain.attribution import contributions, find_fusion, gates
from multimodal.fusion import ConcatFusion, GatedFusion
from multimodal.models.build import build

RANDOM = np.random.default_rng(0)
GROUPS: list[dict[str, Any]] = [
    {
        "name": "table",
        "modality": "tabular",
        "columns": ["w"],
        "encoder": {"name": "dense", "options": {"hidden_dims": [4]}},
    },
    {
        "name": "title",
        "modality": "text",
        "columns": ["t"],
        "encoder": {"name": "recurrent", "options": {"hidden_dim": 2, "embedding_dim": 2}},
    },
]


def model_of(fusion: Any) -> keras.Model:
    heads = [{"name": name, "column": name} for name in ("rent", "price")]
    config = Config.parse({"groups": GROUPS, "fusion": fusion, "heads": heads})
    column = NumericColumn(name="w", source="w")
    table = FittedGroup(name="table", modality="tabular", columns=["w"], numeric=[column])
    title = FittedGroup(
        name="title", modality="text", columns=["t"], vocabulary=["a", "b"], optional=True
    )
    fitted = [FittedHead(name=name, columns=[name]) for name in ("rent", "price")]
    return build(config, FittedSpec(groups=[table, title], heads=fitted))


def batch_of(rows: int, length: int = 3) -> dict[str, np.ndarray]:
    return {
        "table_numeric": RANDOM.normal(size=(rows, 1)).astype("float32"),
        "title_tokens": RANDOM.integers(1, 4, (rows, length)).astype("int32"),
        "title_present": np.arange(rows) % 3 > 0,
    }


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("fusion", ["concat", "gated", "transformer", "cross_attention"])
def test_values_of_every_head_add_up(fusion: str) -> None:
    model = model_of(fusion)
    rows, background = batch_of(5), batch_of(4, length=6)
    found = contributions(model, rows, background)
    outputs, base = model(rows), model(background)
    assert set(found) == {"rent", "price"}
    for name, values in found.items():
        assert sorted(values) == ["table", "title"] and values["table"].shape == (5, 1)
        total = array(values["table"]) + array(values["title"])
        expected = array(outputs[name]) - array(base[name]).mean(axis=0)
        np.testing.assert_allclose(total, expected, atol=1e-4)


def test_a_group_without_effect_contributes_nothing() -> None:
    model = model_of({"name": "concat", "options": {"hidden_dims": [4]}})
    kernel = find_fusion(model).mlp.layers[0].kernel
    changed = array(kernel).copy()
    changed[4:] = 0  # the rows of the title
    kernel.assign(changed)
    found = contributions(model, batch_of(6))["price"]
    assert np.abs(array(found["title"])).max() < 1e-7 < np.abs(array(found["table"])).max()


def test_encoders_run_once() -> None:
    calls = []

    class Counter(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            calls.append(inputs.shape[0])
            return inputs

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    groups = {name: keras.Input((2,), name=name) for name in "ab"}
    fused = ConcatFusion([3])({name: Counter()(tensor) for name, tensor in groups.items()})
    model = keras.Model(groups, keras.layers.Dense(1, name="out")(fused))
    calls.clear()
    found = contributions(model, {name: np.eye(4, 2, dtype="float32") for name in "ab"})
    assert calls == [4, 4] and sorted(found["out"]) == ["a", "b"]


def test_gates_of_a_model() -> None:
    model = model_of({"name": "gated", "options": {"hidden_dim": 4}})
    rows = batch_of(6)
    found = gates(model, rows)
    assert sorted(found) == ["table", "title"]
    total = array(found["table"]) + array(found["title"])
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert (array(found["title"]) > 0).tolist() == rows["title_present"].tolist()


def test_messages() -> None:
    model, rows = model_of("concat"), batch_of(4)
    with pytest.raises(ValueError, match="`model` must have a gated fusion"):
        gates(model, rows)
    keys = "`inputs` must have the keys ['table_numeric', 'title_present', 'title_tokens']. "
    with pytest.raises(ValueError, match=re.escape(keys)):
        contributions(model, {**rows, "price": rows["table_numeric"]})
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="must have exactly one fusion layer. Received: "):
        contributions(plain, np.eye(2))
    assert isinstance(find_fusion(model_of("gated")), GatedFusion)
