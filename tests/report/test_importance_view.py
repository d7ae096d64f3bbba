"""Importance as lines of a table: groups first, as shares of the error; none, no table."""

from __future__ import annotations

from multimodal.evaluation.records import HeadImportance, PermutationImportance
from multimodal.report.sections import importance_rows


def head_of(error: float) -> HeadImportance:
    needs = [
        PermutationImportance(name="year", kind="column", error=3.0, change=1.0, low=0.5, high=1.5),
        PermutationImportance(
            name="photos", kind="group", error=2.5, change=0.5, low=-0.1, high=0.9
        ),
    ]
    return HeadImportance(metric="rmse", error=error, rows=9, repeats=5, needs=needs)


def test_groups_come_first_as_shares_of_the_error() -> None:
    rows = importance_rows(head_of(2.0))
    assert [row["name"] for row in rows] == ["photos", "year"]
    assert (rows[0]["change"], rows[0]["interval"]) == ("+25%", "-5% to +45%")


def test_changes_of_a_perfect_model_are_shown_themselves() -> None:
    assert importance_rows(head_of(0.0))[1]["change"] == "+1"


def test_nothing_measured_is_no_table() -> None:
    assert importance_rows(None) == []
