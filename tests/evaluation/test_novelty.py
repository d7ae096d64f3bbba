"""Unusual rows of whole tables: every check in its place, few false alarms, reasons in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import plain_config, plain_rows, tiny_config

from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.photos.read import decode_rows
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.novelty import (
    GroupNovelty,
    NoveltyDetector,
    fit_novelty,
    novel_rows,
    reasons,
)
from multimodal.evaluation.novelty.photos import photo_statistics


def statistics(found: Preprocessor, frame: pd.DataFrame, root: Path) -> dict[str, np.ndarray]:
    photos = found.photos(frame, root)
    return {name: photo_statistics(*decode_rows(each)[:2]) for name, each in photos.items()}


def learned(prepared: Prepared) -> tuple[NoveltyDetector, Preprocessor]:
    frame, root = prepared.table.frame, prepared.photo_root
    found = Preprocessor(prepared.spec, prepared.schema)
    train, held_out = frame.iloc[prepared.rows("train")], frame.iloc[prepared.rows("validation")]
    arrays = found.arrays(held_out, root)
    return fit_novelty(found, train, held_out, arrays, statistics(found, train, root)), found


def odd(usual: NoveltyDetector, found: Preprocessor, frame: pd.DataFrame, root: Path) -> list[str]:
    arrays, photos = found.arrays(frame, root), statistics(found, frame, root)
    return reasons(novel_rows(usual, found, frame, arrays, photos), len(frame))


@pytest.fixture(scope="module")
def catalogue(catalogue_folder: Path) -> Prepared:
    return prepare(catalogue_folder / "catalogue.csv", ["price"], tiny_config())


def test_each_check_finds_its_rows(catalogue: Prepared, tmp_path: Path) -> None:
    usual, found = learned(catalogue)
    rows = catalogue.table.frame.iloc[catalogue.rows("test")].head(5).reset_index(drop=True)
    rows["image"] = [f"{i}.png" for i in range(5)]
    for i, name in enumerate(catalogue.table.frame["image"].iloc[catalogue.rows("test")[:5]]):
        Image.open(catalogue.photo_root / name).save(tmp_path / f"{i}.png")
    rows.loc[0, "weight_g"] = "9e7"
    rows.loc[1, "category"] = "spaceship"
    rows.loc[2, "description"] = "Красивая лампа из дерева, почти новая, с гарантией"
    Image.new("RGB", (64, 64), "white").save(tmp_path / "3.png")
    said = odd(usual, found, rows, tmp_path)
    assert said[0].startswith("weight_g: 9e+07 is far outside the training rows (")
    assert "category: 'spaceship' is unknown" in said[1]
    assert "description: in Cyrillic letters, not Latin" in said[2]
    assert "image: a photo nearly blank" in said[3]
    assert said[4] == ""


def test_few_held_out_rows_are_novel(catalogue: Prepared) -> None:
    usual, found = learned(catalogue)
    rows = catalogue.table.frame.iloc[catalogue.rows("test")].reset_index(drop=True)
    assert sum(map(bool, odd(usual, found, rows, catalogue.photo_root))) <= 3


def test_absent_cells_are_not_novel(catalogue: Prepared) -> None:
    usual, found = learned(catalogue)
    rows = catalogue.table.frame.iloc[:3].reset_index(drop=True)
    rows = rows.assign(**dict.fromkeys(found.columns(), None))
    assert odd(usual, found, rows, catalogue.photo_root) == ["", "", ""]


def test_a_category_that_is_often_unknown_is_not_novel() -> None:
    rows = plain_rows(200)
    rows["sku"] = [f"number {i % 150}" for i in range(200)]
    prepared = prepare(rows, ["price"], plain_config().merge(data={"columns": {"sku": "category"}}))
    usual, found = learned(prepared)
    assert [name for group in usual.groups for name in group.names] == ["shop"]
    fresh = rows.head(2).assign(sku="number 999", shop=["north", "moon"])
    assert odd(usual, found, fresh, Path()) == ["", "shop: 'moon' is unknown"]


def test_it_knows_whose_groups_it_speaks_of(catalogue: Prepared) -> None:
    usual, _ = learned(catalogue)
    assert usual.fits(catalogue.spec)
    assert not NoveltyDetector(groups=[GroupNovelty(group="other")]).fits(catalogue.spec)
    assert NoveltyDetector.model_validate_json(usual.model_dump_json()) == usual


def test_a_reason_is_said_once() -> None:
    assert reasons([], 2) == ["", ""]
