"""The `multimodal` command: from looking at a table to explaining a prediction.

Exit codes: 0 on success, 2 for what the user can mend, 130 after a Ctrl-C that leaves no run, 143
after SIGTERM; the same `train` command goes on with a training that was cut off.
"""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from multimodal.errors import ConfigError, MultimodalError, RunError

if TYPE_CHECKING:
    from rich.console import Console

    from multimodal.config import Config
    from multimodal.run import Run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Models for tables that also hold sentences and photos.",
)
MOST = 10
File = Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or JSON Lines file.")]
Images = Annotated[
    Path | None, typer.Option(help="Folder that photo paths start from; default: the file's own.")
]
RunFolder = Annotated[Path, typer.Argument(help="Run directory that training wrote.")]


@app.command()
def inspect(
    file: File,
    target: Annotated[list[str] | None, typer.Option(help="Column to predict.")] = None,
    images: Images = None,
    out: Annotated[Path | None, typer.Option(help="Save the schema as JSON, to edit.")] = None,
) -> None:
    """Show what each column of FILE is taken for, and why."""
    from rich.table import Table as Printed

    from multimodal.data.readers import open_table
    from multimodal.data.sampling import sample_rows, sampled_schema
    from multimodal.data.schema import infer_schema

    table, root = open_table(file, images)
    infer = partial(infer_schema, targets=target or [], photo_root=root)
    schema = sampled_schema(table, infer)
    looked_at = len(sample_rows(table.frame))
    if looked_at < len(table.frame):
        _say(f"larger than memory should hold: a random sample of {looked_at:,} rows is looked at")
    printed = Printed(
        title=f"{file}: {table.rows_read:,} rows, {len(table.quarantine):,} set aside"
    )
    for name in ("column", "kind", "missing", "distinct", "example", "note"):
        printed.add_column(name)
    for row in schema.rows():
        printed.add_row(*row)
    _console(sys.stdout).print(printed)
    for fault in table.quarantine[:MOST]:
        _say(f"{table.place_of(fault)}: {fault.reason}")
    if len(table.quarantine) > MOST:
        _say(f"… and {len(table.quarantine) - MOST:,} more rows set aside")
    if out is not None:
        with _written(out):
            schema.save(out)
        _say(f"schema saved to {out}")


@app.command()
def audit(
    file: File,
    target: Annotated[
        list[str] | None, typer.Option(help="Column to predict; may be repeated.")
    ] = None,
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
    from multimodal.audit_view import PAGE_FILE, show_audit, write_audit_page
    from multimodal.data.audit import audit_table
    from multimodal.data.audit_records import AUDIT_FILE
    from multimodal.data.quarantine import QUARANTINE_FILE, write_quarantine

    found, table = audit_table(file, target or [], images=images)
    show_audit(found, _console(sys.stdout))
    out = out or free_folder(Path("runs/audit"), "")
    with _written(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / AUDIT_FILE).write_text(found.to_json() + "\n", encoding="utf-8")
        write_audit_page(found, out / PAGE_FILE)
        write_quarantine(table, out / QUARANTINE_FILE)
    _say(f"page: {out / PAGE_FILE}")
    if found.of_level("error"):
        raise typer.Exit(2)
    if strict and found.of_level("warning"):
        raise typer.Exit(1)


@app.command()
def train(
    file: Annotated[
        Path | None, typer.Argument(help="Table to train on; default: the generated catalogue.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Column to predict; may be repeated.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of row weights.")] = None,
    images: Images = None,
    config: Annotated[Path | None, typer.Option(help="YAML file; see the README.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="fast, balanced or best, in place of --config.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory; default: runs/run, numbered.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs to train.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random.")] = None,
    base: Annotated[Path | None, typer.Option("--from", help="Run to start from.")] = None,
    freeze: Annotated[
        list[str] | None, typer.Option(help="Group whose encoder stays as it is.")
    ] = None,
) -> None:
    """Train on FILE and write a run directory with model, metrics, predictions and report."""
    load_backend(several=True)
    from multimodal import workflow
    from multimodal.catalogue import CONFIG, TARGET, catalogue
    from multimodal.engines import leads
    from multimodal.progress import EpochProgress

    wanted = _config(config, preset, epochs=epochs, seed=seed, freeze=freeze or None)
    command = shlex.join(["multimodal", *sys.argv[1:]])
    console, noise, out = _console(), None, out or free_folder(Path("runs/run"), command)
    console.quiet = not leads()
    say, data = partial(_say, console=console), file
    if data is None:
        say("drawing the catalogue (kept for the next time)")
        data, noise = catalogue()
        target, wanted = [TARGET], wanted.merge(**CONFIG)
    if not target and not wanted.heads:
        raise ConfigError(
            f"--target is missing; expected the column to predict. Run `multimodal inspect {file}` "
            "to see the columns."
        )
    with EpochProgress(console) as progress:
        workflow.train(
            data, target or [], out=out, config=wanted, weight=weight, images=images, base=base,
            noise=noise, command=command, say=say,
            callbacks=[progress],
        )  # fmt: skip
    if leads():
        show_comparison(out, console)
        say(f"report: {out / 'report.html'}")


@app.command()
def preset(name: Annotated[str, typer.Argument(help="fast, balanced or best.")]) -> None:
    """Print a preset: a config to keep, edit and train with."""
    from multimodal.preset import preset_text

    print(preset_text(name), end="")


@app.command()
def prepare(
    file: File,
    target: Annotated[
        list[str] | None, typer.Option(help="Column to predict; may be repeated.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of row weights.")] = None,
    images: Images = None,
    config: Annotated[
        Path | None, typer.Option(help="The YAML file to train with; names `data.prepared`.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed to train with.")] = None,
    worker: Annotated[
        str, typer.Option(help="Share of this process, such as 2/4: the second of four.")
    ] = "1/1",
) -> None:
    """Write the prepared data of FILE to disk, where `train` finds them; several may share it."""
    load_backend()
    from multimodal.data.prepare import prepare as make_ready
    from multimodal.data.prepared_sets import is_whole
    from multimodal.data.shards import Worker
    from multimodal.workflow import label_kinds

    wanted = _config(config, seed=seed)
    prepared = make_ready(
        file, target or [], wanted, weight=weight, images=images, label_kinds=label_kinds(),
        worker=Worker.parse(worker),
    )  # fmt: skip
    if not prepared.stored:
        raise ConfigError(
            "the config names no folder for prepared data; expected `data: {prepared: FOLDER}` in "
            "the --config file, which `train` reads, too."
        )
    for folder in prepared.stored:
        _say(f"{folder}: {'whole' if is_whole(folder) else 'other workers have not finished'}")


@app.command()
def compare(
    file: File,
    target: Annotated[
        list[str] | None, typer.Option(help="Column to predict; may be repeated.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of row weights.")] = None,
    images: Images = None,
    folds: Annotated[int, typer.Option(min=2, max=100, help="Number of folds.")] = 5,
    folds_column: Annotated[
        str | None, typer.Option(help="Column of FILE that names each row's fold.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Seeds of every fit.")] = 3,
    fusion: Annotated[
        list[str] | None, typer.Option(help="Fusion; may be repeated, the first reads subsets.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file; see the README.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; default: runs/comparison, numbered.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Time after which no further fit starts.")
    ] = None,
) -> None:
    """Compare models on the same folds of FILE: what do photos and sentences add?"""
    load_backend()
    from multimodal.cross_validation import compare as run
    from multimodal.standings_view import show_standings
    from multimodal.study_folder import ASKED

    command = shlex.join(["multimodal", *sys.argv[1:]])
    out = out or free_folder(Path("runs/comparison"), command, ASKED)
    record = run(
        file, target or [], out=out, config=_config(config), folds=folds, weight=weight,
        folds_column=folds_column, seeds=seeds, fusions=fusion or [], images=images,
        minutes=minutes, command=command, say=_say,
    )  # fmt: skip
    show_standings(record, _console(sys.stdout))
    _say(f"table, picture and every answer: {out}")


@app.command()
def tune(
    file: File,
    target: Annotated[
        list[str] | None, typer.Option(help="Column to predict; may be repeated.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of row weights.")] = None,
    images: Images = None,
    minutes: Annotated[float, typer.Option(min=0, help="Time for trials.")] = 30.0,
    config: Annotated[Path | None, typer.Option(help="YAML file to start from.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default: runs/tuned, numbered.")] = None,
) -> None:
    """Search for a better config on FILE within a time, and write it as best.yaml."""
    load_backend()
    from multimodal.study_folder import ASKED
    from multimodal.tuning import tune as run
    from multimodal.tuning_records import BEST_FILE, show_tuning

    command = shlex.join(["multimodal", *sys.argv[1:]])
    out = out or free_folder(Path("runs/tuned"), command, ASKED)
    record = run(
        file, target or [], out=out, config=_config(config), minutes=minutes, weight=weight,
        images=images, command=command, say=_say,
    )  # fmt: skip
    show_tuning(record, _console(sys.stdout))
    _say(f"to train with: --config {out / BEST_FILE}")


@app.command()
def evaluate(run: RunFolder, file: File, images: Images = None) -> None:
    """Measure the model of RUN on FILE, which holds the target."""
    for head, scores in _load(run).evaluate(file, images=images, say=_say).items():
        shown = "  ".join(f"{name} {_short(value)}" for name, value in scores.items())
        print(f"{head}: {shown}")


@app.command()
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
    from multimodal.data.readers import open_table
    from multimodal.explain.page import write_pages

    table, root = open_table(file, images, allow_empty=True)
    found = _load(run).explain(file, images=images, head=head, label=label, limit=limit)
    for fault in table.quarantine[:MOST]:
        _say(f"{table.place_of(fault)}: not explained; {fault.reason}")
    if len(table.frame) > limit:
        _say(f"the first {limit:,} of {len(table.frame):,} rows are explained; see --limit")
    out = out or free_folder(Path("runs/explain"), "")
    with _written(out):
        out.mkdir(parents=True, exist_ok=True)
        paths = write_pages(found, out, root, title=str(file))
    for each in found:
        remarks = f" ({'; '.join(each.remarks)})" if each.remarks else ""
        _say(f"{each.place}: {each.answer}{remarks}")
    _say(f"page: {paths[1] if len(found) == 1 else paths[0]}")


def show_importance(run: Path, file: Path | None, images: Path | None) -> None:
    """Print what each head needs, measured on FILE or, by the training, on the test rows."""
    from rich.table import Table as Printed

    from multimodal.evaluation.measures import label as named
    from multimodal.importance import IMPORTANCE_FILE, Importance
    from multimodal.importance_view import importance_rows

    found = _load(run).importance(file, images=images, say=_say) if file else Importance.read(run)
    if not found.heads:
        raise RunError(f"{run / IMPORTANCE_FILE}: not there; name a FILE that holds the targets.")
    for name, head in found.heads.items():
        printed = Printed(title=f"{name}: {named(head.metric)} of {head.rows:,} rows, "
                          "where one is shuffled")  # fmt: skip
        for title in ("shuffled", "what", "error grows by", "95 %"):
            printed.add_column(title, justify="left" if title in ("shuffled", "what") else "right")
        for row in importance_rows(head):
            printed.add_row(row["name"], row["kind"], row["change"], row["interval"])
        _console(sys.stdout).print(printed)


@app.command()
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
    predictions = _load(run).predict(file, images=images, level=level)
    for name, number in predictions.counts.items():
        if number:
            _say(f"{name}: {number:,}")
    if predictions.unused_columns:
        _say(f"columns not used: {', '.join(predictions.unused_columns)}")
    if out is None:
        predictions.frame.to_csv(sys.stdout, index=False)
    else:
        with _written(out):
            predictions.frame.to_csv(out, index=False)
        _say(f"{len(predictions.frame):,} rows written to {out}")


@app.command()
def report(
    run: RunFolder,
    file: Annotated[
        Path | None,
        typer.Argument(help="File that RUN was made from; without, no single rows are shown."),
    ] = None,
    images: Images = None,
) -> None:
    """Write the report and the model card of RUN anew, as after an upgrade."""
    from multimodal.report_rows import rewrite_report

    with _written(run):
        page = rewrite_report(run, file, images=images)
    if file is None:
        _say("without FILE, the page shows no texts, photos and categories of the test rows")
    _say(f"report: {page}")


def show_comparison(run: Path, console: Console) -> None:
    """Print the comparison of a run as a table, best model first."""
    from rich.table import Table as Printed

    from multimodal.evaluation import RunMetrics, main_metric
    from multimodal.evaluation.measures import BESIDE, ranked, written

    record = RunMetrics.read(run)
    for head, scores in record.comparison.items():
        metric = main_metric(scores)
        shown = (metric, *BESIDE.get(metric, ())[:1])
        printed = Printed(title=f"{head}: the test rows, best model first")
        for name in ("model", "reads", *shown, "parameters", "seconds"):
            printed.add_column(name, justify="left" if name in ("model", "reads") else "right")
        for score in ranked(scores, metric):
            values = [written(name, score.metrics.get(name), 4) for name in shown]
            costs = (f"{score.parameters:,}", f"{score.seconds:.1f}")
            printed.add_row(score.name, score.inputs, *values, *costs)
        limit = record.limit.get(head, {}).get(metric)
        if limit is not None:
            printed.add_row("known limit", "everything", written(metric, limit, 4), "", "", "")
        console.print(printed)


def _config(path: Path | None, name: str | None = None, **options: Any) -> Config:
    from multimodal.config import Config
    from multimodal.preset import preset as named

    if path is not None and name is not None:
        raise ConfigError(
            "both --config and --preset are given; expected one. `multimodal preset NAME` prints a "
            "preset, to be kept as a config and edited."
        )
    config = named(name or "balanced") if path is None else Config.from_yaml(path)
    given = {name: value for name, value in options.items() if value is not None}
    return config.merge(training=given) if given else config


def _load(run: Path) -> Run:
    load_backend()
    from multimodal.run import load

    return load(run)


@contextmanager
def _written(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"{out}: cannot be written ({reason}). Name another --out.") from None


def _short(value: float) -> str:
    """Show four digits, or all of a whole number."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1e4 else f"{value:.4g}"


def _console(file: TextIO | None = None) -> Console:
    """Return a console on `file` or standard error that prints what it is given, as it is."""
    from rich.console import Console

    return Console(file=file, stderr=file is None, markup=False, highlight=False, emoji=False)


def _say(message: str, console: Console | None = None) -> None:
    """Print a line of news to standard error, where it does not mix with predictions."""
    (console or _console()).print(message, soft_wrap=True)


def free_folder(wanted: Path, command: str, record: str = "unfinished.json") -> Path:
    """Return `wanted`, or `wanted-2`, `wanted-3` … where it is taken.

    A folder whose `record` is of the same command is free for it to go on.
    """
    from multimodal.unfinished import read_record

    numbered = (wanted.with_name(f"{wanted.name}-{i}") for i in count(2))
    for folder in chain([wanted], numbered):
        if not folder.exists() or (read_record(folder, record) or {}).get("command") == command:
            return folder
    raise AssertionError("the numbers have no end")


@contextmanager
def report_errors() -> Iterator[None]:
    """Print a mendable error without a traceback and exit with 2; Ctrl-C exits with 130."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (MultimodalError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def load_backend(*, several: bool = False) -> None:
    """Import Keras and its backend without the start-up chatter of their C++ libraries.

    With `several`, join the processes that the environment names before anything is computed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        keras = importlib.import_module("keras")
        if several:
            importlib.import_module("multimodal.engines").join()
        keras.ops.zeros(())
        importlib.import_module("tensorflow")
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # a model per baseline: it retraces
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def main() -> None:
    """Run the command."""
    with report_errors():
        app(prog_name="multimodal")
