"""Where photos may lie, what is wrong with them, and what their pixels are."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal.core.errors import DataError
from multimodal.data.photos import read
from multimodal.data.photos.examine import examine
from multimodal.data.photos.read import PhotoPaths, decode, decode_rows, photo_size

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 40, 3)).astype(np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE[:3, :4]).resize((40, 24), Image.Resampling.BICUBIC))


def saved(array: np.ndarray, name: str = "PNG", **options: object) -> BytesIO:
    file = BytesIO()
    Image.fromarray(array).save(file, name, **options)
    return file


def bomb() -> bytes:
    """A PNG of 14,000 x 14,000 pixels in some 24 kB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        size, check = struct.pack(">I", len(body)), struct.pack(">I", zlib.crc32(kind + body))
        return size + kind + body + check

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1751)) for _ in range(14_000)) + packer.flush()
    header = struct.pack(">IIBBBBB", 14_000, 14_000, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_orientation_equals_the_rotated_photo(orientation: int, kind: str) -> None:
    moves = [
        lambda a: a,
        np.fliplr,
        lambda a: np.rot90(a, 2),
        np.flipud,
        lambda a: a.transpose(1, 0, 2),
        lambda a: np.rot90(a, -1),
        lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        np.rot90,
    ]
    exif = Image.Exif()
    exif[274] = orientation
    file = saved(SMOOTH, kind, exif=exif)
    plain = np.asarray(Image.open(saved(SMOOTH, kind)))
    turned = np.ascontiguousarray(moves[orientation - 1](plain))
    np.testing.assert_array_equal(decode(file, 16), decode(saved(turned), 16))


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_the_measure_is_that_of_the_upright_photo(
    tmp_path: Path, kind: str, orientation: int | None
) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    path = tmp_path / "photo"
    path.write_bytes(saved(NOISE, kind, exif=exif).getvalue())
    assert photo_size(path) == ((24, 40) if orientation in (5, 6, 7, 8) else (40, 24))


def test_what_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone.png: no such photo"):
        photo_size(tmp_path / "gone.png")
    (tmp_path / "bomb.png").write_bytes(bomb())
    with pytest.raises(DataError, match="bomb.png: not a readable photo"):
        photo_size(tmp_path / "bomb.png")


def test_pixels_are_a_filtered_resize() -> None:
    found = decode(saved(NOISE), 8)
    assert found.shape == (8, 8, 3) and found.dtype == np.uint8
    wanted = Image.fromarray(NOISE).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(wanted))
    np.testing.assert_allclose(found.mean(), NOISE.mean(), atol=3)


def test_a_large_jpeg_is_reduced_without_a_shift() -> None:
    large = np.asarray(Image.fromarray(SMOOTH).resize((640, 384), Image.Resampling.BICUBIC))
    exact = np.asarray(Image.fromarray(large).resize((16, 16), Image.Resampling.BILINEAR))
    found = decode(saved(large, "JPEG", quality=95), 16)
    assert np.abs(found.astype(int) - exact).mean() < 3


@pytest.mark.parametrize(
    ("mode", "colour", "kind", "pixel"),
    [
        ("L", 77, "PNG", (77, 77, 77)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("P", 0, "PNG", (10, 20, 30)),
        ("LA", (100, 0), "PNG", (255, 255, 255)),
        ("RGBA", (200, 100, 0, 0), "PNG", (255, 255, 255)),
        ("RGBA", (200, 100, 0, 255), "PNG", (200, 100, 0)),
        ("RGBA", (0, 0, 0, 128), "PNG", (127, 127, 127)),
        ("CMYK", (0, 255, 255, 0), "JPEG", (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), "TIFF", (0, 0, 0)),
        ("I;16", 257 * 90, "PNG", (90, 90, 90)),
        ("I", 257 * 90, "TIFF", (90, 90, 90)),
    ],
)
def test_modes_become_rgb(mode: str, colour: object, kind: str, pixel: tuple[int, ...]) -> None:
    image = Image.new(mode, (12, 9), colour)
    if mode == "P":
        image.putpalette([10, 20, 30, 200, 200, 200])
    file = BytesIO()
    image.save(file, kind)
    found = decode(file, 4)
    assert found.shape == (4, 4, 3)
    np.testing.assert_allclose(found, np.broadcast_to(pixel, (4, 4, 3)), atol=2)


def test_a_transparent_palette_lies_over_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 200, 200])
    file = BytesIO()
    image.save(file, "PNG", transparency=0)
    assert decode(file, 2).min() == 255


def test_a_16_bit_ramp_keeps_its_mean() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    assert abs(decode(saved(ramp), 32).mean() - 127.5) < 0.5


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG", "AVIF"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    file = BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(decode(file, 4)[0, 0], (255, 0, 0), atol=6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM"])
def test_formats_go_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(SMOOTH, kind).getvalue())
    facts = examine(path)
    assert facts.fault is None and facts.digest is not None and len(facts.digest) == 32
    assert np.abs(decode(path, 8).astype(int) - decode(saved(SMOOTH), 8)).mean() < 25


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("share", [0.2, 0.7, 0.97])
def test_cut_files_are_found_out(tmp_path: Path, kind: str, share: float) -> None:
    whole = saved(NOISE, kind).getvalue()
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole[: int(share * len(whole))])
    facts = examine(path)
    assert facts.fault is not None and facts.fault.startswith(f"{path}: ") and not facts.absent
    with pytest.raises(DataError, match="cut.jpg: "):
        decode(path, 8)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF|.*:UserWarning")
def test_a_thumbnail_does_not_hide_that_a_jpeg_is_cut(tmp_path: Path) -> None:
    whole = saved(NOISE, "JPEG", exif=b"Exif\0\0" + saved(NOISE, "JPEG").getvalue()).getvalue()
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole[:-100])
    assert examine(path).fault == f"{path}: the photo is cut off"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_bytes_after_the_end_do_no_harm(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "motion.jpg"
    path.write_bytes(saved(NOISE, kind).getvalue() + bytes(100_000))
    assert examine(path).fault is None
    assert decode(path, 8).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a readable photo (the file is empty)"),
        (b"<!DOCTYPE html><html>", "starts with b'<!DOCTYPE ht')"),
        (b"\x00" * 500, "expected JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, PPM"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable photo"),
    ],
)
def test_what_is_no_photo(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "page.jpg"
    path.write_bytes(content)
    assert words in str(examine(path).fault)
    with pytest.raises(DataError) as caught:
        decode(path, 8)
    assert str(caught.value) == examine(path).fault


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb())
    assert path.stat().st_size < 40_000
    tracemalloc.start()
    with pytest.raises(DataError, match="14000 x 14000 pixels, the limit is 64,000,000|exceeds"):
        decode(path, 8)
    assert examine(path).fault is not None
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_absent_and_odd_files(tmp_path: Path) -> None:
    gone = examine(tmp_path / "gone.jpg")
    assert gone.absent and gone.fault == f"{tmp_path / 'gone.jpg'}: no such photo"
    (tmp_path / "file").touch()
    assert examine(tmp_path / "file" / "a.jpg").absent
    assert "not a regular file" in str(examine(tmp_path).fault)
    assert "null" in str(examine(tmp_path / "a\0.jpg").fault)
    assert "too long" in str(examine(tmp_path / ("a" * 300)).fault)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_a_fault_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    start = time.perf_counter()
    assert "not a regular file" in str(examine(tmp_path / "pipe.jpg").fault)
    with pytest.raises(DataError, match="not a regular file"):
        decode(tmp_path / "pipe.jpg", 8)
    assert time.perf_counter() - start < 1


def test_damaged_bytes_raise_one_error_or_none() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"):
        whole = saved(SMOOTH, kind).getvalue()
        for _ in range(25):
            damaged = bytearray(whole)
            for place in RNG.integers(0, len(whole), 8):
                damaged[place] = RNG.integers(256)
            try:
                assert decode(BytesIO(bytes(damaged)), 8).shape == (8, 8, 3)
            except DataError as error:
                assert str(error).startswith("photo: ") and "0x" not in str(error)


def test_decode_rows(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(SMOOTH).getvalue())
    a, gone = str(tmp_path / "a.png"), str(tmp_path / "gone.png")
    photos = PhotoPaths([[a, None], [None, None], [gone, a]], 8)
    assert photos.shape == (3, 2, 8, 8, 3) and photos.nbytes == 3 * 2 * 192
    pixels, present, faults = decode_rows(photos)
    assert present.tolist() == [[True, False], [False, False], [False, True]]
    assert faults == {2: f"{gone}: no such photo"}
    np.testing.assert_array_equal(pixels[0, 0], decode(a, 8))
    np.testing.assert_array_equal(pixels[2, 1], decode(a, 8))
    assert not pixels[1].any() and not pixels[2, 0].any()


@pytest.mark.parametrize("place", [70, 200, 900])
def test_a_png_damaged_in_the_middle_is_found_without_decoding(tmp_path: Path, place: int) -> None:
    content = bytearray(saved(NOISE).getvalue())
    content[place] ^= 16
    (tmp_path / "a.png").write_bytes(content)
    fault = examine(tmp_path / "a.png").fault
    assert fault and "not a readable photo (damaged between bytes " in fault


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_the_header_tells(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "photo"
    path.write_bytes(saved(NOISE[:, :, 0], kind, exif=exif).getvalue())
    facts = examine(path)
    assert (facts.width, facts.height, facts.rotated) == (40, 24, True)
    assert facts.mode == ("RGB" if kind == "WEBP" else "L")
    path.write_bytes(saved(NOISE, kind).getvalue())
    assert (examine(path).mode, examine(path).rotated) == ("RGB", False)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA", "CMYK", "I;16"])
@pytest.mark.parametrize("shape", [(130, 70), (70, 130), (90, 30)])
def test_some_rows_at_a_time_give_the_same_pixels(
    mode: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "I;16":
        image = Image.fromarray(RNG.integers(0, 2**16, shape).astype(np.uint16))
    else:
        image = Image.fromarray(RNG.integers(0, 256, (*shape, 4)).astype(np.uint8))
        image = image if mode == "RGBA" else image.convert("RGB").convert(mode)
    for orientation in range(1, 9):
        exif, file = Image.Exif(), BytesIO()
        exif[274] = orientation
        image.save(file, "TIFF" if mode == "CMYK" else "PNG", exif=exif)
        for size in (16, 70, 200):
            monkeypatch.setattr(read, "_WHOLE", 2**22)
            whole = decode(file, size)
            monkeypatch.setattr(read, "_WHOLE", 0)
            monkeypatch.setattr(read, "_STRIP", 900)
            np.testing.assert_array_equal(decode(file, size), whole)


def test_a_tall_photo_takes_no_more_than_the_limit() -> None:
    file = saved(np.zeros((60_000, 30), np.uint8))
    assert decode(file, 16).shape == (16, 16, 3)
    with pytest.raises(DataError, match="takes 1,[0-9]+ MB, the limit is 300 MB"):
        decode(saved(np.zeros((300_000, 30), np.uint8)), 1024)


@pytest.mark.parametrize(
    ("low", "high", "pixel"), [(0, 1, 128), (0, 255, 127), (-1, 1, None), (0, 1e4, None)]
)
def test_floating_point_photos_are_scaled_by_their_range_or_refused(
    low: float, high: float, pixel: int | None
) -> None:
    ramp = np.linspace(low, high, 1601, dtype=np.float32)[:1600].reshape(40, 40)
    if pixel is None:
        with pytest.raises(DataError, match="numbers from .* expected 0 to 255, or to 1"):
            decode(saved(ramp, "TIFF"), 8)
    else:
        assert abs(decode(saved(ramp, "TIFF"), 8).mean() - pixel) < 1.5


def test_not_a_number_is_no_pixel() -> None:
    ramp = np.linspace(0, 1, 1600, dtype=np.float32).reshape(40, 40)
    ramp[0, 0] = np.nan
    with pytest.raises(DataError, match="not a readable photo"):
        decode(saved(ramp, "TIFF"), 8)


def test_32_bit_numbers_beyond_16_bits_are_refused() -> None:
    with pytest.raises(DataError, match="numbers from 0 to 70,000; expected 0 to 65,535"):
        decode(saved(np.array([[0, 70_000]], np.int32), "TIFF"), 8)


CODE = """
import resource, sys
from io import BytesIO
import numpy as np
from PIL import Image
from multimodal.data.photos.examine import examine
from multimodal.data.photos.read import decode
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
content = open(sys.argv[1], "rb").read()
small = BytesIO(); Image.new("RGB", (99, 99)).save(small, "PNG"); decode(small, 64)
before = peak()
try:
    examine(content); decode(content, 64)
    done = "decoded"
except ValueError:
    done = "refused"
print(done, peak() - before)
"""
LARGE = {
    "RGBA.png": ("decoded", "RGBA", {}),
    "turned.png": ("decoded", "L", {"orientation": 6}),
    "P.png": ("decoded", "P", {"transparency": 0}),
    "plain.jpg": ("decoded", "RGB", {"orientation": 6}),
    "progressive.jpg": ("decoded", "RGB", {"progressive": True}),
    "full.jpg": ("refused", "RGB", {"progressive": True, "subsampling": 0}),
    "a.webp": ("refused", "RGB", {"method": 0, "quality": 1}),
}


@pytest.mark.parametrize(
    "name",
    [n if n == "RGBA.png" else pytest.param(n, marks=pytest.mark.large) for n in LARGE],
)
def test_64_megapixels_take_less_than_300_mb_or_are_refused(tmp_path: Path, name: str) -> None:
    """In a process of its own, whose peak is measured before and after."""
    wanted, mode, options = LARGE[name]
    exif = Image.Exif()
    exif[274] = options.pop("orientation", 1)
    side = 7990, 8000
    Image.new(mode, side, 7 if mode == "P" else None).save(tmp_path / name, exif=exif, **options)
    words = [sys.executable, "-c", CODE, str(tmp_path / name)]
    done = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    unit = 1 if sys.platform == "darwin" else 1024
    assert done[0] == wanted and int(done[1]) * unit < 300e6
