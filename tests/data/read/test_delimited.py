"""CSV and TSV: values as written, faulty rows named, faulty files refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from multimodal.core.errors import DataError
from multimodal.data.read.delimited import Parsed, read_delimited


def read(folder: Path, text: str, name: str = "t.csv", **options: str) -> Parsed:
    path = folder / name
    path.write_bytes(text.encode())
    return read_delimited(path, **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\nNA,00501\n", [["NA", "00501"]]),
        ("a,b\n1e400,9007199254740993\n", [["1e400", "9007199254740993"]]),
        ("a,b\n,x\nNone,null\n", [[None, "x"], ["None", "null"]]),
        ('a,b\n"x\ny",1\nz,2\n', [["x\ny", "1"], ["z", "2"]]),
        ('a,b\n"say ""hi""","1,5"\n', [['say "hi"', "1,5"]]),
        ("a,b\r\n x ,y\r\n\r\n", [[" x ", "y"]]),
        ("a,b\rx,y\r", [["x", "y"]]),
        (" a , b\nx,y", [["x", "y"]]),
        ('a,b\n"",\n', [[None, None]]),
        ("a,b\n5\" pipe,6'\n", [['5" pipe', "6'"]]),
        ("\ufeffa,b\nx,y\n", [["x", "y"]]),
    ],
)
def test_values_stay_as_written(tmp_path: Path, text: str, expected: list[list[object]]) -> None:
    frame = read(tmp_path, text).frame
    assert list(frame.columns) == ["a", "b"]
    assert frame.values.tolist() == expected
    assert {str(dtype) for dtype in frame.dtypes} == {"object"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.tsv", "a\tb\nx\ty\n"), ("t.txt", "a\tb\nx\ty\n"), ("t.txt", "a,b\nx,y\n")],
)
def test_separator_goes_by_suffix_and_header(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, text, name).frame.values.tolist() == [["x", "y"]]


def test_declared_separator(tmp_path: Path) -> None:
    assert read(tmp_path, "a;b\n1,5;2\n", separator=";").frame["a"].tolist() == ["1,5"]
    assert read(tmp_path, "which; really?\nyes\n", separator=",").frame.shape == (1, 1)


def test_faulty_rows_are_rejected_with_their_line(tmp_path: Path) -> None:
    parsed = read(tmp_path, 'a,b\n"x\ny",1\nshort\n\nz,2,surplus\nw,3\n')
    assert parsed.rows.tolist() == [0, 3]
    assert parsed.lines.tolist() == [2, 7]
    found = [(fault.row, fault.line, fault.reason) for fault in parsed.rejected]
    assert found == [
        (1, 4, "expected 2 values, got 1"),
        (2, 6, "expected 2 values, got 3"),
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["the file is empty"]),
        ("\n\n", ["the file is empty"]),
        ("a,,b\n1,2,3\n", ["line 1", "column 2 of 3 has no name"]),
        (",a\n0,x\n", ["column 1 of 2 has no name", "row numbers"]),
        ("a,b,a\n1,2,3\n", ["'a' occurs 2 times (columns 1, 3)"]),
        ("a,b\n1,2,3\n4,5,6\n", ["names 2 columns", "no row", "line 2: expected 2 values, got 3"]),
        ('a,b\nx,1\n"open,2\ny,3\n', ["starting at line 3", "never closed", "line 4"]),
        ('a,b\nx,1\n"open,2\n"y",3\n', ["starting at line 3", "not doubled"]),
        ("a;b\n1;2\n", ["separated by commas", "semicolons", "separator=';'"]),
        ("a\tb\n1\t2\n", ["tabs", r"separator='\t'"]),
        ("a|b\n1|2\n", ["bars"]),
    ],
)
def test_faulty_files_are_refused(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    for part in [str(tmp_path / "t.csv"), *parts]:
        assert part in str(caught.value)


def test_tsv_with_commas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="separated by tabs.*commas"):
        read(tmp_path, "a,b\n1,2\n", "t.tsv")


def test_long_values_are_read_and_the_limit_is_put_back(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    frame = read(tmp_path, f'a,b\n"{"word " * 60_000}",1\n').frame
    assert len(frame["a"][0]) == 300_000
    assert csv.field_size_limit() == before


def test_header_alone_gives_no_rows(tmp_path: Path) -> None:
    parsed = read(tmp_path, "a,b\n")
    assert parsed.frame.shape == (0, 2) and parsed.rejected == []
