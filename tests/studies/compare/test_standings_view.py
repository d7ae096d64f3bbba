"""A comparison to look at: the terminal's table at two widths, the CSV's columns, the picture."""

from __future__ import annotations

from io import StringIO

import numpy as np
from candidates import BOTH, MEDIAN, TABLE, TREES, answered, stand
from rich.console import Console

from multimodal.studies.compare.results import ComparisonRecord
from multimodal.studies.compare.summary import (
    leaderboard_figure,
    leaderboard_frame,
    show_leaderboard,
)

HEAD = stand(answered({MEDIAN: 1.0, TREES: 0.5, TABLE: 0.6, BOTH: 0.4}))
RECORD = ComparisonRecord(
    folds=5,
    seeds=[0, 1],
    heads=[HEAD],
    verdicts={"price": "It is worth it."},
    left_out=["gated on table: 2 of 10 fits"],
)


def shown(width: int) -> str:
    text = StringIO()
    show_leaderboard(RECORD, Console(file=text, width=width))
    return text.getvalue()


def test_the_terminal_shows_model_value_gain_and_cost() -> None:
    narrow, wide = shown(80), shown(130)
    for text in (narrow, wide):
        assert "5 folds, 2 seeds, INCOMPLETE" in text
        assert "best baseline" in text and "It is worth it." in text
        assert "left out: gated on table: 2 of 10 fits" in text
        assert max(map(len, text.splitlines()[:15])) <= (80 if text is narrow else 130)
    assert "* concat on" in narrow and "mae" not in narrow
    assert "mae" in wide and "p, by folds" in wide
    value, low, high = HEAD.standings[0].values["log_rmse"]
    assert f"{value:.3f} ({low:.3f} to {high:.3f})" in wide


def test_the_csv_has_everything() -> None:
    frame = leaderboard_frame(RECORD)
    assert frame["name"].tolist() == [each.name for each in HEAD.standings]
    assert {
        "head",
        "kind",
        "log_rmse",
        "log_rmse_low",
        "log_rmse_high",
        "mae_high",
        "median_ape",
        "gain",
        "gain_low",
        "gain_p",
        "gain_p_folds",
        "seconds",
    } <= set(frame)
    assert np.isnan(frame.loc[frame["name"] == TREES.name, "gain"]).all()


def test_the_picture_has_a_dot_and_a_line_for_each_model() -> None:
    figure = leaderboard_figure(HEAD)
    (axes,) = figure.axes
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == [
        "concat on table + text",
        "Gradient boosting on table",
        "concat on table",
        "Median",
    ]
    spans = [collection.get_segments()[0][:, 0] for collection in axes.collections]
    for span, each in zip(spans, HEAD.standings, strict=True):
        assert span.tolist() == list(each.values["log_rmse"][1:])
    assert axes.get_xlabel() == "RMSE of the logarithm"
