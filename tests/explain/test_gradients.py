"""Gradients of each row on the backend that runs; words add up, photos have maps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from explained import (
    FUSIONS,
    WORDS,
    inputs_of,
    model_of,
    number,
    part,
    row_of,
    score_of,
    spec_of,
)
from keras import ops

from multimodal.explain import gradients
from multimodal.explain.attribution import ScoredRow, raw_outputs
from multimodal.explain.gradients import token_map, value_and_gradient, word_scores
from multimodal.models.build import average


def test_each_row_has_its_own_gradient() -> None:
    x = np.array([[1.0, 2.0], [3.0, -1.0]], "float32")
    values, gradient = value_and_gradient(lambda t: ops.sum(t**3, axis=1), ops.convert_to_tensor(x))
    np.testing.assert_allclose(ops.convert_to_numpy(values), (x**3).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), 3 * x**2, rtol=1e-6)


def test_through_layers_that_remember_nothing() -> None:
    layer = keras.layers.Dense(1, use_bias=False)
    x = ops.ones((4, 3))
    layer(x)
    _, gradient = value_and_gradient(lambda t: ops.squeeze(layer(t), axis=-1), x)
    wanted = np.repeat(ops.convert_to_numpy(layer.kernel).T, 4, axis=0)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), wanted, rtol=1e-6)


def test_what_does_not_depend_on_the_inputs_has_no_gradient() -> None:
    _, gradient = value_and_gradient(
        lambda t: ops.sum(ops.zeros_like(t) * t, axis=1), ops.ones((2, 3))
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(gradient), np.zeros((2, 3)))


def test_a_backend_without_gradients_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    function: Any = None
    with pytest.raises(ValueError, match="KERAS_BACKEND='numpy'"):
        value_and_gradient(function, ops.ones((1, 1)))


TEXTS: dict[str, Any] = {
    "recurrent": {"hidden_dim": 4, "embedding_dim": 4},
    "embedding_bag": {"embedding_dim": 4, "hidden_dims": [4], "weighted": True},
    "convolutional": {"filters": 4, "embedding_dim": 4, "kernel_sizes": [2, 3]},
    "transformer": {"embedding_dim": 8, "num_heads": 2, "num_layers": 1, "mlp_dim": 8},
}
IMAGES: dict[str, Any] = {
    "convolutional": {"filters": [4, 6], "strides": [1, 1], "pool_sizes": [2, 2]},
    "residual": {"filters": [4, 8], "num_blocks": [1, 1], "strides": [1, 2]},
    "inception": {},
    "vit": {"hidden_dim": 8, "num_layers": 1, "patch_size": 4, "num_heads": 2, "mlp_dim": 8},
}


GAPS = {
    ("transformer", "max"): "2.4 % are missing where steps end: the largest word changes often",
}


def add_up(row: ScoredRow) -> None:
    found = word_scores(row, "text")
    scores = keras.ops.convert_to_numpy(found.scores)
    whole = found.end - found.start
    assert abs(whole) > 1e-3, "nothing to explain"
    assert abs(scores.sum() - whole) <= 0.01 * abs(whole) + gradients.TINY
    assert scores.shape == (WORDS,) and np.abs(scores[:6]).max() > 0
    np.testing.assert_array_equal(scores[6:], 0)


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
@pytest.mark.parametrize("encoder", TEXTS)
def test_words_of_every_encoder_add_up(encoder: str, pooling: str) -> None:
    if keras.backend.backend() == "torch" and (encoder, pooling) in GAPS:
        pytest.xfail(GAPS[encoder, pooling])
    spec = spec_of("tabular", "text")
    model = model_of(spec, {"text": part(TEXTS, encoder)}, pooling=pooling)
    add_up(row_of(model, spec, inputs_of(spec)))


@pytest.mark.parametrize("fusion", ["concat", "transformer"])
def test_a_text_alone_that_is_never_absent_has_words(fusion: str) -> None:
    group = spec_of("text").groups[0].model_copy(update={"optional": False})
    spec = spec_of("text").model_copy(update={"groups": [group]})
    inputs = {"text_tokens": inputs_of(spec)["text_tokens"]}
    add_up(row_of(model_of(spec, {}, fusion=part(FUSIONS, fusion)), spec, inputs))


@pytest.mark.parametrize("fusion", ["transformer", "cross_attention", "gated"])
@pytest.mark.parametrize("encoder", ["recurrent", "transformer"])
def test_words_add_up_in_fusions_of_tokens(encoder: str, fusion: str) -> None:
    spec = spec_of("tabular", "text")
    model = model_of(spec, {"text": part(TEXTS, encoder)}, fusion=part(FUSIONS, fusion))
    add_up(row_of(model, spec, inputs_of(spec)))


def test_words_of_a_mean_are_the_mean_of_words() -> None:
    spec = spec_of("tabular", "text")
    inputs = inputs_of(spec)
    each = [model_of(spec, {}, seed=seed) for seed in (0, 1)]
    single = [word_scores(row_of(model, spec, inputs), "text") for model in each]
    joined = row_of(average(each), spec, inputs)
    add_up(joined)
    found = word_scores(joined, "text")
    if {one.steps for one in single} == {found.steps}:
        wanted = np.mean([keras.ops.convert_to_numpy(one.scores) for one in single], axis=0)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found.scores), wanted, atol=1e-5)
    assert found.end == pytest.approx(np.mean([one.end for one in single]), rel=1e-4)


def test_steps_stop_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("text")
    monkeypatch.setattr(gradients, "TOLERANCE", 0.0)
    monkeypatch.setattr(gradients, "TINY", -1.0)
    monkeypatch.setattr(gradients, "MOST_STEPS", 128)
    assert word_scores(row_of(model_of(spec, {}), spec, inputs_of(spec)), "text").steps == 128


@pytest.mark.parametrize("fusion", ["concat", "transformer"])
@pytest.mark.parametrize("encoder", IMAGES)
def test_maps_of_every_photo_encoder(encoder: str, fusion: str) -> None:
    spec = spec_of("tabular", "image")
    model = model_of(spec, {"image": part(IMAGES, encoder)}, fusion=part(FUSIONS, fusion))
    inputs = inputs_of(spec)
    blank = {**inputs, "image_pixels": np.full_like(inputs["image_pixels"], 127)}
    found = keras.ops.convert_to_numpy(token_map(row_of(model, spec, inputs), "image", blank))
    assert found.shape[0] == 2 and np.isfinite(found).all()
    assert np.abs(found[0]).max() > 0
    np.testing.assert_allclose(found[1], 0, atol=1e-6)  # the second photo is not there


def test_cells_add_up_to_a_small_difference() -> None:
    """Behind a mean over the cells, every gradient is the same, and a small step is straight."""
    spec = spec_of("image")
    model = model_of(spec, {})
    inputs = inputs_of(spec)
    pixels = inputs["image_pixels"].astype("float32")
    near = {
        **inputs,
        "image_pixels": pixels
        + np.random.default_rng(1).normal(0, 0.5, pixels.shape).astype("float32"),
    }
    row = row_of(model, spec, {**inputs, "image_pixels": pixels})
    found = keras.ops.convert_to_numpy(token_map(row, "image", near)).sum()
    other = number(raw_outputs(row.submodels, [each.encode(near) for each in row.submodels]))
    assert found == pytest.approx(score_of(model, inputs) - other, rel=0.1)
