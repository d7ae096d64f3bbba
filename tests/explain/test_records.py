"""Records of explanations: in memory, and in `importance.json` and `explanations.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal.core.errors import RunError
from multimodal.evaluation.records import (
    EXPLANATIONS_FILE,
    IMPORTANCE_FILE,
    ExplainedRow,
    ExplainedRows,
    HeadImportance,
    Importance,
    PermutationImportance,
)
from multimodal.explain.records import Explanation, WordScores


def test_the_gap_is_what_the_scores_leave() -> None:
    found = WordScores("t", "a b", [(0, 1), (2, 3)], np.array([0.5, 0.25]), 1.0, 2.0, 3, "")
    assert found.gap == pytest.approx(0.25)


def test_a_row_without_a_prediction_is_empty() -> None:
    blank = Explanation(0, "line 2", "", ["photo: no such photo"])
    assert blank.target is None and not blank.groups and not blank.neighbours


def need(name: str, kind: str, change: float) -> PermutationImportance:
    values = {"name": name, "kind": kind, "error": 1.0, "change": change, "low": 0.0, "high": 1.0}
    return PermutationImportance.model_validate(values)


def test_needs_are_ranked_by_kind() -> None:
    needs = [need("a", "column", 0.1), need("g", "group", 0.2), need("b", "column", 0.3)]
    head = HeadImportance(metric="rmse", error=1.0, rows=9, repeats=5, needs=needs)
    assert [each.name for each in head.ranked("column")] == ["b", "a"]
    assert [each.name for each in head.ranked("group")] == ["g"]


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert Importance.read(tmp_path) == Importance()
    head = HeadImportance(metric="mae", error=1.0, rows=9, repeats=5, needs=[need("a", "group", 1)])
    record = Importance(heads={"price": head})
    (tmp_path / IMPORTANCE_FILE).write_text(record.model_dump_json())
    assert Importance.read(tmp_path) == record


@pytest.mark.parametrize("text", ["", "{", '{"heads": 3}', '{"heads": {}, "more": 1}', "\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / IMPORTANCE_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=IMPORTANCE_FILE):
        Importance.read(tmp_path)


ROW: dict[str, Any] = {
    "head": "price",
    "row": 3,
    "page": "explanations/price-3.html",
    "question": "price",
    "nothing": "12",
    "groups": [{"name": "photos", "effect": "× 1.2", "up": True}],
}


def written(folder: Path, **changes: Any) -> Path:
    (folder / EXPLANATIONS_FILE).write_text(json.dumps({"rows": [{**ROW, **changes}]}))
    return folder


def test_a_row_is_found_by_head_and_number(tmp_path: Path) -> None:
    found = ExplainedRows.read(written(tmp_path))
    assert found.of("price", 3) == ExplainedRow.model_validate(ROW)
    assert found.of("price", 4) is None and found.of("rent", 3) is None


def test_a_run_without_the_file_explains_no_rows(tmp_path: Path) -> None:
    assert ExplainedRows.read(tmp_path).rows == []


@pytest.mark.parametrize(
    "changes",
    [
        {"page": "javascript:alert(1)"},
        {"page": "../../etc/passwd"},
        {"page": "https://a.b/price-3.html"},
        {"page": "explanations/../price-3.html"},
        {"row": -1},
        {"question": "x" * 300},
        {"groups": [ROW["groups"][0]] * 101},
        {"more": 1},
    ],
)
def test_damaged_explanations_are_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=rf"{EXPLANATIONS_FILE}: damaged"):
        ExplainedRows.read(written(tmp_path, **changes))
