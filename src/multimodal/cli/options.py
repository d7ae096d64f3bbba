"""What the commands share: their options, and what these name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from multimodal.cli.terminal import load_backend
from multimodal.core.errors import ConfigError

if TYPE_CHECKING:
    from multimodal.core.config import Config
    from multimodal.runs.run import Run

MOST = 10  # rows set aside that are told one by one
File = Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or JSON Lines file.")]
Images = Annotated[
    Path | None, typer.Option(help="Folder that photo paths start from; default: the file's own.")
]
Targets = Annotated[list[str] | None, typer.Option(help="Column to predict; may be repeated.")]
Weight = Annotated[str | None, typer.Option(help="Column of row weights.")]
ConfigFile = Annotated[Path | None, typer.Option(help="YAML file; see the README.")]
RunFolder = Annotated[Path, typer.Argument(help="Run directory that training wrote.")]


def config_of(path: Path | None, name: str | None = None, **options: Any) -> Config:
    """Return the config of a YAML file or a preset, with the training options that are not None.

    Raises:
        ConfigError: Both are given, the file cannot be read, or an option is none.
    """
    from multimodal.core.config import Config
    from multimodal.core.presets import preset as named

    if path is not None and name is not None:
        raise ConfigError(
            "both --config and --preset are given; expected one. `multimodal preset NAME` prints a "
            "preset, to be kept as a config and edited."
        )
    config = named(name or "balanced") if path is None else Config.from_yaml(path)
    given = {name: value for name, value in options.items() if value is not None}
    return config.merge(training=given) if given else config


def load_run(run: Path) -> Run:
    """Return the run in a folder; raise RunError where there is none."""
    load_backend()
    from multimodal.runs.run import load

    return load(run)
