"""What every registered part promises: its config, weights, shapes, training and saving."""

from __future__ import annotations

import copy
import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import tree

from multimodal.layers import registry

from .case import Case, as_array, built, call, compiled, functional, random_targets

KERAS_OWN = set(inspect.signature(keras.layers.Layer.__init__).parameters)


def _plain(config: dict[str, Any]) -> Any:
    """Return a config in which lists, tuples and Keras' own lists look alike."""
    return json.loads(json.dumps(config))


def config_round_trip(cls: Any, case: Case, _: Path) -> None:
    assert set(case.arguments) == set(registry.options(cls))
    defaults = inspect.signature(cls.__init__).parameters
    for name, value in case.arguments.items():
        assert value != defaults[name].default, f"the case leaves `{name}` at its default"
    layer = cls(**case.arguments, name="part")
    config = layer.get_config()
    assert {name: config[name] for name in case.arguments} == case.arguments
    assert set(config) - KERAS_OWN == set(case.arguments)
    again = cls.from_config(config)
    assert again.get_config() == config
    call(layer, case)
    assert copy.deepcopy(layer.get_config()) == config
    assert_plain(layer.get_config())
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    assert _plain(keras.saving.deserialize_keras_object(json.loads(text)).get_config()) == _plain(
        config
    )


def assert_plain(value: Any) -> None:
    """Compare by type: lists that Keras tracks are equal to others, and cannot be copied."""
    assert value is None or type(value) in (dict, list, tuple, str, int, float, bool), type(value)
    inner = value.values() if isinstance(value, dict) else value
    for each in inner if isinstance(value, dict | list | tuple) else ():
        assert_plain(each)


def tuples_serve_like_lists(cls: Any, case: Case, _: Path) -> None:
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in case.arguments.items()}
    layer = cls(**tuples, name="part")
    assert {name: layer.get_config()[name] for name in tuples} == tuples
    assert call(layer, case).shape == case.output


def weight_counts(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    found = (len(layer.trainable_weights), len(layer.non_trainable_weights))
    assert found == case.weights
    assert all(sub.built for sub in layer._flatten_layers()), "a sublayer is not built"
    assert len({weight.path for weight in layer.weights}) == len(layer.weights)


def build_makes_all_weights(cls: Any, case: Case, _: Path) -> None:
    layer, called = cls(**case.arguments, name="part"), built(cls, case)
    shapes = (case.inputs, *_presence(case))
    layer.build(*(tree.map_structure(lambda a: (None, *a.shape[1:]), each) for each in shapes))
    assert [w.path for w in layer.weights] == [w.path for w in called.weights]
    assert [w.shape for w in layer.weights] == [w.shape for w in called.weights]


def _presence(case: Case) -> list[Any]:
    return [case.extras["presence"]] if "presence" in case.extras else []


def shapes_agree(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    eager = call(layer, case)
    model, arrays = functional(layer, case)
    assert eager.shape == case.output
    assert tuple(model.output.shape)[1:] == eager.shape[1:]
    shapes = (case.inputs, *_presence(case))
    given = (tree.map_structure(lambda a: (None, *a.shape[1:]), each) for each in shapes)
    assert tuple(layer.compute_output_shape(*given)) == (None, *eager.shape[1:])
    np.testing.assert_allclose(as_array(model(arrays)), eager, atol=1e-5)


def one_training_step(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    model, arrays = compiled(layer, case)
    if not layer.trainable_weights:
        return
    before = [as_array(weight) for weight in layer.trainable_weights]
    assert np.isfinite(model.train_on_batch(arrays, random_targets(layer, case)))
    after = [as_array(weight) for weight in layer.trainable_weights]
    same = [
        weight.path
        for weight, old, new in zip(layer.trainable_weights, before, after, strict=True)
        if np.array_equal(old, new)
    ]
    assert not same, f"unchanged by training: {same}"
    assert all(np.isfinite(new).all() for new in after)


def _train_in(policy: str, cls: Any, case: Case) -> None:
    """Call, then train two steps: the second loss shows what the first did to the weights."""
    layer = cls(**case.arguments, dtype=policy)
    model, arrays = compiled(layer, case, run_eagerly=keras.backend.backend() != "jax")
    result = layer(case.inputs, **case.extras)
    assert np.isfinite(as_array(result)).all()
    if layer.weights or any(a.dtype.kind == "f" for a in tree.flatten(case.inputs)):
        dtype = case.head_dtype or policy.removeprefix("mixed_")
        assert keras.backend.standardize_dtype(result.dtype) == dtype
    assert all(weight.dtype == "float32" for weight in layer.weights)
    if layer.trainable_weights:
        targets = random_targets(layer, case)
        losses = [float(model.train_on_batch(arrays, targets)) for _ in range(2)]
        assert np.isfinite(losses).all(), f"losses: {losses}"
        assert all(np.isfinite(as_array(weight)).all() for weight in layer.weights)


def bfloat16_is_kept_and_trains(cls: Any, case: Case, _: Path) -> None:
    _train_in("mixed_bfloat16", cls, case)


def float16_is_kept_and_trains(cls: Any, case: Case, _: Path) -> None:
    _train_in("mixed_float16", cls, case)


def save_and_reload(cls: Any, case: Case, folder: Path) -> None:
    layer = cls(**case.arguments, name="part")
    model, arrays = functional(layer, case)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 1.0, weight.shape).astype("float32"))
    model.save(folder / "model.keras")
    again = keras.models.load_model(folder / "model.keras")
    np.testing.assert_allclose(as_array(again(arrays)), as_array(model(arrays)), rtol=1e-5)
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert _plain(again.get_layer("part").get_config()) == _plain(layer.get_config())


def defaults_serve(cls: Any, case: Case, _: Path) -> None:
    parameters = inspect.signature(cls.__init__).parameters
    needed = {name for name in parameters if parameters[name].default is inspect.Parameter.empty}
    needed |= {"cardinalities", *case.needs}
    layer = cls(**{name: value for name, value in case.arguments.items() if name in needed})
    if getattr(cls, "takes_map", False) or hasattr(cls, "pixels"):
        case = _larger(case)
    found = call(layer, case)
    assert np.isfinite(found).all()
    if hasattr(cls, "from_group") or hasattr(cls, "fuse"):
        assert np.isfinite(call(layer, case, training=True)).all()


def _larger(case: Case) -> Case:
    """Return a case of photos, or of the cells of a map, at a size that defaults are made for."""
    random = np.random.default_rng(1)
    if case.inputs.ndim == 4:
        return replace(case, inputs=random.integers(0, 256, (2, 64, 64, 3)).astype("uint8"))
    cells = random.normal(size=(2, 64, case.inputs.shape[-1])).astype("float32")
    return replace(case, inputs=cells, extras={"mask": np.arange(128).reshape(2, 64) % 3 > 0})


def frozen_stays(cls: Any, case: Case, _: Path) -> None:
    for early in (True, False):  # before the part is built, and after
        layer = cls(**case.arguments, name="part")
        layer.trainable = not early
        model, arrays = functional(layer, case)
        layer.trainable = False
        dense = keras.layers.Dense(1)(keras.layers.Flatten()(model.output))
        model = keras.Model(model.inputs, dense)
        eagerly = keras.backend.backend() != "jax"
        model.compile(keras.optimizers.SGD(), "mse", run_eagerly=eagerly, jit_compile=False)
        before = [as_array(weight) for weight in layer.weights]
        assert np.isfinite(model.train_on_batch(arrays, np.ones((case.output[0], 1), "float32")))
        for weight, old in zip(layer.weights, before, strict=True):
            np.testing.assert_array_equal(as_array(weight), old, err_msg=weight.path)


EVERY = (
    config_round_trip,
    tuples_serve_like_lists,
    weight_counts,
    build_makes_all_weights,
    shapes_agree,
    one_training_step,
    bfloat16_is_kept_and_trains,
    float16_is_kept_and_trains,
    save_and_reload,
    defaults_serve,
)
