"""Half photos that a decoder fills up, and sound ones that only look like them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal.core.errors import DataError
from multimodal.data.photos.complete import CUT_OFF
from multimodal.data.photos.examine import examine
from multimodal.data.photos.read import decode

NOISE = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)


def jpeg(array: np.ndarray = NOISE, mode: str = "RGB", **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(array).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(body: bytes, width: int = 90, height: int = 60, *kind: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, *(kind or (8, 2, 0, 0, 0)))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


ROWS = b"".join(b"\0" + row.tobytes() for row in NOISE)
WHOLE, PACKED = jpeg(), zlib.compress(ROWS)
HALF = len(WHOLE) // 2
DAMAGED = {
    "half a JPEG with an end mark": WHOLE[:HALF] + b"\xff\xd9",
    "a progressive one": jpeg(progressive=True)[:400] + b"\xff\xd9",
    "a CMYK one": jpeg(mode="CMYK")[:3000] + b"\xff\xd9",
    "a grey one": jpeg(mode="L")[:1500] + b"\xff\xd9",
    "zeros in a JPEG": WHOLE[:HALF] + bytes(400) + WHOLE[HALF + 400 :],
    "a third of a PNG's rows": png(zlib.compress(ROWS[: len(ROWS) // 3])),
    "all but a PNG's last row": png(zlib.compress(ROWS[:-1])),
    "garbage in a PNG": png(PACKED[:200] + b"\xaa" * 300 + PACKED[500:]),
    "a PNG whose rows add up to another sum": png(PACKED[:-1] + bytes([PACKED[-1] ^ 1])),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_a_decoder_fills_up_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(DAMAGED[name])
    fault = examine(tmp_path / "a").fault
    assert fault and (CUT_OFF in fault or "damaged" in fault)


@pytest.mark.parametrize(
    "name", ["half a JPEG with an end mark", "a CMYK one", "a grey one", "a third of a PNG's rows"]
)
def test_it_is_found_without_an_examination(name: str) -> None:
    with pytest.raises(DataError, match=CUT_OFF):
        decode(DAMAGED[name], 8)
    assert decode(DAMAGED[name], 8, examined=True).shape == (8, 8, 3)


PLAIN = np.full((60, 90, 3), 255, np.uint8)
BLACK = np.zeros((60, 90, 4), np.uint8)


def saved(array: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


SOUND = {
    "JPEG": WHOLE,
    "progressive": jpeg(progressive=True),
    "CMYK": jpeg(mode="CMYK"),
    "grey": jpeg(mode="L"),
    "white JPEG": jpeg(PLAIN),
    "restart markers": jpeg(restart_marker_blocks=3),
    "bytes behind the end": WHOLE + b"\0" * 500,
    "padding before the end": WHOLE[:-2] + bytes(900) + b"\xff\xd9",
    "a few bytes too many": WHOLE[:-2] + b"\1\2\3" + b"\xff\xd9",
    "PNG": png(PACKED),
    "transparent PNG": saved(BLACK),
    "white PNG": saved(PLAIN),
    "grey of 16 bits": saved(np.arange(5400, dtype=np.uint16).reshape(60, 90)),
    "one bit": saved(PLAIN[..., 0] > 0),
    "more rows than it says": png(zlib.compress(ROWS + ROWS)),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_photos_stay_sound(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(SOUND[name])
    assert examine(tmp_path / "a").fault is None
    np.testing.assert_array_equal(decode(SOUND[name], 8), decode(SOUND[name], 8, examined=True))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 13), (16, 16), (5, 40)])
def test_the_rows_of_interlaced_pngs_are_counted(
    tmp_path: Path, depth: int, size: tuple[int, int]
) -> None:
    width, height = size
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    rows = b""
    for x, y, across, down in (*steps, (0, 1, 1, 2)):
        wide, high = len(range(x, width, across)), len(range(y, height, down))
        rows += (b"\0" + b"\x5a" * (-(-wide * depth // 8))) * high if wide else b""
    whole = png(zlib.compress(rows), width, height, depth, 0, 0, 0, 1)
    (tmp_path / "a").write_bytes(whole)
    assert examine(tmp_path / "a").fault is None and decode(whole, 4).shape == (4, 4, 3)
    (tmp_path / "a").write_bytes(png(zlib.compress(rows[:-1]), width, height, depth, 0, 0, 0, 1))
    assert CUT_OFF in str(examine(tmp_path / "a").fault)
