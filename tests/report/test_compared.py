"""Models beside each other: intervals, differences, and what is said of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_run import make_run

from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.report.run_files import RunFiles, read_files
from multimodal.report.verdict import format_change, format_interval, is_better, model_intervals


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return read_files(make_run(tmp_path_factory.mktemp("compared"))[0], {}, None)


def test_every_model_has_its_interval_around_its_own_score(run: RunFiles) -> None:
    found = model_intervals(run, "price")
    assert (found.metric, found.rows, found.baseline) == (
        "log_rmse",
        300,
        "trees on table + TF-IDF on table + text",
    )
    scores = {score.label: score for score in run.metrics.comparison["price"]}
    assert found.values.keys() == scores.keys()
    for name, span in found.values.items():
        assert span.value == pytest.approx(scores[name].metrics["log_rmse"])
        assert span.low < span.value < span.high


def test_differences_are_shares_of_the_others_error(run: RunFiles) -> None:
    found = model_intervals(run, "price")
    values = {name: span.value for name, span in found.values.items()}
    assert "fusion" not in found.gains and found.baseline not in found.changes
    assert found.gains["median"].value == pytest.approx(values["fusion"] / values["median"] - 1)
    assert found.changes["median"].value == pytest.approx(
        values["median"] / values[found.baseline] - 1
    )
    assert is_better("log_rmse", found.gains["median"]) is True


def test_without_kept_rows_the_model_alone_has_an_interval(run: RunFiles) -> None:
    alone = RunFiles(**{**run.__dict__, "baselines": pd.DataFrame()})
    found = model_intervals(alone, "price")
    assert list(found.values) == ["fusion"] and not found.gains and not found.baseline


def test_few_rows_have_no_intervals(run: RunFiles) -> None:
    few = RunFiles(**{**run.__dict__, "predictions": run.predictions.head(19)})
    found = model_intervals(few, "price")
    assert found.rows == 19 and not found.values
    assert not model_intervals(few, "absent").values


def test_models_are_compared_on_the_rows_that_all_have(run: RunFiles) -> None:
    lines = run.baselines
    fewer = lines[~((lines["model"] == "median") & (lines["row"] < 90))]
    assert model_intervals(RunFiles(**{**run.__dict__, "baselines": fewer}), "price").rows == 270


def test_noise_is_no_difference(run: RunFiles) -> None:
    """Two models of equal size of error, and of other errors, are not told apart."""
    random, table = np.random.default_rng(5), run.predictions
    equal = run.baselines[run.baselines["model"] == "median"].assign(
        prediction=table["price_true"].to_numpy() * np.exp(random.normal(0, 0.32, len(table)))
    )
    found = model_intervals(RunFiles(**{**run.__dict__, "baselines": equal}), "price")
    assert is_better("log_rmse", found.gains["median"]) is None


@pytest.mark.parametrize(
    ("metric", "gain", "outcome", "words"),
    [
        ("rmse", ConfidenceInterval(-0.2, -0.3, -0.1), True, "−20% (−30% to −10%)"),
        ("rmse", ConfidenceInterval(0.2, 0.001, 0.3), False, "+20% (0% to +30%)"),
        ("accuracy", ConfidenceInterval(-0.02, -0.03, -0.01), False, "−2.0 points (−3.0 to −1.0)"),
        ("mean_iou", ConfidenceInterval(0.05, -0.01, 0.1), None, "+0.05 (−0.01 to +0.1)"),
        ("rmse", ConfidenceInterval(np.nan, np.nan, np.nan), None, ""),
    ],
)
def test_differences_in_words(
    metric: str, gain: ConfidenceInterval, outcome: object, words: str
) -> None:
    assert is_better(metric, gain) is outcome
    assert format_change(metric, gain) == words


def test_an_interval_in_words() -> None:
    assert format_interval("rmse", ConfidenceInterval(3, 2.5, 3500)) == "2.50 to 3,500"
    assert format_interval("rmse", ConfidenceInterval(3, np.nan, np.nan)) == ""
