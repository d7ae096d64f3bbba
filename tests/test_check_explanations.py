"""On the generated catalogue the causes are known, and explanations find them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from script_files import load_script

from multimodal.core.config import Config
from multimodal.data.generated import CONFIG, builder_package
from multimodal.runs import train

ROWS = (3000, 300, 60)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("check_explanations")


def test_the_product_is_where_it_was_drawn(script: ModuleType, catalogue_folder: Path) -> None:
    from PIL import Image

    rows = pd.read_csv(catalogue_folder / "catalogue.csv")
    rows = rows.merge(pd.read_csv(catalogue_folder / "truth.csv"), on="id").head(9)
    for _, row in rows.iterrows():
        inside = script.product(row, 3, 80)
        with Image.open(catalogue_folder / row["image"]) as photo:
            grey = np.asarray(photo.convert("L"), float)
        assert 0.2 < inside.mean() < 0.5
        assert grey[inside].mean() < grey[~inside].mean() - 50


def test_telling_words_are_told_from_others(script: ModuleType) -> None:
    text = (
        "Modern lamp for the hall. The trim is oak while the body is steel. Sold as 2 sets of 3. "
    )
    text += "Ships within 3 days. It is not really repaired but watertight. Not suitable for 4."
    words = text.replace(".", " ").split()
    spans, at = [], 0
    for word in words:
        at = text.index(word, at)
        spans.append((at, at + len(word)))
    found = script.telling(text, spans, "steel")
    chosen = [word for word, tells in zip(words, found, strict=True) if tells]
    assert chosen == "steel 2 sets 3 not really repaired watertight".split()


@pytest.mark.large
def test_explanations_find_the_causes(script: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    builder_package().export(folder, ROWS, 1)
    table = script.useless(pd.read_csv(folder / "catalogue.csv"))
    config = Config.parse(
        {**CONFIG, "training": {"epochs": 15, "fold_models": 1, "baselines": False}}
    )
    run = train.train(table, "price", out=tmp_path / "run", config=config, images=folder)
    y_true = pd.read_csv(folder / "truth.csv")
    rows = table[table["split"] == "test"].merge(y_true, on="id").reset_index(drop=True)
    found = script.rates(run, rows, folder, seed=1)
    for name, least in (
        ("photo: hiding, in the product", 0.2),
        ("photo: Grad-CAM, a cell around", 0.1),
        ("words: the strongest one tells", 0.2),
        ("words: telling among as many", 0.2),
    ):
        value, chance = found[name]
        assert value > chance + least, name
    assert found["groups: correlation with table_part"][0] > 0.7
    assert found["groups: correlation with text_part"][0] > 0.5
    scores = {n.split()[-1]: v for n, (v, _) in found.items() if n.startswith("columns")}
    assert max(scores["shelf"], scores["batch"]) < min(scores["category"], scores["weight_g"])
    needs = run.importance(rows, images=folder).heads["price"].ranked("column")
    assert {need.name for need in needs[:2]} <= {"category", "weight_g", "year", "brand"}
