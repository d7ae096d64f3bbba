"""Tables that a command reads from standard input, and writes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from multimodal.core.errors import MultimodalError
from multimodal.runs.tables import STANDARD, check_output, escaped_formula, write_table

__all__ = ["STANDARD", "check_output", "escaped_formula", "named_input", "write_table"]

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
