"""Whether all of a photo is there: a decoder fills up with grey or black what is not.

Damage shows where the format says so: in the end mark and the entropy-coded data of a JPEG, in the
checksums and the number of rows of a PNG. libjpeg says so in warnings, which Pillow drops.
"""

from __future__ import annotations

import re
import struct
import zlib

import simplejpeg
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

CUT_OFF = "the photo is cut off"
_DAMAGED = "not a readable photo (damaged{where})"
# Of libjpeg's warnings, those of pixels that are lost; others are of harmless oddities.
_LOST = re.compile(r"premature end|bad Huffman code|marker \S+ instead of RST")
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_PADDING = 16  # bytes that are left over in sound files of some cameras
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type of a PNG
# Where the pixels of the seven passes of an interlaced PNG start, and how far apart they are.
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8)),
    *((2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_BLOCK = 2**18


def fault_in(image: Image.Image, content: bytes) -> str:
    """Return what is missing or damaged in an open photo, "" if nothing is.

    Bytes behind its end are no fault.

    Args:
        image: The photo; JPEG and PNG are not decoded by it, other formats are.
        content: The bytes of its file.
    """
    if isinstance(image, JpegImageFile):
        start = image.fp.tell() if image.fp else 0  # behind a thumbnail, which has an end as well
        cut_off = content.rfind(b"\xff\xd9") < start
        return CUT_OFF if cut_off else _fault_in_scan(content, image.mode)
    if image.format == "PNG":
        return _fault_in_chunks(content)
    image.load()
    return ""


def is_filled_up(image: Image.Image, content: bytes) -> bool:
    """Whether the last rows of a decoded photo are not in its file.

    Looked for where its last row has a single colour: nothing else is filled up.
    """
    last = image.crop((0, image.height - 1, image.width, image.height))
    if isinstance(image, JpegImageFile):
        return last.getcolors(1) is not None and _fault_in_scan(content, image.mode) == CUT_OFF
    return (
        image.format == "PNG"
        and not last.tobytes().strip(b"\0")
        and bool(_fault_in_chunks(content))
    )


def _fault_in_scan(content: bytes, mode: str) -> str:
    """Return what libjpeg warns of when it decodes a JPEG, at an eighth of its size."""
    try:
        colours = "CMYK" if mode == "CMYK" else "GRAY"
        simplejpeg.decode_jpeg(
            content, colours, min_height=1, min_width=1, min_factor=8, strict=True
        )
    except ValueError as error:
        left = _LEFT_OVER.search(str(error))
        if _LOST.search(str(error)):
            return CUT_OFF if "premature" in str(error) else _DAMAGED.format(where="")
        if left and int(left[1]) > _PADDING:
            end = content.rfind(b"\xff\xd9")
            padding = len(set(content[max(end - int(left[1]), 0) : end])) <= 2
            return "" if padding else _DAMAGED.format(where="")
    return ""


def _fault_in_chunks(content: bytes) -> str:
    """Check that every chunk of a PNG has its checksum, and that all rows are there.

    `Image.verify` looks at the same checksums, but says not where, and leaves no usable image.
    """
    view, start, kind = memoryview(content), 8, b""
    rows = zlib.decompressobj()
    expected, found = 0, 0
    while kind != b"IEND":
        if start + 12 > len(content):
            return CUT_OFF
        size, kind = struct.unpack_from(">I4s", content, start)
        end = start + 8 + size
        if end + 4 > len(content):
            return CUT_OFF
        if zlib.crc32(view[start + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            return _DAMAGED.format(where=f" between bytes {start} and {end}")
        if kind == b"IHDR":
            expected = _row_bytes(content[start + 8 : end])
        elif kind == b"IDAT" and found < expected:
            try:
                found += _inflated(rows, view[start + 8 : end])
            except zlib.error:
                return _DAMAGED.format(where=f" between bytes {start} and {end}")
        start = end + 4
    return CUT_OFF if found < expected else ""


def _inflated(rows: zlib._Decompress, part: memoryview) -> int:
    """Return how many bytes a part of the compressed rows makes, without keeping them."""
    found, rest = 0, bytes(part)
    while rest:
        found += len(rows.decompress(rest, _BLOCK))
        rest = rows.unconsumed_tail
    return found


def _row_bytes(header: bytes) -> int:
    """Return the bytes of all rows of a PNG, each with that of its filter."""
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = _CHANNELS.get(colours, 1) * depth
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    return sum(down * (-(-across * bits // 8) + 1) for across, down in sizes if across > 0 < down)
