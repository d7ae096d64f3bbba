"""Tables that are written: checked first, whole or not at all, by suffix; also part by part."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal.core.errors import RunError, choices
from multimodal.core.files import replace_any_file
from multimodal.core.formatting import visible

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

STANDARD = Path("-")  # standard input or output
TABLES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".parquet", ".pq", ".jsonl", ".ndjson")
_PARQUET, _JSON = (".parquet", ".pq"), (".jsonl", ".ndjson")
_FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?", re.ASCII)


@contextmanager
def written(out: Path) -> Iterator[None]:
    """Raise RunError, which names `out`, where something inside cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"{out}: cannot be written ({reason}). Name another --out.") from None


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
    with written(out), replace_any_file(out) as beside:
        name = out.name.lower()
        with gzip.open(beside, "wb") if name.endswith(".gz") else beside.open("wb") as file:
            file.write(table_bytes(frame, out, escape=escape))


def table_bytes(
    frame: pd.DataFrame, out: Path, *, escape: bool = True, header: bool = True
) -> bytes:
    """Return a table, or a part of one, as `write_table` writes it to `out`, unpacked.

    Args:
        frame: The table; its index is not written.
        out: Its suffix tells the format.
        escape: As for `write_table`.
        header: Whether CSV and TSV begin with the names of the columns.
    """
    name = out.name.lower()
    if name.endswith(_PARQUET):
        content = io.BytesIO()
        _one_type(frame).to_parquet(content, index=False)
        return content.getvalue()
    if name.endswith(_JSON):
        return "".join(_json_lines(frame)).encode()
    separator = "\t" if ".tsv" in name else ","
    frame = _without_formulas(frame) if escape else frame
    return frame.to_csv(index=False, sep=separator, header=header).encode()


def join_parts(parts: Sequence[Path], out: Path) -> None:
    """Write the table whose parts `table_bytes` has made, whole or not at all.

    Args:
        parts: Their files, in order; only the first has a header.
        out: As for `write_table`.

    Raises:
        RunError: It cannot be written; what lay there stays as it was.
    """
    name = out.name.lower()
    with written(out), replace_any_file(out) as beside:
        if name.endswith(_PARQUET):
            _join_parquet(parts, beside)
            return
        with gzip.open(beside, "wb") if name.endswith(".gz") else beside.open("wb") as file:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file)


def _join_parquet(parts: Sequence[Path], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = [pq.read_schema(part) for part in parts]
    fields = [
        (name, _joint_type([s.field(name).type for s in schemas])) for name in schemas[0].names
    ]
    schema = pa.schema(fields)
    with pq.ParquetWriter(out, schema) as writer:
        for part in parts:
            table = pq.read_table(part)
            columns = [_as_type(table[name], kind) for name, kind in fields]
            writer.write_table(pa.table(columns, schema=schema))


def _joint_type(kinds: Sequence[pa.DataType]) -> pa.DataType:
    """Return the type that holds cells of all these: numbers as numbers, else texts."""
    import pyarrow as pa

    known = list(dict.fromkeys(kind for kind in kinds if not pa.types.is_null(kind)))
    if len(known) < 2:
        return known[0] if known else kinds[0]
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in known)
    return pa.float64() if numbers else pa.large_string()


def _as_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column as a type; what is no text becomes one as Python writes it."""
    import pyarrow as pa

    if pa.types.is_large_string(kind) and not (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    ):
        return pa.chunked_array([pa.array(map(_text, column.to_pylist()), kind)])
    return column.cast(kind)


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
