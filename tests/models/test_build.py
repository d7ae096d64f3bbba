"""The builder: names and inputs of the graph, what is absent, fusions that take tokens."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from graphs import (
    CONCAT,
    PHOTOS,
    SERIES,
    TABLE,
    TITLE,
    TOKENS,
    batch_of,
    build_for,
    config_of,
    predict,
    spec_of,
)

from multimodal.models.build import build, compile_model

GROUPS = (TABLE, TITLE, PHOTOS, SERIES)


@pytest.mark.parametrize("optional", [(), ("table", "title", "photos")])
def test_inputs_are_exactly_those_of_the_spec(optional: Any) -> None:
    model, spec = build_for(TABLE, TITLE, PHOTOS, optional=optional)
    assert sorted(tensor.name for tensor in model.inputs) == sorted(spec.input_keys)
    assert {key: tensor.name for key, tensor in model.input.items()} == {
        key: key for key in spec.input_keys
    }
    dtypes = {tensor.name: tensor.dtype for tensor in model.inputs}
    kinds = {"numeric": "float32", "categorical": "int32", "tokens": "int32", "pixels": "uint8"}
    assert dtypes == {k: kinds.get(k.split("_")[1], "bool") for k in spec.input_keys}
    assert model.output_names == ["price"]
    assert predict(model, batch_of(spec)).shape == (4, 1)


def test_it_is_a_plain_functional_model_with_named_layers() -> None:
    model, _ = build_for(TABLE, TITLE, PHOTOS)
    assert type(model).__module__.startswith("keras.")
    loose = [op for op in model.operations if not isinstance(op, keras.layers.Layer)]
    assert [type(op).__name__ for op in loose] == ["NotEqual"]  # the mask of the words
    for name in ("table", "title", "photos"):
        encoder, pooling = model.get_layer(f"{name}_encoder"), model.get_layer(f"{name}_pooling")
        assert len(encoder.output.shape) == 3
        assert pooling.output.shape[1:] == encoder.output.shape[2:]
    assert model.get_layer("fusion").output.shape == (None, 4)
    assert model.get_layer("price").output.dtype == "float32"


def test_several_groups_of_one_modality_have_encoders_of_their_own() -> None:
    model, spec = build_for(TITLE, {**TITLE, "name": "story"}, {**TABLE, "name": "facts"})
    assert spec.input_keys == ["title_tokens", "story_tokens", "facts_numeric", "facts_categorical"]
    before = predict(model, batch_of(spec))
    batch = batch_of(spec)
    batch["title_tokens"], batch["story_tokens"] = batch["story_tokens"], batch["title_tokens"]
    assert np.abs(predict(model, batch) - before).max() > 0
    paths = {weight.path for weight in model.weights}
    assert {"title_encoder/embedding/embeddings", "story_encoder/embedding/embeddings"} < paths


def test_all_photos_go_through_one_call_of_one_encoder() -> None:
    model, spec = build_for(PHOTOS)
    encoder = model.get_layer("photos_encoder")
    assert len(encoder._inbound_nodes) == 1
    batch = batch_of(spec)
    swapped = {**batch, "photos_pixels": batch["photos_pixels"][:, ::-1]}
    np.testing.assert_allclose(predict(model, swapped), predict(model, batch), atol=1e-5)


def test_low_precision_is_for_encoders_that_gain() -> None:
    config = config_of(TABLE, PHOTOS)
    model = build(config, spec_of(config), precision="mixed_bfloat16")
    policies = {layer.name: layer.dtype_policy.name for layer in model.layers}
    assert policies["photos_encoder"] == "mixed_bfloat16"
    assert policies["table_encoder"] == policies["fusion"] == policies["price"] == "float32"


def test_it_survives_saving(tmp_path: Any) -> None:
    model, spec = build_for(TABLE, TITLE, PHOTOS, optional=("table", "title", "photos"))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    batch = batch_of(spec)
    np.testing.assert_array_equal(predict(again, batch), predict(model, batch))
    assert [w.path for w in again.weights] == [w.path for w in model.weights]


def test_a_series_is_one_more_branch() -> None:
    model, spec = build_for(TABLE, SERIES, optional=("sales",))
    assert model.input["sales_series"].shape == (None, 5, 1)
    batch = batch_of(spec)
    batch["sales_series"][0, 2] = np.nan
    batch["sales_present"][1] = False
    before = predict(model, batch)
    assert np.isfinite(before).all()
    batch["sales_series"] += 1
    after = predict(model, batch)
    assert after[1] == before[1] and (after[2:] != before[2:]).any()


def test_a_group_that_is_never_absent_gets_no_missing_vector() -> None:
    model, _ = build_for(TABLE, TITLE, optional=("title",))
    missing = [weight.path for weight in model.weights if "missing" in weight.path]
    assert missing == ["fusion/missing_title"]


def test_absent_photos_are_no_part_of_the_mean() -> None:
    model, spec = build_for(PHOTOS)
    batch = batch_of(spec)
    batch["photos_present"][:, 1] = False
    twice = {**batch, "photos_pixels": batch["photos_pixels"][:, [0, 0]]}
    twice["photos_present"] = np.ones_like(batch["photos_present"])
    np.testing.assert_allclose(predict(model, batch), predict(model, twice), atol=1e-5)


@pytest.mark.parametrize("optional", [(), ("photos",)])
def test_garbage_in_an_absent_photo_changes_nothing(optional: Any) -> None:
    results = []
    for seed in (1, 2):
        keras.utils.set_random_seed(0)
        config = config_of(PHOTOS)
        spec = spec_of(config, optional)
        model = build(config, spec)
        compile_model(model, config, keras.optimizers.SGD(0.1))
        batch = batch_of(spec)
        batch["photos_present"][:2, 1] = False
        batch["photos_pixels"][:2, 1] = batch_of(spec, seed=seed)["photos_pixels"][:2, 1]
        outputs = [predict(model, batch)]
        model.train_on_batch(batch, {"price": np.ones((4, 1), "float32")})
        results.append([*outputs, *model.get_weights()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("fusion", [CONCAT, TOKENS], ids=["vectors", "tokens"])
@pytest.mark.parametrize("name", ["table", "title", "photos", "sales"])
def test_garbage_in_an_absent_group_changes_nothing(name: str, fusion: Any) -> None:
    model, spec = build_for(*GROUPS, optional=(name,), fusion=fusion)
    batch, other = batch_of(spec), batch_of(spec, seed=9)
    batch[f"{name}_present"][0] = False
    garbage = {key: other[key] if key.startswith(name) else array for key, array in batch.items()}
    garbage[f"{name}_present"] = batch[f"{name}_present"]
    one, two = predict(model, batch), predict(model, garbage)
    np.testing.assert_array_equal(one[0], two[0])
    assert np.abs(one[1:] - two[1:]).max() > 0


# Fusions that take tokens


def test_tokens_come_with_their_masks_and_without_poolings() -> None:
    model, spec = build_for(*GROUPS, fusion=TOKENS)
    names = {layer.name for layer in model.layers}
    assert not any(name.endswith("_pooling") for name in names)
    assert sorted(tensor.name for tensor in model.inputs) == sorted(spec.input_keys)
    photos = model.get_layer("photos_photos").output
    assert photos.shape == (None, 18, 2)  # two photos of nine tokens
    assert photos._keras_mask.shape == (None, 18)
    assert getattr(model.get_layer("fusion").output, "_keras_mask", None) is None
    assert predict(model, batch_of(spec)).shape == (4, 1)


@pytest.mark.parametrize("name", ["transformer", "cross_attention"])
def test_longer_padding_changes_nothing(name: str) -> None:
    model, spec = build_for(TABLE, TITLE, optional=("title",), fusion=name)
    batch = batch_of(spec)
    batch["title_tokens"][0, 1:] = 0
    longer = {**batch, "title_tokens": np.pad(batch["title_tokens"], ((0, 0), (0, 4)))}
    np.testing.assert_allclose(predict(model, longer), predict(model, batch), atol=1e-5)


def test_an_absent_photo_has_no_tokens() -> None:
    model, spec = build_for(*GROUPS, fusion=TOKENS)
    batch = batch_of(spec)
    batch["photos_present"][:, 1] = False
    other = {**batch, "photos_pixels": batch["photos_pixels"].copy()}
    other["photos_pixels"][:, 1] = 7
    np.testing.assert_array_equal(predict(model, other), predict(model, batch))
    batch["photos_present"][:, 1] = True
    assert np.abs(predict(model, batch) - predict(model, other)).max() > 1e-6


def test_a_model_with_tokens_trains_and_survives_saving(tmp_path: Any) -> None:
    optional = ("table", "title", "photos", "sales")
    model, spec = build_for(*GROUPS, optional=optional, fusion=TOKENS)
    compile_model(
        model, config_of(*GROUPS, fusion=TOKENS), keras.optimizers.Adam(0.01), jit_compile=False
    )
    batch = batch_of(spec)
    assert np.isfinite(model.train_on_batch(batch, {"price": np.ones((4, 1), "float32")})).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(predict(again, batch), predict(model, batch), atol=1e-6)
