"""Commands that use a run: measure, predict, explain, report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from multimodal.cli.options import (
    DIALECT,
    MOST,
    PHOTOS,
    File,
    Images,
    RunFolder,
    console_on,
    free_folder,
    load_run,
    photo_folder,
    rows_of,
    say,
    show_news,
    takes,
)
from multimodal.cli.output import STANDARD, check_output, named_input, write_table
from multimodal.core.errors import RunError
from multimodal.runs.tables import written


@takes(DIALECT, PHOTOS)
def evaluate(run: RunFolder, file: File, images: Images = None, *, data: Mapping[str, Any]) -> None:
    """Measure the model of RUN on FILE, which holds the target."""
    with show_news():
        fitted = load_run(run)
        found = fitted.evaluate(
            rows_of(file, fitted.config, data), images=photo_folder(images, data)
        )
    for head, scores in found.items():
        shown = "  ".join(f"{name} {_short(value)}" for name, value in scores.items())
        print(f"{head}: {shown}")


def _short(value: float) -> str:
    """Show four digits, or all of a whole number."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1e4 else f"{value:.4g}"


@takes(DIALECT, PHOTOS)
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
    *,
    data: Mapping[str, Any],
) -> None:
    """Say why RUN predicts what it does for each row of FILE, or what it needs in general."""
    if importance:
        return show_importance(run, file, images, data)
    if file is None:
        raise RunError("FILE is missing; expected the rows to explain, or --importance.")
    photos = photo_folder(images, data)
    with show_news():
        fitted = load_run(run)
        table = rows_of(file, fitted.config, data, allow_empty=True)
    found = fitted.explain(table, images=photos, head=head, label=label, limit=limit)
    from multimodal.data.photos.locate import photo_root
    from multimodal.explain.neighbours import VECTORS_FILE
    from multimodal.explain.page import write_pages

    for fault in table.rejected[:MOST]:
        say(f"{table.place_of(fault)}: not explained; {fault.reason}")
    if len(table.frame) > limit:
        say(f"the first {limit:,} of {len(table.frame):,} rows are explained; see --limit")
    if not (run / VECTORS_FILE).exists():
        say("no training rows like these are named: the training left explanations out")
    out = out or free_folder(Path("runs/explain"), "")
    with written(out):
        out.mkdir(parents=True, exist_ok=True)
        paths = write_pages(found, out, photo_root(photos, table.root), title=str(file))
    for each in found:
        remarks = f" ({'; '.join(each.remarks)})" if each.remarks else ""
        say(f"{each.place}: {each.prediction}{remarks}")
    say(f"page: {paths[1] if len(found) == 1 else paths[0]}")


def show_importance(
    run: Path, file: Path | None, images: Path | None, data: Mapping[str, Any]
) -> None:
    """Print what each head needs, measured on FILE or, by the training, on the test rows."""
    from rich.table import Table as Printed

    from multimodal.evaluation.measures import metric_label as named
    from multimodal.evaluation.records import IMPORTANCE_FILE, Importance
    from multimodal.report.sections import importance_rows

    with show_news():
        if file is None:
            found = Importance.read(run)
        else:
            fitted = load_run(run)
            found = fitted.importance(
                rows_of(file, fitted.config, data), images=photo_folder(images, data)
            )
    if not found.heads:
        raise RunError(
            f"{run / IMPORTANCE_FILE}: not there; the training was interrupted, or left "
            "explanations out. Name a FILE that holds the targets, and it is measured on that."
        )
    for name, head in found.heads.items():
        printed = Printed(
            title=f"{name}: {named(head.metric)} of {head.rows:,} rows, where one is shuffled"
        )
        for title in ("shuffled", "what", "error grows by", "95 %"):
            printed.add_column(title, justify="left" if title in ("shuffled", "what") else "right")
        for row in importance_rows(head):
            printed.add_row(row["name"], row["kind"], row["change"], row["interval"])
        console_on(sys.stdout).print(printed)


@takes(DIALECT, PHOTOS)
def predict(
    run: RunFolder,
    file: Annotated[
        list[Path],
        typer.Argument(help="CSV, Excel, Parquet or JSON Lines files, folders or 'patterns*'."),
    ],
    images: Images = None,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV, TSV, Parquet or JSON Lines file; default: standard output, CSV."),
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(help="Add intervals that hold the truth of this share of rows, such as 0.9."),
    ] = None,
    escape: Annotated[
        bool,
        typer.Option(
            "--escape-formulas/--keep-formulas",
            help="Put a ' before texts in CSV that a spreadsheet would run as formulas.",
        ),
    ] = True,
    worker: Annotated[
        str, typer.Option(help="Share of this process, such as 2/4: the second of four.")
    ] = "1/1",
    *,
    data: Mapping[str, Any],
) -> None:
    """Predict every row of FILE, which needs no target column; - is standard input.

    With --out, files of any size are predicted part by part; the same command goes on after a kill.
    """
    if out is not None and out != STANDARD and STANDARD not in file:
        return _predict_files(run, file, images, out, level, escape, worker, data)
    from multimodal.core.manifest import listed_files

    if len(file) > 1 or worker != "1/1":
        raise RunError("several files, or a --worker, need an --out. Name a file to write to.")
    out, source = out or STANDARD, file[0]
    check_output(out, [source, *listed_files(run)])
    images = images if images is not None or source != STANDARD else Path.cwd()
    with named_input(source) as given, show_news():
        fitted = load_run(run)
        rows = rows_of(given, fitted.config, data, allow_empty=True)
        predictions = fitted.predict(rows, images=photo_folder(images, data), level=level)
    _say_counts(predictions.counts, predictions.unused_columns)
    write_table(predictions.frame, out, escape=escape)
    if out != STANDARD:
        say(f"{len(predictions.frame):,} rows written to {out}")


def _predict_files(
    run: Path,
    files: Sequence[Path],
    images: Path | None,
    out: Path,
    level: float | None,
    escape: bool,
    worker: str,
    data: Mapping[str, Any],
) -> None:
    from multimodal.core.manifest import listed_files
    from multimodal.data.read.table import Dialect
    from multimodal.data.shards import Worker

    share = Worker.parse(worker)
    check_output(out, [*files, *listed_files(run)])  # before the run is loaded, for seconds
    with show_news():
        fitted = load_run(run)
        from multimodal.runs.batch import predict_files

        done = predict_files(
            fitted,
            files,
            out,
            images=photo_folder(images, data),
            level=level,
            asked=Dialect.of(fitted.config.merge(data=data).data),
            escape=escape,
            worker=share,
        )
    _say_counts(done.counts, done.unused_columns)
    if done.finished:
        say(f"{done.rows:,} rows written to {out}")
    elif done.parts == done.of:
        say(f"all {done.of:,} parts are there; another worker is joining them to {out}")
    else:
        say(
            f"{done.parts:,} of {done.of:,} parts are there; {out} is written when other workers "
            "have finished"
        )


def _say_counts(counts: Mapping[str, int], unused: Sequence[str]) -> None:
    for name, number in counts.items():
        if number:
            say(f"{name}: {number:,}")
    if unused:
        say(f"columns not used: {', '.join(unused)}")


@takes(DIALECT, PHOTOS)
def export(
    run: RunFolder,
    form: Annotated[
        str, typer.Option("--format", help="onnx, saved_model, litert or openvino.")
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="New folder; default: RUN-FORMAT beside RUN, numbered.")
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="Table to compare on; default: that of the training, or drawn rows."),
    ] = None,
    images: Images = None,
    *,
    data: Mapping[str, Any],
) -> None:
    """Write RUN for another engine; an export to onnx is used as RUN is, without TensorFlow."""
    with show_news():
        fitted = load_run(run)
        place = run.resolve()
        out = out or free_folder(place.with_name(f"{place.name}-{form}"), "")
        table = None if rows is None else rows_of(rows, fitted.config, data)
        with written(out):
            fitted.export(out, form, rows=table, images=photo_folder(images, data))


@takes(DIALECT, PHOTOS)
def report(
    run: RunFolder,
    file: Annotated[
        Path | None,
        typer.Argument(help="File that RUN was made from; without, no single rows are shown."),
    ] = None,
    images: Images = None,
    *,
    data: Mapping[str, Any],
) -> None:
    """Write the report and the model card of RUN anew, as after an upgrade."""
    from multimodal.core.config import Config
    from multimodal.report.report import rewrite_report
    from multimodal.runtime.export_record import refuse_export

    refuse_export(run)
    # without options, the file is read as the run says
    rows = rows_of(file, Config(), data) if file is not None and data else file
    with written(run):
        page = rewrite_report(run, rows, images=photo_folder(images, data))
    if file is None:
        say("without FILE, the page shows no texts, photos and categories of the test rows")
    say(f"report: {page}")
