"""Other people's models as encoders: preprocessing, freezing, statistics, files, refusals."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from multimodal.encoders import ImageBackboneEncoder, image_backbone

RANDOM = np.random.default_rng(0)
PHOTOS = RANDOM.integers(0, 256, (3, 8, 8, 3)).astype("uint8")
THERE = np.array([True, False, True])


def array(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def small() -> keras.Model:
    photos = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="convolution")(photos)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    return keras.Model(photos, keras.layers.Dropout(0.5, name="dropout")(x), name="small")


def encode(**options: Any) -> ImageBackboneEncoder:
    return ImageBackboneEncoder(small(), preprocessing="unit", **options)


@pytest.mark.parametrize("name", image_backbone.architectures())
def test_preprocessing_is_that_of_the_family(name: str) -> None:
    source = inspect.getmodule(inspect.unwrap(getattr(keras.applications, name)))
    family = importlib.import_module(str(source and source.__name__))
    expected = family.preprocess_input(PHOTOS.astype("float32"))
    mode = image_backbone.preprocessing_of(name)
    np.testing.assert_allclose(
        array(image_backbone.preprocess(PHOTOS, mode)), expected, rtol=1e-5, atol=1e-4
    )


def test_unit_preprocessing() -> None:
    found = array(image_backbone.preprocess(PHOTOS, "unit"))
    np.testing.assert_allclose(found, PHOTOS / 255, atol=1e-6)


def test_tokens_are_the_cells_of_the_map() -> None:
    encoder = encode()
    found = array(encoder(PHOTOS))
    expected = array(encoder.backbone(PHOTOS / np.float32(255)))
    np.testing.assert_allclose(found, expected.reshape(3, 4, 4), atol=1e-5)


def test_architecture_by_name() -> None:
    encoder = ImageBackboneEncoder("MobileNetV2", pooling="mean", dtype="mixed_bfloat16")
    assert tuple(encoder(np.zeros((1, 32, 32, 3), "uint8")).shape) == (1, 1280)
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.dtype_policy.name for layer in encoder.network.layers} == {"mixed_bfloat16"}
    assert encoder.get_config()["backbone"] == "MobileNetV2"
    with pytest.raises(ValueError, match="'MobileNetV2' refuses the photos: Input size must be at"):
        ImageBackboneEncoder("MobileNetV2")(PHOTOS)


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_weights_and_statistics_stay(frozen: bool) -> None:
    inputs = keras.Input((8, 8, 3))
    encoder = encode(frozen=frozen, pooling="mean")
    model = keras.Model(inputs, keras.layers.Dense(1)(encoder(inputs)))
    model.compile("sgd", "mse", jit_compile=False)
    before = encoder.get_weights()
    model.train_on_batch(PHOTOS.astype("float32"), np.ones((3, 1), "float32"))
    same = [
        np.array_equal(old, new) for old, new in zip(before, encoder.get_weights(), strict=True)
    ]
    assert all(same) if frozen else not any(same[1:])  # 0: the kernel, which may move little
    assert bool(encoder.trainable_weights) != frozen


def test_frozen_runs_as_in_inference() -> None:
    encoder = encode(frozen=True)
    np.testing.assert_array_equal(array(encoder(PHOTOS, training=True)), array(encoder(PHOTOS)))
    encoder.network.trainable = True
    assert not np.array_equal(array(encoder(PHOTOS, training=True)), array(encoder(PHOTOS)))


def test_statistics_are_those_of_the_photos_that_are_there() -> None:
    encoder, other = encode(), encode()
    encoder.build((None, 8, 8, 3)), other.build((None, 8, 8, 3))
    other.set_weights(encoder.get_weights())
    photos = PHOTOS.astype("float32")
    photos[1] = np.nan
    found = array(encoder(photos, mask=THERE, training=True))
    assert not found[1].any() and np.isfinite(found).all()
    other(PHOTOS[[0, 2, 2]], training=True)  # one that is there stands in
    for one, two in zip(encoder.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_file_and_weights(tmp_path: Path) -> None:
    model = small()
    model.save(tmp_path / "small.keras")
    model.save_weights(tmp_path / "small.weights.h5")
    expected = array(ImageBackboneEncoder(model, preprocessing="tf")(PHOTOS))
    by_path = ImageBackboneEncoder(str(tmp_path / "small.keras"), preprocessing="tf")
    np.testing.assert_allclose(array(by_path(PHOTOS)), expected, atol=1e-6)
    loaded = ImageBackboneEncoder(
        small(), str(tmp_path / "small.weights.h5"), preprocessing="tf", name="part"
    )
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    outer = keras.Model(inputs, loaded(inputs))
    np.testing.assert_allclose(array(outer(PHOTOS)), expected, atol=1e-6)
    outer.save(tmp_path / "outer.keras")
    (tmp_path / "small.weights.h5").unlink()  # a saved encoder needs no other file
    again = keras.models.load_model(tmp_path / "outer.keras")
    np.testing.assert_allclose(array(again(PHOTOS)), expected, atol=1e-6)
    config = loaded.get_config()
    assert ImageBackboneEncoder.from_config(config).get_config() == config


def test_tokens_of_a_transformer_are_taken_as_they_are() -> None:
    photos = keras.Input((8, 8, 3))
    tokens = keras.layers.Reshape((4, 48))(photos)
    encoder = ImageBackboneEncoder(keras.Model(photos, tokens), preprocessing="none")
    assert tuple(encoder(PHOTOS).shape) == (3, 4, 48)


@pytest.mark.parametrize("family", ["ResNet", "ViT"])
def test_keras_hub(family: str, tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    make: dict[str, Any] = {
        "ResNet": lambda: hub.models.ResNetBackbone(
            [64], [7], [64], [1], [1], "basic_block", image_shape=(None, None, 3)
        ),
        "ViT": lambda: hub.models.ViTBackbone((8, 8, 3), (4, 4), 1, 2, 8, 8),
    }
    encoder = ImageBackboneEncoder(make[family](), preprocessing="tf", name="part")
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(inputs, encoder(inputs))
    found = array(model(PHOTOS))
    assert found.shape == {"ResNet": (3, 4, 64), "ViT": (3, 5, 8)}[family]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(array(again(PHOTOS)), found, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"backbone": "MobileNetV9"},
            "`backbone` must be a model of keras.applications, the path "
            "of a .keras file or a Keras model. Did you mean 'MobileNetV",
        ),
        ({"backbone": "absent.keras", "preprocessing": "tf"}, "a file that does not exist"),
        ({"backbone": "a/b", "preprocessing": "tf"}, "must be the path of a .keras file"),
        (
            {"backbone": small()},
            "`preprocessing` must be one of ['tf', 'caffe', 'torch', 'unit', "
            "'none']. Received: preprocessing=None",
        ),
        ({"backbone": "VGG16", "preprocessing": "bgr"}, "`preprocessing` must be one of"),
        (
            {"backbone": "VGG16", "weights": "imagenet"},
            "`weights` must be None or the path of a "
            "local weights file (.h5); nothing is downloaded. Received: weights='imagenet'",
        ),
        ({"backbone": "VGG16", "weights": "http://a.b/c.h5"}, "nothing is downloaded"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ImageBackboneEncoder(**arguments)


def test_refuses_weights_that_do_not_fit(tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="`weights` do not fit the backbone 'small'. Received"):
        encode(weights=str(tmp_path / "other.weights.h5"))(PHOTOS)
    with pytest.raises(ValueError, match="`weights` names a file that does not exist"):
        encode(weights=str(tmp_path / "absent.weights.h5"))(PHOTOS)


@pytest.mark.parametrize(
    ("layer", "got"),
    [(keras.layers.Flatten(), "returns shape=(None, 192)"), (None, "returns 2 outputs")],
)
def test_refuses_an_unexpected_output(layer: Any, got: str) -> None:
    photos = keras.Input((8, 8, 3))
    model = keras.Model(photos, layer(photos) if layer else [photos * 2, photos], name="odd")
    encoder = ImageBackboneEncoder(model, preprocessing="none")
    with pytest.raises(ValueError, match="`backbone` must return") as caught:
        encoder(PHOTOS)
    assert got in str(caught.value) and "\n" not in str(caught.value)


def test_refuses_photos_of_another_size_than_the_backbone() -> None:
    photos = keras.Input((16, 16, 3))
    model = keras.Model(photos, keras.layers.Conv2D(2, 3)(photos), name="fixed")
    with pytest.raises(ValueError, match="`backbone` 'fixed' refuses the inputs") as caught:
        ImageBackboneEncoder(model, preprocessing="none")(PHOTOS)
    assert "\n" not in str(caught.value)
