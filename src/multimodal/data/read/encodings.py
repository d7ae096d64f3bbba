"""Decoding of text files, with an error that says where it failed and which encoding to try."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from multimodal.core.errors import DataError

_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OTHER_FORMATS = {
    b"PK\x03\x04": "an Excel or ZIP file. Save the sheet as CSV (UTF-8)",
    b"\xd0\xcf\x11\xe0": "an old Excel file. Save the sheet as CSV (UTF-8)",
    b"\x1f\x8b": "gzip-compressed. Unpack it first",
    b"PAR1": "a Parquet file. Rename it to end in .parquet",
}


def text_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of `path`, line ends kept, a byte-order mark removed.

    Args:
        path: an existing file.
        encoding: any text encoding Python knows.

    Raises:
        DataError: the encoding is unknown, or the bytes are not text in it; the message gives
            line, byte and the encoding to try.
    """
    codec = _codec(encoding)
    try:
        with path.open("rb") as binary:
            _check_head(path, codec, binary.read(4096))
        # newline="": the csv module must see line ends as they are, or a quoted "\r\n" changes.
        with path.open(encoding=codec, newline="") as file:
            for number, line in enumerate(file):
                # utf-16-le and -be leave the mark in the text, unlike utf-16 and utf-8-sig.
                yield line.removeprefix("\ufeff") if number == 0 else line
    except UnicodeError:
        raise DataError(_undecodable(path, codec)) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def _codec(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise DataError(
            f"unknown encoding '{encoding}'. Common ones: utf-8, utf-16, cp1252, latin-1."
        ) from None
    return "utf-8-sig" if name == "utf-8" else name


def _check_head(path: Path, codec: str, head: bytes) -> None:
    """Raise DataError for the first bytes of another format or of UTF-16 read as bytes."""
    for magic, what in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise DataError(f"{path}: expected text, but this is {what}.")
    if codec.startswith(("utf-16", "utf-32")):
        return
    # cp1252 and latin-1 decode any bytes, so UTF-16 read as one of them raises nothing by itself.
    if head.startswith(_BOMS) or b"\0" in head:
        byte = 0 if head.startswith(_BOMS) else head.index(b"\0")
        line = head[:byte].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}, byte {byte}: expected {_plain(codec)} text, but the bytes look "
            'like UTF-16. Save the file as UTF-8, or read it from Python with encoding="utf-16" '
            "(`multimodal.read_table`)."
        )


def _undecodable(path: Path, codec: str) -> str:
    """Find the first byte that `codec` refuses; lines count from 1, bytes from 0."""
    data = path.read_bytes()
    try:
        data.decode(codec)
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark.
        start = error.start + (3 if codec == "utf-8-sig" and data[:3] == codecs.BOM_UTF8 else 0)
        line = data[:start].count(b"\n") + 1
        return (
            f"{path}, line {line}, byte {start}: 0x{data[start]:02x} is not {_plain(codec)} text. "
            f"Save the file as UTF-8, or read it from Python with its encoding, such as "
            f'encoding="{"cp1252" if codec == "utf-8-sig" else "utf-8"}" '
            "(`multimodal.read_table`)."
        )
    return f"{path}: not {_plain(codec)} text. Save the file as UTF-8."


def _plain(codec: str) -> str:
    return "UTF-8" if codec == "utf-8-sig" else codec
