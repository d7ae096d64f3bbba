"""The finding of a run in words, and the intervals it goes by."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_run import make_run

from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.evaluation.records import HeadMetrics, ModelScore, RunMetrics
from multimodal.report.run_files import RunFiles, read_files
from multimodal.report.verdict import (
    format_change,
    format_interval,
    is_better,
    model_intervals,
    verdict,
)


def verdict_of(
    n: int = 1000, limit: float | None = None, metric: str = "log_rmse", **errors: float
):
    """A run whose models have the given errors; the names are the kinds."""
    inputs = {"constant": "nothing", "trees": "table + text", "sequential": "photos"}
    scores = [
        ModelScore(
            kind,
            kind,
            inputs.get(kind, "table + text + photos"),
            {"n": n, metric: error, "rmse": error, "median_ape": 0.12},
        )
        for kind, error in errors.items()
    ]
    limits = {} if limit is None else {"price": {metric: limit}}
    heads = {"price": HeadMetrics(column="price", unit="EUR")}
    return verdict(RunMetrics(heads=heads, comparison={"price": scores}, limit=limits), "price")


def test_fusion_wins() -> None:
    found = verdict_of(fusion=0.2, sequential=0.4, trees=0.25, constant=1.0, limit=0.16)
    assert found.outcome == "better"
    assert found.headline == "The fusion predicts price better than anything else tried."
    assert found.sentences == [
        "On 1,000 test rows its error is 0.200 (RMSE of the logarithm); half of the rows are "
        "within 12% of the true value.",
        "That is 50% less than the best single modality (sequential on photos, 0.400).",
        "That is 20% less than the best gradient boosting (trees on table + text, 0.250).",
        "Its error is 1.25 times the known limit, 0.160.",
        "What each modality adds to the others was not measured.",
    ]


def test_fusion_loses_to_one_baseline() -> None:
    found = verdict_of(fusion=0.3, sequential=0.4, trees=0.2)
    assert found.outcome == "worse"
    assert found.headline == "The fusion loses: for price, trees on table + text did better."
    assert (
        "That is 50% more than the best gradient boosting (trees on table + text, 0.200)."
        in found.sentences
    )


def test_small_differences_are_no_news() -> None:
    assert verdict_of(fusion=0.30, trees=0.31, n=100).outcome == "equal"
    assert verdict_of(fusion=0.30, trees=0.33, n=10_000).outcome == "better"
    assert "Too close to call" in verdict_of(fusion=0.31, trees=0.30, n=100).headline


def test_a_model_that_learned_nothing_is_called_so() -> None:
    found = verdict_of(fusion=1.0, sequential=1.3, constant=1.0)
    assert any("the model learned nothing" in sentence for sentence in found.sentences)


def test_absolute_errors_carry_their_unit() -> None:
    assert (
        "its error is 12,346 EUR (RMSE)" in verdict_of(metric="rmse", fusion=12345.6).sentences[0]
    )


@pytest.mark.parametrize(("mine", "other", "outcome"), [(0, 0, "equal"), (1, 0, "worse")])
def test_a_perfect_rival(mine: float, other: float, outcome: str) -> None:
    found = verdict_of(fusion=mine, trees=other)
    assert found.outcome == outcome and "inf" not in " ".join(found.sentences)


def test_best_of_several_is_the_one() -> None:
    scores = [
        ModelScore(name, kind, "table", {"n": 900, "rmse": error})
        for name, kind, error in (
            ("bad", "trees", 9.0),
            ("good", "trees", 2.0),
            ("fusion", "fusion", 1.0),
            ("nan", "trees", float("nan")),
        )
    ]
    found = verdict(RunMetrics(comparison={"y": scores}), "y")
    assert "gradient boosting (good on table, 2.00)" in found.sentences[1]


def test_nothing_to_compare_with() -> None:
    assert (
        verdict_of(fusion=0.3).headline
        == "The fusion predicts price, with nothing to compare it with."
    )
    head = HeadMetrics(column="price", test={"n": 50, "rmse": 3.0})
    found = verdict(RunMetrics(heads={"price": head}, limit={"price": {"rmse": 2.0}}), "price")
    assert found.outcome == "unknown" and "1.50 times the known limit" in found.sentences[1]
    assert verdict(RunMetrics(), "price").sentences == []
    assert verdict_of(trees=0.3).headline == "No test result for price."


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
