"""Each encoder inside models that somebody else writes: Functional, subclassed, Sequential.

A `.keras` file names the encoder's class but does not import it, so whoever loads one imports the
package of the part first:

    import keras
    import multimodal.encoders  # registers DenseEncoder, RecurrentEncoder, ConvolutionalEncoder

    model = keras.models.load_model("model.keras")

`multimodal.fusion`, `multimodal.heads` or any module that imports them do the same for their parts;
a plain `import multimodal` loads nothing and is not enough. A subclassed model also needs the
module that defines it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.encoders import ConvolutionalEncoder, DenseEncoder, RecurrentEncoder
from multimodal.heads import RegressionHead

RANDOM = np.random.default_rng(0)
ROWS = 8
TARGET = RANDOM.normal(size=(ROWS, 1)).astype("float32")
INPUTS: dict[str, np.ndarray] = {
    "table": RANDOM.normal(size=(ROWS, 3)).astype("float32"),
    "text": np.pad(RANDOM.integers(1, 9, (ROWS, 4)), ((0, 0), (0, 2))).astype("int32"),
    "photo": RANDOM.integers(0, 256, (ROWS, 8, 8, 3)).astype("uint8"),
}
ENCODERS: dict[str, Callable[[], keras.layers.Layer]] = {
    "table": lambda: DenseEncoder(hidden_dims=[4], pooling="mean"),
    "text": lambda: RecurrentEncoder(9, 2, embedding_dim=2, pooling="attention"),
    "photo": lambda: ConvolutionalEncoder([4], strides=[2], pool_sizes=[1], pooling="max"),
}
OWN_MODULE = """
import keras


@keras.saving.register_keras_serializable(package="own")
class OwnModel(keras.Model):
    def __init__(self, encoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.dense = keras.layers.Dense(1)

    def call(self, inputs, training=None):
        return self.dense(self.encoder(inputs, training=training))

    def get_config(self):
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return {**super().get_config(), "encoder": encoder}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("encoder")), **config)
"""
LOADER = """
import sys
from pathlib import Path

import keras
import numpy as np

folder = Path(sys.argv[1])
try:
    keras.models.load_model(folder / "sequential-table.keras")
except TypeError as error:
    (folder / "too_early.txt").write_text(str(error))

import multimodal
import own_module

with np.load(folder / "inputs.npz") as inputs:
    for path in sorted(folder.glob("*.keras")):
        model = keras.models.load_model(path)
        names = path.stem.split("-")[1].split("+")
        given = [inputs[name] for name in names]
        output = model(given if len(given) > 1 else given[0])
        np.save(path.with_suffix(".npy"), keras.ops.convert_to_numpy(output))
"""


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def symbol(name: str) -> keras.KerasTensor:
    return keras.Input(INPUTS[name].shape[1:], dtype=INPUTS[name].dtype.name, name=name)


def functional_model(*names: str) -> keras.Model:
    """One branch per input, Concatenate, Dense, regression output."""
    inputs = [symbol(name) for name in names]
    branches = [ENCODERS[name]()(tensor) for name, tensor in zip(names, inputs, strict=True)]
    x = keras.layers.Concatenate()(branches) if len(branches) > 1 else branches[0]
    x = keras.layers.Dense(4, activation="relu")(x)
    output = RegressionHead(name="price")(x)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], output)


def sequential_model(name: str) -> keras.Model:
    return keras.Sequential([symbol(name), ENCODERS[name](), keras.layers.Dense(1)])


def own_class(folder: Path) -> Any:
    """Import `own_module` from `folder`, as a user's own module would be."""
    (folder / "own_module.py").write_text(OWN_MODULE)
    sys.path.insert(0, str(folder))
    try:
        from own_module import OwnModel  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(folder))
    return OwnModel


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """Fit and save every kind of model, load all in one fresh process; return what each gave."""
    folder = tmp_path_factory.mktemp("own_models")
    own = own_class(folder)
    np.savez(folder / "inputs.npz", **INPUTS)
    models = {"functional-table+text+photo": functional_model("table", "text", "photo")}
    for name in ENCODERS:
        models[f"sequential-{name}"] = sequential_model(name)
        models[f"subclassed-{name}"] = own(ENCODERS[name]())
    expected = {}
    for key, model in models.items():
        given = [INPUTS[name] for name in key.split("-")[1].split("+")]
        x = given if len(given) > 1 else given[0]
        eager = not key.startswith("functional")  # compiling takes longest
        model.compile("adam", "mse", jit_compile=False, run_eagerly=eager)
        history = model.fit(x, TARGET, batch_size=ROWS, epochs=1, verbose=0).history["loss"]
        assert np.isfinite(history).all(), key
        model.save(folder / f"{key}.keras")
        expected[key] = keras.ops.convert_to_numpy(model(x))
    command = [sys.executable, "-c", LOADER, str(folder)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return folder, expected


KEYS = ["functional-table+text+photo"] + [
    f"{kind}-{name}" for kind in ("sequential", "subclassed") for name in ENCODERS
]


@pytest.mark.parametrize("key", KEYS)
def test_a_fresh_process_gives_the_same(
    key: str, saved: tuple[Path, dict[str, np.ndarray]]
) -> None:
    folder, expected = saved
    found = np.load(folder / f"{key}.npy")
    assert found.shape == (ROWS, 1)
    np.testing.assert_allclose(found, expected[key], atol=1e-6)


def test_without_the_import_keras_says_what_is_absent(
    saved: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, _ = saved
    message = (folder / "too_early.txt").read_text()
    assert "Could not locate class 'DenseEncoder'" in message
    assert "make sure they are all imported" in message


def test_a_frozen_encoder_keeps_its_weights() -> None:
    model = functional_model("table")
    encoder = next(layer for layer in model.layers if isinstance(layer, DenseEncoder))
    encoder.trainable = False
    before = encoder.get_weights()
    model.compile("adam", "mse", jit_compile=False)
    model.fit(INPUTS["table"], TARGET, epochs=1, verbose=0)
    for old, new in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_float_word_ids_serve_too() -> None:
    model = keras.Sequential([keras.Input((6,)), ENCODERS["text"](), keras.layers.Dense(1)])
    assert np.isfinite(array(model(INPUTS["text"].astype("float32")))).all()
