"""Reading of tables: CSV, TSV, Parquet, JSON Lines, a DataFrame, or a list of mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal.core.errors import DataError, choices
from multimodal.data.read.delimited import Parsed, read_delimited
from multimodal.data.read.formats import from_frame, from_records, read_json_lines, read_parquet
from multimodal.data.read.rejected import drop_added_columns
from multimodal.data.read.table import BINARY_SUFFIXES, Table

Source = str | Path | pd.DataFrame | Sequence[Mapping[str, Any]]
TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson")
SUFFIXES = (*TEXT_SUFFIXES, *BINARY_SUFFIXES, *JSON_SUFFIXES)


def read_table(
    source: Source,
    *,
    encoding: str = "utf-8",
    separator: str | None = None,
    allow_empty: bool = False,
) -> Table:
    """Read rows and set aside those that cannot be read.

    A file that `write_rejected` wrote is read without the columns that it added.

    Args:
        source: a file (.csv, .tsv, .txt, .parquet, .pq, .jsonl, .ndjson), a DataFrame, or a list
            of mappings. Text files keep every value as written; other sources keep their types.
        encoding: how the bytes of a text file become text.
        separator: the character between values of a text file; None goes by suffix and header.
        allow_empty: accept a source without rows, as when there is nothing to predict.

    Returns:
        Table: kept rows in source order and the rejected ones.

    Raises:
        DataError: the source as a whole cannot be used; the message says where and how to mend.

    Example:
    >>> read_table([{"colour": "red", "price": 3.5}]).frame["price"].tolist()
    [3.5]
    """
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    if isinstance(source, pd.DataFrame):
        parsed = from_frame(source)
    elif path is not None:
        parsed = _read_file(path, str(source), encoding, separator)
    elif isinstance(source, Sequence) and not isinstance(source, str):
        parsed = from_records(source)
    else:
        raise DataError(
            f"expected a file, a DataFrame or a list of mappings, got {type(source).__name__}."
        )
    if not parsed.rows.size and not parsed.rejected and not allow_empty:
        raise DataError(f"{path or 'table'}: no data rows. Expected at least one below the header.")
    root = Path.cwd() if path is None else path.parent
    return drop_added_columns(Table(*parsed, source=path, root=root))


def open_table(
    source: Source, images: str | Path | None = None, *, allow_empty: bool = False
) -> tuple[Table, Path]:
    """Read a table and find the folder its photo paths start from.

    Args:
        source: as for `read_table`.
        images: the photos' folder; the file's own folder by default.
        allow_empty: as for `read_table`.

    Raises:
        DataError: as `read_table`, or there is no such folder.
    """
    table = read_table(source, allow_empty=allow_empty)
    root = Path(images) if images is not None else table.root
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected the folder that photo paths start from.")
    return table, root


def _read_file(path: Path, given: str, encoding: str, separator: str | None) -> Parsed:
    suffix = path.suffix.lower()
    if "://" in given:  # asked of the text: a Path has lost one of the slashes
        raise DataError(f"{given}: expected a file on this machine; addresses are not opened.")
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix.lower() in SUFFIXES)[:5]
        hint = f" It holds {', '.join(inside)}." if inside else ""
        raise DataError(f"{path}: expected a file, got a folder.{hint}")
    if not path.exists():
        raise DataError(f"{path}: no such file.{_near(path)}")
    if not path.is_file():
        # Opening a pipe would wait for a writer that may never come.
        raise DataError(f"{path}: expected a regular file, got a pipe or device.")
    if suffix in BINARY_SUFFIXES:
        return read_parquet(path)
    if suffix in JSON_SUFFIXES:
        return read_json_lines(path, encoding)
    if suffix in TEXT_SUFFIXES:
        return read_delimited(path, encoding, separator)
    raise DataError(
        f"{path}: cannot tell the format from '{path.suffix}'. "
        f"{choices(path.suffix, SUFFIXES)} Save the table as one of these."
    )


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either."
    near = get_close_matches(path.name, (p.name for p in path.parent.iterdir()), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
