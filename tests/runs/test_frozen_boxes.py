"""Boxes from frozen features of the parts of photos: trained, saved, loaded, explained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal
from multimodal import ConfigError
from multimodal.data.labels.boxes import iou
from multimodal.data.prepare import prepare
from multimodal.evaluation.records import RunMetrics
from multimodal.models.frozen import extractor_of

CORNERS = ["xmin", "ymin", "xmax", "ymax"]
SIDE = 32


class StandIn:
    """Tells each part of a photo by how bright it is."""

    name, key, checksum, size = "efficientnet_lite0", "standin_maps", "c0ffee", 4 * SIDE
    dim = cell_dim = 3

    def maps(self, photos: np.ndarray, side: int) -> np.ndarray:
        step = self.size // side
        parts = photos.mean(axis=-1).reshape(len(photos), side, step, side, step).mean(axis=(2, 4))
        bright = parts.reshape(len(photos), side * side) / 255
        return np.stack([bright, 1 - bright, bright**2], axis=-1).astype("float32")

    def photos(self, photos: np.ndarray) -> np.ndarray:
        return self.maps(photos, 1)[:, 0]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(
        "multimodal.models.pretrained.extractors.load_extractor",
        lambda name, weights=None, *, size=None: StandIn(),
    )
    monkeypatch.setattr("multimodal.models.frozen.find_weights", Path)
    monkeypatch.setenv("MULTIMODAL_CACHE", str(tmp_path / "cache"))
    yield


def drawn(folder: Path, rows: int) -> pd.DataFrame:
    """White rectangles on black, and where they are."""
    rng, table = np.random.default_rng(0), []
    for i in range(rows):
        low = rng.integers(0, 20, 2)
        box = [*low, *(low + rng.integers(6, 12, 2))]
        photo = np.zeros((SIDE, SIDE, 3), np.uint8)
        photo[box[1] : box[3], box[0] : box[2]] = 255
        Image.fromarray(photo).save(folder / f"{i}.png")
        table.append({"photo": f"{i}.png", **dict(zip(CORNERS, map(float, box), strict=True))})
    return pd.DataFrame(table)


def config(**data: object) -> dict[str, object]:
    return {
        "heads": [{"name": "box", "column": CORNERS, "head": "bounding_box"}],
        "data": {"photos": "efficientnet_lite0", **data},
        "training": {"epochs": 1, "fold_models": 2, "baselines": False, "precision": "float32"},
    }


@pytest.mark.usefixtures("stand_in")
def test_a_box_follows_from_the_features_of_parts(tmp_path: Path) -> None:
    rows = drawn(tmp_path, 90)
    trained = multimodal.train(
        rows, CORNERS, out=tmp_path / "run", config=config(), images=tmp_path
    )
    run = multimodal.load(tmp_path / "run")
    assert run.config.groups[0].pooling.name == "grid"
    assert run.spec.groups[0].pretrained.cells == 16
    test = pd.read_csv(tmp_path / "run" / "predictions.csv")
    chosen = rows.iloc[test["row"]].reset_index(drop=True)
    found = run.predict(chosen, images=tmp_path).frame[[f"box_{name}" for name in CORNERS]]
    again = trained.predict(chosen, images=tmp_path).frame[found.columns]
    np.testing.assert_allclose(found, again, atol=1e-3)
    mean = np.tile(rows[CORNERS].mean().to_numpy(), (len(chosen), 1))
    own, simple = (iou(boxes, chosen[CORNERS]).mean() for boxes in (found, mean))
    assert own > simple + 0.1
    metrics = RunMetrics.read(run.path)
    assert metrics.heads["box"].test["mean_iou"] == pytest.approx(own, abs=1e-3)
    assert not any("mean box" in note for note in metrics.notes)
    [told] = run.explain(chosen.head(1), images=tmp_path)
    assert np.abs(told.photos[0].hidden).max() > 0


@pytest.mark.usefixtures("stand_in")
def test_boxes_that_no_photo_tells_are_no_better_than_the_mean_box_and_told_so(
    tmp_path: Path,
) -> None:
    rows = drawn(tmp_path, 60)
    mixed = rows.assign(photo=np.random.default_rng(1).permutation(rows["photo"]))
    quick = config()
    quick["training"] = {**quick["training"], "explanations": False, "report": False}
    run = multimodal.train(mixed, CORNERS, out=tmp_path / "run", config=quick, images=tmp_path)
    notes = RunMetrics.read(run.path).notes
    assert sum("no better than the mean box" in note for note in notes) == 1


@pytest.mark.usefixtures("stand_in")
def test_a_grid_is_of_one_photo(tmp_path: Path) -> None:
    rows = drawn(tmp_path, 20)
    rows["other"] = rows["photo"]
    with pytest.raises(ConfigError, match="learns a box in the first of 2 photos"):
        prepare(
            rows,
            CORNERS,
            config(columns={"photo": "image", "other": "image"}),
            images=tmp_path,
            extractor_of=extractor_of,
        )
