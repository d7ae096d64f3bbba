"""Commands that look at a table before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from multimodal.cli.options import (
    COLUMNS,
    DIALECT,
    MOST,
    PHOTOS,
    SPLIT,
    ConfigFile,
    File,
    Images,
    Targets,
    Weight,
    console_on,
    free_folder,
    photo_folder,
    say,
    show_news,
    takes,
)
from multimodal.cli.output import check_output
from multimodal.core.errors import RunError
from multimodal.core.files import replace_any_file
from multimodal.runs.tables import written


@takes(DIALECT, PHOTOS, COLUMNS)
def inspect(
    file: File,
    target: Targets = None,
    images: Images = None,
    out: Annotated[Path | None, typer.Option(help="Save the schema as JSON, to edit.")] = None,
    *,
    data: Mapping[str, Any],
) -> None:
    """Show what each column of FILE is taken for, and why."""
    from rich.table import Table as Printed

    from multimodal.core.presets import as_config
    from multimodal.data.columns.schema import infer_schema
    from multimodal.data.read.readers import open_table
    from multimodal.data.read.sampling import sample_rows, sampled_schema
    from multimodal.data.read.table import Dialect

    if out is not None:
        check_output(out, [file], suffixes=[""])
    asked = as_config(data=data).data
    with show_news():
        table, root = open_table(file, photo_folder(images, data), Dialect.of(asked))
    infer = partial(
        infer_schema, targets=target or [], overrides=asked.columns, photo_root=root, data=asked
    )
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
        with written(out), replace_any_file(out) as beside:
            schema.save(beside)
        say(f"schema saved to {out}")


@takes(DIALECT, PHOTOS, COLUMNS, SPLIT)
def audit(
    file: File,
    target: Targets = None,
    weight: Weight = None,
    images: Images = None,
    config: ConfigFile = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for audit.json, audit.html, quarantine.csv; default: runs/audit, numbered."
        ),
    ] = None,
    *,
    data: Mapping[str, Any],
) -> None:
    """Check FILE before training: rows, columns, photos, leakage, duplicates, labels."""
    from multimodal.core.files import sha256_of
    from multimodal.core.presets import as_config
    from multimodal.data.audit.findings import AUDIT_FILE
    from multimodal.data.audit.table import audit_table
    from multimodal.data.read.rejected import write_rejected
    from multimodal.report.audit_view import PAGE_FILE, show_audit, write_audit_page

    wanted = as_config(config, data=data)
    found, table = audit_table(file, target or [], config=wanted, weight=weight, images=images)
    show_audit(found, console_on(sys.stdout))
    out = out or free_folder(Path("runs/audit"), "")
    with written(out):
        out.mkdir(parents=True, exist_ok=True)
        rejected = _free_rejected(out, file)
        write_rejected(table, rejected)
        found = found.model_copy(update={"rejected_sha256": sha256_of(rejected)})
        (out / AUDIT_FILE).write_text(found.to_json() + "\n", encoding="utf-8")
        write_audit_page(found, out / PAGE_FILE)
    say(f"page: {out / PAGE_FILE}")
    # After everything is written: whoever mends the rows needs the files.
    if found.of_level("error"):
        raise typer.Exit(2)
    if strict and found.of_level("warning"):
        raise typer.Exit(1)


def _free_rejected(out: Path, file: Path) -> Path:
    """Return where rejected rows are written: not over FILE, nor what somebody has mended."""
    from multimodal.core.files import sha256_of
    from multimodal.data.audit.findings import AUDIT_FILE, Audit
    from multimodal.data.read.rejected import REJECTED_FILE

    path = out / REJECTED_FILE
    try:
        before = Audit.read_file(out / AUDIT_FILE)
    except RunError:
        before = None
    as_written = before is not None and path.exists() and sha256_of(path) == before.rejected_sha256
    if not path.exists() or (as_written and not path.samefile(file)):
        return path
    names = (out / f"{path.stem}-{number}{path.suffix}" for number in count(2))
    free = next(name for name in names if not name.exists())
    why = "is what was audited" if as_written else "was edited since it was written"
    say(f"{path} {why}, and stays; rejected rows are in {free.name}")
    return free
