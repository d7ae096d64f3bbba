"""Photos of an explained row as a page shows them: re-encoded, alone or under a map of scores."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import DataError
from multimodal.data.photos.read import decode
from multimodal.explain.records import Floats

SIDE = 288
SMALL = 96
ORANGE, BLUE = (213, 94, 0), (0, 114, 178)


def photo_uri(path: Path, side: int = SIDE) -> str:
    """Return a photo as a data URI of a new JPEG, a square of `side` pixels; "" if unreadable.

    It is stretched to a square, as the model sees it.

    Example:
    >>> photo_uri(Path("absent.jpg"))
    ''
    """
    try:
        return _uri(decode(path, side))
    except DataError:
        return ""


def map_uri(path: Path, scores: Floats, largest: float) -> str:
    """Return a photo in grey under its scores (H, W): orange raises the score, blue lowers it.

    Args:
        path: The photo.
        scores: Scores by place, laid over the whole photo and smoothed.
        largest: The size of a score that has the full colour.
    """
    from PIL import Image

    try:
        pixels = decode(path, SIDE).astype(np.float64)
    except DataError:
        return ""
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    grey = np.repeat((0.75 * grey + 0.25 * 255)[..., None], 3, axis=2)
    small = Image.fromarray(scores.astype(np.float32))
    wide = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)
    share = np.clip(np.abs(wide) / (largest or 1.0), 0, 1)[..., None]
    colour = np.where(wide[..., None] > 0, np.array(ORANGE), np.array(BLUE))
    mixed = grey * (1 - 0.8 * share) + colour * 0.8 * share
    return _uri(mixed.round().clip(0, 255).astype(np.uint8))


def _uri(pixels: NDArray[Any]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
