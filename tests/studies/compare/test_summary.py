"""Results of a comparison for people: the verdict's sentence, terminal table, CSV and picture."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from candidates import BOTH, MEDIAN, TABLE, TREES, answered, stand
from rich.console import Console

from multimodal.studies.compare.results import (
    Addition,
    ComparisonRecord,
    Difference,
    Leaderboard,
    LeaderboardRow,
)
from multimodal.studies.compare.summary import (
    addition_words,
    comparison_verdict,
    further_sentences,
    leaderboard_figure,
    leaderboard_frame,
    show_leaderboard,
)


def difference(gain: float, low: float, high: float, p_folds: float | None = 0.01) -> Difference:
    return Difference(gain=gain, low=low, high=high, p=0.01, p_folds=p_folds)


def head(versus: Difference | None, *additions: Addition, full: str = "full") -> Leaderboard:
    values = {"log_rmse": (0.4, 0.3, 0.5)}
    names = {"values": values, "metrics": {}, "by_fold": [], "seeds": [0]}
    standings = [
        LeaderboardRow(
            name="full",
            kind="fusion",
            inputs="table + text + photos",
            label="concat on table + text + photos",
            versus=versus,
            **names,
        ),
        LeaderboardRow(
            name="trees",
            kind="trees",
            inputs="table + TF-IDF",
            label="Gradient boosting on table + TF-IDF",
            **names,
        ),
    ]
    return Leaderboard(
        head="price",
        column="price",
        kind="number",
        metrics=["log_rmse"],
        rows=1047,
        reference="trees",
        full=full,
        standings=standings,
        additions=list(additions),
    )


def addition(adds: str, found: Difference, to: str = "table") -> Addition:
    return Addition(
        family="the concat fusion",
        adds=adds,
        to=to,
        arm="full",
        without="y",
        difference=found,
    )


def test_better_and_what_adds_nothing() -> None:
    found = head(
        difference(0.12, 0.08, 0.16),
        addition("text", difference(0.2, 0.15, 0.251)),
        addition("photos", difference(0.01, -0.02, 0.04)),
    )
    assert comparison_verdict(found) == (
        "For price, concat on table + text + photos is 12 % better (8 to 16) than the best "
        "baseline, gradient boosting on table + TF-IDF; to the others, text adds 20 % "
        "(15 to 25) and photos add nothing that these rows show (1 %, −2 to 4)."
    )


def test_worse() -> None:
    said = comparison_verdict(head(difference(-0.4, -0.52, -0.29)))
    assert "is 40 % worse (29 to 52) than the best baseline, gradient boosting" in said


def test_undecided() -> None:
    said = comparison_verdict(head(difference(0.03, -0.02, 0.08)))
    assert "is no better, as far as 1,047 rows can tell, than" in said
    assert said.endswith("(3 %, −2 to 8).")


def test_folds_may_doubt_what_rows_are_sure_of() -> None:
    said = comparison_verdict(head(difference(0.12, 0.08, 0.16, p_folds=0.21)))
    assert said.endswith("TF-IDF, though folds alone are not sure of it (p = 0.21).")


def test_unfinished_and_alone() -> None:
    assert "not finished" in comparison_verdict(head(None, full="other"))
    assert "no baseline" in comparison_verdict(head(None))


@pytest.mark.parametrize(
    ("adds", "found", "said"),
    [
        ("photos", difference(-0.05, -0.08, -0.01), "photos cost 5 % (1 to 8)"),
        ("text", difference(-0.05, -0.08, -0.01), "text costs 5 % (1 to 8)"),
        ("table + text", difference(0.5, 0.4, 0.6), "table + text adds 50 % (40 to 60)"),
    ],
)
def test_words_of_an_addition(adds: str, found: Difference, said: str) -> None:
    assert addition_words(addition(adds, found)) == said


def test_further_sentences_name_family_and_ground() -> None:
    first, second = further_sentences(
        head(None, addition("photos", difference(0.1, 0.05, 0.15), to="table + text"))
    )
    assert first.startswith("n % better: the error (RMSE of the logarithm) is n % smaller")
    assert second == ("In the concat fusion, beside table + text: photos add 10 % (5 to 15).")


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
