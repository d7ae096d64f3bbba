"""What each modality adds, in words."""

from __future__ import annotations

from typing import Any

import pytest

from multimodal.evaluation.records import HeadMetrics, ModalityGain, ModelScore, RunMetrics
from multimodal.report.modalities import modality_headline, modality_rows, modality_sentences
from multimodal.report.verdict import verdict


def gain(modality: str, value: float, *, outcome: str = "earned", **more: Any) -> ModalityGain:
    known: dict[str, Any] = {"metric": "rmse", "rows": 340, "score_with": 2.0, "score_without": 3.0}
    span = {"gain": value, "low": value - 0.02, "high": value + 0.02}
    return ModalityGain(modality=modality, outcome=outcome, **{**known, **span, **more})


def nothing(modality: str, **more: Any) -> ModalityGain:
    return gain(modality, 0.004, outcome="nothing", **more)


def headline(*gains: ModalityGain) -> str:
    return modality_headline(RunMetrics(modalities={"price": list(gains)}), "price")


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        (
            [gain("photos", 0.1), gain("table", 0.5), gain("text", 0.2)],
            "For price, photos, the table and the text earn their place.",
        ),
        (
            [nothing("photos", seconds_with=50.0, seconds_without=20.0), gain("table", 0.5)],
            "For price, the table earns its place; photos add nothing that these rows show: "
            "leave the photos out, you lose nothing and save 60% of the time to train.",
        ),
        (
            [gain("table", 0.5), nothing("text")],
            "For price, the table earns its place; the text adds nothing that these rows show: "
            "leave the text out, you lose nothing.",
        ),
        (
            [nothing("photos"), gain("table", 0.5), nothing("text")],
            "For price, the table earns its place; photos and the text each add nothing that "
            "these rows show: leave the photos out, you lose nothing.",
        ),
        (
            [nothing("table"), nothing("text")],
            "For price, neither the table nor the text adds anything to the other that these "
            "rows show: one of them is enough.",
        ),
        (
            [nothing("photos"), nothing("table"), nothing("text")],
            "For price, none of photos, the table and the text adds anything to the others that "
            "these rows show: leave the photos out, you lose nothing.",
        ),
    ],
)
def test_the_headline_credits_what_earned_its_place(gains: list[ModalityGain], said: str) -> None:
    assert headline(*gains) == said


def test_gains_are_told_in_the_unit_of_the_metric() -> None:
    found = [
        gain("table", 0.25),
        gain("photos", 0.037, metric="accuracy"),
        nothing("text"),
        nothing("series", metric="accuracy"),
    ]
    assert modality_sentences(RunMetrics(modalities={"price": found}), "price") == [
        "The table takes 25% off the error (23% to 27%, 340 rows out of fold).",
        "Photos add 3.7 points of accuracy (1.7 to 5.7, 340 rows out of fold).",
        "The text adds nothing that 340 rows out of fold show (0.4%, 95% interval −1.6% to 2.4%).",
        "The series adds nothing that 340 rows out of fold show "
        "(0.4 points, 95% interval −1.6 to 2.4).",
    ]


def test_the_table_says_how_it_was_measured() -> None:
    photos = nothing("photos", networks=5, epochs=7, seconds_with=10.0, seconds_without=2.5)
    linear = gain("text", 0.1)
    found = modality_rows(RunMetrics(modalities={"price": [photos, linear]}), "price")
    assert found[0]["how"] == "linear model refitted, 5 networks trained on for 7 epochs"
    assert found[1]["how"] == "linear model refitted; networks have no part"
    assert [row["saved"] for row in found] == ["75%", "–"]
    assert [row["outcome"] for row in found] == ["nothing", "earned its place"]


def test_the_verdict_speaks_from_it_and_compares_like_with_like() -> None:
    scores = [
        ModelScore("Fusion", "fusion", "table + photos", {"n": 900, "rmse": 2.0}),
        ModelScore("Same recipe", "recipe", "table", {"n": 900, "rmse": 2.01}),
        ModelScore("Same recipe", "recipe", "photos", {"n": 900, "rmse": 4.0}),
        ModelScore("Sequential MLP", "sequential", "table", {"n": 900, "rmse": 3.0}),
        ModelScore("Gradient boosting", "trees", "table", {"n": 900, "rmse": 2.5}),
    ]
    record = RunMetrics(
        heads={"price": HeadMetrics(column="price")},
        comparison={"price": scores},
        modalities={"price": [nothing("photos"), gain("table", 0.5)]},
    )
    found = verdict(record, "price")
    assert found.outcome == "equal" and "photos add nothing" in found.headline
    said = " ".join(found.sentences)
    assert found.sentences[0] == (
        "Too close to call: for price the fusion is no better than same recipe on table."
    )
    assert "the best single modality (Same recipe on table, 2.01)" in said
    assert "Of its gain over Gradient boosting on table, 98% is that of the same recipe on" in said
    assert said.endswith("off the error (48% to 52%, 340 rows out of fold).")
    assert "together" not in said + found.headline


def test_a_model_of_one_modality_is_no_fusion() -> None:
    scores = [
        ModelScore("Model", "fusion", "table", {"n": 900, "rmse": 2.0}),
        ModelScore("Gradient boosting", "trees", "table", {"n": 900, "rmse": 2.5}),
    ]
    found = verdict(RunMetrics(comparison={"price": scores}), "price")
    assert found.headline == "The model predicts price better than anything else tried."
    assert "modality" not in " ".join(found.sentences)
