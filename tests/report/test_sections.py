"""Sections of a head: kinds, categories, calibration, permutation importance, modality ablation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from drawn_run import make_run
from pages import Page
from PIL import Image

from multimodal.evaluation.confidence import ConfidenceCheck, IntervalCheck
from multimodal.evaluation.records import (
    IMPORTANCE_FILE,
    METRICS_FILE,
    HeadImportance,
    HeadMetrics,
    Importance,
    ModelScore,
    PermutationImportance,
    RunMetrics,
)
from multimodal.report.model_card import CARD_FILE
from multimodal.report.report import write_report
from multimodal.report.run_files import read_files
from multimodal.report.sections import (
    FULL,
    ablation_rows,
    calibration_section,
    importance_rows,
    section,
)

TABLES: dict[str, dict[str, Any]] = {
    "class": {
        "kind_true": ["a", "b", "b", None],
        "kind_prediction": ["a", "a", "b", "a"],
        "kind_probability": [0.9, 0.8, 0.6, 0.7],
    },
    "labels": {
        "kind_true": ["a|b", "[]", None],
        "kind_prediction": ["a", "[]", "b"],
        "kind_probability_a": [0.9, 0.1, 0.2],
        "kind_probability_b": [0.4, 0.2, 0.8],
    },
    "box": {
        **{
            f"kind_{c}_true": [v, v, None]
            for c, v in zip(("xmin", "ymin", "xmax", "ymax"), (0, 0, 20, 20), strict=True)
        },
        **{
            f"kind_{c}": [v, v / 2, v]
            for c, v in zip(("xmin", "ymin", "xmax", "ymax"), (0, 0, 20, 20), strict=True)
        },
    },
}
METRICS = {
    "class": {"accuracy": 2 / 3, "log_loss": 0.7},
    "labels": {"average_precision": 0.5},
    "box": {"mean_iou": 0.6, "iou_50": 0.5},
}


def make(folder: Path, kind: Any) -> Path:
    """Write the files of a run whose one head is of the kind."""
    test = {"n": 3.0, **METRICS[kind]}
    head = HeadMetrics(column="kind", kind=kind, classes=["a", "b"], test=test, validation=test)
    half = {name: value / 2 for name, value in test.items()}
    scores = [
        ModelScore("Fusion", "fusion", "table + photos", test),
        ModelScore("Class shares", "constant", "nothing", half),
    ]
    record = RunMetrics(heads={"kind": head}, comparison={"kind": scores})
    (folder / "metrics.json").write_text(record.to_json())
    table = pd.DataFrame(TABLES[kind])
    table.insert(0, "row", range(10, 10 + len(table)))
    table.to_csv(folder / "predictions.csv", index=False)
    Image.new("RGB", (40, 30)).save(folder / "a.png")
    return folder


@pytest.mark.parametrize(
    ("kind", "pictures", "worst"),
    [
        ("class", {"confusion", "reliability"}, [(11, "probability 80%, wrong")]),
        ("labels", {"reliability"}, [(10, "1 of 2 labels wrong")]),
        ("box", {"overlaps", "boxes"}, [(11, "IoU 0.25"), (10, "IoU 1")]),
    ],
)
def test_each_kind_has_its_pictures_and_worst_rows(
    kind: str, pictures: set[str], worst: list[tuple[int, str]], tmp_path: Path
) -> None:
    photos = {i: [tmp_path / "a.png"] for i in range(3)}
    found = section(read_files(make(tmp_path, kind), photos, None), "kind", "kind")
    assert set(found["pictures"]) == {"comparison", *pictures}
    assert all(each.uri.startswith("data:image/png") for each in found["pictures"].values())
    assert all(len(each.alt) > 20 for each in found["pictures"].values())
    assert [(row["row"], row["error"]) for row in found["worst"]] == worst
    assert not found["tenths"]


def test_a_row_without_a_label_is_nowhere(tmp_path: Path) -> None:
    found = section(read_files(make(tmp_path, "class"), {}, None), "kind", "kind")
    rows = {row["name"]: (row["rows"], row["predicted"], row["recall"]) for row in found["classes"]}
    assert rows == {"a": ("1", "2", "100.0%"), "b": ("2", "1", "50.0%")}


@pytest.mark.parametrize("kind", ["class", "labels", "box"])
def test_the_page_of_each_kind(kind: str, tmp_path: Path) -> None:
    page = write_report(make(tmp_path, kind), photos={0: [tmp_path / "a.png"]}).read_text()
    assert "Results for kind" in page and "worst rows" in page
    assert ("Confusion matrix" in page) == (kind == "class")
    assert ("True and predicted boxes" in page) == (kind == "box")
    assert page.count("<tr") == page.count("</tr>")


def test_a_head_without_answers_has_its_scores_alone(tmp_path: Path) -> None:
    run = make(tmp_path, "class")
    (run / "predictions.csv").unlink()
    found = section(read_files(run, {}, None), "kind", "kind")
    assert set(found["pictures"]) == {"comparison"} and not found["worst"]
    assert [row["name"] for row in found["scores"]] == ["Fusion", "Class shares"]


PART = {"lower": 10.0, "upper": 99.0, "n": 100, "coverage": 0.88, "band": (0.81, 0.97), "width": 40}
CHECK = IntervalCheck(
    level=0.9,
    n=300,
    coverage=0.893,
    band=(0.853, 0.94),
    width=55.0,
    score=80.0,
    constant_coverage=0.9,
    constant_width=70.0,
    constant_score=120.0,
    parts=[PART, {**PART, "lower": 100.0, "upper": 900.0}],
    coverages={0.5: 0.52, 0.9: 0.893},
)
BINS = [{"probability": 0.55, "right": 0.5, "n": 20}, {"probability": 0.9, "right": 0.8, "n": 20}]
CONFIDENCE = ConfidenceCheck(
    temperature=1.4, n=40, ece=0.075, ece_before=0.15, log_loss=0.5, log_loss_before=0.6, bins=BINS
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path)[0]
    record = RunMetrics.read(folder).model_copy(update={"intervals": {"price": CHECK}})
    (folder / METRICS_FILE).write_text(record.to_json())
    return folder


def test_page_and_card_tell_of_the_intervals(run: Path) -> None:
    page = write_report(run).read_text()
    Page(page)
    for words in (
        "Calibration of the intervals",
        'href="#trust-price"',
        "Intervals of 90% covered 89.3% of 300 test rows; exact ones would cover 85.3%",
        "They are 55 EUR wide on average",
        "80, lower than that of intervals of constant",
        ">81.0% to 97.0%<",
        "10 to 99 88.0% (81.0% to 97.0%)",
    ):
        assert words in page, words
    card = (run / CARD_FILE).read_text()
    assert "covered 89.3% of 300 test rows" in card and "| 10 EUR | 99 EUR | 100 | 88.0% |" in card
    assert (run / "plots" / "interval_levels_price.png").exists()


def test_probabilities_are_told_before_and_after(run: Path) -> None:
    record = RunMetrics.read(run).model_copy(update={"confidence": {"mood": CONFIDENCE}})
    (run / METRICS_FILE).write_text(record.to_json())
    found = calibration_section(read_files(run, {}, None), "mood", "mood")
    assert found["calibration"] == [
        "Probabilities are 7.5% off on average (expected calibration error over 40 test rows), "
        "15.0% before they were divided by the temperature 1.40."
    ]
    assert found["calibration_pictures"][0].alt == (
        "Reliability diagram: predicted 55%, right 50% of 20 times; "
        "predicted 90%, right 80% of 20 times."
    )


def test_a_run_that_was_not_calibrated_says_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path)[0]
    found = calibration_section(read_files(run, {}, None), "price", "price")
    assert not any(found.values())
    assert 'id="trust-price"' not in write_report(run).read_text()


def test_what_a_model_needs_is_drawn(run: Path) -> None:
    needs = [
        PermutationImportance(name="words", kind="group", error=3.0, change=1.0, low=0.5, high=1.5),
        PermutationImportance(
            name="<b>", kind="column", error=2.0, change=-0.1, low=-0.2, high=0.1
        ),
    ]
    head = HeadImportance(metric="log_rmse", error=2.0, rows=300, repeats=5, needs=needs)
    (run / IMPORTANCE_FILE).write_text(Importance(heads={"price": head}).model_dump_json())
    page = write_report(run).read_text()
    Page(page)
    assert 'id="importance-price"' in page and "&lt;b&gt;" in page and "<b>:" not in page
    assert "words (group) +50% (+25% to +75%)" in page
    assert (run / "plots" / "importance_price.png").exists()


def head_of(error: float) -> HeadImportance:
    needs = [
        PermutationImportance(name="year", kind="column", error=3.0, change=1.0, low=0.5, high=1.5),
        PermutationImportance(
            name="photos", kind="group", error=2.5, change=0.5, low=-0.1, high=0.9
        ),
    ]
    return HeadImportance(metric="rmse", error=error, rows=9, repeats=5, needs=needs)


def test_groups_come_first_as_shares_of_the_error() -> None:
    rows = importance_rows(head_of(2.0))
    assert [row["name"] for row in rows] == ["photos", "year"]
    assert (rows[0]["change"], rows[0]["interval"]) == ("+25%", "-5% to +45%")


def test_changes_of_a_perfect_model_are_shown_themselves() -> None:
    assert importance_rows(head_of(0.0))[1]["change"] == "+1"


def test_nothing_measured_is_no_table() -> None:
    assert importance_rows(None) == []


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
    assert "Rows without a modality" in page and "without text" in page and "+50%" in page
    empty = record.model_copy(update={"withheld": {}})
    (tmp_path / METRICS_FILE).write_text(empty.to_json())
    assert "Modality ablation" not in write_report(tmp_path).read_text()


def test_the_growth_of_an_accuracys_shortfall() -> None:
    scores = {FULL: {"accuracy": 0.9}, "photos": {"accuracy": 0.8}, "text": {}}
    model = ModelScore("Fusion", "fusion", "text + photos", {"accuracy": 0.9})
    record = RunMetrics(comparison={"mood": [model]}, withheld={"mood": scores})
    assert [row["change"] for row in ablation_rows(record, "mood")] == ["", "+100%", "–"]
