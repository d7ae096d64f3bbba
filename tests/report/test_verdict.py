"""The words on top of the report: honest when the fusion wins, ties and loses."""

from __future__ import annotations

import pytest

from multimodal.evaluation.records import HeadMetrics, ModelScore, RunMetrics
from multimodal.report.verdict import verdict


def run(n: int = 1000, limit: float | None = None, metric: str = "log_rmse", **errors: float):
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
    found = run(fusion=0.2, sequential=0.4, trees=0.25, constant=1.0, limit=0.16)
    assert found.outcome == "better"
    assert found.headline == (
        "Reading table, text and photos together predicts price better than anything else tried."
    )
    assert found.sentences == [
        "On 1,000 test rows its error is 0.200 (RMSE of the logarithm); half of the rows are "
        "within 12% of the true value.",
        "That is 50% less than the best single modality (sequential on photos, 0.400).",
        "That is 20% less than the best gradient boosting (trees on table + text, 0.250).",
        "Its error is 1.25 times the known limit, 0.160.",
    ]


def test_fusion_loses_to_one_rival() -> None:
    found = run(fusion=0.3, sequential=0.4, trees=0.2)
    assert found.outcome == "worse"
    assert found.headline == "The fusion loses: for price, trees on table + text did better."
    assert (
        "That is 50% more than the best gradient boosting (trees on table + text, 0.200)."
        in found.sentences
    )


def test_small_differences_are_no_news() -> None:
    assert run(fusion=0.30, trees=0.31, n=100).outcome == "equal"
    assert run(fusion=0.30, trees=0.33, n=10_000).outcome == "better"
    assert "Too close to call" in run(fusion=0.31, trees=0.30, n=100).headline


def test_a_model_that_learned_nothing_is_called_so() -> None:
    found = run(fusion=1.0, sequential=1.3, constant=1.0)
    assert "the model learned nothing" in found.sentences[-1]


def test_absolute_errors_carry_their_unit() -> None:
    assert "its error is 12,346 EUR (RMSE)" in run(metric="rmse", fusion=12345.6).sentences[0]


@pytest.mark.parametrize(("mine", "other", "outcome"), [(0, 0, "equal"), (1, 0, "worse")])
def test_a_perfect_rival(mine: float, other: float, outcome: str) -> None:
    found = run(fusion=mine, trees=other)
    assert found.outcome == outcome and "inf" not in " ".join(found.sentences)


def test_best_of_several_is_the_rival() -> None:
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
    assert run(fusion=0.3).headline == "The fusion predicts price, with nothing to compare it with."
    head = HeadMetrics(column="price", test={"n": 50, "rmse": 3.0})
    found = verdict(RunMetrics(heads={"price": head}, limit={"price": {"rmse": 2.0}}), "price")
    assert found.outcome == "unknown" and "1.50 times the known limit" in found.sentences[1]
    assert verdict(RunMetrics(), "price").sentences == []
    assert run(trees=0.3).headline == "No test result for price."
