"""Commands about weights of pretrained models: where they lie, and to fetch them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from multimodal.cli.options import console_on, say, show_news

app = typer.Typer(invoke_without_command=True, help="Weights of pretrained models: list, fetch.")


@app.callback()
def weights(context: typer.Context) -> None:
    """Show the pretrained models where no other command is named."""
    if context.invoked_subcommand is None:
        list_weights()


@app.command("list")
def list_weights() -> None:
    """Show the pretrained models, and where their weights lie on this machine."""
    from rich.table import Table as Printed

    from multimodal.core.pretrained import PRETRAINED, weights_here

    printed = Printed()
    for title in ("name", "reads", "features", "MB", "licence", "languages", "here"):
        number = title in ("features", "MB")
        printed.add_column(title, justify="right" if number else "left", overflow="fold")
    for name, model in PRETRAINED.items():
        numbers = [f"{number:,}" if number else "–" for number in (model.dim, model.megabytes)]
        place = weights_here(name)
        printed.add_row(
            name, model.modality, *numbers, model.licence, model.languages, str(place or "–")
        )
    console_on(sys.stdout).print(printed)


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="Pretrained model, as `weights list` names it.")],
    to: Annotated[
        Path | None,
        typer.Option(help="Folder; default: MULTIMODAL_WEIGHTS, else one in the cache folder."),
    ] = None,
) -> None:
    """Fetch the published weights of a pretrained model, and check them."""
    from multimodal.core.fetch import fetch_weights
    from multimodal.core.pretrained import FOLDER, weights_here

    with show_news():
        folder = fetch_weights(name, to)
    say(f"weights: {folder}")
    if weights_here(name) != folder:
        say(f"they are found with {FOLDER}={folder.parent}")
