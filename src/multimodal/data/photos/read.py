"""Reading of photos: where they lie, whether they are complete, and one decoder for all uses.

Every photo takes the same route, so it gives the same pixels in training and in serving: Pillow
opens its bytes, the header is checked for size before anything is decoded, a JPEG is decoded at
the smallest of its 1/1, 1/2, 1/4 and 1/8 scales that is not below the target, EXIF orientation is
honoured, 16-bit grey values are divided by 257, transparency is laid over white, the first frame
of an animation is taken, and a bilinear filter that averages over the source pixels brings it to a
square.

Pillow decodes all photos because no two decoders agree, and TensorFlow's ignores EXIF orientation,
refuses TIFF and AVIF, gives four dimensions for GIF and WebP, and stops the whole pipeline at a
damaged photo without naming it. `tf.io.read_file` follows `../`, opens connections for `gs://` and
waits for ever on a pipe.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from multimodal.core.arrays import Bools
from multimodal.core.errors import DataError

MAX_PIXELS = 64_000_000  # some 200 MB as RGB; a bomb of 24 kB can hold three times as many
MAX_BYTES = 256 * 2**20
# A closed list: Pillow's other plugins are rarely tested, and that for EPS starts Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
ABSENT, CUT_OFF, UNREADABLE = "no such photo", "the photo is cut off", "not a readable photo"
_ORIENTATION, _TURNED = 274, (5, 6, 7, 8)  # the EXIF tag, and the values that swap the sides

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PhotoStatistics:
    """What a photo's bytes and header say.

    Args:
        digest: of its bytes; None where there is a fault.
        fault: what is wrong, after the path.
        absent: the fault is that there is no such file.
        width, height: in pixels, as they are stored.
        mode: Pillow's name for the colours: `RGB`, `L`, `CMYK` …
        rotated: EXIF says that it must be turned or mirrored to stand upright.
    """

    digest: str | None = None
    fault: str | None = None
    absent: bool = False
    width: int = 0
    height: int = 0
    mode: str = "RGB"
    rotated: bool = False


class _Fault(ValueError):
    """What is wrong with a photo, in a phrase."""


def locate(name: str, root: Path) -> Path:
    """Return the path of the photo `name` below `root`; it need not exist.

    Raises:
        DataError: `name` is an address, an absolute path, or leads out of `root`, be it through
            `..` or through a symbolic link.

    Example:
    >>> locate("shoes/red.jpg", Path("photos")).as_posix()
    'photos/shoes/red.jpg'
    """
    if "://" in name:
        raise DataError(f"photo '{name}' is an address; expected a path below {root}. Download it.")
    if os.path.isabs(name) or ".." in name.replace(os.sep, "/").split("/"):
        raise DataError(
            f"photo '{name}' leads out of the photo folder; expected a path below {root}. "
            "Write paths relative to that folder, or name another one with --images."
        )
    top = str(root)
    place = os.path.join(top, name)
    if not _inside(os.path.dirname(place), top, os.getcwd()) or (
        os.path.islink(place) and not _leads_inside(place, top)
    ):
        raise DataError(
            f"photo '{name}' is a link that leads out of the photo folder {root}. "
            "Copy the photo there, or name the folder it lies in with --images."
        )
    return root / name


@lru_cache(maxsize=4096)
def _inside(folder: str, top: str, _here: str) -> bool:
    """Remember of a folder what `_leads_inside` says, as long as the working directory stays."""
    return _leads_inside(folder, top)


def _leads_inside(place: str, top: str) -> bool:
    """Whether `place` lies in `top` once links are followed."""
    real, folder = os.path.realpath(place), os.path.realpath(top)
    return os.path.commonpath([real, folder]) == folder


def examine(path: Path) -> PhotoStatistics:
    """Read a photo's bytes and say whether it is complete.

    A JPEG must have its end mark, a PNG the right checksum of every part up to its end; other
    formats are decoded once to be sure. Nothing is raised: `fault` says what is wrong, after the
    path.
    """
    try:
        content = _read(path)
        with _open(content) as image:
            _check_complete(image, content)
            shape = (image.width, image.height, image.mode, _rotated(image))
    except Exception as error:  # a decoder met with damaged bytes may raise anything
        reason = _reason(error)
        return PhotoStatistics(fault=f"{path}: {reason}", absent=reason == ABSENT)
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return PhotoStatistics(digest, None, False, *shape)


def decode(source: str | Path | BytesIO, size: int) -> Pixels:
    """Return the photo as uint8 `(size, size, 3)`, in RGB.

    Args:
        source: a path, or the bytes of a file.
        size: height and width in pixels; the photo is stretched to a square.

    Raises:
        DataError: The photo is missing, damaged, of an unknown format, or larger than 64
            megapixels.

    Example:
    >>> file = BytesIO()
    >>> Image.new("RGB", (9, 5), (255, 0, 0)).save(file, "PNG")
    >>> decode(file, 2).tolist()
    [[[255, 0, 0], [255, 0, 0]], [[255, 0, 0], [255, 0, 0]]]
    """
    try:
        content = source.getvalue() if isinstance(source, BytesIO) else _read(source)
        with _open(content) as image:
            square = _to_rgb(image, size).resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(square)
    except Exception as error:  # a decoder met with damaged bytes may raise anything
        name = "photo" if isinstance(source, BytesIO) else source
        raise DataError(f"{name}: {_reason(error)}") from None


def photo_size(path: str | Path) -> tuple[int, int]:
    """Return the width and height in pixels of the photo as `decode` sees it, upright by EXIF.

    The pixels of a PNG are read where its header says nothing of the orientation; those of a JPEG
    are not.

    Raises:
        DataError: The photo is missing, of an unknown format, or larger than 64 megapixels.
    """
    try:
        with _open(_read(path)) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in _TURNED
            return (image.height, image.width) if turned else (image.width, image.height)
    except Exception as error:  # a decoder met with damaged bytes may raise anything
        raise DataError(f"{path}: {_reason(error)}") from None


def _read(path: str | Path) -> bytes:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise _Fault(f"{UNREADABLE} (not a regular file)")
    if status.st_size > MAX_BYTES:
        raise _Fault(f"{UNREADABLE} ({status.st_size:,} bytes, the limit is {MAX_BYTES:,})")
    with open(path, "rb") as file:
        return file.read()


def _open(content: bytes) -> Image.Image:
    if not content:
        raise _Fault(f"{UNREADABLE} (the file is empty)")
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise _Fault(
            f"{UNREADABLE} (expected {known}; the file starts with {content[:12]!r})"
        ) from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise _Fault(
            f"{UNREADABLE} ({image.width} x {image.height} pixels, the limit is {MAX_PIXELS:,})"
        )
    return image


def _check_complete(image: Image.Image, content: bytes) -> None:
    """Raise if a part of the file is missing or damaged; bytes after the end are no fault."""
    if isinstance(image, JpegImageFile):
        start = image.fp.tell() if image.fp else 0  # behind a thumbnail, which has an end as well
        if content.rfind(b"\xff\xd9") < start:
            raise _Fault(CUT_OFF)
    elif image.format == "PNG":
        _check_chunks(content)
    else:
        image.load()


def _check_chunks(content: bytes) -> None:
    """Raise unless every chunk of a PNG has the checksum it states, up to the one that ends it.

    `Image.verify` looks at the same checksums, but says not where, and leaves no usable image.
    """
    view, start, kind = memoryview(content), 8, b""
    while kind != b"IEND":
        if start + 12 > len(content):
            raise _Fault(CUT_OFF)
        size, kind = struct.unpack_from(">I4s", content, start)
        end = start + 8 + size
        if end + 4 > len(content):
            raise _Fault(CUT_OFF)
        if zlib.crc32(view[start + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            raise _Fault(f"{UNREADABLE} (damaged between bytes {start} and {end})")
        start = end + 4


def _rotated(image: Image.Image) -> bool:
    """Whether EXIF turns or mirrors the photo; the pixels of a PNG are not read to find out."""
    if "exif" not in image.info:  # a TIFF is upright as soon as it is opened
        return False
    return bool(image.getexif().get(_ORIENTATION, 1) != 1)


def _to_rgb(image: Image.Image, size: int) -> Image.Image:
    if isinstance(image, JpegImageFile):
        image.draft("RGB", (size, size))  # at 1/8, a photo takes 1/64 of the memory
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    # convert("RGB") clips 16-bit values at 255, so that nearly all of a photo comes out white.
    if image.mode.startswith("I"):
        values = np.rint(np.asarray(image, np.float32) / 257)
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")
    # convert("RGB") drops alpha alone, and shows what the colours below transparent pixels happen
    # to be. Grey, palette and CMYK photos are left to it; colour profiles are not applied.
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(error: Exception) -> str:
    """Put what went wrong in one line."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ABSENT
    if isinstance(error, _Fault):
        return str(error)
    if "truncated" in str(error).lower():
        return CUT_OFF
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{UNREADABLE} ({text.splitlines()[0][:120] if text else type(error).__name__})"


@dataclass(frozen=True)
class PhotoPaths:
    """Paths of a group's photos.

    Args:
        paths: `paths[row][slot]`, None where a row has no photo for the slot; as many for each row.
        size: height and width in pixels that the photos are decoded to.
    """

    paths: Sequence[Sequence[str | None]]
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
