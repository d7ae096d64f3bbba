"""The file of rejected rows, `quarantine.csv`: each with line and reason, to be mended."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from multimodal.core.errors import DataError
from multimodal.data.columns.cells import as_text, is_missing
from multimodal.data.photos.embedded import as_data_uri
from multimodal.data.read.table import Table

REJECTED_FILE = "quarantine.csv"
LINE, REASON, RAW = "quarantine_line", "quarantine_reason", "quarantine_raw"
_UNMENDED = "not mended: "
_HINT = f"move the values of '{RAW}' to their columns, then empty that cell"


def write_rejected(table: Table, path: str | Path) -> None:
    """Write the rejected rows as CSV in UTF-8, each with all its columns.

    `quarantine_line` is the row's line in its file (its number, where it came from no text file),
    `quarantine_reason` what is wrong. A row that could not be parsed, such as one with too many
    values, has its text in `quarantine_raw` and its columns empty; the column is left out where
    there is no such row. Once mended, the file is read like any other, with these three columns or
    without: `read_table` drops them, and rejects a row again while its `quarantine_raw` is not
    empty. Photo paths still start from the folder of the first file: name it with `--images`.

    Kinds of columns are inferred from the rows of the file that is read, so a handful of mended
    rows may be read otherwise than with the others: better append them to the file they came from.

    Args:
        table: the table whose `rejected` rows are written; there may be none.
        path: the file to write.

    Raises:
        DataError: the file cannot be written.

    Example:
    >>> import tempfile
    >>> from multimodal.data.read.readers import read_table
    >>> table = read_table([{"size": 3, "price": "free"}, {"size": 4, "price": "5"}])
    >>> file = Path(tempfile.mkdtemp()) / "quarantine.csv"
    >>> write_rejected(table.drop({0: "expected a number, got 'free'"}), file)
    >>> read_table(file).frame.columns.tolist()
    ['size', 'price']
    """
    names = [str(name) for name in table.frame.columns]
    marks = [LINE, REASON, *([RAW] if any(fault.raw for fault in table.rejected) else [])]
    try:
        # newline="": the csv module ends lines by itself
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*marks, *names])
            for fault in table.rejected:
                cells = [_written(cell) for cell in fault.cells] or [""] * len(names)
                told = [str(fault.line), fault.reason, fault.raw][: len(marks)]
                writer.writerow([*told, *cells])
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}).") from None


def drop_added_columns(table: Table) -> Table:
    """Return a table without the columns that `write_rejected` adds.

    Rows whose `quarantine_raw` is not empty, those that nobody mended, are rejected again for the
    same reason.
    """
    marks = [name for name in (LINE, REASON, RAW) if name in table.frame.columns]
    if not marks:
        return table
    plain = replace(table, frame=table.frame.drop(columns=marks))
    if RAW not in marks:
        return plain
    raw = as_text(table.frame[RAW])
    reasons = as_text(table.frame[REASON]) if REASON in marks else [None] * len(raw)
    unmended = np.flatnonzero([text is not None for text in raw]).tolist()
    texts = {int(plain.rows[row]): raw[row] for row in unmended}
    dropped = plain.drop({row: _unmended(reasons[row]) for row in unmended})
    faults = [
        replace(fault, cells=(), raw=texts[fault.row]) if fault.row in texts else fault
        for fault in dropped.rejected
    ]
    return replace(dropped, rejected=faults)


def _unmended(reason: str | None) -> str:
    """Return the reason of a row that is rejected again, which holds its first reason once."""
    if reason is None:
        return _UNMENDED + _HINT
    return reason if reason.startswith(_UNMENDED) else f"{_UNMENDED}{reason}; {_HINT}"


def _written(cell: Any) -> str:
    """Write a cell as the readers take it back: a list as JSON, a date in ISO, missing as ""."""
    if isinstance(cell, bytes):
        return as_data_uri(cell)
    if isinstance(cell, list | tuple | np.ndarray):
        items = [as_data_uri(item) if isinstance(item, bytes) else item for item in cell]
        return json.dumps(items, ensure_ascii=False, default=str)
    if bool(is_missing([cell])[0]):
        return cell if isinstance(cell, str) else ""
    return str(cell.isoformat()) if hasattr(cell, "isoformat") else str(cell)
