"""The record of explained rows comes from a run that may be anyone's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from multimodal.core.errors import RunError
from multimodal.evaluation.records import EXPLANATIONS_FILE, ExplainedRow, ExplainedRows

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
def test_a_damaged_file_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=rf"{EXPLANATIONS_FILE}: damaged"):
        ExplainedRows.read(written(tmp_path, **changes))
