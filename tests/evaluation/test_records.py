"""The record of a run, and its file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from multimodal.core.errors import RunError
from multimodal.evaluation.records import HeadMetrics, ModelScore, RunMetrics, TrainingSummary

SCORE = ModelScore("CNN", "sequential", "photos", {"rmse": 2.0, "log_rmse": 0.3}, 1200, 3.5)


def test_score_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    text = RunMetrics(comparison={"price": [SCORE]}).to_json()
    (tmp_path / "metrics.json").write_text(text.replace('"sequential"', '"magic"'))
    with pytest.raises(RunError, match="metrics.json: damaged; `comparison.price.0.kind`"):
        RunMetrics.read(tmp_path)


def test_label_names_a_single_modality_once() -> None:
    assert SCORE.label == "CNN on photos"
    assert ModelScore("photos alone", "sequential", "photos", {}).label == "photos alone"
    assert ModelScore("trees", "trees", "table", {}).label == "trees on table"
    assert ModelScore("Fusion", "fusion", "table + text", {}).label == "Fusion"


def test_run_record_survives_its_file(tmp_path: Path) -> None:
    record = RunMetrics(
        heads={
            "price": HeadMetrics(
                column="price", test={"rmse": math.inf}, kind="class", classes=["a"]
            )
        },
        comparison={"price": [SCORE]},
        limit={"price": {"log_rmse": 0.15}},
        training=TrainingSummary(epochs=3, seed=1),
    )
    (tmp_path / "metrics.json").write_text(record.to_json())
    assert RunMetrics.read(tmp_path) == record
    json.loads(record.to_json(), parse_constant=pytest.fail)


def test_absent_record_is_empty_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    assert RunMetrics.read(tmp_path) == RunMetrics()
    (tmp_path / "metrics.json").write_text('{"heads": {}')
    with pytest.raises(RunError, match="metrics.json: damaged; `the file`"):
        RunMetrics.read(tmp_path)
    (tmp_path / "metrics.json").write_text('{"head": {}}')
    with pytest.raises(RunError, match="metrics.json: damaged; `head`"):
        RunMetrics.read(tmp_path)
