"""How the bytes of a text file become text: found from the bytes, and read line by line.

UTF-8 and UTF-16 can be told with certainty. Windows-1252 is taken where the words that come out are
of a language that is written in it, see `western`. Anything else must be named by a person: a wrong
guess would put other letters into the cells, and nobody would be told.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from multimodal.core.errors import DataError, first_line
from multimodal.data.read.packed import DAMAGED, Content, damaged
from multimodal.data.read.western import CODEC, first_words, is_western

HOW_TO_NAME = "(YAML `data: {encoding: …}`, Python `read_table(…, encoding=…)`)"
_MARKS = {  # UTF-32 first: its mark begins as that of UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OTHER_FORMATS = {
    b"PK\x03\x04": "an Excel or ZIP file. Rename it to end in .xlsx or .zip",
    b"\xd0\xcf\x11\xe0": "an old Excel file. Save the sheet as .xlsx or CSV (UTF-8)",
    b"\x1f\x8b": "gzip-compressed. Rename it to end in .gz",
    b"PAR1": "a Parquet file. Rename it to end in .parquet",
}
_SHOWN = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8"}
_HEAD = 4096
_MOST_SEEN = 10_000  # lines that are no UTF-8 and whose words are looked at
_MOST_SPOILED = 0.05  # fraction of lines with a byte of another encoding in a file of UTF-8
_TRIED = ("cp1252", "cp1250", "cp1251", "mac_roman", "shift_jis", "gbk")  # shown to choose from
_ESCAPED = re.compile("[\ud800-\udfff]")  # what Python makes of a byte that is no text


class Encoding(NamedTuple):
    """The codec of a file, and what to say of how it was found."""

    codec: str
    note: str = ""


def find_encoding(content: Content, asked: str = "auto") -> Encoding:
    """Return how the bytes of a file become text.

    A byte-order mark decides. Without one, `auto` takes UTF-8 where its lines are valid, but for
    a few; then UTF-16 where zeros stand at every other byte; then Windows-1252 where its words are
    plausible.

    Args:
        content: the file.
        asked: `auto`, or any text encoding Python knows.

    Raises:
        DataError: the bytes do not decide, contradict what is asked, or are another format; the
            message gives line, byte and what to pass.
    """
    codec = None if asked == "auto" else _codec(asked)
    try:
        with content.open() as binary:
            head = binary.read(_HEAD)
        _check_format(content, head)
        marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
        if marked is not None:
            return Encoding(marked)
        wide = _wide(head)
        if codec is None:
            return _of_eight_bits(content) if wide is None else Encoding(wide)
        if codec.startswith(("utf-16", "utf-32")):
            return Encoding(codec)
        if wide is not None:
            raise DataError(
                f"{content.path}, line 1: expected {shown_encoding(codec)} text, but the bytes "
                f"look like UTF-16. Name that encoding: --encoding {wide} {HOW_TO_NAME}."
            )
        _check_asked(content, codec)
        return Encoding(codec)
    except (*DAMAGED, OSError) as error:
        raise damaged(content.path, error) from None


def text_lines(content: Content, codec: str) -> Iterator[str]:
    """Yield the lines of a file, line ends kept, a byte-order mark removed.

    A byte that is no text in an encoding of bytes comes as a lone surrogate, see `spoiled`.

    Raises:
        DataError: the file ends amid a character of UTF-16, or is damaged.
    """
    try:
        # newline="": the csv module must see line ends as they are, or a quoted "\r\n" changes.
        with io.TextIOWrapper(
            content.open(), encoding=codec, errors="surrogateescape", newline=""
        ) as file:
            for number, line in enumerate(file):
                # utf-16-le and -be leave the mark in the text, unlike utf-16 and utf-8-sig.
                yield line.removeprefix("\ufeff") if number == 0 else line
    except UnicodeError as error:
        raise DataError(
            f"{content.path}: not {shown_encoding(codec)} text ({first_line(error)}). Name its "
            f"encoding by --encoding {HOW_TO_NAME}, or save it as UTF-8."
        ) from None
    except (*DAMAGED, OSError) as error:
        raise damaged(content.path, error) from None


def spoiled(line: str, codec: str) -> str:
    """Return why a line of a file is no text, or "".

    Example:
    >>> spoiled(b"caf\\xe9".decode(errors="surrogateescape"), "utf-8"), spoiled("café", "utf-8")
    ('byte 0xe9 is no UTF-8 text', '')
    """
    if "\0" in line:
        return "it holds a NUL character"
    found = None if line.isascii() else _ESCAPED.search(line)
    if found is None:
        return ""
    return f"byte 0x{ord(found.group()) & 0xFF:02x} is no {shown_encoding(codec)} text"


def mended(line: str) -> str:
    """Return a spoiled line with a mark (U+FFFD) in place of what is no text."""
    return _ESCAPED.sub("\ufffd", line.replace("\0", "\ufffd"))


def shown_encoding(codec: str) -> str:
    """Return the name of an encoding as a person writes it."""
    return _SHOWN.get(codec, codec)


def _codec(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise DataError(
            f"unknown encoding '{encoding}'. Common ones: utf-8, utf-16, cp1252, latin-1."
        ) from None
    return "utf-8-sig" if name == "utf-8" else name


def _check_format(content: Content, head: bytes) -> None:
    for magic, what in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise DataError(f"{content.path}: expected text, but this is {what}.")


def _wide(head: bytes) -> str | None:
    """Return the UTF-16 that a file without a mark is in, by its zeros at every other byte."""
    half = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    for codec, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if half and zeros > 0.3 * half and others < 0.05 * half:
            return codec
    return None


class _Lines(NamedTuple):
    """The lines of a file beyond ASCII: of UTF-8, and others (number, bytes before it, line)."""

    total: int
    utf8: int
    others: int
    seen: list[tuple[int, int, bytes]]


def _scan(content: Content) -> _Lines:
    total, utf8, others, before = 0, 0, 0, 0
    seen: list[tuple[int, int, bytes]] = []
    with content.open() as binary:
        for total, line in enumerate(binary, start=1):
            if not line.isascii():
                try:
                    line.decode("utf-8")
                    utf8 += 1
                except UnicodeDecodeError:
                    others += 1
                    if len(seen) < _MOST_SEEN:
                        seen.append((total, before, line))
            before += len(line)
    return _Lines(total, utf8, others, seen)


def _of_eight_bits(content: Content) -> Encoding:
    """Choose between UTF-8 and Windows-1252."""
    lines = _scan(content)
    if lines.others <= lines.utf8:  # a few lines of another encoding, if any, are set aside
        return Encoding("utf-8-sig")
    found = [line for _, _, line in lines.seen]
    if not lines.utf8 and is_western(found):
        words = " and ".join(f"'{word}'" for word in first_words(found))
        return Encoding(CODEC, f"as {words} in line {lines.seen[0][0]} say")
    if lines.others <= _MOST_SPOILED * lines.total:
        return Encoding("utf-8-sig")
    raise DataError(_undecided(content, lines))


def _undecided(content: Content, lines: _Lines) -> str:
    number, before, line = lines.seen[0]
    try:
        line.decode("utf-8")
        at = 0
    except UnicodeDecodeError as error:
        at = error.start
    words = {codec: _word(line, codec) for codec in _TRIED}
    samples = ", ".join(f"{codec} reads {word!r}" for codec, word in words.items() if word)
    return (
        f"{content.path}, line {number}, byte {before + at}: 0x{line[at]:02x} is no UTF-8 text, "
        "and the file does not say which encoding it is in. Name it by --encoding "
        f"{HOW_TO_NAME}: {samples}."
    )


def _word(line: bytes, codec: str) -> str:
    try:
        line.decode(codec)
    except UnicodeDecodeError:
        return ""
    return next(iter(first_words([line], codec, 1)), "")


def _check_asked(content: Content, codec: str) -> None:
    """Raise DataError where most of the bytes beyond ASCII contradict the encoding asked for."""
    lines = _scan(content)
    if codec == "utf-8-sig":
        if lines.others > lines.utf8 and lines.others > _MOST_SPOILED * lines.total:
            raise DataError(_undecided(content, lines))
    elif lines.utf8 and not lines.others:
        raise DataError(
            f"{content.path}: expected {shown_encoding(codec)} text, but all lines beyond ASCII "
            f"({lines.utf8:,}) are UTF-8. Name that: --encoding utf-8 {HOW_TO_NAME}."
        )
