"""CSV and TSV: values as written, faulty rows named, faulty files refused."""

from __future__ import annotations

import csv
import io
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from multimodal.core.errors import DataError
from multimodal.data.read.delimited import read_delimited
from multimodal.data.read.packed import content_of
from multimodal.data.read.table import Dialect, Parsed


def read(folder: Path, text: str | bytes, name: str = "t.csv", **asked: str) -> Parsed:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_delimited(content_of(path), Dialect(**asked))


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


WORDS = [
    "Größe",
    "Café",
    "naïve",
    "",
    "ein Wort",
    "a;b",
    "3,5",
    "tab\there",
    "x|y",
    'a 12" pan',
    "l\n2",
]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_what_any_program_writes_is_read_as_it_was(
    tmp_path: Path, separator: str, encoding: str
) -> None:
    rng = np.random.default_rng(0)
    for quoting, ends, number in product(
        [csv.QUOTE_MINIMAL, csv.QUOTE_ALL], ["\n", "\r\n"], range(3)
    ):
        rows = [[f"Größe {i}", *rng.choice(WORDS, 3), f"{i},5"] for i in range(2 + 30 * number)]
        text = io.StringIO()
        writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=ends)
        writer.writerows([["Name", "b", "c", "d", "Preis"], *rows])
        parsed = read(tmp_path, text.getvalue().encode(encoding))
        assert parsed.frame.fillna("").values.tolist() == rows
        assert parsed.dialect.separator == separator
        assert (separator == ",") or "separated by" in parsed.notes[0]


def test_a_separator_that_the_file_does_not_decide_is_an_error(tmp_path: Path) -> None:
    text = "a;b,c\nx;y,z\n"
    with pytest.raises(DataError, match="by commas or by semicolons.*--separator"):
        read(tmp_path, text)
    assert list(read(tmp_path, text, separator=";").frame) == ["a", "b,c"]


def test_a_comma_file_stays_one_whatever_its_texts_hold(tmp_path: Path) -> None:
    parsed = read(tmp_path, "tags a|b,price\nx|y,3\nz|w,4\n")
    assert list(parsed.frame) == ["tags a|b", "price"] and not parsed.notes


def test_the_separator_that_excel_declares(tmp_path: Path) -> None:
    parsed = read(tmp_path, "sep=;\r\na;b\r\n1;2\r\n")
    assert parsed.frame.values.tolist() == [["1", "2"]] and parsed.lines.tolist() == [3]


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
        (",a\nred,x\nred,y\n", ["column 1 of 2 has no name", "row numbers"]),
        ("a,b,a\n1,2,3\n", ["'a' occurs 2 times (columns 1, 3)"]),
        ("a,b\n1,2,3\n4,5,6\n", ["names 2 columns", "no row", "line 2: expected 2 values, got 3"]),
        ("a;b\n1;2;3\n4;5;6\n", ["names 2 columns", "no row", "--separator"]),
        ("a,b\0\n1,2\n", ["line 1, the header", "NUL"]),
    ],
)
def test_faulty_files_are_refused(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    for part in [str(tmp_path / "t.csv"), *parts]:
        assert part in str(caught.value)


GOOD = [f'Acme,{i}.5,"a pan, of steel",{i}0' for i in range(1, 31)]
STRAY = {  # a line in place of the tenth row: what is told of it
    'Acme,3.5,"a 12" pan of steel",30': "goes on after its closing quote",
    'Acme,3.5,"never closed,30': "goes on after its closing quote; lines 12 to 12 are read as rows",
    b"Acme,3.5,caf\xe9 and more,30": "byte 0xe9 is no UTF-8 text",
    "Acme,3.5,a \0 pan,30": "it holds a NUL character",
    "Acme,3.5,30": "expected 4 values, got 3",
}


@pytest.mark.parametrize("line", STRAY)
@pytest.mark.parametrize("at", [0, 9, 29])
def test_a_bad_line_is_set_aside_alone(tmp_path: Path, line: str | bytes, at: int) -> None:
    told, rows = STRAY[line], [row.encode() for row in ["brand,size,title,price", *GOOD, "é,1,ö,2"]]
    rows[at + 1] = line if isinstance(line, bytes) else line.encode()
    parsed = read(tmp_path, b"\n".join(rows) + b"\n")
    assert parsed.rows.tolist() == [row for row in range(31) if row != at]
    assert len(parsed.frame) == 30 and parsed.frame["price"].tolist()[-1] == "2"
    [fault] = parsed.rejected
    assert (fault.row, fault.line) == (at, at + 2)
    assert told.replace("12", str(at + 3)) in fault.reason or at == 29
    assert fault.raw.startswith("Acme,3.5") and "\0" not in fault.raw
    fault.raw.encode()  # can be written


def test_a_quote_never_closed_swallows_nothing(tmp_path: Path) -> None:
    parsed = read(tmp_path, 'a,b\nx,1\n"open,2\ny,3\nz,4\n')
    assert parsed.frame.values.tolist() == [["x", "1"], ["y", "3"], ["z", "4"]]
    [fault] = parsed.rejected
    assert fault.line == 3 and "never closed; lines 4 to 5 are read as rows" in fault.reason


def test_rows_inside_a_value_that_a_stray_quote_opens_are_found(tmp_path: Path) -> None:
    rows = ["brand,title,price", *(f"Acme,pan {i},{i}0" for i in range(9))]
    parsed = read(tmp_path, "\n".join([*rows, 'Bolt,"12 pan,30', 'Cora,pan 8",40', "Dune,x,50"]))
    assert parsed.frame["brand"].tolist() == ["Acme"] * 9 + ["Cora", "Dune"]
    assert parsed.rejected[0].line == 11 and "a row by itself" in parsed.rejected[0].reason


def test_texts_of_several_lines_stay_whole(tmp_path: Path) -> None:
    rows = [[f"I liked it, but, well\nno, not, {i}", "x", f"{i}"] for i in range(40)]
    text = io.StringIO()
    csv.writer(text).writerows([["text", "b", "price"], *rows])
    parsed = read(tmp_path, text.getvalue())
    assert parsed.frame.values.tolist() == rows and not parsed.rejected


def test_a_fault_in_a_text_of_several_lines_takes_its_lines_along(tmp_path: Path) -> None:
    text = 'a,b,c\nx,1,2\n"one\ntwo\nthree" four",3,4\ny,5,6\n'
    parsed = read(tmp_path, text)
    assert parsed.frame["a"].tolist() == ["x", "y"]
    assert [fault.line for fault in parsed.rejected] == [3]
    assert "lines 3 to 5 are set aside" in parsed.rejected[0].reason


def test_quotes_that_a_database_escapes_are_quotes(tmp_path: Path) -> None:
    parsed = read(tmp_path, 'a,b\n"a 12\\" pan, of steel",3\n"C:\\dir\\",4\n')
    assert parsed.frame["a"].tolist() == ['a 12" pan, of steel', "C:\\dir\\"]
    assert not parsed.rejected


def test_too_many_faulty_quotes_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1002: a quote is opened.*Double each quote"):
        read(tmp_path, "a,b\n" + '"a 12" pan,3\n' * 1001)


@pytest.mark.parametrize(
    ("text", "columns", "told"),
    [
        (",a\n0,x\n1,y\n", ["a"], "row numbers"),
        (",a\n7,x\n7,y\n", ["a"], "row numbers"),
        (",,a\n0,1,x\n0,2,y\n", ["a"], "row numbers"),
        (",a\nred,x\nblue,y\n", ["a"], "row names"),
        ("a,b,\n1,2,\n3,4,\n", ["a", "b"], "holds nothing"),
    ],
)
def test_the_index_of_a_frame_is_left_out(
    tmp_path: Path, text: str, columns: list[str], told: str
) -> None:
    parsed = read(tmp_path, text)
    assert list(parsed.frame) == columns
    assert "no name, is left out" in parsed.notes[0] and told in parsed.notes[0]


def test_tsv_with_commas_is_read(tmp_path: Path) -> None:
    assert list(read(tmp_path, "a,b\n1,2\n", "t.tsv").frame) == ["a", "b"]


def test_long_values_are_read_and_the_limit_is_put_back(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    frame = read(tmp_path, f'a,b\n"{"word " * 60_000}",1\n').frame
    assert len(frame["a"][0]) == 300_000
    assert csv.field_size_limit() == before


def test_header_alone_gives_no_rows(tmp_path: Path) -> None:
    parsed = read(tmp_path, "a,b\n")
    assert parsed.frame.shape == (0, 2) and parsed.rejected == []
