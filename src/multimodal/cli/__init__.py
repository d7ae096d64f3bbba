"""The `multimodal` command: from looking at a table to explaining a prediction.

Exit codes: 0 on success, 2 for what the user can mend, 130 after a Ctrl-C that leaves no run, 143
after SIGTERM; the same `train` command goes on with a training that was cut off.
"""

from __future__ import annotations

from typing import Annotated

import typer

from multimodal import __version__
from multimodal.cli import data, runs, serve, sharing, studies, training, weights
from multimodal.cli.options import (
    free_folder,
    load_backend,
    plain_warnings,
    report_errors,
    show_news,
)
from multimodal.cli.training import show_comparison

__all__ = [
    "app",
    "free_folder",
    "load_backend",
    "main",
    "report_errors",
    "show_comparison",
    "show_news",
]

app = typer.Typer(
    no_args_is_help=True,
    # errors are printed by `report_errors`, in a line
    pretty_exceptions_enable=False,
)
COMMANDS = (
    data.inspect,
    data.audit,
    training.train,
    training.preset,
    training.prepare,
    studies.compare,
    studies.tune,
    runs.evaluate,
    runs.explain,
    runs.export,
    runs.predict,
    runs.report,
    serve.serve,
    sharing.push,
    sharing.pull,
)
for _command in COMMANDS:
    app.command()(_command)
app.add_typer(weights.app, name="weights")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"multimodal {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Models for tables that also hold sentences and photos."""


def main() -> None:
    """Run the command."""
    with report_errors(), plain_warnings():
        app(prog_name="multimodal")
