"""Tests of the generated faces: what shows, what does not, the files and the TFDS builder."""

from __future__ import annotations

import importlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import RidgeCV

from multimodal.data.generated import builder_package

faces = builder_package("faces")
drawing = importlib.import_module(f"{faces.__name__}.drawing")
rows = importlib.import_module(f"{faces.__name__}.rows")


def pixels(looks: float, emotion: str, strength: float, key: str = "key") -> np.ndarray:
    content = drawing.draw_face(looks, emotion, strength, key)
    return np.asarray(Image.open(io.BytesIO(content)), np.float64)


def test_a_face_follows_from_its_seed_and_number() -> None:
    assert faces.make_face(3, 7) == faces.make_face(3, 7)
    assert faces.make_face(3, 7).jpeg() == faces.make_face(3, 7).jpeg()
    assert faces.make_face(3, 7) != faces.make_face(4, 7)


def test_photos_are_small_rgb_jpegs() -> None:
    photo = Image.open(io.BytesIO(faces.make_face(0, 0).jpeg()))
    assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (64, 64))


def test_age_shows_in_forehead_and_hair_not_in_the_mouth() -> None:
    changed = np.abs(pixels(80, "neutral", 1.0) - pixels(20, "neutral", 1.0)).mean(axis=(1, 2))
    assert changed[5:25].mean() > 3 * changed[45:50].mean()


@pytest.mark.parametrize("emotion", [name for name in rows.EMOTIONS if name != "neutral"])
def test_a_stronger_emotion_moves_the_face_more(emotion: str) -> None:
    base = pixels(30, "neutral", 1.0)
    weak, strong = (np.abs(pixels(30, emotion, s) - base).mean() for s in (rows.WEAKEST, 1.0))
    assert 0 < weak < strong


def test_neutral_has_no_strength() -> None:
    np.testing.assert_array_equal(pixels(30, "neutral", 0.4), pixels(30, "neutral", 1.0))


def test_every_emotion_and_age_comes() -> None:
    drawn = [faces.make_face(0, number) for number in range(2000)]
    counts = pd.Series([face.emotion for face in drawn]).value_counts()
    assert set(counts.index) == set(rows.EMOTIONS) and counts.min() > 300
    ages = np.array([face.age for face in drawn])
    assert (ages.min(), ages.max()) == (rows.YOUNGEST, rows.OLDEST)
    gap = np.array([face.looks for face in drawn]) - ages
    assert abs(gap.std() - rows.AGE_NOISE) < 0.2


def test_mean_colour_does_not_give_the_age() -> None:
    drawn = [faces.make_face(1, number) for number in range(800)]
    colour = np.stack(
        [np.asarray(Image.open(io.BytesIO(f.jpeg())), float).mean((0, 1)) for f in drawn]
    )
    ages = np.array([face.age for face in drawn], float)
    model = RidgeCV().fit(colour[:600], ages[:600])
    assert model.score(colour[600:], ages[600:]) < 0.25


def test_two_files_share_no_photo(tmp_path: Path) -> None:
    folder = faces.export(tmp_path / "faces", (12, 8), seed=2)
    ages, emotions = (pd.read_csv(folder / name) for name in ("ages.csv", "emotions.csv"))
    assert list(ages) == ["image", "age"] and list(emotions) == ["image", "emotion"]
    assert (len(ages), len(emotions)) == (12, 8)
    assert not set(ages["image"]) & set(emotions["image"])
    assert all((folder / name).exists() for name in [*ages["image"], *emotions["image"]])
    assert faces.export(folder, (12, 8), seed=2) == folder


def test_another_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="hold the same faces"):
        faces.export(tmp_path, (2, 2))
    faces.export(tmp_path / "faces", (2, 2), seed=0)
    with pytest.raises(FileExistsError, match="Choose another folder"):
        faces.export(tmp_path / "faces", (2, 2), seed=1)


def test_a_failed_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = importlib.import_module(f"{faces.__name__}.files")
    monkeypatch.setattr(files, "_photo", lambda folder, face: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        faces.export(tmp_path / "faces", (2, 2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", ["huge", (0, 2), (2,)])
def test_wrong_sizes(size: object) -> None:
    with pytest.raises(ValueError, match="`size` must be"):
        list(faces.generate(size))


def test_tfds_builder(tmp_path: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    module = importlib.import_module(f"{faces.__name__}.faces_dataset_builder")
    config = module.FacesConfig(name="tiny", counts=(5, 3), seed=1)
    builder = module.Builder(data_dir=tmp_path, config=config)
    builder.download_and_prepare()
    found = {split: list(tfds.as_numpy(builder.as_dataset(split))) for split in ("age", "emotion")}
    assert [len(found["age"]), len(found["emotion"])] == [5, 3]
    assert found["age"][0]["age"] == faces.make_face(1, 0).age
    ids = [row["id"] for rows in found.values() for row in rows]
    assert len(set(ids)) == 8
