"""Findings of an audit, and the records of the file `audit.json` that keeps them.

The names of the fields are the keys of that file, some of which are older than the words around
them: `set_aside` are rejected rows, `odd` outliers, `suspects` label issues, `sides` splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from multimodal.core.arrays import Ints
from multimodal.core.errors import RunError, first_line
from multimodal.core.formatting import joined
from multimodal.core.records import Record
from multimodal.data.audit.drift import MIN_PSI, Drift
from multimodal.data.audit.label_noise import MOST
from multimodal.data.columns.numbers import is_missing_word
from multimodal.data.columns.schema import Schema
from multimodal.data.photos.checks import PhotoColumn, left_out
from multimodal.data.split.splits import leaking_rows

AUDIT_FILE = "audit.json"
FIRST = 20  # rows that a finding names
_PHOTO_COUNTS = {
    "duplicate": "photos that come again, byte for byte",
    "tiny": "photos with a side of less than 32 pixels",
    "huge": "photos of more than 16 megapixels",
    "not_rgb": "photos that are grey, transparent, CMYK or 16 bits deep, and read as RGB",
    "rotated": "photos that EXIF turns, and that are read upright",
}
MOST_WORDS = 10
_COSTS = ("leakage", "split", "rows", "photos", "labels", "column", "duplicates", "drift")
_LEVELS = {"error": 0, "warning": 1, "note": 2}
Level = Literal["error", "warning", "note"]


class ColumnAudit(Record):
    """One column: what it is for, what its cells are, and which of them are outliers.

    `type` is what the cells are (`text`, `whole number` …), `missing` a fraction of the rows.
    """

    name: str
    kind: str
    type: str
    missing: float
    distinct: int
    example: str = ""
    note: str = ""
    odd: list[str] = []


class Finding(Record):
    """Something to know: an error ends the work, a warning is to be looked into, a note is none.

    `topic` is one of rows, column, photos, leakage, drift, duplicates, labels, split.
    """

    level: Level
    topic: str
    message: str
    lines: list[int] = []


class RejectedAudit(Record):
    """One rejected row."""

    line: int
    reason: str


class LabelIssueAudit(Record):
    """A label that a cheap model contradicts; see `label_noise.LabelIssue`."""

    line: int
    target: str
    label: str
    expected: str
    strength: float


class Audit(Record):
    """The file `audit.json`; `read` = `kept` + `quarantined`.

    `set_aside` holds the first rejected rows, `quarantine.csv` all of them; where its digest is not
    `rejected_sha256`, somebody has mended it since.

    Example:
    >>> audit = Audit(source="a.csv", read=3, kept=2, quarantined=1)
    >>> Audit.model_validate_json(audit.to_json()) == audit
    True
    """

    source: str
    read: int
    kept: int
    quarantined: int
    unit: str = "line"
    reasons: dict[str, int] = {}
    set_aside: list[RejectedAudit] = []
    rejected_sha256: str = ""
    sides: dict[str, int] = {}
    columns: list[ColumnAudit] = []
    photos: list[PhotoColumn] = []
    drift: list[Drift] = []
    suspects: list[LabelIssueAudit] = []
    findings: list[Finding] = []

    def of_level(self, level: Level) -> list[Finding]:
        """Return the findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def to_json(self) -> str:
        """Return indented JSON."""
        return self.model_dump_json(indent=2)

    @classmethod
    def read_file(cls, path: Path) -> Audit | None:
        """Read `audit.json`: None if it is absent, RunError if it is damaged."""
        if not path.exists():
            return None
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise RunError(f"{path}: not an audit. {first_line(error)}") from None


def finding(level: Level, topic: str, message: str, lines: Sequence[int] = ()) -> Finding:
    """Return a finding; `lines` are the first ones it is about."""
    return Finding(level=level, topic=topic, message=message, lines=list(lines))


def duplicate_findings(groups: Ints, splits: NDArray[Any] | None, lines: Ints) -> list[Finding]:
    """Say how many rows are duplicates, and which of them lie in another split.

    Args:
        groups: (N,), duplicates.
        splits: (N,), the split of each row, or None where there is no split yet.
        lines: (N,), the line of each row.
    """
    counts = np.bincount(groups, minlength=1)
    extra = int((counts - 1).clip(0).sum())
    found = []
    if splits is not None and len(across := leaking_rows(splits, groups)):
        message = f"{len(across):,} rows have a duplicate in another split."
        found.append(finding("warning", "duplicates", message, lines[across[:FIRST]].tolist()))
    if extra:
        copies = np.flatnonzero(counts[groups] > 1)[:FIRST]
        are = "1 row is a duplicate" if extra == 1 else f"{extra:,} rows are duplicates"
        message = (
            f"{are} of other rows, by photo or by content; a split made here keeps them together."
        )
        found.append(finding("note", "duplicates", message, lines[copies].tolist()))
    return found


def drift_findings(moved: Sequence[Drift]) -> list[Finding]:
    """Say which columns differ between the splits."""
    return [
        finding(
            "warning",
            "drift",
            f"column '{each.column}': the {each.side} rows differ from the training rows "
            f"(population stability index {each.psi:.2f}; large from {MIN_PSI} on).",
        )
        for each in moved
    ]


def label_findings(suspects: Sequence[LabelIssueAudit]) -> list[Finding]:
    """Say how many labels are far from what is predicted from the other rows."""
    found = []
    for target in dict.fromkeys(each.target for each in suspects):
        lines = [each.line for each in suspects if each.target == target]
        count = f"{len(lines)}{' or more' if len(lines) == MOST else ''}"
        message = (
            f"target '{target}': labels far from what the other rows let expect: {count}. "
            "Look at these rows; the label may be wrong."
        )
        found.append(finding("warning", "labels", message, lines))
    return found


def outlier_findings(columns: Sequence[ColumnAudit], cells: Mapping[str, int]) -> list[Finding]:
    """Say which values of each column are outliers, those first that touch most of what is learned.

    Args:
        columns: The columns.
        cells: How many cells each sentence of `odd` is about, by the message.
    """
    found = [
        (column.kind != "target", -cells.get(message, 0), message)
        for column in columns
        for message in outlier_messages(column.name, column.odd)
    ]
    return [finding("warning", "column", message) for *_, message in sorted(found)]


def outlier_messages(column: str, odd: Iterable[str]) -> list[str]:
    """Return what is said of the outliers of a column, as findings have it."""
    return [f"column '{column}': {said}." for said in odd]


def missing_word_findings(frame: pd.DataFrame, schema: Schema) -> list[Finding]:
    """Say which words of columns of numbers and dates are read as missing, and how often."""
    found = []
    for column in schema.columns:
        if column.kind not in ("number", "date", "weight") or not column.wide:
            continue
        words = Counter(cell for cell in frame[column.name] if is_missing_word(cell, column))
        if words:
            said = joined([f"{word!r:.20} ({n:,})" for word, n in words.most_common()], MOST_WORDS)
            message = f"column '{column.name}': read as missing: {said}."
            found.append(finding("note", "column", message))
    return found


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with the dearest first: what makes results untrue, then what loses rows.

    Example:
    >>> found = [finding("warning", "drift", "b"), finding("warning", "leakage", "a")]
    >>> [each.message for each in ranked(found)]
    ['a', 'b']
    """
    costs = {topic: i for i, topic in enumerate(_COSTS)}
    return sorted(findings, key=lambda f: (_LEVELS[f.level], costs.get(f.topic, len(costs))))


def photo_findings(column: PhotoColumn, *, drop: bool = False) -> list[Finding]:
    """Say which photos of a column are not read, and what the others are like.

    `drop` is whether rows with photos that cannot be used were rejected, which is told elsewhere.
    """
    shown = [finding("warning", "photos", said) for said in left_out(column, drop=drop)]
    shown += [
        finding("note", "photos", f"column '{column.name}': {said}: {count:,}.")
        for key, said in _PHOTO_COUNTS.items()
        if (count := getattr(column, key))
    ]
    return shown


def unused_column_findings(schema: Schema) -> list[Finding]:
    """Say which columns are not read, and why."""
    return [
        finding("note", "column", f"column '{column.name}' is left out: {column.note}.")
        for column in schema.columns
        if column.kind in ("ignored", "identifier")
    ]


def reading_findings(notes: Sequence[str]) -> list[Finding]:
    """Say how the file was read, where it is not as most files are."""
    return [finding("note", "file", f"{note}.") for note in notes]


def sample_findings(seen: int, rows: int) -> list[Finding]:
    """Say that only some rows were looked at, if so."""
    if seen == rows:
        return []
    message = (
        f"the table is larger than memory: its columns, leakage, drift and labels are judged by "
        f"{seen:,} of its {rows:,} rows."
    )
    return [finding("note", "rows", message)]
