"""Excel files: the values of one sheet, each in the type that it has there."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import pandas as pd

from multimodal.core.errors import DataError, choices, first_line
from multimodal.data.read.formats import from_frame
from multimodal.data.read.header import without_unnamed
from multimodal.data.read.packed import DAMAGED, MOST_RATIO, MOST_UNPACKED, Content, whole
from multimodal.data.read.table import AUTO, Dialect, Parsed

_FIRST = 100  # rows in which formulas without a value are looked for


def read_excel(content: Content, asked: Dialect = AUTO) -> Parsed:
    """Read a sheet of an .xlsx file, whose first row that is not empty names the columns.

    A formula has the value that was saved with it. Rows without any value are no rows, and lines
    are the numbers of the sheet's rows.

    Args:
        content: the file.
        asked: its `sheet`; the first one by default.

    Raises:
        DataError: the package `openpyxl` is missing, the file is damaged, there is no such sheet,
            or the sheet has no header.
    """
    place = str(content.path)
    file = whole(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and rules that are not kept
        _check_size(place, file)
        try:
            book = _openpyxl(place).load_workbook(file, read_only=True, data_only=True)
            sheet = _sheet(place, book, asked.sheet)
            rows = list(_rows(sheet))
            others = len(book.sheetnames) - 1
        except (*DAMAGED, OSError, KeyError, ValueError, TypeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{place}: not a complete Excel file, or locked with a password "
                f"({first_line(error)}). Save it again as .xlsx."
            ) from None
    place = f"{place}, sheet '{sheet.title}'"
    if not rows:
        raise DataError(f"{place}: empty. Expected a row of column names.")
    parsed = _as_parsed(place, rows)
    notes = [f"sheet '{sheet.title}' is read, of {others + 1}"] if others else []
    notes += _unsaved_formulas(place, file, sheet.title)
    return parsed._replace(dialect=Dialect(sheet=sheet.title), notes=[*notes, *parsed.notes])


def _openpyxl(place: str) -> Any:
    try:
        import openpyxl
    except ImportError:
        raise DataError(
            f"{place}: Excel files need the package openpyxl: pip install "
            "'multimodal-keras[excel]'. Or save the sheet as CSV (UTF-8)."
        ) from None
    return openpyxl


def _check_size(place: str, file: IO[bytes]) -> None:
    """Raise DataError for an archive that would unpack to far more than its size."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except DAMAGED as error:
        raise DataError(
            f"{place}: not a complete Excel file, or locked with a password ({first_line(error)}). "
            "Save it again as .xlsx."
        ) from None
    size, packed = sum(p.file_size for p in parts), sum(p.compress_size for p in parts)
    if size > max(MOST_UNPACKED, MOST_RATIO * packed):
        raise DataError(f"{place}: {size / 2**30:,.0f} GiB when unpacked. Save it as Parquet.")
    file.seek(0)


def _sheet(place: str, book: Any, asked: str | None) -> Any:
    names = [sheet.title for sheet in book.worksheets]
    if asked is None and names:
        return book.worksheets[0]
    if asked not in names:
        raise DataError(f"{place}: no sheet '{asked}' (--sheet). {choices(asked or '', names)}")
    return book[asked]


def _rows(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """Yield number and values of each row that has any, without the empty cells at its end."""
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        values = [None if cell == "" else cell for cell in cells]
        while values and values[-1] is None:
            values.pop()
        if values:
            yield number, values


def _as_parsed(place: str, rows: list[tuple[int, list[Any]]]) -> Parsed:
    (line, header), *body = rows
    width = max(len(cells) for _, cells in rows)
    names = [str(name if name is not None else "").strip() for name in header]
    names += [""] * (width - len(names))
    columns = [[cells[at] if at < len(cells) else None for _, cells in body] for at in range(width)]
    kept, notes = without_unnamed(names, columns, f"{place}, row {line}")
    series = {name: pd.Series(cells, dtype=object) for name, cells in kept.items()}
    found = from_frame(pd.DataFrame(series, index=pd.RangeIndex(len(body))), place)
    lines = np.array([number for number, _ in body], np.int64)
    return found._replace(lines=lines, notes=[*notes, *found.notes])


def _unsaved_formulas(place: str, file: IO[bytes], title: str) -> list[str]:
    """Say where the first rows hold a formula whose value was not saved, as by other programs."""
    load = _openpyxl(place).load_workbook
    saved = load(file, read_only=True, data_only=True)[title].iter_rows(max_row=_FIRST)
    written = load(file, read_only=True)[title].iter_rows(max_row=_FIRST)
    for number, (values, formulas) in enumerate(zip(saved, written, strict=True), start=1):
        for value, formula in zip(values, formulas, strict=True):
            if value.value is None and formula.data_type == "f":
                return [
                    f"row {number} holds a formula whose value was not saved ({formula.value}): "
                    "such cells are read as missing. Save the file in a spreadsheet program."
                ]
    return []
