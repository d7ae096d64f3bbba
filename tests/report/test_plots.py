"""Plots of a run: comparison, learning curves, predictions, residuals; as pictures of a page."""

from __future__ import annotations

import base64
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.evaluation.records import ModelScore
from multimodal.report.plots import (
    BLUE,
    comparison,
    learning_curves,
    picture,
    predicted_against_true,
    residuals_by_decile,
    save,
)
from multimodal.report.run_files import read_files

ODD_NAME = "Preis $x_$ 价格\n🙂 " + "very " * 40 + "long"
RANDOM = np.random.default_rng(0)
PRICES = np.exp(RANDOM.normal(5, 1.5, 150))
SCORES = [
    ModelScore("median", "constant", "nothing", {"log_rmse": 1.2, "rmse": 90.0}),
    ModelScore("fusion", "fusion", "table + text", {"log_rmse": 0.25, "rmse": 20.0}),
    ModelScore("CNN", "sequential", "photos", {"log_rmse": 0.8, "rmse": 70.0}),
    ModelScore("broken", "trees", "table", {"log_rmse": math.nan}),
]


def words(figure) -> str:
    """All text of a figure, drawn."""
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")))


def test_comparison_ranks_and_prints_values() -> None:
    axes = comparison(SCORES, "log_rmse", limit=0.15).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "fusion",
        "CNN on photos",
        "median",
    ]
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.8, 1.2]
    assert to_hex(axes.patches[0].get_facecolor()).upper() == BLUE
    assert [text.get_text() for text in axes.texts] == ["0.250", "0.800", "1.20"]
    assert axes.yaxis_inverted()


def test_comparison_draws_the_limit_only_if_known() -> None:
    (line,) = comparison(SCORES, "log_rmse", limit=0.15).axes[0].lines
    assert list(line.get_xdata()) == [0.15, 0.15] and line.get_linestyle() == "--"
    assert not comparison(SCORES, "log_rmse").axes[0].lines


def test_comparison_names_metric_and_unit() -> None:
    assert "RMSE (EUR)" in words(comparison(SCORES, "rmse", name="price", unit="EUR"))
    relative = words(comparison(SCORES, "log_rmse", name="price", unit="EUR"))
    assert "RMSE of the logarithm" in relative and "EUR" not in relative


def test_comparison_of_scores_has_the_largest_on_top() -> None:
    scores = [
        ModelScore(name, "trees", "table", {"accuracy": value})
        for name, value in (("low", 0.5), ("high", 0.9))
    ]
    figure = comparison(scores, "accuracy", name="mood")
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.9, 0.5]
    assert [text.get_text() for text in figure.axes[0].texts] == ["90.0%", "50.0%"]
    assert "Score of mood on the test rows: higher is better" in words(figure)


def test_comparison_of_nothing_is_still_a_picture(tmp_path: Path) -> None:
    assert save(comparison([], "rmse"), tmp_path / "a.png").stat().st_size > 0


def test_best_epoch_is_the_least_validation_loss() -> None:
    log = pd.DataFrame({"epoch": [1, 2, 3, 4], "loss": [4, 3, 2, 1], "val_loss": [5, 3, 4, np.nan]})
    figure = learning_curves(log)
    assert "best epoch: 2" in words(figure)
    assert figure.axes[0].get_yscale() == "linear"


@pytest.mark.parametrize(
    "log",
    [
        {"epoch": [1], "loss": [3.0], "val_loss": [np.nan]},
        {"epoch": [1, 2], "loss": [3.0, 2.0]},
        {"epoch": [1, 2], "loss": [np.inf, np.nan], "val_loss": [np.nan, np.nan]},
    ],
)
def test_short_and_broken_logs(log: dict, tmp_path: Path) -> None:
    save(learning_curves(pd.DataFrame(log)), tmp_path / "a.png")


def test_loss_axis_is_logarithmic_over_two_decades() -> None:
    log = pd.DataFrame({"epoch": range(5), "loss": [1000, 100, 10, 3, 2], "val_loss": [9] * 5})
    assert learning_curves(log).axes[0].get_yscale() == "log"


def test_wide_positive_targets_get_log_axes() -> None:
    axes = predicted_against_true(PRICES, -PRICES, "price", unit="EUR").axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlabel() == "true price (EUR), log scale"
    assert len(axes.collections[0].get_offsets()) == len(PRICES)
    narrow = predicted_against_true(PRICES - 50, PRICES, "price").axes[0]
    assert narrow.get_xscale() == "linear"


def test_residuals_are_relative_where_that_means_something() -> None:
    assert "% of the true value" in words(residuals_by_decile(PRICES, PRICES * 1.1, "price"))
    figure = residuals_by_decile(PRICES - 100, PRICES, "price", unit="EUR")
    assert "predicted − true, EUR" in words(figure)
    assert len(figure.axes[0].patches) == 10


def test_residual_box_spans_the_middle_half() -> None:
    axes = residuals_by_decile(50 - np.arange(101.0), np.zeros(101), "gain").axes[0]
    (box,) = axes.patches
    assert (box.get_x(), box.get_width()) == (-25, 50)


def test_errors_are_shown_by_what_is_predicted() -> None:
    y_true = np.r_[np.full(50, 10.0), np.full(50, 1000.0)]
    figure = residuals_by_decile(y_true, np.r_[np.full(99, 20.0), 21.0], "price", parts=3)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "20 to 20",
        "21 to 21",
    ]


def test_intervals_are_lines_across_the_bars() -> None:
    figure = comparison(SCORES, "rmse", intervals={"fusion": ConfidenceInterval(20.0, 15.0, 99.0)})
    (lines,) = (each for each in figure.axes[0].collections if hasattr(each, "get_segments"))
    assert [each.tolist() for each in lines.get_segments()] == [[[15.0, 0.0], [99.0, 0.0]]]
    assert figure.axes[0].get_xlim()[1] > 99


@pytest.mark.parametrize("draw", [predicted_against_true, residuals_by_decile])
@pytest.mark.parametrize("rows", [1, 2, 150])
def test_odd_names_and_few_rows(draw, rows: int, tmp_path: Path) -> None:
    figure = draw(PRICES[:rows], PRICES[:rows] + 1, ODD_NAME, unit="$")
    path = save(figure, tmp_path / "deep" / "a.png")
    with Image.open(path) as image:
        assert image.format == "PNG" and image.size[0] == 672
        assert round(image.info["dpi"][0]) == 120


def test_odd_model_names(tmp_path: Path) -> None:
    scores = [ModelScore(ODD_NAME, "trees", "table", {"rmse": 0.0})]
    save(comparison(scores, "rmse", name=ODD_NAME, unit="$"), tmp_path / "a.png")


def test_import_does_not_load_matplotlib() -> None:
    code = (
        "import sys, multimodal.report.report as _; "
        "print('matplotlib' in sys.modules, 'jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_labels_of_large_linear_prices_do_not_overlap() -> None:
    y_true = np.linspace(69_900, 1_500_000, 80)
    figure = predicted_against_true(y_true, y_true * 1.1, "price")
    figure.canvas.draw()
    boxes = [t.get_window_extent() for t in figure.axes[0].get_xticklabels() if t.get_text()]
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


def test_the_uri_holds_the_file(tmp_path: Path) -> None:
    found = picture(read_files(tmp_path, {}, None), Figure(figsize=(1, 1)), "a", "One dot.")
    content = (tmp_path / "plots" / "a.png").read_bytes()
    assert found.alt == "One dot."
    assert base64.b64decode(found.uri.removeprefix("data:image/png;base64,")) == content
