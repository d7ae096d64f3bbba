"""What a head's kind adds: rows worst and best, units, coverage by third."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.evaluation.records import HeadMetrics, RunMetrics
from multimodal.report.heads import kind_section
from multimodal.report.run_files import read_files

N = 60
TRUTH = np.arange(1.0, N + 1)


def kinds(folder: Path, kind: Any, table: dict[str, Any], **head: Any) -> dict[str, Any]:
    record = RunMetrics(heads={"y": HeadMetrics(column="y", kind=kind, **head)})
    (folder / "metrics.json").write_text(record.to_json())
    pd.DataFrame(table).to_csv(folder / "predictions.csv", index=False)
    run = read_files(folder, {}, None)
    known = {
        "name": "y",
        "slug": "y",
        "kind": kind,
        "unit": run.unit("y"),
        "pictures": {},
        "number_format": run.number_format("y"),
    }
    return kind_section(run, known)


def test_numbers_are_in_the_unit_of_the_cells(tmp_path: Path) -> None:
    columns = [{"name": "y", "kind": "target", "unit": "$#"}]
    (tmp_path / "schema.json").write_text(json.dumps({"columns": columns}))
    found = kinds(tmp_path, "number", {"y_true": TRUTH, "y_prediction": TRUTH * 2})
    assert found["worst"][0]["truth"].startswith("$") and found["tenths"][0]["mae"].startswith("$")
    assert found["tenths"][0]["relative"] == "100.0%"


def test_worst_and_best_are_apart(tmp_path: Path) -> None:
    guess = TRUTH * np.linspace(1, 2, N)
    found = kinds(
        tmp_path, "number", {"row": 10 + np.arange(N), "y_true": TRUTH, "y_prediction": guess}
    )
    assert [row["row"] for row in found["worst"]] == [*range(69, 49, -1)]
    assert [row["row"] for row in found["best"]] == [10, 11, 12, 13, 14, 15]
    few = kinds(tmp_path, "number", {"y_true": [1.0, 2.0], "y_prediction": [1.0, 3.0]})
    assert len(few["worst"]) == 2 and not few["best"]


def test_quantiles_have_their_coverage_by_third(tmp_path: Path) -> None:
    low = np.where(np.arange(N) < 20, TRUTH + 1, TRUTH - 1)
    found = kinds(
        tmp_path,
        "number",
        {"y_true": TRUTH, "y_prediction": TRUTH, "y_q10": low, "y_q90": TRUTH + 2},
    )
    assert found["stated"] == "80%"
    assert [(row["name"], row["share"]) for row in found["thirds"]] == [
        ("all rows", "66.7%"),
        ("lowest third", "0.0%"),
        ("middle third", "100.0%"),
        ("highest third", "100.0%"),
    ]
    plain = kinds(tmp_path, "number", {"y_true": TRUTH, "y_prediction": TRUTH})
    assert plain["thirds"] == [] and plain["stated"] == ""


def test_classes_have_recalls_with_intervals(tmp_path: Path) -> None:
    table = {
        "y_true": ["a"] * 40 + ["b"] * 20,
        "y_prediction": ["a"] * 50 + ["b"] * 10,
        "y_probability": np.linspace(0.99, 0.5, N),
    }
    found = kinds(tmp_path, "class", table, classes=["a", "b", "c"])
    rows = {row["name"]: (row["recall"], row["interval"]) for row in found["classes"]}
    assert rows == {"a": ("100.0%", "91% to 100%"), "b": ("50.0%", "30% to 70%"), "c": ("–", "–")}
    assert [row["row"] for row in found["worst"][:2]] == [40, 41]
    assert [row["row"] for row in found["best"]] == [0, 1, 2, 3, 4, 5]
    assert found["best"][0]["error"] == "probability 99%, right"


def test_classes_without_probabilities_still_show_their_rows(tmp_path: Path) -> None:
    found = kinds(
        tmp_path, "class", {"y_true": ["a", "b"], "y_prediction": ["a", "a"]}, classes=["a", "b"]
    )
    assert set(found["pictures"]) == {"confusion"}
    assert [row["error"] for row in found["worst"] + found["best"]] == ["wrong", "right"]


@pytest.mark.parametrize("table", [{}, {"y_true": [None], "y_prediction": [1.0]}])
def test_without_rows_there_is_nothing(table: dict[str, Any], tmp_path: Path) -> None:
    assert kinds(tmp_path, "number", table) == {}
