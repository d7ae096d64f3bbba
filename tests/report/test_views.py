"""What the report says of how sure a model may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_run import make_run
from pages import Page

from multimodal.evaluation.confidence import ConfidenceCheck, IntervalCheck
from multimodal.evaluation.records import (
    IMPORTANCE_FILE,
    METRICS_FILE,
    HeadImportance,
    Importance,
    PermutationImportance,
    RunMetrics,
)
from multimodal.report.model_card import CARD_FILE
from multimodal.report.report import write_report
from multimodal.report.run_files import read_files
from multimodal.report.sections import calibration_section

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
