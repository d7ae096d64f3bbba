"""Tables that a command reads from standard input, and writes: checked first, whole, by suffix."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from multimodal.cli.options import written
from multimodal.core.errors import MultimodalError, RunError, choices
from multimodal.core.files import replace_any_file
from multimodal.core.formatting import visible

if TYPE_CHECKING:
    import pandas as pd

STANDARD = Path("-")  # standard input or output
TABLES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".parquet", ".pq", ".jsonl", ".ndjson")
_FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?", re.ASCII)
# What a table on standard input begins with, and the suffix of such files; all else is CSV.
_MAGIC = {b"PAR1": ".parquet", b"\x1f\x8b": ".csv.gz", b"PK\x03\x04": ".xlsx", b"{": ".jsonl"}


@contextmanager
def named_input(file: Path) -> Iterator[Path]:
    """Give the path of a table: `file` itself, or a copy of standard input, for `-`."""
    if file != STANDARD:
        yield file
        return
    stream = sys.stdin.buffer
    with TemporaryDirectory() as folder:
        start = stream.read(4)
        suffix = next((end for mark, end in _MAGIC.items() if start.startswith(mark)), ".csv")
        path = Path(folder, f"input{suffix}")
        with path.open("wb") as copy:
            copy.write(start)
            shutil.copyfileobj(stream, copy)
        try:
            yield path
        except MultimodalError as error:
            raise type(error)(str(error).replace(str(path), "standard input")) from None


def check_output(out: Path, inputs: Iterable[Path], suffixes: Iterable[str] = TABLES) -> None:
    """Raise RunError unless `out` can be written, in a format that its suffix names.

    Asked before anything is read: what has taken an hour must have a place to go. None of the
    `inputs` is ever written over, under whatever name.

    Args:
        out: Where to write; `-` is standard output.
        inputs: What the command reads.
        suffixes: How the name may end.
    """
    if out == STANDARD:
        return
    if out.is_dir():
        raise RunError(f"{out}: cannot be written (it is a folder). Name another --out.")
    if not out.absolute().parent.is_dir():
        raise RunError(f"{out}: no such folder to write to. Name another --out.")
    if not out.name.lower().endswith(tuple(suffixes)):
        hint = choices(out.suffix, suffixes)
        raise RunError(f"{out}: cannot tell a format from its name. {hint} Or '-' to print.")
    if not out.exists():
        return
    if not out.is_file():
        raise RunError(f"{out}: expected a file or a new name, got a pipe or device.")
    for each in inputs:
        # the same file by another spelling, through a link, or as a hard link
        if each.exists() and out.samefile(each):
            raise RunError(f"{out}: is an input of this command. Name another --out.")


def write_table(frame: pd.DataFrame, out: Path, *, escape: bool = True) -> None:
    """Write a table, whole or not at all; `-` is standard output.

    Args:
        frame: The table; its index is not written.
        out: CSV, TSV, Parquet or JSON Lines, by its suffix.
        escape: Whether texts in CSV and TSV that a spreadsheet would run as formulas get a `'`
            before them.

    Raises:
        RunError: It cannot be written; what lay there stays as it was.
    """
    if out == STANDARD:
        frame = _without_formulas(frame) if escape else frame
        # on a terminal, a cell must not clear the screen
        shown = _of_texts(frame, visible) if sys.stdout.isatty() else frame
        shown.to_csv(sys.stdout, index=False)
        return
    name = out.name.lower()
    with written(out), replace_any_file(out) as beside:
        if name.endswith((".parquet", ".pq")):
            _one_type(frame).to_parquet(beside, index=False)
        elif name.endswith((".jsonl", ".ndjson")):
            beside.write_text("".join(_json_lines(frame)), encoding="utf-8")
        else:
            separator = "\t" if ".tsv" in name else ","
            frame = _without_formulas(frame) if escape else frame
            frame.to_csv(beside, index=False, sep=separator)


def escaped_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; numbers stay.

    Example:
    >>> escaped_formula("=1+1"), escaped_formula("-5"), escaped_formula("red")
    ("'=1+1", '-5', 'red')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    return _of_texts(frame, escaped_formula)


def _of_texts(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a frame whose texts are changed."""
    texts = [name for name in frame if frame[name].dtype.kind not in "iufbM"]
    changed = {
        str(name): [change(cell) if isinstance(cell, str) else cell for cell in frame[name]]
        for name in texts
    }
    return frame.assign(**changed)


def _json_lines(frame: pd.DataFrame) -> Iterator[str]:
    """Yield each row as JSON; numbers keep all digits, of which pandas would write 15."""
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        yield json.dumps(row, ensure_ascii=False, default=str) + "\n"


def _one_type(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose columns of several types are texts, as Parquet needs."""
    from pandas.api.types import infer_dtype

    mixed = [name for name in frame if infer_dtype(frame[name]).startswith("mixed")]
    return frame.assign(**{str(name): frame[name].map(_text) for name in mixed})


def _text(cell: Any) -> str | None:
    return None if cell is None or cell != cell else str(cell)
