"""Photos: one decode function for training and serving, and a cache of decoded pixels.

Every photo takes the same route, so a photo gives the same pixels everywhere: Pillow opens it, the
header is checked for size before anything is decoded, a JPEG is decoded at the smallest of its
1/1, 1/2, 1/4 and 1/8 scales that is not below the target, EXIF orientation is honoured, 16-bit
values are divided by 257, transparency is laid over white, the first frame of an animation counts,
and a bilinear filter that averages over the source pixels brings it to a square.
"""

from __future__ import annotations

import hashlib
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from multimodal.errors import DataError

MAX_PIXELS = 64_000_000
_ORIENTATION = 274
_TAILS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_FAULTS = (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PhotoFacts:
    """What a look at a photo's bytes and header told: a digest of its bytes, or the fault."""

    digest: str | None = None
    fault: str | None = None
    absent: bool = False


def locate(name: str, root: Path) -> Path:
    """Return the path of the photo `name` below `root`.

    Raises:
        DataError: `name` is an address, an absolute path, or leaves `root`.
    """
    if "://" in name:
        raise DataError(f"photo '{name}' is an address; expected a path below {root}. Download it.")
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"photo '{name}' leads out of the photo folder; expected a path below {root}. "
            "Write paths relative to that folder, or name another one with --images."
        )
    return root / path


def examine(path: Path) -> PhotoFacts:
    """Read a photo's bytes and header without decoding it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return PhotoFacts(fault=f"{path}: not a regular file")
        content = path.read_bytes()
    except FileNotFoundError:
        return PhotoFacts(fault=f"{path}: no such photo", absent=True)
    except OSError as error:
        return PhotoFacts(fault=f"{path}: {error.strerror}")
    try:
        with _open(BytesIO(content)) as image:
            tail = _TAILS.get(image.format or "", b"")
    except _FAULTS as error:
        return PhotoFacts(fault=f"{path}: not a readable photo ({_short(error)})")
    if tail and tail not in content[-4096:]:
        return PhotoFacts(fault=f"{path}: the photo is cut off")
    return PhotoFacts(digest=hashlib.blake2b(content, digest_size=16).hexdigest())


def decode(source: str | Path | BytesIO, size: int) -> Pixels:
    """Return the photo as uint8 `(size, size, 3)`, in RGB.

    Raises:
        DataError: The photo is missing, damaged or larger than 64 megapixels.
    """
    try:
        with _open(source) as image:
            return np.asarray(_to_rgb(image, size).resize((size, size), Image.Resampling.BILINEAR))
    except _FAULTS as error:
        raise DataError(f"{source}: not a readable photo ({_short(error)})") from None


def _open(source: str | Path | BytesIO) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of broken EXIF blocks; the pixels are fine
        image = Image.open(source)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{image.width} x {image.height} pixels, the limit is {MAX_PIXELS:,}")
    return image


def _to_rgb(image: Image.Image, size: int) -> Image.Image:
    if image.format == "JPEG":
        image.draft("RGB", (size, size))
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image, np.float64) / 257.0
        return Image.fromarray(values.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _short(error: Exception) -> str:
    return str(error).split("\n")[0][:120] or type(error).__name__


@dataclass(frozen=True)
class PhotoPaths:
    """Paths of a group's photos: `paths[row][slot]`, None where there is none."""

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


def decode_rows(photos: PhotoPaths) -> tuple[Pixels, NDArray[np.bool_], dict[int, str]]:
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
