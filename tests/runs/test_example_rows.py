"""A training leaves explanations of its worst and best rows, and the report links to them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from runs import Trained
from tiny import TABLE, TRAINING, plain_rows, tiny_config

from multimodal.core.config import Config
from multimodal.core.manifest import check_manifest
from multimodal.evaluation.records import EXPLANATIONS, EXPLANATIONS_FILE, ExplainedRows
from multimodal.runs import example_rows
from multimodal.runs.train import train


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine writes all pages, too."""
    monkeypatch.setattr(example_rows, "SECONDS", math.inf)


def test_a_run_explains_its_worst_and_best_rows(trained: Trained) -> None:
    found = ExplainedRows.read(trained.run).rows
    table = pd.read_csv(trained.run / "predictions.csv")
    error = np.abs(np.log(table["price_prediction"] / table["price_true"]))
    order = table["row"].to_numpy()[np.argsort(-error.to_numpy(), kind="stable")]
    assert {row.row for row in found} == {*order[:3], *order[-3:]}
    pages = {f"{EXPLANATIONS}/{p.name}" for p in (trained.run / EXPLANATIONS).iterdir()}
    assert pages == {row.page for row in found}
    check_manifest(trained.run, [EXPLANATIONS_FILE, *pages])
    for row in found:
        text = (trained.run / row.page).read_text(encoding="utf-8")
        assert "<script" not in text and "Nearest training rows" in text
        assert {group.name for group in row.groups} == {"table", "words", "photos"}


def test_the_report_links_to_them_and_says_them_in_short(trained: Trained) -> None:
    report = (trained.run / "report.html").read_text(encoding="utf-8")
    links = re.findall(rf'href="({EXPLANATIONS}/[^"]+)"', report)
    found = ExplainedRows.read(trained.run).rows
    assert sorted(links) == sorted(row.page for row in found)
    for row in found:
        assert all(f"{group.name} {group.effect}" in report for group in row.groups)


def test_heads_share_the_rows(tmp_path: Path) -> None:
    rows = plain_rows(300)
    rows["shop"] = np.where(rows["price"] > 50, "dear", "cheap")
    config = Config.parse(
        {
            "groups": [{**TABLE, "columns": ["size", "weight"]}],
            "heads": [
                {"name": "price", "column": "price"},
                {"name": "shop", "column": "shop", "head": "binary"},
            ],
            "training": {**TRAINING, "fold_models": 1},
        }
    )
    train(rows, [], out=tmp_path / "run", config=config)
    heads = [row.head for row in ExplainedRows.read(tmp_path / "run").rows]
    assert heads.count("price") == 2 and heads.count("shop") in (1, 2)


def test_no_row_is_begun_after_so_many_seconds(
    catalogue_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_rows, "SECONDS", 0.0)
    train(
        catalogue_folder / "catalogue.csv", "price", out=tmp_path / "run", config=tiny_config(TABLE)
    )
    assert len(ExplainedRows.read(tmp_path / "run").rows) == 1
