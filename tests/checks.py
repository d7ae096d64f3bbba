"""Promises that every registered part keeps, as checks that take a class and a tiny case."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import tree

from multimodal.layers import registry

KERAS_OWN = set(inspect.signature(keras.layers.Layer.__init__).parameters)
Check = Callable[[Any, "Case", Path], None]


@dataclass(frozen=True)
class Case:
    """A registered part in tiny.

    Attributes:
        arguments: Every constructor argument, each with a value that is not its default.
        inputs: The first call argument: an array, or a dict of arrays.
        output: Shape of the output.
        weights: Numbers of trainable and of other weights.
        extras: Further call arguments, such as `mask` or `presence`.
        head_dtype: Dtype of the output where it is not the compute dtype.
        targets: What one training step learns from; None = random numbers of the shape that the
            part's `label_kind` or its output asks for.
        skip: Names of checks that do not apply, each with the reason.
        needs: Arguments besides the required ones without which the part serves no input.
    """

    arguments: dict[str, Any]
    inputs: Any
    output: tuple[int, ...]
    weights: tuple[int, int] = (0, 0)
    extras: dict[str, Any] = field(default_factory=dict)
    head_dtype: str | None = None
    targets: Any = None
    skip: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


_BUILT: dict[tuple[Any, int], Any] = {}


def built(cls: Any, case: Case) -> Any:
    """Return the case's layer, built by a first call, for checks that only read it.

    Its checks run one after the other and share it. Those that train, freeze,
    save, or call it with `training=True` make a layer of their own.
    """
    if (cls, id(case)) not in _BUILT:
        _BUILT.clear()
        _BUILT[cls, id(case)] = layer = cls(**case.arguments, name="part")
        call(layer, case)
    return _BUILT[cls, id(case)]


def call(layer: Any, case: Case, **options: Any) -> np.ndarray:
    """Call `layer` on the case and return an array."""
    return as_array(layer(case.inputs, **case.extras, **options))


def as_array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def functional(layer: Any, case: Case) -> tuple[keras.Model, list[np.ndarray]]:
    """Return a Functional model around `layer` and the arrays it takes."""
    everything = (case.inputs, case.extras)
    symbols = tree.map_structure(_symbol, everything)
    inputs, extras = symbols
    model = keras.Model(tree.flatten(symbols), layer(inputs, **extras))
    return model, tree.flatten(everything)


def _symbol(array: np.ndarray) -> keras.KerasTensor:
    return keras.Input(array.shape[1:], dtype=str(array.dtype))


def random_targets(layer: Any, case: Case) -> np.ndarray:
    """Return what the part can learn from, in the shape that a batch holds it."""
    if case.targets is not None:
        return case.targets
    random, rows = np.random.default_rng(1), case.output[0]
    kind = getattr(layer, "label_kind", None)
    if kind == "class":
        return random.integers(0, max(2, case.output[-1]), rows).astype("int32")
    if kind == "labels":
        return random.integers(0, 2, case.output).astype("float32")
    if kind == "box":
        return np.sort(random.uniform(size=(rows, 2, 2)), axis=1).reshape(rows, 4).astype("float32")
    shape = (rows, 1) if kind == "number" else case.output
    return random.normal(3, 1, shape).astype("float32")


def compiled(layer: Any, case: Case, **options: Any) -> tuple[keras.Model, list[np.ndarray]]:
    """Return a compiled Functional model around `layer` and the arrays it takes."""
    model, arrays = functional(layer, case)
    model.dtype_policy = layer.dtype_policy  # so that float16 gets its loss scaled
    loss = layer.make_loss() if hasattr(layer, "make_loss") else "mse"
    model.compile(keras.optimizers.Adam(0.01), loss=loss, jit_compile=False, **options)
    model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the step twice
    return model, arrays


def _plain(config: dict[str, Any]) -> Any:
    """Return a config in which lists, tuples and Keras' own lists look alike."""
    return json.loads(json.dumps(config))


# Every part


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
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    assert _plain(keras.saving.deserialize_keras_object(json.loads(text)).get_config()) == _plain(
        config
    )


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


# Encoders


def pooled_vector_has_no_mask(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    model, _arrays = functional(layer, case)
    eager = layer(case.inputs, **case.extras)
    assert getattr(eager, "_keras_mask", None) is None
    assert getattr(model.output, "_keras_mask", None) is None


def tokens_pool_to_the_vector(cls: Any, case: Case, _: Path) -> None:
    tokens = cls(**{**case.arguments, "pooling": None}, name="part")
    pooled = cls(**{**case.arguments, "pooling": "mean"}, name="part")
    call(tokens, case), call(pooled, case)
    pooled.set_weights(tokens.get_weights())
    found = tokens(case.inputs, **case.extras)
    assert len(found.shape) == 3
    vector = registry.get("pooling", "mean")()(found)
    np.testing.assert_allclose(call(pooled, case), as_array(vector), atol=1e-6)


# Text encoders


def padding_changes_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    longer = np.pad(case.inputs, ((0, 0), (0, 5)))
    np.testing.assert_allclose(as_array(layer(longer)), call(layer, case), atol=1e-6)
    tokens = cls(**{**case.arguments, "pooling": None})
    short = as_array(tokens(case.inputs))
    keep = case.inputs != 0
    found = as_array(tokens(longer))[:, : keep.shape[1]][keep]
    np.testing.assert_allclose(found, short[keep], atol=1e-6)  # sums over more, zero, terms


def tokens_carry_the_mask(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**{**case.arguments, "pooling": None})
    mask = layer(case.inputs)._keras_mask
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(mask), case.inputs != 0)
    assert layer(keras.Input((None,), dtype="int32"))._keras_mask.shape == (None, None)


def _poolings_of_any_length() -> list[str]:
    return [
        name
        for name in registry.names("pooling")
        if not getattr(registry.get("pooling", name), "takes_map", False)
    ]


def only_padding_is_finite(cls: Any, case: Case, _: Path) -> None:
    for pooling in (None, *_poolings_of_any_length()):
        layer = cls(**{**case.arguments, "pooling": pooling})
        found = as_array(layer(np.zeros_like(case.inputs), training=True))
        assert np.isfinite(found).all()
        if pooling:
            assert not found.any(), f"{pooling} pooling of nothing must be zeros"


def embeddings_stand_for_words(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    expected = call(layer, case)
    found = layer(layer.embed(case.inputs), mask=case.inputs != 0)
    np.testing.assert_allclose(as_array(found), expected, atol=1e-6)


def word_ids_escape_autocast(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**{**case.arguments, "vocabulary_size": 2020}, dtype="mixed_bfloat16")
    ids = np.array([[2013, 2014], [2015, 2016]])
    np.testing.assert_array_equal(as_array(layer(ids.astype("float32"))), as_array(layer(ids)))


# Image encoders


def absent_photos_change_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    call(layer, case)
    start = layer.get_weights()
    there = np.array([True] * (len(case.inputs) - 1) + [False])
    results = []
    for garbage in (0.0, 255.0, np.nan):
        layer.set_weights(start)
        photos = case.inputs.astype("float32")
        photos[-1] = garbage
        out = as_array(layer(photos, mask=there, training=False))
        layer(photos, mask=there, training=True)
        results.append([out, *layer.get_weights()])
    for other in results[1:]:
        for expected, found in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert all(np.isfinite(each).all() for each in results[0])


def no_photo_at_all_teaches_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    call(layer, case, training=True)
    before = layer.get_weights()
    assert np.isfinite(
        as_array(layer(case.inputs, mask=np.zeros(len(case.inputs), bool), training=True))
    ).all()
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def map_is_fine_enough(cls: Any, case: Case, _: Path) -> None:
    tokens = cls().compute_output_shape((None, 64, 64, 3))
    assert tokens[1] >= 64, "an image encoder's map is at least 8x8 at 64 pixels"


# Tabular encoders


def missing_numbers_are_finite(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    missing = {**case.inputs, "numeric": np.full_like(case.inputs["numeric"], np.nan)}
    zeros = {**case.inputs, "numeric": np.zeros_like(case.inputs["numeric"])}
    found = as_array(layer(missing, training=True))
    assert np.isfinite(found).all()
    assert not np.array_equal(as_array(layer(missing)), as_array(layer(zeros)))


def numbers_escape_autocast(cls: Any, case: Case, _: Path) -> None:
    for policy in ("mixed_bfloat16", "mixed_float16"):
        keras.utils.set_random_seed(0)
        size = {"hidden_dims": [32]} if "hidden_dims" in case.arguments else {"hidden_dim": 32}
        alone = {"cardinalities": [], "bins": [[0.0, 0.5, 2.0]], **size}
        layer = cls(**{**case.arguments, **alone}, dtype=policy)
        numbers = 1 + np.arange(8, dtype="float32")[:, None] / 1000  # two values in bfloat16
        assert len(np.unique(as_array(layer(numbers)), axis=0)) > 3
        assert np.isfinite(as_array(layer(numbers * 0 + 70_000))).all()


# Series encoders


def missing_steps_are_finite(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    found = as_array(layer(np.full_like(case.inputs, np.nan), training=True))
    assert np.isfinite(found).all()
    assert not np.array_equal(
        as_array(layer(np.full_like(case.inputs, np.nan))), as_array(layer(case.inputs * 0))
    )


def series_escape_autocast(cls: Any, case: Case, _: Path) -> None:
    for policy in ("mixed_bfloat16", "mixed_float16"):
        layer, seen = cls(**case.arguments, dtype=policy), []
        encode = layer.encode

        def spy(inputs: Any, *rest: Any, encode: Any = encode, seen: list[str] = seen) -> Any:
            seen.append(keras.backend.standardize_dtype(inputs.dtype))
            return encode(inputs, *rest)

        layer.encode = spy
        assert np.isfinite(as_array(layer(np.full_like(case.inputs, 1_000)))).all()
        assert seen == ["float32"]


# Poolings


def pooling_ignores_what_is_masked(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    expected = call(layer, case)
    keep = case.extras["mask"]
    for garbage in (-50_000.0, 50_000.0, np.nan):
        tokens = np.where(keep[..., None], case.inputs, np.float32(garbage))
        np.testing.assert_allclose(as_array(layer(tokens, mask=keep)), expected, atol=1e-6)


def pooling_of_nothing_is_zeros(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    nothing = np.zeros_like(case.extras["mask"])
    assert not as_array(layer(case.inputs, mask=nothing)).any()
    assert layer.compute_mask(case.inputs, nothing) is None


# Fusions


def absent_groups_change_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    model, _arrays = functional(layer, case)
    expected = call(layer, case)
    for garbage in (1e6, np.nan):
        inputs = {name: array.copy() for name, array in case.inputs.items()}
        for name, there in case.extras["presence"].items():
            inputs[name][~there] = garbage
        found = layer(inputs, **case.extras)
        np.testing.assert_array_equal(as_array(found), expected)
    assert getattr(model.output, "_keras_mask", None) is None


def absent_groups_teach_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    model, _arrays = compiled(layer, case)
    variables = [*model.variables, *model.optimizer.variables]  # the states of dropout, too
    start, results = [keras.ops.convert_to_numpy(each) for each in variables], []
    for garbage in (0.0, np.nan):
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        inputs = {name: array.copy() for name, array in case.inputs.items()}
        for name, there in case.extras["presence"].items():
            inputs[name][~there] = garbage
        model.train_on_batch(tree.flatten((inputs, case.extras)), random_targets(layer, case))
        results.append([as_array(weight) for weight in layer.trainable_weights])
    for expected, found in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


def masked_tokens_change_nothing(cls: Any, case: Case, _: Path) -> None:
    if not cls.takes_tokens:
        return
    layer = built(cls, case)
    expected = call(layer, case)
    for garbage in (1e6, np.nan):
        inputs = dict(case.inputs)
        for name, keep in case.extras["mask"].items():
            inputs[name] = np.where(keep[..., None], inputs[name], np.float32(garbage))
        np.testing.assert_array_equal(as_array(layer(inputs, **case.extras)), expected)
    for name, keep in case.extras["mask"].items():  # longer padding
        inputs = {**case.inputs, name: np.pad(case.inputs[name], ((0, 0), (0, 3), (0, 0)))}
        extras = {**case.extras, "mask": {name: np.pad(keep, ((0, 0), (0, 3)))}}
        np.testing.assert_allclose(as_array(layer(inputs, **extras)), expected, atol=1e-5)


def nothing_at_all_is_finite(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    nowhere = np.zeros(case.output[0], bool)
    extras = {**case.extras, "presence": {name: nowhere for name in case.inputs}}
    found = as_array(layer(case.inputs, **extras))
    assert np.isfinite(found).all() and found.shape == case.output
    np.testing.assert_allclose(found, np.broadcast_to(found[:1], found.shape), atol=1e-6)


def what_cannot_be_fused_is_refused(cls: Any, case: Case, _: Path) -> None:
    name = sorted(case.inputs)[0]
    array, there = case.inputs[name], np.ones(case.output[0], bool)
    wrong: list[tuple[Any, Any, str]] = [
        ({}, {}, "with at least one group"),
        (array, {}, "must be a dict of group name"),
        ({name: array[:, 0]}, {}, f"`inputs['{name}']` must have shape (batch, "),
        ({name: array.astype("int32")}, {}, f"`inputs['{name}']` must be float. Received: "),
        (case.inputs, {"other": there}, "`presence` must name groups of `inputs`"),
        (case.inputs, {name: there[:, None]}, f"`presence['{name}']` must have shape (batch,)"),
        (case.inputs, {name: there.astype("float32")}, f"`presence['{name}']` must be bool"),
    ]
    for inputs, presence, message in wrong:
        for given in ((inputs, presence), tree.map_structure(_symbol, (inputs, presence))):
            with pytest.raises((TypeError, ValueError)) as error:
                cls(**case.arguments)(*given)
            assert message in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="must hold the groups that the fusion was built for"):
        built(cls, case)({name: array})


def order_of_groups_is_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    expected = call(layer, case)
    backwards = dict(reversed(case.inputs.items()))
    np.testing.assert_array_equal(as_array(layer(backwards, **case.extras)), expected)


# Heads


def head_is_float32_and_complete(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments, dtype="mixed_bfloat16", name="part")
    raw = layer(case.inputs)
    assert keras.backend.standardize_dtype(raw.dtype) == "float32"
    assert isinstance(layer.make_loss(), keras.losses.Loss)
    assert layer.make_loss().reduction == "mean_with_sample_weight"
    metrics = layer.make_metrics()
    assert metrics and all(isinstance(metric, keras.metrics.Metric) for metric in metrics)
    decoded = as_array(layer.decode(raw))
    assert len(decoded) == len(case.inputs) and np.isfinite(decoded).all()


def _head_model(cls: Any, case: Case) -> tuple[Any, keras.Model, list[np.ndarray]]:
    layer = cls(**case.arguments, name="part")
    model, arrays = functional(layer, case)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=layer.make_loss(),
        weighted_metrics=layer.make_metrics(),
        run_eagerly=keras.backend.backend() != "jax",  # `one_training_step` is compiled
        jit_compile=False,
    )
    return layer, model, arrays


def missing_labels_teach_nothing(cls: Any, case: Case, _: Path) -> None:
    layer, model, arrays = _head_model(cls, case)
    targets, start = random_targets(layer, case).copy(), model.get_weights()
    weights = np.array([1.0] * (len(targets) - 1) + [0.0], "float32")
    garbage = (0, -7, 99) if targets.dtype.kind == "i" else (0, -7, np.inf, np.nan)
    results = []
    for value in garbage:
        model.set_weights(start)
        model.reset_metrics()
        targets[-1] = value
        logs = model.train_on_batch(arrays, targets, sample_weight=weights, return_dict=True)
        results.append([float(each) for each in logs.values()] + model.get_weights())
    for found in results:
        for expected, each in zip(results[0], found, strict=True):
            assert np.isfinite(each).all()
            np.testing.assert_array_equal(each, expected)


def no_label_at_all_teaches_nothing(cls: Any, case: Case, _: Path) -> None:
    layer, model, arrays = _head_model(cls, case)
    targets, start = random_targets(layer, case), model.get_weights()
    assert model.train_on_batch(arrays, targets, np.zeros(len(targets), "float32"))[0] == 0
    for old, new in zip(start, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def targets_of_a_wrong_shape_are_refused(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    raw, targets = layer(case.inputs), random_targets(layer, case)
    wrong = np.concatenate([targets.reshape(len(targets), -1)] * 3, axis=1)
    for each in (layer.make_loss(), *layer.make_metrics()):
        with pytest.raises(ValueError, match="targets must .*Received: shape=") as refusal:
            each(wrong, raw)
        assert "\n" not in str(refusal.value)


def inputs_of_a_wrong_rank_are_refused(cls: Any, case: Case, _: Path) -> None:
    for wrong in (np.zeros((2, 3, 4), "float32"), keras.Input((3, 4))):
        with pytest.raises(ValueError, match="`inputs` must have shape") as refusal:
            cls(**case.arguments)(wrong)
        assert "\n" not in str(refusal.value)


def compiled_model_survives_saving(cls: Any, case: Case, folder: Path) -> None:
    layer, model, arrays = _head_model(cls, case)
    targets = random_targets(layer, case)
    weights = np.arange(len(targets), dtype="float32")
    model.train_on_batch(arrays, targets, weights)
    model.save(folder / "model.keras")
    again = keras.models.load_model(folder / "model.keras")
    expected = model.test_on_batch(arrays, targets, weights)
    np.testing.assert_allclose(again.test_on_batch(arrays, targets, weights), expected, rtol=1e-5)
    assert np.isfinite(again.train_on_batch(arrays, targets, weights)).all()


EVERY: tuple[Check, ...] = (
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
ENCODER: tuple[Check, ...] = (
    pooled_vector_has_no_mask,
    tokens_pool_to_the_vector,
    frozen_stays,
)
BY_KIND: dict[str, tuple[Check, ...]] = {
    "tabular_encoder": (*ENCODER, missing_numbers_are_finite, numbers_escape_autocast),
    "text_encoder": (
        *ENCODER,
        padding_changes_nothing,
        tokens_carry_the_mask,
        only_padding_is_finite,
        embeddings_stand_for_words,
        word_ids_escape_autocast,
    ),
    "image_encoder": (
        *ENCODER,
        absent_photos_change_nothing,
        no_photo_at_all_teaches_nothing,
        map_is_fine_enough,
    ),
    "series_encoder": (*ENCODER, missing_steps_are_finite, series_escape_autocast),
    "pooling": (pooling_ignores_what_is_masked, pooling_of_nothing_is_zeros),
    "fusion": (
        frozen_stays,
        absent_groups_change_nothing,
        absent_groups_teach_nothing,
        masked_tokens_change_nothing,
        nothing_at_all_is_finite,
        what_cannot_be_fused_is_refused,
        order_of_groups_is_nothing,
    ),
    "head": (
        frozen_stays,
        head_is_float32_and_complete,
        missing_labels_teach_nothing,
        no_label_at_all_teaches_nothing,
        targets_of_a_wrong_shape_are_refused,
        inputs_of_a_wrong_rank_are_refused,
        compiled_model_survives_saving,
    ),
    "layer": (),
}


def checks_of(kind: str, case: Case) -> tuple[Check, ...]:
    """Return the checks for parts of `kind`, without those that the case skips."""
    every = EVERY + BY_KIND[kind]
    unknown = case.skip.keys() - {check.__name__ for check in every}
    assert not unknown, f"no such checks to skip: {unknown}"
    return tuple(check for check in every if check.__name__ not in case.skip)
