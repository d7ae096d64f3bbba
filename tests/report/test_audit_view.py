"""The audit on the screen, as a page and as a section of the report."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from multimodal.data.audit.findings import (
    AUDIT_FILE,
    Audit,
    ColumnAudit,
    Drift,
    Finding,
    LabelIssueAudit,
    RejectedAudit,
)
from multimodal.data.photos.checks import PhotoColumn
from multimodal.report.audit_view import audit_section, show_audit, summary, write_audit_page
from multimodal.report.report import write_report

EVIL = "<script>alert(1)</script>[red]"
AUDIT = Audit(
    source="rows.csv",
    read=1200,
    kept=1198,
    quarantined=2,
    reasons={"odd": 2},
    set_aside=[RejectedAudit(line=17, reason=f"expected a number, got '{EVIL}'")],
    columns=[
        ColumnAudit(
            name="size",
            kind="number",
            type="text",
            missing=0.001,
            distinct=900,
            odd=["far from all others: 999 (line 3)"],
            example="3.5",
        ),
        ColumnAudit(name=EVIL, kind="text", type="text", missing=0.5, distinct=2, example=EVIL),
    ],
    photos=[
        PhotoColumn(
            name="photo",
            rows=9,
            photos=8,
            missing=1,
            unreadable=2,
            duplicate=3,
            tiny=4,
            huge=5,
            not_rgb=6,
            rotated=7,
        )
    ],
    drift=[Drift(column="size", side="test", psi=0.6)],
    suspects=[LabelIssueAudit(line=44, target="price", label="9,000", expected="12", strength=9.0)],
    findings=[
        Finding(level="error", topic="rows", message="too many rows"),
        Finding(level="warning", topic="duplicates", message="copies", lines=list(range(2, 40))),
        Finding(level="note", topic="photos", message="a note"),
    ],
)


def shown(audit: Audit, width: int = 80) -> str:
    file = StringIO()
    show_audit(audit, Console(file=file, width=width, markup=False, highlight=False, emoji=False))
    return file.getvalue()


def test_the_screen_says_all_that_matters() -> None:
    text = shown(AUDIT)
    for said in (
        "rows.csv: 1,200 rows read, 1,198 kept, 2 rejected",
        "error: too many rows",
        "warning: copies (lines 2, 3, 4, 5, 6, …)",
        "rejected, line 17: expected a number",
        "line 44: price 9,000, the other rows say 12",
        "1 error, 1 warning, 1 note",
    ):
        assert said in text
    assert "a note" not in text
    for name in ("column", "missing", "distinct", "not RGB", "turned"):
        assert name in text


def test_one_screen() -> None:
    lines = shown(AUDIT).splitlines()
    assert len(lines) < 30 and max(map(len, lines[1:9])) <= 80


@pytest.mark.parametrize(
    ("counts", "said"),
    [((0, 0, 0), "no errors, no warnings, 0 notes"), ((2, 1, 3), "2 errors, 1 warning, 3 notes")],
)
def test_summary(counts: tuple[int, int, int], said: str) -> None:
    findings = [
        Finding(level=level, topic="rows", message="x")
        for level, count in zip(("error", "warning", "note"), counts, strict=True)
        for _ in range(count)
    ]
    audit = Audit(source="a", read=0, kept=0, quarantined=0, findings=findings)
    assert summary(audit) == said


def test_the_page_holds_itself_and_nothing_runs(tmp_path: Path) -> None:
    write_audit_page(AUDIT, tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.findall(r"""(?:src|href)=["']?(?!#|data:)""", page)
    assert "default-src 'none'" in page and page.count("<style>") == 1
    for said in ("too many rows", "a note", "900", "9,000", "0.60", "expected a number"):
        assert said in page


def test_an_empty_audit() -> None:
    empty = Audit(source="a.csv", read=0, kept=0, quarantined=0)
    assert "no errors" in shown(empty) and "<table>" not in audit_section(empty)


def test_the_report_shows_the_audit_of_its_run(tmp_path: Path) -> None:
    assert 'id="audit"' not in write_report(tmp_path).read_text(encoding="utf-8")
    (tmp_path / AUDIT_FILE).write_text(AUDIT.to_json(), encoding="utf-8")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert 'id="audit"' in page and 'href="#audit"' in page and "<script" not in page
    assert "too many rows" in page and page.count("<style>") == 1
    assert "1 column with outliers" in page and "far from all others" in page
