"""The file `importance.json`: there and back, absent, damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from multimodal.core.errors import RunError
from multimodal.evaluation.records import (
    IMPORTANCE_FILE,
    HeadImportance,
    Importance,
    PermutationImportance,
)


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
