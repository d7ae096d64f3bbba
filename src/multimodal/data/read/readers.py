"""Reading of tables: CSV, Excel, Parquet, JSON Lines, a DataFrame, or a list of mappings."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal.core.config_fields import Decimal
from multimodal.core.errors import DataError, choices
from multimodal.data.photos.locate import Images, PhotoRoot, photo_root
from multimodal.data.read.delimited import read_delimited
from multimodal.data.read.dialect import find_decimal_comma
from multimodal.data.read.excel import read_excel
from multimodal.data.read.formats import from_frame, from_records, read_json_lines
from multimodal.data.read.packed import PACKED_SUFFIXES, Content, content_of
from multimodal.data.read.parquet import read_parquet
from multimodal.data.read.rejected import drop_added_columns
from multimodal.data.read.table import (
    AUTO,
    EXCEL_SUFFIXES,
    JSON_SUFFIXES,
    PARQUET_SUFFIXES,
    TEXT_SUFFIXES,
    Dialect,
    Parsed,
    Table,
)

logger = logging.getLogger(__name__)

Source = str | Path | pd.DataFrame | Sequence[Mapping[str, Any]] | Table
SUFFIXES = (*TEXT_SUFFIXES, *PARQUET_SUFFIXES, *JSON_SUFFIXES, *EXCEL_SUFFIXES)
_INSTEAD = {".xls": ".xlsx", ".ods": ".xlsx or CSV", ".json": "JSON Lines (.jsonl)"}


def read_table(
    source: Source,
    *,
    encoding: str = "auto",
    separator: str = "auto",
    decimal: Decimal = "auto",
    sheet: str | None = None,
    allow_empty: bool = False,
) -> Table:
    """Read rows and set aside those that cannot be read.

    What the reading has to say, such as the separator that was found, goes to the logger
    `multimodal`. A file that `write_rejected` wrote is read without the columns that it added.

    Args:
        source: a file (.csv, .tsv, .txt, .parquet, .pq, .jsonl, .ndjson, .xlsx; or one of these in
            .gz, or alone in .zip), a DataFrame, a list of mappings, or a table that was read.
            Text files keep every value as written; other sources keep their types.
        encoding: how the bytes of a text file become text; `auto` finds UTF-8, UTF-16 and
            Windows-1252.
        separator: the character between values of a text file; `auto` finds commas, semicolons,
            tabs and bars.
        decimal: the decimal mark of numbers written as text; `auto` goes by each column, and then
            by the file.
        sheet: the sheet of an Excel file; the first one by default.
        allow_empty: accept a source without rows, as when there is nothing to predict.

    Returns:
        Table: kept rows in source order and the rejected ones.

    Raises:
        DataError: the source as a whole cannot be used, or does not say how it is written; the
            message says where and how to mend.

    Example:
    >>> read_table([{"colour": "red", "price": 3.5}]).frame["price"].tolist()
    [3.5]
    """
    if isinstance(source, Table):
        return source
    asked = Dialect(separator, encoding, decimal, sheet)
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    suffix = ""
    if isinstance(source, pd.DataFrame):
        parsed = from_frame(source)
    elif path is not None:
        parsed, suffix = _read_file(path, str(source), asked)
    elif isinstance(source, Sequence) and not isinstance(source, str):
        parsed = from_records(source)
    else:
        raise DataError(
            f"expected a file, a DataFrame or a list of mappings, got {type(source).__name__}."
        )
    if not parsed.rows.size and not parsed.rejected and not allow_empty:
        raise DataError(f"{path or 'table'}: no data rows. Expected at least one below the header.")
    table = drop_added_columns(_as_table(parsed, path, suffix, asked))
    for note in table.notes:
        logger.info(f"{table.name}: {note}")
    return table


def _as_table(parsed: Parsed, path: Path | None, suffix: str, asked: Dialect) -> Table:
    """Join what was read with where it came from, and with its decimal mark."""
    decimal, notes = parsed.dialect.decimal, list(parsed.notes)
    if suffix not in TEXT_SUFFIXES:  # of those, the reader has looked at all cells
        decimal = asked.decimal
        if decimal == "auto" and find_decimal_comma(parsed.frame):
            decimal = ","
            notes.append("decimal commas")
    table = Table(
        parsed.frame,
        parsed.rows,
        parsed.lines,
        parsed.rejected,
        source=path,
        root=Path.cwd() if path is None else path.parent,
        dialect=parsed.dialect._replace(decimal=decimal),
        notes=notes,
        suffix=suffix,
    )
    return table.drop(parsed.faults)


def open_table(
    source: Source,
    images: Images = None,
    asked: Dialect = AUTO,
    *,
    allow_empty: bool = False,
) -> tuple[Table, PhotoRoot]:
    """Read a table and find the folder its photo paths start from.

    Args:
        source: as for `read_table`.
        images: the photos' folder; the file's own folder by default.
        asked: how the file is written, where it does not decide; see `read_table`.
        allow_empty: as for `read_table`.

    Raises:
        DataError: as `read_table`, or there is no such folder.
    """
    table = read_table(source, **asked._asdict(), allow_empty=allow_empty)
    root = photo_root(images, table.root)
    if not os.path.isdir(root):
        raise DataError(
            f"{os.fspath(root)}: no such folder; expected the folder that photo paths start from."
        )
    return table, root


def _read_file(path: Path, given: str, asked: Dialect) -> tuple[Parsed, str]:
    """Read a file; return what its name ends in, unpacked, too."""
    content = checked_content(path, given)
    suffix = content.suffix
    if suffix in PARQUET_SUFFIXES:
        return read_parquet(content), suffix
    if suffix in JSON_SUFFIXES:
        return read_json_lines(content, asked), suffix
    if suffix in TEXT_SUFFIXES:
        return read_delimited(content, asked), suffix
    return read_excel(content, asked), suffix


def checked_content(path: Path, given: str) -> Content:
    """Return the content of a file that is a table by its name; raise DataError if it is none.

    Args:
        path: the file.
        given: as somebody named it.
    """
    if "://" in given:  # asked of the text: a Path has lost one of the slashes
        raise DataError(f"{given}: expected a file on this machine; addresses are not opened.")
    if path.is_dir():
        inside = sorted(
            p.name for p in path.iterdir() if p.suffix.lower() in (*SUFFIXES, *PACKED_SUFFIXES)
        )[:5]
        hint = f" It holds {', '.join(inside)}." if inside else ""
        raise DataError(f"{path}: expected a file, got a folder.{hint}")
    if not path.exists():
        raise DataError(f"{path}: no such file.{_near(path)}")
    if not path.is_file():
        # Opening a pipe would wait for a writer that may never come.
        raise DataError(f"{path}: expected a regular file, got a pipe or device.")
    content = content_of(path)
    if (suffix := content.suffix) in SUFFIXES:
        return content
    better = f"Save it as {_INSTEAD[suffix]}." if suffix in _INSTEAD else ""
    raise DataError(
        f"{path}: cannot tell the format from '{suffix}'. "
        + (better or f"{choices(suffix, SUFFIXES)} Save the table as one of these.")
    )


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either."
    near = get_close_matches(path.name, (p.name for p in path.parent.iterdir()), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
