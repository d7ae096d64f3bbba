"""What the commands share: options, news on the terminal, output folders, errors and exit codes."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from multimodal.core.errors import ConfigError, MultimodalError, choices, first_line
from multimodal.core.files import quiet_stderr
from multimodal.core.formatting import visible

if TYPE_CHECKING:
    from rich.console import Console

    from multimodal.core.config import Config
    from multimodal.data.photos.locate import PhotoFolder
    from multimodal.data.read.table import Table
    from multimodal.runs.exported import ExportedRun
    from multimodal.runs.run import Run


BACKENDS = ("tensorflow", "jax", "torch")
MOST = 10  # rows set aside that are told one by one
File = Annotated[Path, typer.Argument(help="CSV, Excel, Parquet or JSON Lines file.")]
Images = Annotated[
    Path | None, typer.Option(help="Folder that photo paths start from; default: the file's own.")
]
Targets = Annotated[list[str] | None, typer.Option(help="Column to predict; may be repeated.")]
Weight = Annotated[str | None, typer.Option(help="Column of row weights.")]
ConfigFile = Annotated[Path | None, typer.Option(help="YAML file; see the README.")]
RunFolder = Annotated[Path, typer.Argument(help="Run directory that training wrote.")]
# What a command takes of the section `data` of a config: how FILE is written, its photos, columns.
DIALECT = {
    "separator": Annotated[
        str | None, typer.Option(help="Character between values, such as ';' or tab; else found.")
    ],
    "encoding": Annotated[
        str | None, typer.Option(help="Encoding of FILE, such as cp1252; else found.")
    ],
    "decimal": Annotated[
        str | None, typer.Option(help="Decimal mark of numbers, '.' or ','; else found.")
    ],
    "sheet": Annotated[str | None, typer.Option(help="Sheet of an Excel file; else the first.")],
}
PHOTOS = {
    "follow_links": Annotated[
        bool | None,
        typer.Option("--follow-links", help="Follow links that lead out of the photos' folder."),
    ],
    "download": Annotated[
        str | None, typer.Option(help="Folder to fetch photos to that http(s) addresses name.")
    ],
}
SPLIT = {
    "group": Annotated[
        str | None, typer.Option(help="Column whose values stay together in splits and folds.")
    ],
    "near_duplicates": Annotated[
        bool | None,
        typer.Option(
            "--near-duplicates/--no-near-duplicates",
            help="Whether rows of nearly one text or content stay together, too.",
        ),
    ],
}
PRETRAINED = {
    "photos": Annotated[
        str | None, typer.Option(help="Pretrained model for photos; see `multimodal weights`.")
    ],
    "text": Annotated[
        str | None, typer.Option(help="Pretrained model for texts; see `multimodal weights`.")
    ],
}
COLUMNS = {
    "ignore": Annotated[
        list[str] | None, typer.Option(help="Column to leave out; may be repeated.")
    ],
    "kind": Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=KIND", help="What a column is, such as zip=category; may be repeated."
        ),
    ],
    "missing": Annotated[
        list[str] | None,
        typer.Option(
            help="Word or number that is no value in columns of numbers and dates; may be repeated."
        ),
    ],
    "day_first": Annotated[
        bool | None,
        typer.Option("--day-first/--month-first", help="Order of dates like 03/04/2016."),
    ],
    "merge_spellings": Annotated[
        bool | None,
        typer.Option(
            "--merge-spellings/--keep-spellings", help="Whether `red` and `Red` are one category."
        ),
    ],
}


def takes(*options: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command further options, which it gets as one argument, `data`.

    Args:
        options: Annotations by name. `data` has what they name of the section `data` of a config,
            without what is not given.
    """
    added = {name: annotation for each in options for name, annotation in each.items()}

    def give(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(*args: Any, **given: Any) -> None:
            section = data_section(**{name: given.pop(name, None) for name in added})
            command(*args, **given, data=section)

        # typer reads the options of a command from its signature
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.name != "data"]
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in added.items()
        ]
        wrapped.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        wrapped.__annotations__ = {each.name: each.annotation for each in [*own, *more]}
        return wrapped

    return give


def data_section(
    *, ignore: Sequence[str] | None = None, kind: Sequence[str] | None = None, **others: Any
) -> dict[str, Any]:
    """Return what options name of the section `data` of a config.

    Example:
    >>> data_section(ignore=["sku"], kind=["zip=category"], separator=";", sheet=None, group="shop")
    {'columns': {'sku': 'ignored', 'zip': 'category'}, 'split': {'group': 'shop'}, 'separator': ';'}
    """
    from multimodal.core.config import KINDS  # late: it loads Pydantic

    columns: dict[str, str] = dict.fromkeys(ignore or (), "ignored")
    for told in kind or ():
        column, _, name = told.rpartition("=")
        if not column or name not in KINDS:
            raise ConfigError(f"--kind {told}: expected COLUMN=KIND. {choices(name, KINDS)}")
        columns[column] = name
    given = {name: value for name, value in others.items() if value is not None}
    split = {name: given.pop(name) for name in SPLIT if name in given}
    sections = {"columns": columns, "split": split}
    return {**{name: each for name, each in sections.items() if each}, **given}


def console_on(file: TextIO | None = None) -> Console:
    """Return a console on `file` or standard error that prints what it is given, as it is.

    But for control characters, which are written out: texts may come from anybody's table.
    """
    from rich.console import Console
    from rich.segment import Segment

    class Inert(Console):
        def render(self, *args: Any, **kwargs: Any) -> Iterator[Segment]:
            for text, style, control in super().render(*args, **kwargs):
                yield Segment(text if control else visible(text), style, control)

    return Inert(file=file, stderr=file is None, markup=False, highlight=False, emoji=False)


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
    # `sys.argv[0]` is a path of this machine, and another one under `python -m`.
    return shlex.join(["multimodal", *sys.argv[1:]])


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
        print(f"error: {visible(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def load_backend(*, several: bool = False) -> None:
    """Import Keras and its backend without the start-up chatter of their C++ libraries.

    With `several`, join the processes that the environment names before anything is computed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        keras = _import_keras()
        if several:
            importlib.import_module("multimodal.models.training.devices").join()
        keras.ops.zeros(())
        importlib.import_module("tensorflow")
        # `compare` and `tune` fit one model after the other, and TensorFlow counts traces by
        # function, not by model: it would warn of retracing.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _import_keras() -> Any:
    """Import Keras; raise ConfigError where its backend is not installed, or none there is."""
    wanted = os.environ.get("KERAS_BACKEND")
    try:
        return importlib.import_module("keras")
    except (ImportError, ValueError) as error:
        there = [name for name in BACKENDS if importlib.util.find_spec(name)]
        named = f"KERAS_BACKEND={wanted}" if wanted else "`backend` in ~/.keras/keras.json"
        raise ConfigError(
            f"{named}: Keras cannot be loaded with this backend ({first_line(error)}). Expected "
            f"one that is installed: {', '.join(there) or 'none is'}. Set KERAS_BACKEND to it."
        ) from None


def rows_of(
    file: Path, config: Config, data: Mapping[str, Any], *, allow_empty: bool = False
) -> Table:
    """Return the rows of a file that is written as `data` says, else as the config of a run."""
    from multimodal.data.read.readers import read_table
    from multimodal.data.read.table import Dialect

    asked = Dialect.of(config.merge(data=data).data)
    return read_table(file, **asked._asdict(), allow_empty=allow_empty)


def photo_folder(images: Path | None, data: Mapping[str, Any]) -> Path | PhotoFolder | None:
    """Return the photos' folder with what `data` says of links and addresses."""
    if not data.get("follow_links") and data.get("download") is None:
        return images
    from multimodal.data.photos.locate import PhotoFolder

    return PhotoFolder(images, bool(data.get("follow_links")), data.get("download"))


def load_run(run: Path) -> Run | ExportedRun:
    """Return the run or export in a folder; raise RunError where there is none.

    Keras is loaded for a run alone.
    """
    from multimodal.runtime.export_record import is_export

    if not is_export(run):
        load_backend()
    from multimodal.runs.open import load

    return load(run)
