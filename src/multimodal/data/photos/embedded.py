"""Photos that lie in the cells themselves: bytes, base64, data URIs, PIL images, records of them.

Each becomes the bytes of a file, so that it takes the route of every other photo. A PIL image that
nobody has loaded gives the bytes of the file it was opened from; any other is written without loss.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from PIL import Image, ImageFile

# How files of the formats that are read begin, and how they do in base64.
_HEADERS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_KINDS = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"GI": "gif", b"RI": "webp", b"BM": "bmp"}
_BASE64 = re.compile(
    r"/9j/|iVBORw0KGgo|R0lGOD|UklGR|Qk[0-3]|SUkqA|TU0AK|UD[EIMQUY][KNJg]|AAAA.GZ0eXBhdm"
)
_DATA_URI = re.compile(r"data:image/[\w.+-]+((?:;[\w=.+-]+)*),", re.IGNORECASE)
_SHORTEST = 60  # letters; no photo is smaller in base64
PHOTO_FIELDS = {"bytes", "path"}  # of records in Hugging Face's tables
_RECORDS = (PHOTO_FIELDS, {"src", "height", "width"})
_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_TIFF = ("CMYK", "I", "F")
_ORIENTATION = 274


def embedded_photo(cell: Any) -> bytes | str | None:
    """Return the bytes of the photo that a cell holds, the path that a record names, or None.

    Args:
        cell: bytes, a PIL image, an array uint8 (H, W, 3 or 4), a record `{"bytes", "path"}` or
            `{"src", ...}`, a data URI, or base64 of a file; all else holds no photo.

    Example:
    >>> embedded_photo(b"GIF89a"), embedded_photo({"bytes": None, "path": "a.jpg"})
    (b'GIF89a', 'a.jpg')
    >>> embedded_photo("a.jpg"), embedded_photo(3)
    (None, None)
    """
    if isinstance(cell, str):
        return _written(cell) if len(cell) >= _SHORTEST or cell[:5].lower() == "data:" else None
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    if isinstance(cell, Image.Image):
        return _file_of(cell)
    if isinstance(cell, np.ndarray) and cell.ndim == 3:
        fits = cell.dtype == np.uint8 and cell.shape[2] in (3, 4) and cell.size > 0
        return _file_of(Image.fromarray(cell)) if fits else None
    if isinstance(cell, Mapping) and cell and any(set(cell) <= keys for keys in _RECORDS):
        return _in_record(cell)
    return None


def has_photo_header(content: bytes) -> bool:
    """Whether bytes begin like a file of a format that is read.

    Example:
    >>> has_photo_header(b"GIF89a..."), has_photo_header(b"%PDF-1.7")
    (True, False)
    """
    head = content[:16]
    return (
        head.startswith(_HEADERS)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:11] == b"ftypavi"
        or (head[:1] == b"P" and head[1:2].isdigit() and head[2:3].isspace())
    )


def as_data_uri(content: bytes) -> str:
    """Write the bytes of a photo into one line of text, which `embedded_photo` reads."""
    kind = _KINDS.get(content[:2], "tiff")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _in_record(cell: Mapping[str, Any]) -> bytes | str | None:
    content, path = cell.get("bytes"), cell.get("path") or cell.get("src")
    if isinstance(content, bytes | bytearray | memoryview) and len(content):
        return bytes(content)
    if not path:
        return b""
    return (embedded_photo(path) or path) if isinstance(path, str) else None


def _written(text: str) -> bytes | None:
    """Return the bytes that a data URI or base64 stands for, None for any other text."""
    text = text.strip()
    uri = _DATA_URI.match(text)
    if uri and not uri[1].lower().endswith(";base64"):
        return unquote_to_bytes(text[uri.end() :])
    if not uri and not _BASE64.match(text):
        return None
    body = re.sub(r"\s+", "", text[uri.end() :] if uri else text)
    try:
        content = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b"" if uri else None
    return content if uri or has_photo_header(content) else None


def _file_of(image: Image.Image) -> bytes:
    """Return an image as the bytes of a file."""
    stream = image.fp if isinstance(image, ImageFile.ImageFile) else None
    if stream is not None and not getattr(image, "is_animated", False):
        place = stream.tell()
        stream.seek(0)
        content = stream.read()
        stream.seek(place)
        if has_photo_header(content):
            return content
    exif = image.getexif()
    turned = {"exif": exif.tobytes()} if exif.get(_ORIENTATION, 1) != 1 else {}
    file = BytesIO()
    if image.mode in _TIFF:
        image.save(file, "TIFF", **turned)
    else:
        plain = image if image.mode in _PNG else image.convert("RGB")
        plain.save(file, "PNG", compress_level=1, **turned)
    return file.getvalue()
