"""What an audit keeps, as it lies in `audit.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from multimodal.core.errors import RunError, first_line
from multimodal.data.photos.photo_facts import PhotoColumn

AUDIT_FILE = "audit.json"
Level = Literal["error", "warning", "note"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnAudit(_Record):
    """One column: what it is for, what its cells are, and what is odd about them.

    `type` is what the cells are (`text`, `whole number` …), `missing` a share of the rows.
    """

    name: str
    kind: str
    type: str
    missing: float
    distinct: int
    example: str = ""
    note: str = ""
    odd: list[str] = []


class Finding(_Record):
    """Something to know: an error ends the work, a warning is to be looked into, a note is none.

    `topic` is one of rows, column, photos, leakage, drift, duplicates, labels, split.
    """

    level: Level
    topic: str
    message: str
    lines: list[int] = []


class SetAside(_Record):
    """One quarantined row."""

    line: int
    reason: str


class DriftAudit(_Record):
    """The population stability index of a column beside the training rows."""

    column: str
    side: str
    psi: float


class SuspectAudit(_Record):
    """A label that a cheap model contradicts; see `multimodal.data.audit.label_noise.Suspect`."""

    line: int
    target: str
    label: str
    expected: str
    strength: float


class Audit(_Record):
    """The file `audit.json`; `read` = `kept` + `quarantined`.

    `set_aside` holds the first quarantined rows, `quarantine.csv` all of them.

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
    set_aside: list[SetAside] = []
    sides: dict[str, int] = {}
    columns: list[ColumnAudit] = []
    photos: list[PhotoColumn] = []
    drift: list[DriftAudit] = []
    suspects: list[SuspectAudit] = []
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
