"""What the commands share: options, news on the terminal, output folders, errors and exit codes."""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from multimodal.core.errors import MultimodalError, RunError

if TYPE_CHECKING:
    from rich.console import Console

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


def console_on(file: TextIO | None = None) -> Console:
    """Return a console on `file` or standard error that prints what it is given, as it is."""
    from rich.console import Console

    return Console(file=file, stderr=file is None, markup=False, highlight=False, emoji=False)


def say(message: str, console: Console | None = None) -> None:
    """Print a line of news to standard error, where it does not mix with predictions."""
    (console or console_on()).print(message, soft_wrap=True)


class NewsHandler(logging.Handler):
    """Print what the package logs, each record a line; warnings begin with `warning: `."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        say(mark + record.getMessage(), self.console)


@contextmanager
def show_news(console: Console | None = None) -> Iterator[None]:
    """Print the news of the logger `multimodal` on a console, or standard error, meanwhile."""
    logger, handler = logging.getLogger("multimodal"), NewsHandler(console)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def command_line() -> str:
    """Return the command of this process as a person would give it again."""
    return shlex.join(["multimodal", *sys.argv[1:]])


@contextmanager
def written(out: Path) -> Iterator[None]:
    """Raise RunError, which names `out`, where something inside cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"{out}: cannot be written ({reason}). Name another --out.") from None


def free_folder(wanted: Path, command: str, record: str = "unfinished.json") -> Path:
    """Return `wanted`, or `wanted-2`, `wanted-3` … where it is taken.

    A folder whose `record` is of the same command is free for it to go on.
    """
    from multimodal.core.interrupted import read_record

    numbered = (wanted.with_name(f"{wanted.name}-{i}") for i in count(2))
    for folder in chain([wanted], numbered):
        if not folder.exists() or (read_record(folder, record) or {}).get("command") == command:
            return folder
    raise AssertionError("the numbers have no end")


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print what a user is warned of, such as an old config key, as a line of news."""
    with warnings.catch_warnings():
        show_as_code = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **at: Any) -> None:
            if issubclass(category, FutureWarning):
                say(f"warning: {message}")
            else:
                show_as_code(message, category, *place, **at)

        # Python's own form names a line of this package, as if that were at fault.
        warnings.showwarning = show
        yield


@contextmanager
def report_errors() -> Iterator[None]:
    """Print a mendable error without a traceback and exit with 2; Ctrl-C exits with 130."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python flushes standard output once more at
        # exit, which would fail again: it gets somewhere to write to.
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
    # XLA, oneDNN and CUDA write to the file descriptor, past `sys.stderr` and every Python setting.
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        keras = importlib.import_module("keras")
        if several:
            importlib.import_module("multimodal.models.training.devices").join()
        keras.ops.zeros(())
        importlib.import_module("tensorflow")
        # A run predicts with a model per network and baseline, and TensorFlow counts its traces by
        # function, not by model: it would warn of retracing in every run.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def load_run(run: Path) -> Run:
    """Return the run in a folder; raise RunError where there is none."""
    load_backend()
    from multimodal.runs.run import load

    return load(run)
