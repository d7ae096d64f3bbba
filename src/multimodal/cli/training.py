"""Commands that train a model, and make ready for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from multimodal.cli.options import (
    COLUMNS,
    DIALECT,
    PHOTOS,
    PRETRAINED,
    SPLIT,
    ConfigFile,
    File,
    Images,
    Targets,
    Weight,
    command_line,
    console_on,
    free_folder,
    load_backend,
    say,
    show_news,
    takes,
)
from multimodal.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from multimodal.integrations.tracking import Tracker


@takes(DIALECT, PHOTOS, PRETRAINED, COLUMNS, SPLIT)
def train(
    file: Annotated[
        Path | None, typer.Argument(help="Table to train on; default: the generated catalogue.")
    ] = None,
    target: Targets = None,
    weight: Weight = None,
    images: Images = None,
    config: ConfigFile = None,
    preset: Annotated[
        str | None, typer.Option(help="fast, balanced or best, in place of --config.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory; default: runs/run, numbered.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs to train.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="All that the training may take, the report included.")
    ] = None,
    base: Annotated[Path | None, typer.Option("--from", help="Run to start from.")] = None,
    freeze: Annotated[
        list[str] | None, typer.Option(help="Group whose encoder stays as it is.")
    ] = None,
    baselines: Annotated[
        bool | None, typer.Option(help="Fit the models that the comparison is with.")
    ] = None,
    explanations: Annotated[
        bool | None, typer.Option(help="Measure what the model needs, and explain example rows.")
    ] = None,
    report: Annotated[
        bool | None, typer.Option(help="Write report, model card, plots and pages.")
    ] = None,
    tracker: Annotated[
        str | None, typer.Option(help="Send curves, metrics and the run to mlflow or tensorboard.")
    ] = None,
    *,
    data: Mapping[str, Any],
) -> None:
    """Train on FILE and write a run directory with model, metrics, predictions and report."""
    load_backend(several=True)
    from multimodal.core.presets import as_config
    from multimodal.data.generated import CONFIG, TARGET, catalogue
    from multimodal.models.training.devices import is_chief
    from multimodal.models.training.progress import EpochProgress
    from multimodal.runs import train as workflow

    wanted = as_config(
        config,
        preset,
        data=data,
        epochs=epochs,
        seed=seed,
        minutes=minutes,
        freeze=freeze or None,
        baselines=baselines,
        explanations=explanations,
        report=report,
    )
    command = command_line()
    console, noise, out = console_on(), None, out or free_folder(Path("runs/run"), command)
    # of several processes on one terminal, one speaks
    console.quiet = not is_chief()
    news, table = partial(say, console=console), file
    if table is None:
        news("drawing the catalogue (kept for the next time)")
        table, noise = catalogue()
        target, wanted = [TARGET], wanted.merge(**CONFIG)
    if not target and not wanted.heads:
        raise ConfigError(
            f"--target is missing; expected the column to predict. Run `multimodal inspect {file}` "
            "to see the columns."
        )
    trackers = _trackers(tracker, out) if is_chief() else []
    with EpochProgress(console) as progress, show_news(console):
        workflow.train(
            table,
            target or [],
            out=out,
            config=wanted,
            weight=weight,
            images=images,
            base=base,
            noise=noise,
            command=command,
            callbacks=[progress, *trackers],
        )
    if is_chief():
        show_comparison(out, console)
        page = out / "report.html"
        news(f"report: {page}" if page.exists() else f"run: {out}")
    for each in trackers:
        each.finish(out)


def _trackers(name: str | None, out: Path) -> list[Tracker]:
    """Return the tracker of a name; a wrong name is told before hours of training."""
    if name is None:
        return []
    from multimodal.integrations.tracking import tracker

    return [tracker(name, out)]


def show_comparison(run: Path, console: Console) -> None:
    """Print the comparison of a run as a table, best model first, and what it comes to."""
    from rich.table import Table as Printed

    from multimodal.evaluation.measures import BESIDE, format_metric, main_metric, ranked
    from multimodal.report.run_files import read_files
    from multimodal.report.verdict import model_intervals, verdict

    files = read_files(run, {}, None)
    record = files.metrics
    for head, scores in record.comparison.items():
        metric = main_metric(scores, record.optimised(head))
        shown = (metric, *BESIDE.get(metric, ())[:1])
        printed = Printed(title=f"{head}: the test rows, best model first")
        for name in ("model", "reads", *shown, "parameters", "seconds"):
            printed.add_column(name, justify="left" if name in ("model", "reads") else "right")
        for score in ranked(scores, metric):
            values = [format_metric(name, score.metrics.get(name), 4) for name in shown]
            costs = (f"{score.parameters:,}", f"{score.seconds:.1f}")
            printed.add_row(score.name, score.inputs, *values, *costs)
        limit = record.limit.get(head, {}).get(metric)
        if limit is not None:
            printed.add_row(
                "known limit", "everything", format_metric(metric, limit, 4), "", "", ""
            )
        console.print(printed)
    for head in record.comparison:
        found = verdict(record, head, model_intervals(files, head))
        console.print(found.headline, soft_wrap=True, markup=False)


def preset(name: Annotated[str, typer.Argument(help="fast, balanced or best.")]) -> None:
    """Print a preset: a config to keep, edit and train with."""
    from multimodal.core.presets import preset_text

    print(preset_text(name), end="")


@takes(DIALECT, PHOTOS, PRETRAINED, COLUMNS, SPLIT)
def prepare(
    file: File,
    target: Targets = None,
    weight: Weight = None,
    images: Images = None,
    config: Annotated[
        Path | None, typer.Option(help="The YAML file to train with; names `data.prepared`.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed to train with.")] = None,
    worker: Annotated[
        str, typer.Option(help="Share of this process, such as 2/4: the second of four.")
    ] = "1/1",
    *,
    data: Mapping[str, Any],
) -> None:
    """Write the prepared data of FILE to disk, where `train` finds them; several may share it."""
    load_backend()
    from multimodal.core.presets import as_config
    from multimodal.data.prepare import prepare as make_ready
    from multimodal.data.prepared_sets import is_complete
    from multimodal.data.shards import Worker
    from multimodal.runs.train import label_kinds

    wanted = as_config(config, data=data, seed=seed)
    prepared = make_ready(
        file,
        target or [],
        wanted,
        weight=weight,
        images=images,
        label_kinds=label_kinds(),
        worker=Worker.parse(worker),
    )
    if not prepared.stored:
        raise ConfigError(
            "the config names no folder for prepared data; expected `data: {prepared: FOLDER}` in "
            "the --config file, which `train` reads, too."
        )
    for folder in prepared.stored:
        say(f"{folder}: {'whole' if is_complete(folder) else 'other workers have not finished'}")
