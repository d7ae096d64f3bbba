"""Rows set aside lie in the file whole, and can be mended and fed again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from multimodal.core.errors import DataError
from multimodal.data.photos.checks import reasons
from multimodal.data.read.readers import read_table
from multimodal.data.read.rejected import write_rejected
from multimodal.data.read.table import Table

TEXT = 'name,size,price\noak,1.5,3\n"pine, old",2.5\nNA,"two\nlines",free\nelm,1,2,3\nash,4,\n'


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Lines 3 and 6 do not fit the header; two of the others have no price."""
    (tmp_path / "t.csv").write_text(TEXT)
    table = read_table(tmp_path / "t.csv")
    return table.drop({1: "expected a number, got 'free'", 2: "the target is missing"})


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_rows_are_written_whole_with_line_and_reason(table: Table, tmp_path: Path) -> None:
    write_rejected(table, tmp_path / "q.csv")
    assert rows(tmp_path / "q.csv") == [
        ["quarantine_line", "quarantine_reason", "quarantine_raw", "name", "size", "price"],
        ["3", "expected 3 values, got 2", '"pine, old",2.5', "", "", ""],
        ["4", "expected a number, got 'free'", "", "NA", "two\nlines", "free"],
        ["6", "expected 3 values, got 4", "elm,1,2,3", "", "", ""],
        ["7", "the target is missing", "", "ash", "4", ""],
    ]


def test_unmended_rows_are_set_aside_again(table: Table, tmp_path: Path) -> None:
    write_rejected(table, tmp_path / "q.csv")
    again = read_table(tmp_path / "q.csv")
    assert again.frame.columns.tolist() == ["name", "size", "price"]
    assert again.frame["name"].tolist() == ["NA", "ash"] and again.rows_read == 4
    assert [fault.raw for fault in again.rejected] == ['"pine, old",2.5', "elm,1,2,3"]
    why = again.rejected[0].reason
    assert why.startswith("not mended: expected 3 values, got 2; move the values of 'quarantine_")
    assert reasons(again) == {"not mended: expected 3 values": 2}
    write_rejected(again, tmp_path / "q2.csv")
    assert [row[2] for row in rows(tmp_path / "q2.csv")[1:]] == ['"pine, old",2.5', "elm,1,2,3"]
    assert read_table(tmp_path / "q2.csv").rejected[0].reason == why


def test_unmended_rows_without_a_reason(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('a,quarantine_raw,quarantine_reason\n1,"1,2",\n2,,\n')
    (fault,) = read_table(tmp_path / "q.csv").rejected
    assert fault.reason.startswith("not mended: move the values")


@pytest.mark.parametrize("keep_marks", [True, False])
def test_mended_rows_are_read_like_any_other(
    table: Table, tmp_path: Path, keep_marks: bool
) -> None:
    write_rejected(table, tmp_path / "q.csv")
    header, *found = rows(tmp_path / "q.csv")
    values = [["pine, old", "2.5", "8"], ["NA", "1", "9"], ["elm", "1", "2"], ["ash", "4", "5"]]
    mended = [[*row[:2], "", *new] for row, new in zip(found, values, strict=True)]
    first = 0 if keep_marks else 3
    with (tmp_path / "q.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row[first:] for row in [header, *mended])
    again = read_table(tmp_path / "q.csv")
    assert again.frame.to_numpy().tolist() == values and not again.rejected


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (None, ""),
        (float("nan"), ""),
        (3, "3"),
        (2.5, "2.5"),
        ("", ""),
        (" a ", " a "),
        (["a.jpg", "b.jpg"], '["a.jpg", "b.jpg"]'),
        (pd.Timestamp("2020-02-01"), "2020-02-01T00:00:00"),
        ("00501", "00501"),
        ("=1+1", "=1+1"),
    ],
)
def test_cells(tmp_path: Path, cell: Any, written: str) -> None:
    table = read_table([{"a": "x", "b": cell}, {"a": "y", "b": None}]).drop({0: "odd"})
    write_rejected(table, tmp_path / "q.csv")
    assert rows(tmp_path / "q.csv")[1] == ["1", "odd", "x", written]


def test_broken_json_keeps_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a": 2,\n[3]\n')
    table = read_table(tmp_path / "t.jsonl")
    write_rejected(table, tmp_path / "q.csv")
    assert [row[2] for row in rows(tmp_path / "q.csv")[1:]] == ['{"a": 2,', "[3]"]


def test_no_rows_set_aside_and_no_such_folder(tmp_path: Path) -> None:
    table = read_table([{"a": 1}])
    write_rejected(table, tmp_path / "q.csv")
    assert rows(tmp_path / "q.csv") == [["quarantine_line", "quarantine_reason", "a"]]
    with pytest.raises(DataError, match="cannot be written"):
        write_rejected(table, tmp_path / "none" / "q.csv")
