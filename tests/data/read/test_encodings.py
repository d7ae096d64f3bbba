"""Bytes become text in the declared encoding, or the message says where they do not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from multimodal.core.errors import DataError
from multimodal.data.read.encodings import text_lines


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
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    assert list(text_lines(path, encoding)) == ["a,é\n", "1,2\n"]


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ("a\né\n".encode("cp1252"), ["line 2, byte 2: 0xe9", 'encoding="cp1252"']),
        (b"\xef\xbb\xbfa\n\xe9\n", ["line 2, byte 5: 0xe9"]),
        (b"a\n" * 9000 + b"\xff\n", ["line 9001, byte 18000: 0xff"]),
        ("a,b\n1,2\n".encode("utf-16"), ["line 1, byte 0", 'encoding="utf-16"']),
        ("a,b\n1,2\n".encode("utf-16-be"), ["line 1, byte 0", "UTF-16"]),
        (b"PK\x03\x04rest", ["an Excel or ZIP file", "Save the sheet as CSV"]),
        (gzip.compress(b"a,b\n", mtime=0), ["gzip-compressed"]),
        (b"PAR1....", ["a Parquet file"]),
    ],
)
def test_other_bytes_are_refused(tmp_path: Path, data: bytes, parts: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        list(text_lines(path))
    for part in [str(path), *parts]:
        assert part in str(caught.value)


def test_utf16_is_not_read_as_cp1252(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("a,b\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="UTF-16"):
        list(text_lines(path, "cp1252"))


def test_unknown_encoding(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown encoding 'utf-88'.*cp1252"):
        list(text_lines(tmp_path / "t.csv", "utf-88"))


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(text_lines(tmp_path / "t.csv"))
