"""The record of a comparison: there and back, and an error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from multimodal.core.errors import RunError
from multimodal.studies.compare.results import RECORD_FILE, ComparisonRecord


def test_there_and_back(tmp_path: Path) -> None:
    record = ComparisonRecord(folds=5, seeds=[0, 1], left_out=["concat on text: 3 of 5 fits"])
    (tmp_path / RECORD_FILE).write_text(record.to_json())
    assert ComparisonRecord.read(tmp_path) == record
    assert not record.complete and "bootstrap" in record.test


@pytest.mark.parametrize("text", [None, "{", '{"folds": 5}', '{"folds": 5, "seeds": [], "x": 1}'])
def test_damage_is_told(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / RECORD_FILE).write_text(text)
    with pytest.raises(RunError, match=r"comparison\.json: not the record of a comparison"):
        ComparisonRecord.read(tmp_path)
