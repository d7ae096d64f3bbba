"""What an audit keeps survives the way to disk; what is damaged is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from multimodal.core.errors import RunError
from multimodal.data.audit.findings import AUDIT_FILE, Audit, ColumnAudit, Finding

AUDIT = Audit(
    source="a.csv",
    read=3,
    kept=2,
    quarantined=1,
    columns=[ColumnAudit(name="ü", kind="text", type="text", missing=0.5, distinct=2)],
    findings=[Finding(level="note", topic="rows", message="<b>", lines=[4])],
)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / AUDIT_FILE
    assert Audit.read_file(path) is None
    path.write_text(AUDIT.to_json(), encoding="utf-8")
    assert Audit.read_file(path) == AUDIT
    assert AUDIT.of_level("note") == AUDIT.findings and AUDIT.of_level("error") == []


@pytest.mark.parametrize("content", ["{", '{"source": "a"}', "[]"])
def test_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / AUDIT_FILE).write_text(content)
    with pytest.raises(RunError, match="audit.json: not an audit"):
        Audit.read_file(tmp_path / AUDIT_FILE)
