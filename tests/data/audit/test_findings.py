"""Sentences of an audit: levels, counts and lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multimodal.core.errors import RunError
from multimodal.data.audit.drift import Drift
from multimodal.data.audit.findings import (
    AUDIT_FILE,
    Audit,
    ColumnAudit,
    Finding,
    LabelIssueAudit,
    drift_findings,
    duplicate_findings,
    label_findings,
    outlier_findings,
    photo_findings,
    sample_findings,
    unused_column_findings,
)
from multimodal.data.audit.label_noise import MOST
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.photos.checks import PhotoColumn

LINES = np.arange(5) + 2


def test_duplicates_are_counted_without_their_first() -> None:
    groups = np.array([0, 1, 0, 0, 2])
    (note,) = duplicate_findings(groups, None, LINES)
    assert note.level == "note" and note.message.startswith("2 rows are duplicates of other rows")
    assert note.lines == [2, 4, 5]
    splits = np.array(["train", "train", "test", "train", "test"])
    warning, _ = duplicate_findings(groups, splits, LINES)
    assert (warning.level, warning.lines) == ("warning", [2, 4, 5])
    assert duplicate_findings(np.arange(5), splits, LINES) == []
    assert (
        "1 row is a duplicate"
        in duplicate_findings(np.array([0, 0, 1, 2, 3]), None, LINES)[0].message
    )


@pytest.mark.parametrize(("count", "said"), [(3, ": 3. "), (MOST, f": {MOST} or more. ")])
def test_labels_are_counted_up_to_what_is_looked_for(count: int, said: str) -> None:
    suspects = [
        LabelIssueAudit(line=i, target="price", label="9", expected="1", strength=7.0)
        for i in range(count)
    ]
    (warning,) = label_findings(suspects)
    assert said in warning.message and warning.lines == list(range(count))


def test_a_sentence_for_each() -> None:
    (drift,) = drift_findings([Drift(column="size", side="test", psi=0.512)])
    assert "'size': the test rows differ" in drift.message and "0.51" in drift.message
    column = ColumnAudit(
        name="size", kind="number", type="text", missing=0.0, distinct=3, odd=["below 0: 1 cell"]
    )
    assert [each.message for each in outlier_findings([column], {})] == [
        "column 'size': below 0: 1 cell."
    ]
    target = column.model_copy(update={"name": "price", "kind": "target"})
    other = column.model_copy(update={"name": "mass", "odd": ["far: 9 cells"]})
    found = outlier_findings([column, other, target], {"column 'mass': far: 9 cells.": 9})
    assert [each.message.split("'")[1] for each in found] == ["price", "mass", "size"]
    ignored = Column(
        name="id", kind="identifier", missing=0.0, distinct=9, example="a", note="excluded"
    )
    assert "'id' is left out" in unused_column_findings(Schema(columns=[ignored]))[0].message
    assert sample_findings(5, 5) == [] and "5 of its 9 rows" in sample_findings(5, 9)[0].message


def test_photos_that_are_missing_are_a_warning() -> None:
    counts = dict.fromkeys(("unreadable", "duplicate", "tiny", "huge", "not_rgb", "rotated"), 0)
    first = {"missing": "a.jpg: no such photo"}
    column = PhotoColumn(name="image", rows=3, photos=3, missing=2, first=first, **counts)
    (warning,) = photo_findings(column)
    assert warning.level == "warning" and "2 photos of 3 not there" in warning.message
    assert "a.jpg" in warning.message and "--images" in warning.message
    assert photo_findings(column, drop=True) == []
    some = column.model_copy(update={"missing": 0, "tiny": 2})
    (note,) = photo_findings(some)
    assert note.level == "note" and note.message.endswith("less than 32 pixels: 2.")


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
