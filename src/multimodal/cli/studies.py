"""Commands that fit many models: to compare them, or to find a better config."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

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


@takes(DIALECT, PHOTOS, PRETRAINED, COLUMNS, SPLIT)
def compare(
    file: File,
    target: Targets = None,
    weight: Weight = None,
    images: Images = None,
    folds: Annotated[int, typer.Option(min=2, max=100, help="Number of folds.")] = 5,
    folds_column: Annotated[
        str | None, typer.Option(help="Column of FILE that names each row's fold.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Seeds of every fit.")] = 3,
    fusion: Annotated[
        list[str] | None, typer.Option(help="Fusion; may be repeated, the first reads subsets.")
    ] = None,
    config: ConfigFile = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; default: runs/comparison, numbered.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Time after which no further fit starts.")
    ] = None,
    *,
    data: Mapping[str, Any],
) -> None:
    """Compare models on the same folds of FILE: what do photos and sentences add?"""
    load_backend()
    # After `load_backend`, as the first import of Keras decides what it prints; and not above, as
    # `--help` should not wait for Keras.
    from multimodal.core.presets import as_config
    from multimodal.studies.compare.compare import compare as run
    from multimodal.studies.compare.summary import show_leaderboard

    out, command = _study(out, "comparison")
    with show_news():
        record = run(
            file,
            target or [],
            out=out,
            config=as_config(config, data=data),
            folds=folds,
            weight=weight,
            folds_column=folds_column,
            seeds=seeds,
            fusions=fusion or [],
            images=images,
            minutes=minutes,
            command=command,
        )
    show_leaderboard(record, console_on(sys.stdout))
    say(f"table, picture and every answer: {out}")


@takes(DIALECT, PHOTOS, PRETRAINED, COLUMNS, SPLIT)
def tune(
    file: File,
    target: Targets = None,
    weight: Weight = None,
    images: Images = None,
    minutes: Annotated[float, typer.Option(min=0, help="Time for trials.")] = 30.0,
    config: Annotated[Path | None, typer.Option(help="YAML file to start from.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default: runs/tuned, numbered.")] = None,
    *,
    data: Mapping[str, Any],
) -> None:
    """Search for a better config on FILE within a time, and write it as best.yaml."""
    load_backend()
    from multimodal.core.presets import as_config
    from multimodal.studies.tune.trials import BEST_FILE, show_tuning
    from multimodal.studies.tune.tune import tune as run

    out, command = _study(out, "tuned")
    with show_news():
        record = run(
            file,
            target or [],
            out=out,
            config=as_config(config, data=data),
            minutes=minutes,
            weight=weight,
            images=images,
            command=command,
        )
    show_tuning(record, console_on(sys.stdout))
    say(f"to train with: --config {out / BEST_FILE}")


def _study(out: Path | None, name: str) -> tuple[Path, str]:
    """Return the folder of a study, and the command that goes on with it."""
    from multimodal.studies.folder import REQUEST_FILE

    command = command_line()
    return out or free_folder(Path("runs", name), command, REQUEST_FILE), command
