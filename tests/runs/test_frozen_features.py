"""Runs on frozen features: trained, saved, loaded, explained; what is missing is said.

The pretrained models are stand-ins that tell a photo by its mean colours, a text by its letters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from runs import shared
from tiny import TABLE, tiny_config

import multimodal
from multimodal import ConfigError, RunError
from multimodal.core.pretrained import find_weights
from multimodal.core.spec import FittedSpec
from multimodal.explain.page import page
from multimodal.models.frozen import extractor_of

LETTERS = "abcdefghijklmnop"


class StandIn:
    """Four numbers a photo, or sixteen a text."""

    def __init__(self, name: str, *, checksum: str = "c0ffee") -> None:
        self.name, self.checksum = name, checksum
        self.key = f"standin_{name}"
        self.size = 16 if name == "efficientnet_lite0" else 0
        self.dim = 4 if self.size else len(LETTERS)
        self.seen = 0

    def photos(self, photos: np.ndarray) -> np.ndarray:
        self.seen += len(photos)
        mean = photos.mean(axis=(1, 2), dtype="float32")
        return np.column_stack([mean, np.full(len(photos), 50.0)]).astype("float32")

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += len(texts)
        return np.array([[text.count(each) for each in LETTERS] for text in texts], "float32")


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, StandIn]]:
    made = {name: StandIn(name) for name in ("efficientnet_lite0", "minilm")}
    monkeypatch.setattr(
        "multimodal.models.pretrained.extractors.load_extractor",
        lambda name, weights=None, *, size=None: made[name],
    )
    monkeypatch.setattr("multimodal.models.frozen.find_weights", Path)
    monkeypatch.setenv("MULTIMODAL_CACHE", str(tmp_path / "cache"))
    yield made


CONFIG = tiny_config(
    TABLE,
    {
        "name": "words",
        "modality": "text",
        "columns": ["description"],
        "encoder": {"name": "pretrained", "options": {"model": "minilm"}},
    },
    {
        "name": "photos",
        "modality": "image",
        "columns": ["image"],
        "encoder": {"name": "pretrained", "options": {"model": "efficientnet_lite0"}},
    },
    fold_models=2,
)


@pytest.fixture
def trained_folder(
    catalogue_folder: Path, stand_ins: dict[str, StandIn], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    def make(out: Path) -> None:
        multimodal.train(catalogue_folder / "catalogue.csv", "price", out=out, config=CONFIG)

    return shared(tmp_path_factory, "frozen_run", make)


def rows_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "test.csv")


def test_a_run_is_loaded_and_predicts_as_it_was_trained(
    trained_folder: Path, catalogue_folder: Path, stand_ins: dict[str, StandIn]
) -> None:
    run, rows = multimodal.load(trained_folder), rows_of(catalogue_folder)
    written = pd.read_csv(trained_folder / "predictions.csv")["price_prediction"]
    found = run.predict(rows, images=catalogue_folder).frame["price_prediction"]
    np.testing.assert_allclose(found, written, rtol=1e-5)
    alone = run.predict_row(rows.iloc[3].to_dict(), images=str(catalogue_folder))
    assert alone["price"] == pytest.approx(float(found.iloc[3]), rel=1e-5)
    whole = run.model.predict(run.inputs(rows, images=catalogue_folder), verbose=0)
    decoded = run.model.get_layer("price").decode(whole["price"])
    np.testing.assert_allclose(np.asarray(decoded)[:, 0], found, rtol=1e-4)
    shares = np.asarray(run.model.get_layer("price").shares)
    assert shares.shape == (4, 1)  # networks, linear model, features of texts and of photos


def test_rows_without_photo_or_text_are_predicted(
    trained_folder: Path, catalogue_folder: Path, stand_ins: dict[str, StandIn]
) -> None:
    run, rows = multimodal.load(trained_folder), rows_of(catalogue_folder).head(3)
    rows.loc[0, "image"], rows.loc[1, "description"] = None, None
    found = run.predict(rows, images=catalogue_folder).frame
    assert np.isfinite(found["price_prediction"]).all()


def test_what_moved_a_prediction_adds_up(
    trained_folder: Path, catalogue_folder: Path, stand_ins: dict[str, StandIn]
) -> None:
    run = multimodal.load(trained_folder)
    [found] = run.explain(rows_of(catalogue_folder).head(1), images=catalogue_folder)
    total = sum(group.score for group in found.groups)
    assert total == pytest.approx(found.score - found.start, rel=1e-3, abs=1e-3)
    assert {group.name for group in found.groups} == {"table", "words", "photos"}
    assert found.photos[0].hidden is not None and found.words
    shown = page(found, catalogue_folder)
    assert "Of the linear model alone" in shown and "from random orders; all words" not in shown


def test_features_are_computed_once_for_all_trainings(
    catalogue_folder: Path, stand_ins: dict[str, StandIn], tmp_path: Path
) -> None:
    group = CONFIG.groups[2]
    frozen = extractor_of(group)
    assert frozen is not None
    from multimodal.data.photos.read import PhotoPaths

    paths = [[path] for path in sorted(catalogue_folder.glob("**/*.jpg"))[:5]]
    photos = PhotoPaths([*paths, [None]], 16)
    first, present = frozen.photos(photos)
    seen = stand_ins["efficientnet_lite0"].seen
    again, _ = frozen.photos(photos)
    assert seen == 5 and stand_ins["efficientnet_lite0"].seen == seen
    np.testing.assert_array_equal(first, again)
    assert present[:, 0].tolist() == [True] * 5 + [False] and not first[5].any()


def test_other_weights_than_those_of_the_training_are_refused(
    trained_folder: Path, catalogue_folder: Path, stand_ins: dict[str, StandIn]
) -> None:
    stand_ins["efficientnet_lite0"].checksum = "other"
    run = multimodal.load(trained_folder)
    with pytest.raises(RunError, match="other weights of 'efficientnet_lite0'"):
        run.predict(rows_of(catalogue_folder), images=catalogue_folder)


def test_a_machine_without_the_weights_says_which(
    trained_folder: Path, stand_ins: dict[str, StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multimodal.models.frozen.find_weights", find_weights)
    monkeypatch.setenv("MULTIMODAL_WEIGHTS", str(trained_folder))
    monkeypatch.setattr("multimodal.core.pretrained.importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"frozen_run: it reads features of .*names and does not"):
        multimodal.load(trained_folder)


def test_a_box_needs_places() -> None:
    from multimodal.data.features.pretrained import FrozenFeatures, with_pretrained

    spec = FittedSpec.model_validate(
        {
            "groups": [{"name": "photos", "modality": "image", "columns": ["a"], "photos": 2}],
            "heads": [{"name": "box", "columns": ["a"], "kind": "box"}],
        }
    )
    with pytest.raises(ConfigError, match="first of 2 photos"):
        with_pretrained(spec, {"photos": FrozenFeatures(StandIn("efficientnet_lite0"))})


def test_a_model_of_texts_reads_no_photos(stand_ins: dict[str, StandIn]) -> None:
    group = CONFIG.groups[2].model_copy(update={"encoder": CONFIG.groups[1].encoder})
    with pytest.raises(ConfigError, match="of modality image, and 'minilm' reads text"):
        extractor_of(group)
