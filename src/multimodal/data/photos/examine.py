"""Examination of photos before anything is trained: what their bytes and headers say."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from multimodal.data.photos.complete import fault_in
from multimodal.data.photos.names import Photo, is_address, shown
from multimodal.data.photos.read import (
    ABSENT,
    PhotoFault,
    fault_of,
    memory_for,
    open_photo,
    read_bytes,
)

_ORIENTATION = 274  # the EXIF tag


@dataclass(frozen=True, slots=True)
class PhotoStatistics:
    """What a photo's bytes and header say.

    Args:
        digest: of its bytes; None where there is a fault.
        fault: what is wrong, after the path.
        absent: the fault is that there is no such file.
        address: the fault is that it is an address.
        width, height: in pixels, as they are stored.
        mode: Pillow's name for the colours: `RGB`, `L`, `CMYK` …
        rotated: EXIF says that it must be turned or mirrored to stand upright.
    """

    digest: str | None = None
    fault: str | None = None
    absent: bool = False
    address: bool = False
    width: int = 0
    height: int = 0
    mode: str = "RGB"
    rotated: bool = False


def examine(photo: Photo | Path) -> PhotoStatistics:
    """Read a photo's bytes and say whether it is complete.

    A JPEG must have its end mark and pixels up to it, a PNG the right checksum of every part and
    all its rows; other formats are decoded once to be sure. Nothing is raised: `fault` says what is
    wrong, after the path.
    """
    named = photo if isinstance(photo, bytes) else str(photo)
    try:
        content = read_bytes(named)
        with open_photo(content) as image, memory_for(image, content):
            fault = fault_in(image, content)
            if fault:
                raise PhotoFault(fault)
            digest = hashlib.blake2b(content, digest_size=16).hexdigest()
            return PhotoStatistics(
                digest,
                width=image.width,
                height=image.height,
                mode=image.mode,
                rotated=_rotated(image),
            )
    except Exception as error:  # a decoder met with damaged bytes may raise anything
        reason = fault_of(error)
        return PhotoStatistics(
            fault=f"{shown(named)}: {reason}", absent=reason == ABSENT, address=is_address(named)
        )


def _rotated(image: Image.Image) -> bool:
    """Whether EXIF turns or mirrors the photo; the pixels of a PNG are not read to find out."""
    if "exif" not in image.info:  # a TIFF is upright as soon as it is opened
        return False
    return bool(image.getexif().get(_ORIENTATION, 1) != 1)
