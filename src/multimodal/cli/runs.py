"""Commands that use a run: measure, predict, explain, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from multimodal.cli.options import (
    MOST,
    File,
    Images,
    RunFolder,
    console_on,
    free_folder,
    load_backend,
    load_run,
    say,
    show_news,
    written,
)
from multimodal.core.errors import RunError


def evaluate(run: RunFolder, file: File, images: Images = None) -> None:
    """Measure the model of RUN on FILE, which holds the target."""
    with show_news():
        found = load_run(run).evaluate(file, images=images)
    for head, scores in found.items():
        shown = "  ".join(f"{name} {_short(value)}" for name, value in scores.items())
        print(f"{head}: {shown}")


def _short(value: float) -> str:
    """Show four digits, or all of a whole number."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1e4 else f"{value:.4g}"


def explain(
    run: RunFolder,
    file: Annotated[
        Path | None, typer.Argument(help="Rows to explain; none is needed for --importance.")
    ] = None,
    images: Images = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pages; default: runs/explain, numbered.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="Head to explain; default: the first.")] = None,
    label: Annotated[
        str | None, typer.Option("--class", help="Class or label to explain; default: predicted.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to explain at most.")] = 20,
    importance: Annotated[
        bool,
        typer.Option("--importance", help="Show what the model needs, on FILE or the test rows."),
    ] = False,
) -> None:
    """Say why RUN predicts what it does for each row of FILE, or what it needs in general."""
    if importance:
        return show_importance(run, file, images)
    if file is None:
        raise RunError("FILE is missing; expected the rows to explain, or --importance.")
    load_backend()
    from multimodal.data.read.readers import open_table
    from multimodal.explain.page import write_pages

    table, root = open_table(file, images, allow_empty=True)
    found = load_run(run).explain(file, images=images, head=head, label=label, limit=limit)
    for fault in table.rejected[:MOST]:
        say(f"{table.place_of(fault)}: not explained; {fault.reason}")
    if len(table.frame) > limit:
        say(f"the first {limit:,} of {len(table.frame):,} rows are explained; see --limit")
    out = out or free_folder(Path("runs/explain"), "")
    with written(out):
        out.mkdir(parents=True, exist_ok=True)
        paths = write_pages(found, out, root, title=str(file))
    for each in found:
        remarks = f" ({'; '.join(each.remarks)})" if each.remarks else ""
        say(f"{each.place}: {each.prediction}{remarks}")
    say(f"page: {paths[1] if len(found) == 1 else paths[0]}")


def show_importance(run: Path, file: Path | None, images: Path | None) -> None:
    """Print what each head needs, measured on FILE or, by the training, on the test rows."""
    from rich.table import Table as Printed

    from multimodal.evaluation.measures import metric_label as named
    from multimodal.evaluation.records import IMPORTANCE_FILE, Importance
    from multimodal.report.sections import importance_rows

    with show_news():
        found = load_run(run).importance(file, images=images) if file else Importance.read(run)
    if not found.heads:
        raise RunError(f"{run / IMPORTANCE_FILE}: not there; name a FILE that holds the targets.")
    for name, head in found.heads.items():
        printed = Printed(
            title=f"{name}: {named(head.metric)} of {head.rows:,} rows, where one is shuffled"
        )
        for title in ("shuffled", "what", "error grows by", "95 %"):
            printed.add_column(title, justify="left" if title in ("shuffled", "what") else "right")
        for row in importance_rows(head):
            printed.add_row(row["name"], row["kind"], row["change"], row["interval"])
        console_on(sys.stdout).print(printed)


def predict(
    run: RunFolder,
    file: File,
    images: Images = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV to write; default: standard output.")
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(help="Add intervals that hold the truth of this share of rows, such as 0.9."),
    ] = None,
) -> None:
    """Predict every row of FILE, which needs no target column."""
    if out is not None and not out.absolute().parent.is_dir():
        raise RunError(f"{out}: no such folder to write to. Name another --out.")
    predictions = load_run(run).predict(file, images=images, level=level)
    for name, number in predictions.counts.items():
        if number:
            say(f"{name}: {number:,}")
    if predictions.unused_columns:
        say(f"columns not used: {', '.join(predictions.unused_columns)}")
    if out is None:
        predictions.frame.to_csv(sys.stdout, index=False)
    else:
        with written(out):
            predictions.frame.to_csv(out, index=False)
        say(f"{len(predictions.frame):,} rows written to {out}")


def report(
    run: RunFolder,
    file: Annotated[
        Path | None,
        typer.Argument(help="File that RUN was made from; without, no single rows are shown."),
    ] = None,
    images: Images = None,
) -> None:
    """Write the report and the model card of RUN anew, as after an upgrade."""
    from multimodal.report.report import rewrite_report

    with written(run):
        page = rewrite_report(run, file, images=images)
    if file is None:
        say("without FILE, the page shows no texts, photos and categories of the test rows")
    say(f"report: {page}")
