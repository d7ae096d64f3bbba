"""Excel files: one sheet, typed values, the rows' own numbers."""

from __future__ import annotations

import builtins
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from multimodal.core.errors import DataError
from multimodal.data.read import excel
from multimodal.data.read.readers import read_table

openpyxl = pytest.importorskip("openpyxl")
ROWS: list[list[Any]] = [
    ["name", "size", "code", "seen"],
    ["oak", 1.5, "00501", datetime(2020, 1, 2)],
    [],
    ["NA", 2, "00502", None],
]


def book(path: Path, **sheets: list[list[Any]]) -> Path:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


def test_values_keep_their_types_and_rows_their_numbers(tmp_path: Path) -> None:
    table = read_table(book(tmp_path / "t.xlsx", Tabelle1=ROWS))
    assert table.frame["name"].tolist() == ["oak", "NA"]
    assert table.frame["size"].tolist() == [1.5, 2.0]
    assert table.frame["code"].tolist() == ["00501", "00502"]
    assert table.frame["seen"][0] == datetime(2020, 1, 2)
    assert table.lines.tolist() == [2, 4] and table.place(1).endswith("t.xlsx, row 4")
    assert table.notes == []


def test_a_sheet_is_chosen_by_name(tmp_path: Path) -> None:
    path = book(tmp_path / "t.xlsx", First=ROWS, Second=[["a"], [1]])
    assert read_table(path).notes == ["sheet 'First' is read, of 2"]
    assert list(read_table(path, sheet="Second").frame) == ["a"]
    with pytest.raises(DataError, match="no sheet 'Secnd'.*Did you mean 'Second'"):
        read_table(path, sheet="Secnd")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[None, "a"], [0, "x"], [1, "y"]], {"a": ["x", "y"]}),  # as DataFrame.to_excel() writes
        ([[], ["a", "b"], ["x"]], {"a": ["x"], "b": [None]}),
        ([["a"], [timedelta(minutes=1)]], {"a": [60.0]}),
    ],
)
def test_sheets_as_they_come(
    tmp_path: Path, rows: list[list[Any]], expected: dict[str, list[Any]]
) -> None:
    frame = read_table(book(tmp_path / "t.xlsx", S=rows)).frame
    assert frame.astype(object).where(frame.notna(), None).to_dict("list") == expected


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.5, 2], "b": ["x", "y"]}).to_excel(tmp_path / "t.xlsx")
    table = read_table(tmp_path / "t.xlsx")
    assert list(table.frame) == ["a", "b"] and "row numbers" in table.notes[0]


def test_formulas_without_a_value_are_told(tmp_path: Path) -> None:
    table = read_table(book(tmp_path / "t.xlsx", S=[["a", "b"], [1, "=A2*2"]]))
    assert table.frame["b"].tolist() == [None]
    assert "row 2 holds a formula whose value was not saved (=A2*2)" in table.notes[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "sheet 'S': empty"),
        ([["a", None], [1, 2]], "sheet 'S', row 1: column 2 of 2 has no name"),
        ([["a", "a"], [1, 2]], "'a' occurs 2 times"),
        ([["a"]], "no data rows"),
    ],
)
def test_faulty_sheets(tmp_path: Path, rows: list[list[Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(book(tmp_path / "t.xlsx", S=rows))


def test_damaged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = book(tmp_path / "t.xlsx", S=ROWS)
    whole = path.read_bytes()
    monkeypatch.setattr(excel, "MOST_UNPACKED", 1)
    monkeypatch.setattr(excel, "MOST_RATIO", 1)
    with pytest.raises(DataError, match="when unpacked"):
        read_table(path)
    monkeypatch.undo()
    for data in (whole[:500], b"\xd0\xcf\x11\xe0 old or locked", b""):
        path.write_bytes(data)
        with pytest.raises(DataError, match="t.xlsx: not a complete Excel file"):
            read_table(path)


def test_without_the_package_the_message_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = book(tmp_path / "t.xlsx", S=ROWS), builtins.__import__

    def refuse(name: str, *args: Any, **options: Any) -> Any:
        if name == "openpyxl":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=r"pip install 'multimodal-keras\[excel\]'"):
        read_table(path)
