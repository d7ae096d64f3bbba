"""Pretrained models in an export: the features of photos and texts are those of Keras."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from pretrained_references import TOKENIZER, WORDS, random_bert, safetensors

from multimodal.core.errors import RunError
from multimodal.core.pretrained import PRETRAINED
from multimodal.core.spec import FittedSpec
from multimodal.data.features.pretrained import FrozenFeatures
from multimodal.export.extractors import write_extractors
from multimodal.layers import efficientnet_lite
from multimodal.models.pretrained.extractors import FeatureExtractor, load_extractor
from multimodal.models.pretrained.photos import of_photos
from multimodal.runtime.extractors import ExportedExtractor, exported_extractors

TEXTS = ["red", "", "Red shoes!", "  ", "shoe " * 400, "café", "unheard of", "red shoe"]
SIDE = 32


def spec_of(extractor: Any, modality: str, cells: int = 1) -> FittedSpec:
    """Return a spec of one group that reads the features of an extractor."""
    known = {"model": extractor.name, "checksum": extractor.checksum}
    numbers = {"size": extractor.size, "dim": extractor.dim, "cells": cells}
    numbers |= {"dim": extractor.cell_dim} if cells > 1 else {}
    group: dict[str, Any] = {"name": "g", "modality": modality, "columns": ["c"]}
    group |= {"pretrained": known | numbers, "photos": int(modality == "image")}
    return FittedSpec.model_validate({"groups": [group], "heads": []})


def exported(extractor: Any, folder: Path, modality: str, cells: int = 1) -> ExportedExtractor:
    """Return an extractor as an export of a run holds it."""
    spec = spec_of(extractor, modality, cells)
    preprocessor = SimpleNamespace(extractors={"g": FrozenFeatures(extractor)})
    model: Any = SimpleNamespace(preprocessor=preprocessor, spec=spec)
    write_extractors(model, folder)
    there = [path.name for path in folder.iterdir()]
    found = exported_extractors(spec, folder, there)["g"].extractor
    assert isinstance(found, ExportedExtractor)
    with pytest.raises(RunError, match="pretrained-0.* missing"):
        exported_extractors(spec, folder, [])
    return found


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("minilm")
    (folder / "model.safetensors").write_bytes(safetensors(random_bert(len(WORDS), 384, 1)))
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    return folder


@pytest.mark.parametrize(
    "name", ["multilingual_e5_small", pytest.param("bge_small", marks=pytest.mark.large)]
)
def test_texts(name: str, minilm: Path, tmp_path: Path) -> None:
    """The mean of a text's tokens behind a prefix, or its first token."""
    texts = load_extractor(name, minilm)
    found = exported(texts, tmp_path, "text").texts(TEXTS)
    np.testing.assert_allclose(found, texts.texts(TEXTS), rtol=1e-5, atol=1e-5)
    assert found.shape == (len(TEXTS), 384) and not found[1].any() and found[0].any()


def test_word_vectors(tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("3 2\nRed 1 2\nred 9 9\nschön 3 5\n", "utf-8")
    vectors, out = load_extractor("static_vectors", tmp_path), tmp_path / "out"
    out.mkdir()
    found = exported(vectors, out, "text").texts(["red SCHÖN, new!", "", "schön"])
    assert found.tolist() == [[2, 3.5], [0, 0], [3, 5]]


@pytest.mark.parametrize("cells", [1, 4])
def test_photos(cells: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a whole, and in parts."""
    stages = efficientnet_lite.STAGES
    monkeypatch.setattr(efficientnet_lite, "STAGES", stages[:2])  # the rest is the same in larger
    network = efficientnet_lite.efficientnet_lite0(SIDE)
    photos = _photo_extractor(network)
    given = np.random.default_rng(0).integers(0, 256, (35, SIDE, SIDE, 3)).astype(np.uint8)
    found = exported(photos, tmp_path, "image", cells)
    if cells == 1:
        np.testing.assert_allclose(found.photos(given), photos.photos(given), rtol=1e-5, atol=1e-5)
    else:
        expected = photos.maps(given, 2)
        np.testing.assert_allclose(found.maps(given, 2), expected, rtol=1e-5, atol=1e-5)
    assert found.photos(given[:0]).shape == (0, photos.dim) or cells > 1


def _photo_extractor(network: keras.Model) -> FeatureExtractor:
    found = of_photos(network, "c0ffee", "block_1_project_norm")
    return FeatureExtractor("efficientnet_lite0", PRETRAINED["efficientnet_lite0"], SIDE, found)


def test_an_extractor_of_another_make_is_refused(tmp_path: Path) -> None:
    stranger = SimpleNamespace(name="minilm", checksum="c0ffee", size=0, dim=4)
    with pytest.raises(RunError, match="group 'g' reads features of 'minilm' .* another make"):
        exported(stranger, tmp_path, "text")
