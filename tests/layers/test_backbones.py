"""Pretrained backbones: what is loaded, what is refused, and how large a model may be."""

from __future__ import annotations

import json
import random
import re
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.layers.backbones import (
    MOST_PARAMETERS,
    check_parameters,
    count_parameters,
    load_backbone,
    output_spec,
    pick_output,
    serialize_backbone,
)

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
        "from multimodal.layers.backbones import load_backbone as l; "
        f"print(l({str(path)!r}).hidden_dim)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split()[-1] == "8"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("hf://a/b.keras", "must be the path of a .keras file. Received: 'hf://a/b.keras'"),
        ("gs://a/b.keras", "must be the path of a .keras file. Received: 'gs://a/b.keras'"),
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


def saved(model: keras.Model, path: Path, change: Callable[[str], str] = str) -> Path:
    """Save a model; `change` rewrites the config inside the file."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            text = change(content.decode()) if name == "config.json" else content
            archive.writestr(name, text)
    return path


def test_a_lambda_in_a_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "ran"
    value = keras.Input((2,))
    evil = keras.layers.Lambda(lambda x: (open("ran", "w").close(), x)[1])
    path = saved(keras.Model(value, evil(value)), tmp_path / "evil.keras")
    mark.unlink()  # it ran while the model was made
    keras.saving.load_model(path, safe_mode=False)
    assert mark.exists()  # and it would again
    mark.unlink()
    with pytest.raises(ValueError, match=r"^`backbone` cannot be loaded from .*holds a Lambda"):
        load_backbone(path)
    config = keras.Model(value, evil(value)).get_config()
    mark.unlink()
    with pytest.raises(ValueError, match="it holds a Lambda, which is code"):
        load_backbone({"module": "keras", "class_name": "Functional", "config": config})
    assert not mark.exists()


@pytest.mark.parametrize("name", ["TFSMLayer", "TorchModuleWrapper", "JaxLayer", "__lambda__"])
def test_layers_that_hold_other_programs_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tiny(), tmp_path / "a.keras", lambda text: text.replace("Embedding", name))
    monkeypatch.setattr(keras.saving, "load_model", None)  # refused before Keras reads anything
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", None)
    with pytest.raises(ValueError, match=f"it holds a {name}, which is code"):
        load_backbone(path)


@pytest.mark.parametrize(
    ("module", "class_name", "registered"),
    [
        ("os", "system", None),
        ("os", "system", "keras>system"),
        ("subprocess", "Popen", "multimodal>Popen"),
        ("keras.utils", "function", "function"),
        (None, "Mine", "elsewhere>Mine"),
    ],
)
def test_classes_from_elsewhere_are_refused(
    module: str | None, class_name: str, registered: str | None
) -> None:
    found = {"module": module, "class_name": class_name, "config": "touch ran"}
    outer = {"class_name": "Sequential", "module": "keras", "config": {"layers": [found]}}
    found["registered_name"] = registered
    with pytest.raises(ValueError, match=f"it holds a {class_name} of .*neither of Keras nor"):
        load_backbone(outer)


def test_a_registered_class_of_ones_own_is_loaded(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable(package="elsewhere")
    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return 2 * inputs

    value = keras.Input((2,))
    path = saved(keras.Model(value, Doubled()(value)), tmp_path / "mine.keras")
    assert float(numpy(load_backbone(path)(np.ones((1, 2))))[0, 0]) == 2


def test_a_model_larger_than_its_file_takes_no_memory(tmp_path: Path) -> None:
    huge = '"input_dim": 300000000'
    path = saved(tiny(), tmp_path / "a.keras", lambda text: text.replace('"input_dim": 9', huge))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="declares 1,200,000,000 parameters, but holds"):
        load_backbone(path)
    config = json.loads(json.dumps(serialize_backbone(tiny())).replace('"input_dim": 9', huge))
    with pytest.raises(ValueError, match="would have 1,200,000,000 parameters; at most"):
        load_backbone(config)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


def test_an_archive_that_unpacks_to_far_more_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(200_000_000))
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(ValueError, match="'model.weights.h5' in it unpacks to 200,000,000 bytes"):
        load_backbone(path)


@pytest.mark.parametrize(
    ("content", "reason"), [("[]", "its config is no mapping"), ("[" * 100_000, "recursion")]
)
def test_refuses_another_config(content: str, reason: str, tmp_path: Path) -> None:
    path = saved(tiny(), tmp_path / "a.keras", lambda text: content)
    with pytest.raises(ValueError, match=reason):
        load_backbone(path)


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


def model(units: int, layer: type = keras.layers.Dense) -> keras.Model:
    row = keras.Input((10,) if layer is keras.layers.Dense else (4, 10))
    hidden = layer(units)(row)
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(hidden))
    return keras.Model(row, keras.layers.Dense(1)(hidden))


@pytest.mark.parametrize("layer", [keras.layers.Dense, keras.layers.GRU])
def test_the_count_is_that_of_the_model(layer: type) -> None:
    assert count_parameters(lambda: model(7, layer)) == model(7, layer).count_params()


@pytest.mark.parametrize("units", [300_000_000, 10**30])
def test_too_many_are_told_and_take_no_memory(units: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = r"the model would have (4,800,000,001|about 10\^31) parameters; at most 500,000,000"
    with pytest.raises(ValueError, match=message):
        check_parameters(lambda: model(units))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_the_limit_itself_is_allowed() -> None:
    def wide(units: int) -> keras.Model:
        row = keras.Input((MOST_PARAMETERS // 1000,))
        return keras.Model(row, keras.layers.Dense(units, use_bias=False)(row))

    check_parameters(lambda: wide(1000))
    with pytest.raises(ValueError, match="parameters"):
        check_parameters(lambda: wide(1001))


def test_the_next_model_is_as_if_nothing_had_been_counted() -> None:
    keras.utils.set_random_seed(3)
    expected = model(5)
    keras.utils.set_random_seed(3)
    check_parameters(lambda: model(5))
    found = model(5)
    for one, other in zip(expected.get_weights(), found.get_weights(), strict=True):
        assert (one == other).all()
    keras.utils.set_random_seed(3)
    state = random.getstate()
    count_parameters(lambda: model(5))
    assert random.getstate() == state


def test_what_cannot_be_made_is_left_to_the_real_call() -> None:
    assert count_parameters(lambda: model(-1)) is None
    check_parameters(lambda: model(-1))


def test_no_variable_is_left_to_be_made_later() -> None:
    assert count_parameters(lambda: model(300_000_000)) == 4_800_000_001
    with keras.StatelessScope():
        pass  # on leaving it, Keras makes what is still to be made
