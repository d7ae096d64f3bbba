"""Plots of calibration: coverage, reliability diagram, values with intervals."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.evaluation.confidence import (
    ConfidenceBin,
    ConfidenceCheck,
    IntervalCheck,
    IntervalPart,
)
from multimodal.report.plots import save
from multimodal.report.plots_calibration import confidence, dots, interval_levels, interval_parts

PARTS = [
    IntervalPart(lower=low, upper=low + 9, n=40, coverage=share, band=(0.78, 1.0), width=1e4 * low)
    for low, share in ((1.0, 0.95), (10.0, 0.9), (20.0, 0.7))
]
CHECK = IntervalCheck(
    level=0.9,
    n=120,
    coverage=0.85,
    band=(0.82, 0.97),
    width=2e5,
    score=3e5,
    constant_coverage=0.9,
    constant_width=3e5,
    constant_score=4e5,
    parts=PARTS,
    coverages={0.5: 0.45, 0.9: 0.85},
)


def test_levels_show_what_was_held(tmp_path: Path) -> None:
    figure = interval_levels(CHECK, "price $")
    lines = figure.axes[0].get_lines()
    assert list(lines[-1].get_xdata()) == [0.5, 0.9] and list(lines[-1].get_ydata()) == [0.45, 0.85]
    assert save(figure, tmp_path / "levels.png").stat().st_size > 5000


def test_parts_show_coverage_and_width(tmp_path: Path) -> None:
    axes = interval_parts(CHECK, "price", "$").axes[0]
    assert [line.get_ydata()[0] for line in axes.get_lines()] == [0.95, 0.9, 0.7, 0.9]
    assert [each.get_text() for each in axes.texts][-1] == r"mean width 200,000 \$"
    assert axes.get_ylim()[0] < 0.7
    assert save(axes.figure, tmp_path / "parts.png").stat().st_size > 5000


@pytest.mark.parametrize("draw", [interval_levels, interval_parts])
def test_nothing_measured_draws_empty_axes(draw: object, tmp_path: Path) -> None:
    bare = CHECK.model_copy(update={"parts": [], "coverages": {}})
    assert callable(draw)
    save(draw(bare, "price"), tmp_path / "bare.png")


def test_confidence_shows_each_bin(tmp_path: Path) -> None:
    bins = [ConfidenceBin(probability=p, right=p - 0.1, n=9) for p in (0.6, 0.8)]
    check = ConfidenceCheck(
        temperature=1.5,
        n=18,
        ece=0.1,
        ece_before=0.2,
        log_loss=0.5,
        log_loss_before=0.6,
        bins=bins,
    )
    figure = confidence(check, "mood")
    assert list(figure.axes[0].get_lines()[-1].get_ydata()) == pytest.approx([0.5, 0.7])
    title = " ".join(figure.get_suptitle().split())
    assert title.endswith("10.0%, 20.0% before temperature 1.50")
    save(figure, tmp_path / "confidence.png")


FOUND = [ConfidenceInterval(0.2, 0.1, 0.3), ConfidenceInterval(0.5, math.nan, math.nan)]


def test_the_first_is_on_top_and_lines_span_the_intervals() -> None:
    figure = dots(["a", "b"], FOUND, "Error", "share", overall=0.25, percent=True)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_ylim() == (1.5, -0.5)
    spans = [each for each in axes.collections if hasattr(each, "get_segments")]
    assert [segment.tolist() for each in spans for segment in each.get_segments()] == [
        [[0.1, 0.0], [0.3, 0.0]]
    ]
    assert figure.legends[0].get_texts()[0].get_text() == "all rows: 25.0%"
    assert axes.get_xticklabels()[1].get_text().endswith("%")


def test_ticks_of_less_than_a_per_cent_differ() -> None:
    found = [ConfidenceInterval(0.008, 0.005, 0.012), ConfidenceInterval(0.006, 0.005, 0.009)]
    axes = dots(["a", "b"], found, "Error", "share", percent=True).axes[0]
    axes.figure.canvas.draw()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert len(set(labels)) == len(labels) > 2 and all(each.endswith("%") for each in labels)


def test_odd_names_and_faint_dots(tmp_path: Path) -> None:
    names = ["$x_$ " + "long " * 50, "价格"]
    figure = dots(names, FOUND, "Title $y$", "RMSE ($)", faint=[True])
    assert save(figure, tmp_path / "a.png").stat().st_size > 0
