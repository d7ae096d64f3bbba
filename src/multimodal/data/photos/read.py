"""Reading of photos: their bytes, and one decoder for all uses.

Every photo takes the same route, so it gives the same pixels in training and in serving: Pillow
opens its bytes, the header is checked for the memory that decoding takes before anything is
decoded, a JPEG is decoded at the smallest of its 1/1, 1/2, 1/4 and 1/8 scales that is not below the
target, EXIF orientation is honoured, 16-bit grey values are divided by 257, transparency is laid
over white, the first frame of an animation is taken, and a bilinear filter that averages over the
source pixels brings it to a square: of a large photo some rows at a time, to the same pixels.

Pillow decodes all photos because no two decoders agree, and TensorFlow's ignores EXIF orientation,
refuses TIFF and AVIF, gives four dimensions for GIF and WebP, and stops the whole pipeline at a
damaged photo without naming it. `tf.io.read_file` follows `../`, opens connections for `gs://` and
waits for ever on a pipe.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from multimodal.core.arrays import Bools
from multimodal.core.errors import DataError
from multimodal.data.photos.complete import CUT_OFF, is_filled_up
from multimodal.data.photos.names import Photo, is_address, shown

MAX_PIXELS = 64_000_000  # a bomb of 24 kB can hold three times as many
MAX_BYTES = 256 * 2**20
MAX_MEMORY = 300_000_000  # bytes that decoding one photo may take, its file included
# A closed list: Pillow's other plugins are rarely tested, and that for EPS starts Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
ABSENT, UNREADABLE = "no such photo", "not a readable photo"
ADDRESS = "an address, which is not opened"
_ORIENTATION = 274  # the EXIF tag
# What turns a photo upright, by its value; whether that swaps its sides, and whether the columns
# and the rows that are stored count from the other end.
_UPRIGHT = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, False, True, False),
    3: (Image.Transpose.ROTATE_180, False, True, True),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, False, False, True),
    5: (Image.Transpose.TRANSPOSE, True, False, False),
    6: (Image.Transpose.ROTATE_270, True, False, True),
    7: (Image.Transpose.TRANSVERSE, True, True, True),
    8: (Image.Transpose.ROTATE_90, True, True, False),
}
_AS_STORED = (None, False, False, False)
# Bytes that the decoders take for each pixel at most, measured on Pillow 13; Pillow itself keeps
# four. What only whole photos can be decoded of is bounded by them.
_DECODER_BYTES = {"WEBP": 17, "AVIF": 16, "TIFF": 9}
_LARGE = 64_000_000  # bytes from which photos are decoded one after the other
_one_large = threading.Lock()
# Pixels up to which a photo is turned, converted and resized as a whole, and those of a larger one
# that are together.
_WHOLE, _STRIP = 2**22, 2**20
# TensorFlow takes arrays over without a copy, with Python's lock held, only if they start here.
_ALIGNMENT = 64

Pixels = NDArray[np.uint8]


class PhotoFault(ValueError):
    """What is wrong with a photo, in a phrase."""


def decode(source: Photo | Path | BytesIO, size: int, *, examined: bool = False) -> Pixels:
    """Return the photo as uint8 `(size, size, 3)`, in RGB.

    Args:
        source: a path, or the bytes of a file.
        size: height and width in pixels; the photo is stretched to a square.
        examined: whether `examine` has found the photo complete, so that nobody looks for rows that
            the decoder has filled up.

    Raises:
        DataError: The photo is missing, damaged, of an unknown format, or larger than 64
            megapixels or 300 MB while it is decoded.

    Example:
    >>> file = BytesIO()
    >>> Image.new("RGB", (9, 5), (255, 0, 0)).save(file, "PNG")
    >>> decode(file, 2).tolist()
    [[[255, 0, 0], [255, 0, 0]], [[255, 0, 0], [255, 0, 0]]]
    """
    try:
        content = read_bytes(source)
        with open_photo(content) as image, memory_for(image, content, size):
            square = _resized(image, (size, size))
            if not examined and is_filled_up(image, content):
                raise PhotoFault(CUT_OFF)
        # `np.asarray(square)` gives the same in twice the time, with Python's lock held
        return np.frombuffer(square.tobytes(), np.uint8).reshape(size, size, 3)
    except Exception as error:  # a decoder met with damaged bytes may raise anything
        raise DataError(f"{_name(source)}: {fault_of(error)}") from None


def shrunk(source: Photo | Path, side: int) -> Image.Image:
    """Return a photo upright in RGB, of its own shape, at most `side` pixels wide and high.

    Raises:
        DataError: As `decode`.
    """
    try:
        content = read_bytes(source)
        with open_photo(content) as image, memory_for(image, content, side):
            width, height = upright_size(image)
            scale = min(side / width, side / height, 1.0)
            size = max(round(width * scale), 1), max(round(height * scale), 1)
            return _resized(image, size)
    except Exception as error:  # a decoder met with damaged bytes may raise anything
        raise DataError(f"{_name(source)}: {fault_of(error)}") from None


def photo_size(source: Photo | Path) -> tuple[int, int]:
    """Return the width and height in pixels of the photo as `decode` sees it, upright by EXIF.

    The pixels of a PNG are read where its header says nothing of the orientation; those of a JPEG
    are not.

    Raises:
        DataError: The photo is missing, of an unknown format, or too large for `decode`.
    """
    try:
        content = read_bytes(source)
        with open_photo(content) as image, memory_for(image, content):
            return upright_size(image)
    except Exception as error:  # a decoder met with damaged bytes may raise anything
        raise DataError(f"{_name(source)}: {fault_of(error)}") from None


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of an open photo as EXIF turns it."""
    if image.format == "TIFF":  # Pillow turns it as it is loaded, and gives that size before
        return image.size
    _, turned, *_ = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1), _AS_STORED)
    return (image.height, image.width) if turned else image.size


def why_absent(photo: Photo) -> str:
    """Say why there is no file to read, "" where there is one; it may be damaged."""
    if isinstance(photo, bytes):
        return ""
    if is_address(photo):
        return ADDRESS
    try:
        os.stat(photo)  # `Path.exists` takes a file that may not be read for absent
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError:
        pass
    return ""


def read_bytes(source: Photo | Path | BytesIO) -> bytes:
    """Return the bytes of a photo; raise for what is no regular file, or too large."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, BytesIO):
        return source.getvalue()
    if is_address(str(source)):
        raise PhotoFault(ADDRESS)
    status = os.stat(source)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise PhotoFault(f"{UNREADABLE} (not a regular file)")
    if status.st_size > MAX_BYTES:
        raise PhotoFault(f"{UNREADABLE} ({status.st_size:,} bytes, the limit is {MAX_BYTES:,})")
    with open(source, "rb") as file:
        return file.read()


def open_photo(content: bytes) -> Image.Image:
    """Open a photo by its bytes, of which only the header is read."""
    if not content:
        raise PhotoFault(f"{UNREADABLE} (the file is empty)")
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise PhotoFault(
            f"{UNREADABLE} (expected {known}; the file starts with {content[:12]!r})"
        ) from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise PhotoFault(
            f"{UNREADABLE} ({image.width} x {image.height} pixels, the limit is {MAX_PIXELS:,})"
        )
    return image


@contextmanager
def memory_for(image: Image.Image, content: bytes, size: int | None = None) -> Iterator[None]:
    """Raise for a photo that takes too much memory; let large ones wait for each other.

    Of large photos one is decoded at a time, whatever the number of threads.

    Args:
        image: An open photo.
        content: The bytes of its file.
        size: The side in pixels that it is to be resized to, for which a JPEG is drafted; None
            where its pixels are not asked for.
    """
    needed = len(content)
    if isinstance(image, JpegImageFile):
        needed += _coefficient_bytes(image, content)
    if size is not None:
        if isinstance(image, JpegImageFile):
            image.draft("RGB", (size, size))  # at 1/8, a photo takes 1/64 of the memory
        needed += 4 * size * max(image.size)  # what lies between the two passes of resizing
    if size is not None or not isinstance(image, JpegImageFile):
        needed += image.width * image.height * _DECODER_BYTES.get(image.format or "", 4)
    if needed > MAX_MEMORY:
        raise PhotoFault(
            f"{UNREADABLE} (decoding {image.width} x {image.height} pixels of this {image.format} "
            f"takes {needed // 10**6:,} MB, the limit is {MAX_MEMORY // 10**6:,} MB)"
        )
    if needed < _LARGE:
        yield
        return
    with _one_large:
        yield


def _coefficient_bytes(image: JpegImageFile, content: bytes) -> int:
    """Return the bytes of a JPEG's coefficients, all of which are kept where it has several scans.

    A single scan is decoded as it is read.
    """
    if image.width * image.height * 6 < _LARGE:
        return 0
    start = image.fp.tell() if image.fp else 0
    if not image.info.get("progressive") and content.count(b"\xff\xda", start) < 2:
        return 0
    sides = [(across, down) for _, across, down, _ in image.layer]
    most = max(across for across, _ in sides) * max(down for _, down in sides)
    share = sum(across * down for across, down in sides) / most
    return round(2 * image.width * image.height * share)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a photo upright in RGB, of that width and height.

    Pillow resizes one side after the other, with whole numbers in between, so that a large photo
    can be resized some rows, or columns, at a time, to the same pixels.
    """
    image.load()  # what EXIF says is known by then, and done in a TIFF
    scale = _scale(image)
    width, height = upright_size(image)
    if width * height <= _WHOLE:
        whole = _to_rgb(_upright(image, (0, 0, width, height)), scale)
        return whole.resize(size, Image.Resampling.BILINEAR)
    if _height_first((width, height), size):
        boxes = [(x, 0, end, height) for x, end in _strips(width, height)]
        between = Image.new("RGB", (width, size[1]))
    else:
        boxes = [(0, y, width, end) for y, end in _strips(height, width)]
        between = Image.new("RGB", (size[0], height))
    for x, y, right, bottom in boxes:
        strip = _to_rgb(_upright(image, (x, y, right, bottom)), scale)
        small = (right - x, size[1]) if bottom - y == height else (size[0], bottom - y)
        between.paste(strip.resize(small, Image.Resampling.BILINEAR), (x, y))
    return between.resize(size, Image.Resampling.BILINEAR)


def _strips(length: int, across: int) -> list[tuple[int, int]]:
    """Cut a side into pieces of about `_STRIP` pixels."""
    step = max(_STRIP // across, 1)
    return [(start, min(start + step, length)) for start in range(0, length, step)]


def _height_first(old: tuple[int, int], new: tuple[int, int]) -> bool:
    """Whether Pillow resizes the height before the width; older versions never do."""
    width, height = old[0] - new[0], old[1] - new[1]
    return _chooses_a_side() and height > 0 and height > 2 * width


@cache
def _chooses_a_side() -> bool:
    noise = Image.frombytes("RGB", (8, 64), bytes(7 * i * i % 256 for i in range(8 * 64 * 3)))
    tall_first = noise.resize((8, 5), Image.Resampling.BILINEAR).resize(
        (5, 5), Image.Resampling.BILINEAR
    )
    return noise.resize((5, 5), Image.Resampling.BILINEAR).tobytes() == tall_first.tobytes()


def _upright(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Return a part of a photo as it stands upright by EXIF; left, top, right, bottom."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    move, turned, last_columns, last_rows = _UPRIGHT.get(orientation, _AS_STORED)
    across, down = (box[0], box[2]), (box[1], box[3])
    columns, rows = (down, across) if turned else (across, down)
    if last_columns:
        columns = image.width - columns[1], image.width - columns[0]
    if last_rows:
        rows = image.height - rows[1], image.height - rows[0]
    stored = (columns[0], rows[0], columns[1], rows[1])
    if stored != (0, 0, *image.size):
        image = image.crop(stored)
    return image if move is None else image.transpose(move)


def _scale(image: Image.Image) -> float:
    """Return what brings floating-point numbers to 0 to 255; 1 for other types.

    Raises:
        PhotoFault: The numbers go beyond those that their type stands for.
    """
    if image.mode not in ("F", "I"):
        return 1.0
    low, high = cast("tuple[float, float]", image.getextrema())
    most = 255 if image.mode == "F" else 65_535
    if not (0 <= low <= high <= most):  # not of NaN, either
        raise PhotoFault(
            f"{UNREADABLE} (numbers from {low:,g} to {high:,g}; expected 0 to {most:,}, or to 1)"
        )
    return 255.0 if image.mode == "F" and high <= 1 else 1.0


def _to_rgb(image: Image.Image, scale: float) -> Image.Image:
    # convert("RGB") clips 16-bit values at 255, so that nearly all of a photo comes out white.
    if image.mode.startswith("I"):
        values = np.rint(np.asarray(image, np.float32) / 257)
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F" and scale != 1:
        values = np.rint(np.asarray(image) * scale)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    # convert("RGB") drops alpha alone, and shows what the colours below transparent pixels happen
    # to be. Grey, palette and CMYK photos are left to it; colour profiles are not applied.
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _name(source: Photo | Path | BytesIO) -> str:
    if isinstance(source, BytesIO):
        return "photo"
    return shown(source if isinstance(source, bytes) else str(source))


def fault_of(error: Exception) -> str:
    """Put what went wrong with a photo in one line."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ABSENT
    if isinstance(error, PhotoFault):
        return str(error)
    if "truncated" in str(error).lower():
        return CUT_OFF
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{UNREADABLE} ({text.splitlines()[0][:120] if text else type(error).__name__})"


@dataclass(frozen=True)
class PhotoPaths:
    """Paths of a group's photos.

    Args:
        paths: `paths[row][slot]`, a path or the bytes of a file, None where a row has no photo for
            the slot; as many for each row.
        size: height and width in pixels that the photos are decoded to.
    """

    paths: Sequence[Sequence[Photo | None]]
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Shape of all pixels: (rows, K, size, size, 3)."""
        slots = len(self.paths[0]) if self.paths else 1
        return (len(self.paths), slots, self.size, self.size, 3)

    @property
    def nbytes(self) -> int:
        """Bytes of all decoded pixels."""
        return int(np.prod(self.shape, dtype=np.int64))


def decode_rows(photos: PhotoPaths) -> tuple[Pixels, Bools, dict[int, str]]:
    """Decode every photo: pixels (rows, K, size, size, 3), presence (rows, K), faults by row."""
    pixels = np.zeros(photos.shape, np.uint8)
    present = np.zeros(photos.shape[:2], bool)
    faults: dict[int, str] = {}
    for row, paths in enumerate(photos.paths):
        for slot, path in enumerate(paths):
            if path is None:
                continue
            try:
                pixels[row, slot] = decode(path, photos.size)
                present[row, slot] = True
            except DataError as error:
                faults[row] = str(error)
    return pixels, present, faults


def aligned_pixels(shape: tuple[int, ...]) -> Pixels:
    """Return room for pixels of that shape, for a batch: TensorFlow need not copy it."""
    size = int(np.prod(shape))
    room = np.empty(size + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + size].reshape(shape)
