"""The audit of a table for people: on the terminal, as a page, as a section of the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal.core.formatting import joined, rough_percent, template
from multimodal.data.audit.findings import Audit

if TYPE_CHECKING:
    from rich.console import Console

PAGE_FILE = "audit.html"
MOST, _EXAMPLE = 5, 20
_COUNTS = {
    "missing": "missing",
    "unreadable": "bad",
    "duplicate": "copies",
    "tiny": "tiny",
    "huge": "huge",
    "not_rgb": "not RGB",
    "rotated": "turned",
}
_LEVELS = {"error": "error", "warning": "look into", "note": "good to know"}


def show_audit(audit: Audit, console: Console) -> None:
    """Print an audit on one screen: columns, photos, suspects, then what was found."""
    from rich.table import Table as Printed

    title = (
        f"{audit.source}: {audit.read:,} rows read, {audit.kept:,} kept, "
        f"{audit.quarantined:,} rejected"
    )
    columns = Printed()
    for name in ("column", "kind", "type", "missing", "distinct", "odd", "example"):
        right = name in ("missing", "distinct", "odd")
        columns.add_column(
            name, justify="right" if right else "left", no_wrap=True, min_width=len(name)
        )
    console.print(title, soft_wrap=True)
    for finding in audit.findings:
        if finding.topic == "file":  # how it was read, where it is not as most files are
            console.print(finding.message, soft_wrap=True)
    for row in column_rows(audit):
        columns.add_row(*row)
    console.print(columns)
    if audit.photos:
        photos = Printed()
        for name in ("photos", "files", *_COUNTS.values()):
            photos.add_column(name, justify="left" if name == "photos" else "right", no_wrap=True)
        for row in photo_rows(audit):
            photos.add_row(*row)
        console.print(photos)
    for finding in audit.findings:
        if finding.level != "note":
            lines = [] if finding.topic == "labels" else finding.lines  # they are listed below
            line = f"{finding.level}: {finding.message}{_where(audit, lines)}"
            console.print(line, soft_wrap=True)
    for fault in audit.set_aside[:MOST]:
        console.print(f"  rejected, {audit.unit} {fault.line}: {fault.reason}", soft_wrap=True)
    for suspect in audit.suspects[:MOST]:
        console.print(
            f"  {audit.unit} {suspect.line}: {suspect.target} {suspect.label}, the other rows say "
            f"{suspect.expected}",
            soft_wrap=True,
        )
    console.print(summary(audit))


def summary(audit: Audit) -> str:
    """Say how an audit ended, in a line.

    Example:
    >>> summary(Audit(source="a.csv", read=2, kept=2, quarantined=0))
    'no errors, no warnings, 0 notes'
    """
    counts = {level: len(audit.of_level(level)) for level in ("error", "warning", "note")}
    parts = [f"{n or 'no'} {level}{'' if n == 1 else 's'}" for level, n in counts.items()]
    return ", ".join([*parts[:2], parts[2].replace("no ", "0 ")])


def column_rows(audit: Audit) -> list[tuple[str, ...]]:
    """Return (name, kind, type, missing, distinct, odd, example) per column."""
    return [
        (
            c.name,
            c.kind,
            c.type,
            rough_percent(c.missing),
            f"{c.distinct:,}",
            str(len(c.odd)) if c.odd else "",
            c.example[:_EXAMPLE],
        )
        for c in audit.columns
    ]


def photo_rows(audit: Audit) -> list[tuple[str, ...]]:
    """Return (column, files, then one count each) per column of photos."""
    return [
        (p.name, f"{p.photos:,}", *(f"{getattr(p, name):,}" for name in _COUNTS))
        for p in audit.photos
    ]


def audit_section(audit: Audit) -> str:
    """Return an audit as HTML to stand inside a page, of the columns those with outliers.

    Everything that comes from the data is escaped.
    """
    odd = [column for column in audit.columns if column.odd]
    content = _content(audit.model_copy(update={"columns": odd}))
    return str(template("audit_section.html.j2").render(content))


def write_audit_page(audit: Audit, path: Path) -> None:
    """Write an audit as one self-contained page."""
    page = template("audit.html.j2").render(_content(audit))
    path.write_text(page, encoding="utf-8")


def _content(audit: Audit) -> dict[str, Any]:
    return {
        "audit": audit,
        "counts": _COUNTS,
        "summary": summary(audit),
        "levels": {
            _LEVELS[level]: [(f.message, _where(audit, f.lines)) for f in audit.of_level(level)]
            for level in ("error", "warning", "note")
        },
    }


def _where(audit: Audit, lines: list[int]) -> str:
    if not lines:
        return ""
    return f" ({audit.unit}{'' if len(lines) == 1 else 's'} {joined(lines, MOST)})"
