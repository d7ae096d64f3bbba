"""Bytes become text in the declared encoding, or the message says where they do not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from multimodal.core.errors import DataError
from multimodal.data.read.encodings import Encoding, find_encoding, text_lines
from multimodal.data.read.packed import content_of


def lines(folder: Path, data: bytes, asked: str = "auto") -> tuple[Encoding, list[str]]:
    path = folder / "t.csv"
    path.write_bytes(data)
    found = find_encoding(content_of(path), asked)
    return found, list(text_lines(content_of(path), found.codec))


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("utf-8", "a,é\n1,2\n".encode()),
        ("utf-8", b"\xef\xbb\xbf" + "a,é\n1,2\n".encode()),
        ("UTF8", "a,é\n1,2\n".encode()),
        ("cp1252", "a,é\n1,2\n".encode("cp1252")),
        ("utf-16", "a,é\n1,2\n".encode("utf-16")),
        ("utf-16-le", b"\xff\xfe" + "a,é\n1,2\n".encode("utf-16-le")),
    ],
)
def test_lines_come_without_a_mark(tmp_path: Path, encoding: str, data: bytes) -> None:
    for asked in (encoding, "auto"):
        assert lines(tmp_path, data, asked)[1] == ["a,é\n", "1,2\n"]


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ("a\nłódź\n".encode("cp1250"), ["line 2, byte 2: 0xb3", "--encoding", "reads 'łódź'"]),
        (b"a\n" * 9 + "Привет\n".encode("cp1251"), ["line 10, byte 18: 0xcf", "'Привет'"]),
        ("价格\n".encode("gbk"), ["gbk reads '价格'"]),
        ("ü\n".encode() + b"\xe9\n\xe9\n", ["line 2, byte 3: 0xe9"]),
        (b"PK\x03\x04rest", ["an Excel or ZIP file", "Rename it to end in .xlsx"]),
        (gzip.compress(b"a,b\n", mtime=0), ["gzip-compressed"]),
        (b"PAR1....", ["a Parquet file"]),
    ],
)
def test_other_bytes_are_refused(tmp_path: Path, data: bytes, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        lines(tmp_path, data)
    for part in [str(tmp_path / "t.csv"), *parts]:
        assert part in str(caught.value)


def test_utf16_is_not_read_as_cp1252(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="UTF-16.*--encoding utf-16-le"):
        lines(tmp_path, "a,b\n".encode("utf-16-le"), "cp1252")


def test_utf8_is_not_read_as_cp1252(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are UTF-8. Name that: --encoding utf-8"):
        lines(tmp_path, "é\n".encode(), "cp1252")


def test_another_encoding_than_asked_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1, byte 1: 0xe9 is no UTF-8.*cp1252 reads 'né'"):
        lines(tmp_path, b"n\xe9\n", "utf-8")


@pytest.mark.parametrize("number", [1, 3])
def test_a_few_bytes_of_another_encoding_spoil_their_lines_only(
    tmp_path: Path, number: int
) -> None:
    data = ("grün\n" * 100).encode() + b"caf\xe9\n" * number
    found, text = lines(tmp_path, data)
    assert found.codec == "utf-8-sig" and text[0] == "grün\n" and len(text) == 100 + number


def test_a_guess_is_told_with_the_words_that_it_makes(tmp_path: Path) -> None:
    found, text = lines(tmp_path, b"a\nb\ncaf\xe9 in K\xf6ln\n")
    assert found == Encoding("cp1252", "as 'café' and 'Köln' in line 3 say")
    assert text[2] == "café in Köln\n"


def test_unknown_encoding(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown encoding 'utf-88'.*cp1252"):
        lines(tmp_path, b"a", "utf-88")


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        find_encoding(content_of(tmp_path / "t.csv"))


def test_half_a_character_of_utf16(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not utf-16 text.*--encoding"):
        lines(tmp_path, "a,b\n".encode("utf-16") + b"x")
