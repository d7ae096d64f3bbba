"""Backbones: given, from a file, from a config; and one line for everything that does not fit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.backbones import load_backbone, output_spec, pick_output, serialize_backbone

numpy = keras.ops.convert_to_numpy

IDS = np.array([[3, 1, 0]], "int32")


def tiny(**options: Any) -> keras.Model:
    ids = keras.Input((None,), dtype="int32")
    return keras.Model(ids, keras.layers.Embedding(9, 4)(ids), **options)


def test_a_model_is_itself() -> None:
    model = tiny()
    assert load_backbone(model) is model


def test_a_config_makes_the_same_model_anew() -> None:
    model = tiny(name="words")
    again = load_backbone(json.loads(json.dumps(serialize_backbone(model))))
    assert again is not model and again.name == "words"
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(numpy(again(IDS)), numpy(model(IDS)))


def test_a_file_has_the_weights_too(tmp_path: Path) -> None:
    model = tiny()
    model.save(tmp_path / "tiny.keras")
    for path in (tmp_path / "tiny.keras", str(tmp_path / "tiny.keras")):
        np.testing.assert_array_equal(numpy(load_backbone(path)(IDS)), numpy(model(IDS)))


def test_a_keras_hub_file_loads_where_nobody_imported_keras_hub(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    path = tmp_path / "bert.keras"
    hub.models.BertBackbone(
        vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16
    ).save(path)
    code = (
        f"from multimodal.backbones import load_backbone as l; print(l({str(path)!r}).hidden_dim)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split()[-1] == "8"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("hf://a/b.keras", "must be the path of a .keras file. Received: 'hf://a/b.keras'"),
        ("old.h5", "must be the path of a .keras file. Received: 'old.h5'"),
        ("gone.keras", "names a file that does not exist. Received: 'gone.keras'"),
    ],
)
def test_refuses_paths(given: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^`backbone` {re.escape(message)}$"):
        load_backbone(given)


def test_refuses_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"a Keras model or the path of a \.keras file.*: int$"):
        load_backbone(3)  # type: ignore[arg-type]
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(ValueError, match=r"^`backbone` cannot be loaded from .*text\.keras': .+$"):
        load_backbone(tmp_path / "text.keras")


def test_refuses_a_lambda_in_a_file(tmp_path: Path) -> None:
    value = keras.Input((2,))
    keras.Model(value, keras.layers.Lambda(lambda x: x)(value)).save(tmp_path / "evil.keras")
    with pytest.raises(ValueError, match=r"^`backbone` cannot be loaded from [^\n]*$"):
        load_backbone(tmp_path / "evil.keras")


def test_output_spec_of_a_model_that_fits() -> None:
    ids = keras.KerasTensor((None, None), dtype="int32")
    spec = output_spec(tiny(), ids, "(batch, length, dim)")
    assert (spec.shape, spec.dtype) == ((None, None, 4), "float32")


def test_output_spec_builds_what_is_not_built() -> None:
    model = keras.Sequential([keras.layers.Dense(3)])
    assert output_spec(model, keras.KerasTensor((None, 5)), "(batch, dim)").shape == (None, 3)
    assert model.built


def test_one_line_for_outputs_and_inputs_that_do_not_fit() -> None:
    ids = keras.KerasTensor((None, None), dtype="int32")
    with pytest.raises(
        ValueError, match=r"^`backbone` must return a tensor of shape \(batch, dim\)"
    ):
        output_spec(tiny(), ids, "(batch, dim)")
    row = keras.Input((5,))
    five = keras.Model(row, keras.layers.Dense(2)(row), name="five")
    with pytest.raises(
        ValueError, match=r"^`backbone` 'five' refuses the inputs shape=\(None, 7\): "
    ):
        output_spec(five, keras.KerasTensor((None, 7)), "(batch, dim)")


def test_picks_the_one_tensor() -> None:
    model, one = tiny(name="words"), np.zeros((1, 2))
    assert pick_output(model, one) is one
    assert pick_output(model, {"other": 1, "sequence": one}, ("tokens", "sequence")) is one
    wanted = "`backbone` must return one tensor or a dict with 'tokens' or 'sequence'"
    message = f"{wanted}. Received: 'words' returns a dict with ['pooled']"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pick_output(model, {"pooled": one}, ("tokens", "sequence"))
    with pytest.raises(
        ValueError, match=r"must return one tensor\. Received: .* returns 2 outputs$"
    ):
        pick_output(model, [one, one])
