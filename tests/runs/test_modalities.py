"""A run says what each of its modalities is worth; random photos are worth nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from runs import Trained
from tiny import PHOTOS, tiny_config

from multimodal.evaluation.records import RunMetrics
from multimodal.report.modalities import modality_headline
from multimodal.report.run_files import read_files
from multimodal.report.verdict import model_intervals
from multimodal.runs.train import train

SIZES = {
    "name": "table",
    "modality": "tabular",
    "columns": ["size", "shop"],
    "encoder": {"name": "dense", "options": {"hidden_dims": [16]}},
}


def test_a_run_of_several_modalities_measures_each(trained: Trained) -> None:
    record = RunMetrics.read(trained.run)
    gains = {gain.modality: gain for gain in record.modalities["price"]}
    assert list(gains) == ["photos", "table", "text"]  # photos first, since they cost most
    learned = record.data.train + record.data.validation
    for gain in gains.values():
        assert gain.metric == record.heads["price"].metric == "log_rmse"
        assert 20 <= gain.rows <= learned
        assert gain.low <= gain.gain <= gain.high
        assert gain.gain == pytest.approx(1 - gain.score_with / gain.score_without)
    assert (trained.run / "report.html").read_text().count("What each modality adds") > 1


def test_each_modality_alone_is_a_baseline_by_the_same_recipe(trained: Trained) -> None:
    files = read_files(trained.run, {}, None)
    recipes = [s for s in files.metrics.comparison["price"] if s.kind == "recipe"]
    assert {score.inputs for score in recipes} == {"table", "text", "photos"}
    assert all(score.parameters > 0 and score.seconds > 0 for score in recipes)
    known = model_intervals(files, "price")
    for score in recipes:  # its rows are kept, so that differences are paired
        assert known.values[score.label].value == pytest.approx(score.metrics["log_rmse"], rel=1e-4)
        assert score.label in known.gains


def test_a_run_of_one_modality_is_no_fusion(plain_run: Path) -> None:
    record = RunMetrics.read(plain_run)
    assert record.modalities == {}
    assert [score.label for score in record.comparison["price"]] == ["Model"]


def random_photos(folder: Path, seed: int, rows: int) -> pd.DataFrame:
    """Write a photo of noise for each row; return rows whose price follows from the table."""
    random = np.random.default_rng(seed)
    names = [f"{i}.png" for i in range(rows)]
    for name in names:
        noise = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((16, 16)).save(folder / name)
    size = random.uniform(1, 9, rows)
    shop = random.choice(["north", "south", "west"], rows)
    price = (size + 5 * (shop == "west")) * np.exp(random.normal(0, 0.3, rows))
    return pd.DataFrame({"size": size, "shop": shop, "image": names, "price": price})


@pytest.mark.large
@pytest.mark.parametrize("seed", range(10))
def test_random_photos_are_worth_nothing(seed: int, tmp_path: Path) -> None:
    config = tiny_config(
        SIZES, PHOTOS, data={"image_size": 16}, fold_models=3, epochs=12, seed=seed, report=False
    )
    rows = random_photos(tmp_path, seed, 400)
    train(rows, "price", out=tmp_path / "run", config=config, images=tmp_path)
    record = RunMetrics.read(tmp_path / "run")
    outcomes = {gain.modality: gain.outcome for gain in record.modalities["price"]}
    assert outcomes == {"photos": "nothing", "table": "earned"}
    assert "photos add nothing" in modality_headline(record, "price")
