"""Files of a run, damaged or absent; its configuration and provenance as rows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tiny import tiny_config

from multimodal.core.config import Config
from multimodal.core.errors import DataError, RunError
from multimodal.evaluation.records import (
    DataSummary,
    HeadMetrics,
    ModelScore,
    RunMetrics,
    TrainingSummary,
)
from multimodal.report.run_files import (
    changed_options,
    declared_head_rows,
    group_rows,
    provenance_rows,
    read_files,
    seconds,
)


def test_names_of_classes_stay_as_they_are_written(tmp_path: Path) -> None:
    record = RunMetrics(heads={"year": HeadMetrics(column="y", kind="class", classes=["01", "NA"])})
    (tmp_path / "metrics.json").write_text(record.to_json())
    table = {"year_true": ["01", None], "year_prediction": ["NA", "01"], "p_prediction": [1, 2]}
    pd.DataFrame(table).to_csv(tmp_path / "predictions.csv", index=False)
    found = read_files(tmp_path, {}, None)
    assert found.predictions["year_true"].tolist()[0] == "01"
    assert found.predictions["year_true"].isna().tolist() == [False, True]
    assert found.predictions["year_prediction"].tolist() == ["NA", "01"]
    assert found.heads == ["year", "p"]
    assert (found.kind("year"), found.kind("p")) == ("class", "number")


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        read_files(tmp_path / "absent", {}, None)
    with pytest.raises(DataError, match="Received: 1 rows for 0 predictions"):
        read_files(tmp_path, {}, pd.DataFrame({"a": [1]}))
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(RunError, match="config.json: expected a mapping. Received: list"):
        read_files(tmp_path, {}, None)


TINY = json.loads(tiny_config(epochs=3).to_json())
DEFAULT_FUSION = "concat(num_members=8, modality_dropout=0.05)"


def test_the_defaults_differ_from_themselves_in_nothing() -> None:
    assert changed_options(json.loads(Config().to_json())) == []
    assert changed_options({}) == []


def test_only_what_differs_is_listed() -> None:
    found = {key: (value, default) for key, value, default in changed_options(TINY)}
    assert found["training.epochs"] == ("3", "auto")
    assert found["data.image_size"] == ("16", "64")
    assert found["fusion"] == ("concat(hidden_dims=[8])", DEFAULT_FUSION)
    assert "training.patience" not in found


def test_keys_of_another_version_are_shown_not_refused() -> None:
    config = {"training": {"warp": True}, "data": 3, "fusion": "gated"}
    assert changed_options(config) == [
        ("training.warp", "yes", "none"),
        ("fusion", "gated", DEFAULT_FUSION),
    ]
    assert group_rows(config) == declared_head_rows(config) == []


def test_groups_and_heads_have_their_parts() -> None:
    assert group_rows(TINY)[0] == [
        "table",
        "tabular",
        "category, brand, weight_g, year",
        "dense(hidden_dims=[8], embedding_dim=4)",
        "mean",
    ]
    heads = [{"name": "cell", "column": ["a", "b", "c", "d"], "head": "bounding_box"}]
    assert declared_head_rows({"heads": heads}) == [["cell", "a, b, c, d", "bounding_box", "1.0"]]


def test_facts_leave_out_what_an_older_run_does_not_know() -> None:
    assert provenance_rows(RunMetrics()) == []
    record = RunMetrics(
        data=DataSummary(source="a.csv", sha256="ab"),
        training=TrainingSummary(epochs=1, seed=7),
        machine={"processor": "Acme", "cores": "2"},
        date="2026-01-31",
    )
    assert provenance_rows(record) == [
        ("data", "a.csv"),
        ("SHA-256 of the file", "ab"),
        ("seed", "7"),
        ("machine", "Acme, 2 cores"),
        ("date", "2026-01-31"),
    ]


def test_time_is_that_of_the_model_and_of_all_baselines() -> None:
    scores = [ModelScore("F", "fusion", "x", {}, 0, 9.0), ModelScore("T", "trees", "x", {}, 0, 2.0)]
    record = RunMetrics(comparison={"a": scores, "b": scores}, training=TrainingSummary(seconds=9))
    assert seconds(record) == (9.0, 4.0)
