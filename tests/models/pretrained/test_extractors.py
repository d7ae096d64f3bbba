"""Extractors of features: they agree with the networks written out, row by row."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pretrained_references import (
    TOKENIZER,
    WORDS,
    bert_tokens,
    dinov2_features,
    lite0_features,
    random_bert,
    random_dinov2,
    random_lite0,
    random_siglip,
    safetensors,
    siglip_features,
)
from torch_files import torch_file

from multimodal.core.errors import ConfigError, DataError
from multimodal.core.files import sha256_of
from multimodal.core.pretrained import PRETRAINED, find_weights
from multimodal.core.tensors import read_file, read_tensors
from multimodal.models.pretrained.extractors import FeatureExtractor, load_extractor
from multimodal.models.pretrained.photos import HEADS, PATCHES
from multimodal.models.pretrained.states import _resized

PHOTOS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype("uint8")
PHOTOS[4] = 255
BERT = random_bert(len(WORDS), 384, 2)
TEXTS = ["red", "", "Red shoes!", "  ", "shoe " * 400, "café", "unheard of", "red shoe"]


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lite0") / "own.pth"
    path.write_bytes(torch_file(random_lite0(), legacy=True))
    return path


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("minilm")
    (folder / "model.safetensors").write_bytes(safetensors(BERT))
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    return folder


@pytest.fixture(scope="module")
def photos(lite0: Path) -> FeatureExtractor:
    return load_extractor("efficientnet_lite0", lite0, size=32)


@pytest.fixture(scope="module")
def texts(minilm: Path) -> FeatureExtractor:
    return load_extractor("minilm", minilm)


def test_photos(photos: FeatureExtractor) -> None:
    found = photos.photos(PHOTOS)
    expected = [lite0_features(random_lite0(), photo) for photo in PHOTOS]
    assert (found.dtype, found.shape) == (np.float32, (5, photos.dim))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(photos.photos(PHOTOS[2:3]), found[2:3], atol=1e-5)
    assert photos.photos(PHOTOS[:0]).shape == (0, 1280 + 4 * 112)
    with pytest.raises(ValueError, match=r"must have the shape \(N, 32, 32, 3\)"):
        photos.photos(PHOTOS[:, :16])
    with pytest.raises(ValueError, match="efficientnet_lite0 is a model of modality image"):
        photos.texts(["red"])


def mean_of(ids: list[int]) -> np.ndarray:
    return bert_tokens(BERT, ids, heads=12).mean(axis=0)


def test_maps_of_photos(lite0: Path) -> None:
    photos = load_extractor("efficientnet_lite0", lite0, size=64)
    given = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    whole = photos.maps(given, 1)
    assert whole.shape == (3, 1, 1280) and whole.dtype == np.float32
    unit = whole[:, 0] / np.linalg.norm(whole[:, 0], axis=-1, keepdims=True)
    np.testing.assert_allclose(photos.photos(given)[:, :1280], unit, rtol=1e-4, atol=1e-5)
    parts = photos.maps(given, 2)
    assert parts.shape == (3, 4, photos.cell_dim) and np.ptp(parts, axis=1).max() > 0.1
    np.testing.assert_allclose(parts.mean(axis=1), whole[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(photos.maps(given[1:2], 2)[0], parts[1], rtol=1e-4, atol=1e-5)


def test_texts(texts: FeatureExtractor) -> None:
    found = texts.texts(TEXTS)
    assert (found.dtype, found.shape) == (np.float32, (len(TEXTS), 384))
    assert not found[[1, 3]].any()
    pieces = {0: [4], 2: [4, 5, 6, 9], 4: [5] * 254, 5: [7], 6: [1, 1], 7: [4, 5]}
    for row, ids in pieces.items():
        np.testing.assert_allclose(found[row], mean_of([2, *ids, 3]), atol=1e-4)
    np.testing.assert_allclose(texts.texts(TEXTS[2:3]), found[2:3], atol=1e-5)
    assert texts.texts([]).shape == texts.texts([" "])[:0].shape == (0, 384)
    with pytest.raises(ValueError, match="minilm is a model of modality text"):
        texts.photos(PHOTOS)


@pytest.mark.parametrize(
    ("name", "state", "reference", "size"),
    [
        ("dinov2_small", random_dinov2(dim=12, grid=3, blocks=2), dinov2_features, 42),
        ("siglip", random_siglip(dim=24, grid=2, blocks=2), siglip_features, 32),
    ],
)
def test_vision_transformers(
    name: str, state: dict[str, np.ndarray], reference: Any, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(state))
    extractor = load_extractor(name, path, size=size)
    photos = np.random.default_rng(1).integers(0, 256, (3, size, size, 3)).astype("uint8")
    expected = [reference(state, photo, HEADS[name]) for photo in photos]
    assert np.std(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(extractor.photos(photos), expected, atol=1e-4)
    if name == "siglip":  # it ends in one token
        with pytest.raises(ConfigError, match="siglip: has no features of the parts of a photo"):
            extractor.maps(photos, 1)
    else:
        assert extractor.maps(photos, 3).shape == (3, 9, extractor.cell_dim)
    load_extractor(name, tmp_path, size=size + 2 * PATCHES[name])  # places are interpolated
    with pytest.raises(ConfigError, match=f"and a multiple of {PATCHES[name]}; got {size + 1}"):
        load_extractor(name, path, size=size + 1)
    with pytest.raises(DataError, match="which is missing"):
        load_extractor("siglip" if name != "siglip" else "dinov2_small", path, size=224)


def test_places_are_interpolated_as_pytorch_does() -> None:
    places = (np.arange(25.0) ** 1.5)[:, None]
    # by torch.nn.functional.interpolate(mode="bicubic")
    expected = [2.7922, 6.488, 11.7113, 32.8702, 41.5692, 50.9428, 82.7386, 94.3545, 106.4837]
    np.testing.assert_allclose(_resized(places, 3)[:, 0], expected, atol=1e-3)
    assert _resized(places, 5) is places


def test_models_of_keras_applications(tmp_path: Path) -> None:
    shape = (32, 32, 3)
    model = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=shape)
    path = tmp_path / PRETRAINED["mobilenet_v3_small"].files[0].name
    model.save(path)
    extractor = load_extractor("mobilenet_v3_small", tmp_path, size=32)
    expected = keras.ops.convert_to_numpy(model(PHOTOS.astype("float32"))).mean(axis=(1, 2))
    np.testing.assert_allclose(extractor.maps(PHOTOS, 1)[:, 0], expected, rtol=1e-3, atol=1e-14)
    assert extractor.photos(PHOTOS).shape == (5, 576 + 4 * 48) and expected.std() > 1e-12
    assert extractor.checksum == sha256_of(path)
    for name, content in (("convnext_tiny", path.read_bytes()), ("mobilenet_v3_small", b"none")):
        (tmp_path / "other.h5").write_bytes(content)
        with pytest.raises(DataError, match="expected weights of keras.applications"):
            load_extractor(name, tmp_path / "other.h5", size=32)


def test_what_authors_do_with_texts(minilm: Path) -> None:
    """BGE takes the first token, and E5 wants a word before the text."""
    tokens = bert_tokens(BERT, [2, 4, 5, 3], heads=12)
    found = load_extractor("bge_small", minilm).texts(["red shoe", ""])
    np.testing.assert_allclose(found[0], tokens[0], atol=1e-4)
    assert not found[1].any()
    found = load_extractor("multilingual_e5_small", minilm).texts(["red"])
    np.testing.assert_allclose(found[0], mean_of([2, 1, 1, 4, 3]), atol=1e-4)  # query : red


def test_static_vectors(tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("3 2\nRed 1 2\nred 9 9\nshoe 3 5\n", "utf-8")
    extractor = load_extractor("static_vectors", tmp_path)
    found = extractor.texts(["red SHOE, new!", "", "unheard of", "shoe"])
    assert (found.dtype, extractor.dim, extractor.network) == (np.float32, 2, None)
    assert found.tolist() == [[2, 3.5], [0, 0], [0, 0], [3, 5]]


def test_what_features_depend_on(
    photos: FeatureExtractor, texts: FeatureExtractor, lite0: Path, minilm: Path, tmp_path: Path
) -> None:
    larger = load_extractor("efficientnet_lite0", lite0, size=64)
    assert larger.checksum == photos.checksum and larger.key != photos.key
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("model.safetensors", "tokenizer.json"):
            file.write(minilm / name, name)
    packed = load_extractor("minilm", archive)
    assert (packed.checksum, packed.key) == (texts.checksum, texts.key)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes((minilm / "model.safetensors").read_bytes())
    (other / "tokenizer.json").write_text(json.dumps(TOKENIZER) + "\n")
    assert load_extractor("minilm", other).key != texts.key


def test_weights_that_are_none(minilm: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere.pth: no such file"):
        load_extractor("efficientnet_lite0", tmp_path / "nowhere.pth")
    with pytest.raises(ConfigError, match="expected photos of 32 pixels or more; got 16"):
        load_extractor("efficientnet_lite0", tmp_path, size=16)
    with pytest.raises(ConfigError, match="expected no size, as it reads no photos; got 64"):
        load_extractor("minilm", minilm, size=64)
    state = random_lite0()
    for change, reason in (
        ({"_bn1.weight": np.ones(3, "float32")}, r"expected shapes .* for 'head_norm', got"),
        ({"_conv_stem.weight": np.ones(3, "float32")}, r"for 'stem', got \[\(3,\)\]"),
    ):
        (tmp_path / "own.pth").write_bytes(torch_file({**state, **change}))
        with pytest.raises(DataError, match=reason):
            load_extractor("efficientnet_lite0", tmp_path / "own.pth")
    del state["_blocks.7._expand_conv.weight"]
    (tmp_path / "own.pth").write_bytes(torch_file(state))
    with pytest.raises(DataError, match=r"own.pth: expected a tensor '_blocks.7._expand_conv"):
        load_extractor("efficientnet_lite0", tmp_path / "own.pth")
    (tmp_path / "model.safetensors").write_bytes((minilm / "model.safetensors").read_bytes())
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="expected a tokenizer"):
        load_extractor("minilm", tmp_path)


def test_texts_need_a_library(minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigError, match=r"pip install 'multimodal-keras\[pretrained\]'"):
        load_extractor("minilm", minilm)


def published(name: str) -> Path:
    """Return where the weights lie that are published under a name; skip where they are not."""
    try:
        return find_weights(name)
    except ConfigError as error:
        pytest.skip(f"NOT CHECKED against the published weights: {error}")


@pytest.mark.large
@pytest.mark.parametrize("size", [128, 96])
def test_published_weights_of_photos(size: int) -> None:
    path = published("efficientnet_lite0")
    extractor = load_extractor("efficientnet_lite0", size=size)
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (size, size, 3)).astype("uint8")
    ramp = np.linspace(0, 255, size, dtype="uint8")[:, None, None] + np.zeros_like(noise)
    found = extractor.photos(np.stack([noise, ramp]))
    file = path if path.is_file() else path / PRETRAINED["efficientnet_lite0"].files[0].name
    state = read_tensors(read_file(file), file)
    for photo, features in zip((noise, ramp), found, strict=True):
        np.testing.assert_allclose(features, lite0_features(state, photo), atol=1e-3)
    assert extractor.checksum == PRETRAINED["efficientnet_lite0"].files[0].digest


@pytest.mark.large
def test_published_weights_of_texts() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    path = published("minilm")
    extractor = load_extractor("minilm")
    names = [file.name for file in PRETRAINED["minilm"].files]
    contents = [
        read_file(path / name) if path.is_dir() else read_file(path, name) for name in names
    ]
    state = read_tensors(contents[0], path)
    tokenizer = tokenizers.Tokenizer.from_buffer(contents[1])
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    texts = ["A red shoe", "Café naïve 12.5cm déjà-vu ₹1,200 !! 😀 漢字", "long " * 300]
    for text, features in zip(texts, extractor.texts(texts), strict=True):
        expected = bert_tokens(state, tokenizer.encode(text).ids, heads=12).mean(axis=0)
        np.testing.assert_allclose(features, expected, atol=1e-3)


@pytest.mark.large
@pytest.mark.parametrize("name", [name for name, model in PRETRAINED.items() if model.parameters])
def test_published_weights_have_the_size_in_the_table(name: str) -> None:
    published(name)
    assert load_extractor(name).network.count_params() == PRETRAINED[name].parameters
