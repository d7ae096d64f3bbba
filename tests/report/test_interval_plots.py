"""Dots with intervals, read back from the figure."""

from __future__ import annotations

import math
from pathlib import Path

from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.report.plots import save
from multimodal.report.plots_calibration import dots

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


def test_odd_names_and_faint_dots(tmp_path: Path) -> None:
    names = ["$x_$ " + "long " * 50, "价格"]
    figure = dots(names, FOUND, "Title $y$", "RMSE ($)", faint=[True])
    assert save(figure, tmp_path / "a.png").stat().st_size > 0
