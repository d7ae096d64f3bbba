"""The photos that a cell names or holds: one or several, however the tool wrote them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from multimodal.data.columns.cells import is_blank
from multimodal.data.photos.embedded import embedded_photo, has_photo_header

# A path below the folder of the photos or an address; or the bytes of a file.
Photo: TypeAlias = str | bytes
# All by which Pillow knows the formats that `read` opens; .pjpeg and .pjp are those of browsers.
SUFFIXES = tuple(
    ".jpg .jpeg .jpe .jfif .jif .pjpeg .pjp .png .apng .webp .gif .bmp .dib .tif .tiff .avif "
    ".avifs .ppm .pgm .pbm .pnm .pfm".split()
)
OTHER_SUFFIXES = tuple(".heic .heif .jp2 .jxl .svg .psd .cr2 .nef .arw .dng .tga".split())
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_QUOTED = r"""(?:'[^']*'|"[^"]*")"""
_PRINTED = re.compile(rf"[\[(]\s*{_QUOTED}(?:[,\s]\s*{_QUOTED})*,?\s*[\])]")


def cell_photos(cell: Any) -> list[Photo]:
    """Return the photos of a cell, in order; none where it says nothing.

    Several stand in a list, in one written as JSON, by Python, NumPy or PostgreSQL, or in a text,
    separated by `|`; by `;`, `,` or blanks only where every part has the ending of a photo, since
    names of files may hold these.

    Example:
    >>> cell_photos("a.jpg | b.jpg"), cell_photos('["a.jpg"]'), cell_photos(None)
    (['a.jpg', 'b.jpg'], ['a.jpg'], [])
    >>> cell_photos("a.jpg;b.PNG"), cell_photos("red, blue.jpg")
    (['a.jpg', 'b.PNG'], ['red, blue.jpg'])
    """
    if isinstance(cell, str):
        return _in_text(cell.strip())
    found = embedded_photo(cell)
    if found is not None:
        return [found] if found else []
    if isinstance(cell, list | tuple | np.ndarray | pd.Series):
        return _items(cell)
    return [] if is_blank(cell) else [str(cell).strip()]


def is_address(name: Photo) -> bool:
    """Whether a photo is named by an address, such as `https://…`, not by a path."""
    return isinstance(name, str) and _ADDRESS.match(name) is not None


def without_query(name: str) -> str:
    """Cut off what follows the ending of a photo: `?width=300`, `#top`.

    Example:
    >>> without_query("a.jpg?v=3"), without_query("photo #3.jpg")
    ('a.jpg', 'photo #3.jpg')
    """
    for mark in "?#":
        head = name.partition(mark)[0]
        if head != name and head.lower().endswith(SUFFIXES):
            return head
    return name


def is_photo(photo: Photo, suffixes: tuple[str, ...] = SUFFIXES) -> bool:
    """Whether a name has one of the endings, or bytes begin like a photo."""
    if isinstance(photo, bytes):
        return has_photo_header(photo)
    return without_query(photo).lower().endswith(suffixes)


def shown(photo: Photo) -> str:
    """Name a photo in a message."""
    return f"photo of {len(photo):,} bytes" if isinstance(photo, bytes) else photo


def file_name(photo: Photo | os.PathLike[str]) -> str:
    """Name a photo on a page, without its folders."""
    if isinstance(photo, bytes):
        return shown(photo)
    return os.path.basename(without_query(os.fspath(photo)))


def _items(values: Iterable[Any]) -> list[Photo]:
    """Return one photo for each item of a list that is not blank."""
    found = [(embedded_photo(item), item) for item in values]
    photos = [
        str(item).strip() if photo is None else photo
        for photo, item in found
        if photo is not None or not is_blank(item)
    ]
    return [photo for photo in photos if photo]


def _in_text(text: str) -> list[Photo]:
    if not text:
        return []
    content = embedded_photo(text)
    if content is not None:
        return [content]
    return _in_brackets(text) if text[0] in "[({" else _split(text)


def _in_brackets(text: str) -> list[Photo]:
    """Read a list, or a record, written as JSON, by Python, NumPy or PostgreSQL; else split it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list):
        return _items(value)
    if isinstance(value, dict) and (found := embedded_photo(value)):
        return [found]
    if _PRINTED.fullmatch(text):
        return _items(quoted[1:-1] for quoted in re.findall(_QUOTED, text))
    inside = _split(text[1:-1]) if text[0] + text[-1] == "{}" else []
    return inside if inside and all(map(is_photo, inside)) else _split(text)


def _split(text: str) -> list[Photo]:
    if "|" in text:
        return [part.strip() for part in text.split("|") if part.strip()]
    for separator in (";", ",", None):
        parts = [part.strip(" \t\r\n'\"") for part in text.split(separator)]
        parts = [part for part in parts if part]
        if parts and parts != [text] and all(map(is_photo, parts)):
            return [photo for part in parts for photo in _split(part)]
    return [text]
