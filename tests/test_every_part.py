"""Whole runs over every registered encoder and fusion, and one of a box with a category."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import DATA, PHOTOS, TABLE, TRAINING, WORDS

from multimodal import train
from multimodal.core.config import Config
from multimodal.evaluation.records import RunMetrics
from multimodal.layers import registry
from multimodal.runs.run import load
from multimodal.runs.steps import RunTraining

SIZES = {"hidden_dim": 8, "num_heads": 2, "mlp_dim": 8, "num_layers": 1}
TABLES: list[tuple[str, dict[str, Any]]] = [
    ("dense", {"hidden_dims": [8], "numeric_embedding": "piecewise_linear"}),
    ("cross", {"hidden_dims": [8], "numeric_embedding": "periodic"}),
    ("ft_transformer", SIZES),
    ("dense", {"hidden_dims": [8], "num_members": 2, "num_blocks": 1}),
]
TEXTS: list[tuple[str, dict[str, Any]]] = [
    ("embedding_bag", {"embedding_dim": 4}),
    ("transformer", {"embedding_dim": 8, "num_heads": 2, "mlp_dim": 8, "num_layers": 1}),
    ("convolutional", {"embedding_dim": 4, "filters": 4}),
    ("recurrent", {"hidden_dim": 4, "embedding_dim": 4}),
]
IMAGES: list[tuple[str, dict[str, Any]]] = [
    ("residual", {"filters": [4, 8], "num_blocks": [1, 1], "strides": [1, 2]}),
    ("inception", {"filters": [8], "num_blocks": [1], "pool_sizes": [1], "stem_filters": 4}),
    ("vit", {**SIZES, "patch_size": 8}),
    ("convolutional", {"filters": [4, 8], "strides": [1, 1], "pool_sizes": [2, 1]}),
    ("backbone", {"preprocessing": "unit", "frozen": True}),
]
SERIES: list[tuple[str, dict[str, Any]]] = [
    ("recurrent", {"hidden_dim": 4}),
    ("convolutional", {"filters": 4}),
]
FUSIONS: list[tuple[str, dict[str, Any]]] = [
    ("concat", {"hidden_dims": [8], "num_members": 2}),
    ("gated", {"hidden_dim": 8}),
    ("low_rank", {"hidden_dim": 8}),
    ("late", {"hidden_dims": [8]}),
    ("cross_attention", SIZES),
    ("transformer", SIZES),
]


def with_encoder(group: dict[str, Any], part: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    name, options = part
    return {**group, "encoder": {"name": name, "options": options}}


@pytest.fixture(scope="module")
def files(catalogue_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 rows of the catalogue with a column of lists, a backbone, and vectors of few words."""
    folder = tmp_path_factory.mktemp("parts")
    rows = pd.read_csv(catalogue_folder / "catalogue.csv")
    rows = rows.groupby("split", sort=False).head(20).reset_index(drop=True)
    random = np.random.default_rng(0)
    rows["past"] = [
        " ".join(f"{number:.2f}" for number in random.normal(size=3 + i % 4))
        for i in range(len(rows))
    ]
    rows.to_csv(folder / "rows.csv", index=False)
    photos = keras.Input((None, None, 3))
    keras.Model(photos, keras.layers.Conv2D(4, 3, strides=4)(photos)).save(folder / "mine.keras")
    words = " ".join(rows["description"].dropna()).lower().split()
    lines = [f"{word} " + " ".join(["0.5"] * 4) for word in dict.fromkeys(words)]
    (folder / "vectors.txt").write_text("\n".join(lines[:40]) + "\n")
    return folder


def test_every_registered_part_has_its_run() -> None:
    for kind, parts in (
        ("tabular_encoder", TABLES),
        ("text_encoder", TEXTS),
        ("image_encoder", IMAGES),
        ("series_encoder", SERIES),
        ("fusion", FUSIONS),
    ):
        without = {"backbone"} if kind == "text_encoder" else set()  # needs an object, not a name
        assert {name for name, _ in parts} == set(registry.names(kind)) - without, kind


@pytest.mark.usefixtures("only_the_model", "eagerly")
@pytest.mark.parametrize("number", range(len(FUSIONS)), ids=[name for name, _ in FUSIONS])
def test_a_run_over_table_text_photos_and_series(
    number: int, files: Path, catalogue_folder: Path, tmp_path: Path, said: list[str]
) -> None:
    text = with_encoder(WORDS, TEXTS[number % len(TEXTS)])
    image = with_encoder(PHOTOS, IMAGES[number % len(IMAGES)])
    if image["encoder"]["name"] == "backbone":
        image["encoder"]["options"] |= {"backbone": str(files / "mine.keras")}
    if text["encoder"]["name"] == "embedding_bag":
        text["vectors"] = str(files / "vectors.txt")
    past = {"name": "past", "modality": "series", "columns": ["past"]}
    name, options = FUSIONS[number]
    config = Config.parse(
        {
            "groups": [
                with_encoder(TABLE, TABLES[number % len(TABLES)]),
                text,
                image,
                with_encoder(past, SERIES[number % len(SERIES)]),
            ],
            "fusion": {"name": name, "options": {**options, "modality_dropout": 0.1}},
            "heads": [{"name": "price", "column": "price"}],
            "data": {**DATA, "max_words": 12},
            "training": {**TRAINING, "epochs": 1},
        }
    )
    run = train(
        files / "rows.csv",
        "price",
        out=tmp_path / "run",
        config=config,
        images=catalogue_folder,
    )
    assert ("vectors" in text) == any("words found in vectors.txt" in line for line in said)
    rows = pd.read_csv(files / "rows.csv").tail(4)
    first, again = (
        each.predict(rows, images=catalogue_folder).frame["price_prediction"]
        for each in (run, load(tmp_path / "run"))
    )
    assert first.notna().all()
    pd.testing.assert_series_equal(first, again)
    alone = run.predict(rows.tail(1), images=catalogue_folder).frame["price_prediction"]
    np.testing.assert_allclose(alone, first.tail(1), rtol=1e-3)


@pytest.fixture(scope="module")
def rectangles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of 40 x 20 or 20 x 40 pixels, each with one bright rectangle, red or green."""
    folder = tmp_path_factory.mktemp("rectangles")
    random, rows = np.random.default_rng(0), []
    for i in range(120):
        width, height = (40, 20) if i % 2 else (20, 40)
        left, top = random.integers(0, [width - 8, height - 8])
        right = random.integers(left + 5, width)
        bottom = random.integers(top + 5, height)
        pixels = np.zeros((height, width, 3), np.uint8)
        colour = i // 2 % 2
        pixels[top:bottom, left:right, colour] = 255
        Image.fromarray(pixels).save(folder / f"{i}.png")
        split = "test" if i >= 100 else "validation" if i >= 80 else "train"
        corners = {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}
        rows.append(
            {"image": f"{i}.png", **corners, "colour": ["red", "green"][colour], "split": split}
        )
    frame = pd.DataFrame(rows)
    frame["colour"] = frame["colour"].where(frame.index % 5 != 0)  # every fifth has no colour
    frame.to_csv(folder / "rows.csv", index=False)
    return folder


def test_a_box_and_a_category_from_one_photo(
    rectangles: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes come back in pixels of the photo as it was, and `evaluate` agrees with the run."""
    monkeypatch.setattr(RunTraining, "_explain", lambda *_: None)  # the tests of explain do
    corners = ["xmin", "ymin", "xmax", "ymax"]
    config = Config.parse(
        {
            "groups": [with_encoder({**PHOTOS, "pooling": "grid"}, IMAGES[3])],
            "heads": [
                {"name": "box", "column": corners, "head": "bounding_box"},
                {"name": "colour", "column": "colour", "head": "multiclass", "partial": True},
            ],
            "data": DATA,
            "training": {**TRAINING, "epochs": 12, "learning_rate": 0.01, "baselines": True},
        }
    )
    run = train(
        rectangles / "rows.csv",
        [*corners, "colour"],
        out=tmp_path / "run",
        config=config,
    )
    rows = pd.read_csv(rectangles / "rows.csv").query("split == 'test'").reset_index(drop=True)
    found = run.predict(rows, images=rectangles).frame
    boxes = found[[f"box_{corner}" for corner in corners]].to_numpy()
    size = np.where(rows.index.to_numpy()[:, None] % 2, [[40, 20]], [[20, 40]])
    assert (boxes >= 0).all()
    assert (boxes <= np.tile(size, 2)).all()
    assert boxes[:, 2].max() > 20  # not shares, and not pixels of the square the model saw
    metrics = RunMetrics.read(run.path)
    assert set(metrics.heads) == {"box", "colour"}
    scores = run.evaluate(rows, images=rectangles)
    for head, measured in metrics.heads.items():
        assert measured.test["n"] == (20 if head == "box" else 16)
        for name, value in scores[head].items():
            assert measured.test[name] == pytest.approx(value, abs=1e-5), (head, name)
    kept = pd.read_csv(run.path / "predictions.csv")
    np.testing.assert_allclose(
        kept[[f"box_{corner}_true" for corner in corners]], rows[corners], atol=1e-3
    )
    np.testing.assert_allclose(kept[[f"box_{corner}" for corner in corners]], boxes, atol=1e-3)
    names = {score.name for score in metrics.comparison["box"]}
    assert {"Model", "Mean box", "Sequential CNN"} <= names
    assert (run.path / "report.html").read_text().count("box") > 3
