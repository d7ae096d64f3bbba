"""Commands that look at a table before anything is trained."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from multimodal.cli.options import (
    MOST,
    File,
    Images,
    Targets,
    console_on,
    free_folder,
    say,
    written,
)


def inspect(
    file: File,
    target: Targets = None,
    images: Images = None,
    out: Annotated[Path | None, typer.Option(help="Save the schema as JSON, to edit.")] = None,
) -> None:
    """Show what each column of FILE is taken for, and why."""
    from rich.table import Table as Printed

    from multimodal.data.columns.schema import infer_schema
    from multimodal.data.read.readers import open_table
    from multimodal.data.read.sampling import sample_rows, sampled_schema

    table, root = open_table(file, images)
    infer = partial(infer_schema, targets=target or [], photo_root=root)
    schema = sampled_schema(table, infer)
    looked_at = len(sample_rows(table.frame))
    if looked_at < len(table.frame):
        say(f"larger than memory should hold: a random sample of {looked_at:,} rows is looked at")
    printed = Printed(title=f"{file}: {table.rows_read:,} rows, {len(table.rejected):,} rejected")
    for name in ("column", "kind", "missing", "distinct", "example", "note"):
        printed.add_column(name)
    for row in schema.rows():
        printed.add_row(*row)
    console_on(sys.stdout).print(printed)
    for fault in table.rejected[:MOST]:
        say(f"{table.place_of(fault)}: {fault.reason}")
    if len(table.rejected) > MOST:
        say(f"… and {len(table.rejected) - MOST:,} more rows rejected")
    if out is not None:
        with written(out):
            schema.save(out)
        say(f"schema saved to {out}")


def audit(
    file: File,
    target: Targets = None,
    images: Images = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for audit.json, audit.html, quarantine.csv; default: runs/audit, numbered."
        ),
    ] = None,
) -> None:
    """Check FILE before training: rows, columns, photos, leakage, duplicates, labels."""
    from multimodal.data.audit.findings import AUDIT_FILE
    from multimodal.data.audit.table import audit_table
    from multimodal.data.read.rejected import REJECTED_FILE, write_rejected
    from multimodal.report.audit_view import PAGE_FILE, show_audit, write_audit_page

    found, table = audit_table(file, target or [], images=images)
    show_audit(found, console_on(sys.stdout))
    out = out or free_folder(Path("runs/audit"), "")
    with written(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / AUDIT_FILE).write_text(found.to_json() + "\n", encoding="utf-8")
        write_audit_page(found, out / PAGE_FILE)
        write_rejected(table, out / REJECTED_FILE)
    say(f"page: {out / PAGE_FILE}")
    if found.of_level("error"):
        raise typer.Exit(2)
    if strict and found.of_level("warning"):
        raise typer.Exit(1)
