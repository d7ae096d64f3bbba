"""What the report says of modalities that are withheld."""

from __future__ import annotations

from pathlib import Path

from multimodal.evaluation.records import METRICS_FILE, HeadMetrics, ModelScore, RunMetrics
from multimodal.report.report import write_report
from multimodal.report.sections import FULL, ablation_rows


def test_the_report_says_by_how_much_errors_grow() -> None:
    scores = {FULL: {"rmse": 2.0, "mae": 1.0}, "text": {"rmse": 3.0, "mae": 2.0}}
    model = ModelScore("Fusion", "fusion", "table + text", {"rmse": 2.0})
    record = RunMetrics(comparison={"price": [model]}, withheld={"price": scores})
    assert ablation_rows(record, "price") == [
        {"name": "everything there", "values": ["2.00", "1.00", "–", "–"], "change": ""},
        {"name": "without text", "values": ["3.00", "2.00", "–", "–"], "change": "+50%"},
    ]
    assert ablation_rows(record, "weight") == []


def test_the_page_shows_the_table(tmp_path: Path) -> None:
    scores = {FULL: {"rmse": 2.0}, "text": {"rmse": 3.0}}
    model = ModelScore("Fusion", "fusion", "table + text", {"rmse": 2.0})
    heads = {"price": HeadMetrics(column="price", test={"rmse": 2.0})}
    record = RunMetrics(heads=heads, comparison={"price": [model]}, withheld={"price": scores})
    (tmp_path / METRICS_FILE).write_text(record.to_json())
    page = write_report(tmp_path).read_text()
    assert "Modality ablation" in page and "without text" in page and "+50%" in page
    empty = record.model_copy(update={"withheld": {}})
    (tmp_path / METRICS_FILE).write_text(empty.to_json())
    assert "Modality ablation" not in write_report(tmp_path).read_text()


def test_the_growth_of_an_accuracys_shortfall() -> None:
    scores = {FULL: {"accuracy": 0.9}, "photos": {"accuracy": 0.8}, "text": {}}
    model = ModelScore("Fusion", "fusion", "text + photos", {"accuracy": 0.9})
    record = RunMetrics(comparison={"mood": [model]}, withheld={"mood": scores})
    assert [row["change"] for row in ablation_rows(record, "mood")] == ["", "+100%", "–"]
