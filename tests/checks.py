"""Promises that every registered part keeps, as checks that take a class and a tiny case."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import tree

from multimodal import registry

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
    """

    arguments: dict[str, Any]
    inputs: Any
    output: tuple[int, ...]
    weights: tuple[int, int] = (0, 0)
    extras: dict[str, Any] = field(default_factory=dict)
    head_dtype: str | None = None


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
    layer = cls(**case.arguments)
    call(layer, case)
    found = (len(layer.trainable_weights), len(layer.non_trainable_weights))
    assert found == case.weights
    assert all(sub.built for sub in layer._flatten_layers()), "a sublayer is not built"
    assert len({weight.path for weight in layer.weights}) == len(layer.weights)


def build_makes_all_weights(cls: Any, case: Case, _: Path) -> None:
    layer, called = cls(**case.arguments, name="part"), cls(**case.arguments, name="part")
    call(called, case)
    shapes = (case.inputs, *_presence(case))
    layer.build(*(tree.map_structure(lambda a: (None, *a.shape[1:]), each) for each in shapes))
    assert [w.path for w in layer.weights] == [w.path for w in called.weights]
    assert [w.shape for w in layer.weights] == [w.shape for w in called.weights]


def _presence(case: Case) -> list[Any]:
    return [case.extras["presence"]] if "presence" in case.extras else []


def shapes_agree(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
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
    model, arrays = functional(layer, case)
    if not layer.trainable_weights:
        return
    loss = layer.make_loss() if hasattr(layer, "make_loss") else "mse"
    model.compile(keras.optimizers.Adam(0.01), loss=loss, jit_compile=False)
    before = [np.array(weight) for weight in layer.trainable_weights]
    target = np.random.default_rng(1).normal(3, 1, case.output).astype("float32")
    assert np.isfinite(model.train_on_batch(arrays, target))
    after = [np.array(weight) for weight in layer.trainable_weights]
    same = [
        weight.path
        for weight, old, new in zip(layer.trainable_weights, before, after, strict=True)
        if np.array_equal(old, new)
    ]
    assert not same, f"unchanged by training: {same}"
    assert all(np.isfinite(new).all() for new in after)


def mixed_precision(cls: Any, case: Case, _: Path) -> None:
    for policy, dtype in (("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")):
        layer = cls(**case.arguments, dtype=policy)
        result = layer(case.inputs, **case.extras)
        assert np.isfinite(as_array(result)).all()
        inputs = [a for a in tree.flatten(case.inputs) if a.dtype.kind == "f"]
        if layer.weights or inputs:
            assert keras.backend.standardize_dtype(result.dtype) == (case.head_dtype or dtype)
        assert all(weight.dtype == "float32" for weight in layer.weights)


def save_and_reload(cls: Any, case: Case, folder: Path) -> None:
    layer = cls(**case.arguments, name="part")
    model, arrays = functional(layer, case)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 1.0, weight.shape))
    model.save(folder / "model.keras")
    again = keras.models.load_model(folder / "model.keras")
    np.testing.assert_allclose(as_array(again(arrays)), as_array(model(arrays)), rtol=1e-5)
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert _plain(again.get_layer("part").get_config()) == _plain(layer.get_config())


# Encoders


def pooled_vector_has_no_mask(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
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
    layer = cls(**case.arguments)
    longer = np.pad(case.inputs, ((0, 0), (0, 5)))
    np.testing.assert_allclose(as_array(layer(longer)), call(layer, case), atol=1e-6)
    tokens = cls(**{**case.arguments, "pooling": None})
    short = as_array(tokens(case.inputs))
    keep = case.inputs != 0
    np.testing.assert_allclose(as_array(tokens(longer))[:, : keep.shape[1]][keep], short[keep])


def tokens_carry_the_mask(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**{**case.arguments, "pooling": None})
    mask = layer(case.inputs)._keras_mask
    np.testing.assert_array_equal(np.array(mask), case.inputs != 0)
    assert layer(keras.Input((None,), dtype="int32"))._keras_mask.shape == (None, None)


def only_padding_is_finite(cls: Any, case: Case, _: Path) -> None:
    for pooling in (None, *registry.names("pooling")):
        layer = cls(**{**case.arguments, "pooling": pooling})
        found = as_array(layer(np.zeros_like(case.inputs), training=True))
        assert np.isfinite(found).all()
        if pooling:
            assert not found.any(), f"{pooling} pooling of nothing must be zeros"


def embeddings_stand_for_words(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
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
        layer = cls(**{**case.arguments, "cardinalities": [], "hidden_dims": [32]}, dtype=policy)
        years = np.arange(2012, 2020, dtype="float32")[:, None]  # two values in bfloat16
        assert len(np.unique(as_array(layer(years)), axis=0)) > 3
        assert np.isfinite(as_array(layer(years * 0 + 70_000))).all()


# Poolings


def pooling_ignores_what_is_masked(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    expected = call(layer, case)
    keep = case.extras["mask"]
    for garbage in (-50_000.0, 50_000.0, np.nan):
        tokens = np.where(keep[..., None], case.inputs, np.float32(garbage))
        np.testing.assert_allclose(as_array(layer(tokens, mask=keep)), expected, atol=1e-6)


def pooling_of_nothing_is_zeros(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    nothing = np.zeros_like(case.extras["mask"])
    assert not as_array(layer(case.inputs, mask=nothing)).any()
    assert layer.compute_mask(case.inputs, nothing) is None


# Fusions


def absent_groups_change_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    model, _arrays = functional(layer, case)
    expected = call(layer, case)
    for garbage in (1e6, np.nan):
        inputs = {name: array.copy() for name, array in case.inputs.items()}
        for name, there in case.extras["presence"].items():
            inputs[name][~there] = garbage
        found = layer(inputs, **case.extras)
        np.testing.assert_array_equal(as_array(found), expected)
    assert getattr(model.output, "_keras_mask", None) is None


def order_of_groups_is_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
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
    assert layer.decode(raw).shape == raw.shape


EVERY: tuple[Check, ...] = (
    config_round_trip,
    tuples_serve_like_lists,
    weight_counts,
    build_makes_all_weights,
    shapes_agree,
    one_training_step,
    mixed_precision,
    save_and_reload,
)
ENCODER: tuple[Check, ...] = (pooled_vector_has_no_mask, tokens_pool_to_the_vector)
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
    "pooling": (pooling_ignores_what_is_masked, pooling_of_nothing_is_zeros),
    "fusion": (absent_groups_change_nothing, order_of_groups_is_nothing),
    "head": (head_is_float32_and_complete,),
    "layer": (),
}


def checks_of(kind: str) -> tuple[Check, ...]:
    """Return the checks for parts of `kind`."""
    return EVERY + BY_KIND[kind]
