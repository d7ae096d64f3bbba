"""Photos: a patterned silhouette on a plain background, which shows through its scratches.

Colours, position, turn and light are random and have nothing to do with the price. All silhouettes
have the same area, all patterns show both colours in equal parts, and a worn product is drawn
larger by the area of its scratches, so colour statistics say next to nothing: only form does.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from . import world
from .factors import Factors

Array = np.ndarray[Any, Any]
Field = Callable[[Any, Any], Any]

QUALITY = 90
RADIUS = 24.0
"""Radius in pixels of a disc with the area of every silhouette, before random scaling."""
CHROMA = 70.0
"""How far the channels of a colour may lie apart."""

SCRATCH_AREA = 50.0
"""Mean area in pixels by which a scratch reduces the visible product."""

_AXIS = np.arange(world.PHOTO_SIZE, dtype=np.float32) - (world.PHOTO_SIZE - 1) / 2
_X, _Y = np.meshgrid(_AXIS, _AXIS)


def draw_photo(factors: Factors, key: str) -> bytes:
    """Draw one product.

    Args:
        factors: Latent factors; `shape`, `pattern` and `wear` are visible.
        key: Seeds everything else in the picture.

    Returns:
        A baseline RGB JPEG of `PHOTO_SIZE` x `PHOTO_SIZE` pixels, without metadata.
    """
    pixels = render(factors, Random(key))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def render(factors: Factors, rng: Random) -> Array:
    """Paint one product; returns uint8 pixels (PHOTO_SIZE, PHOTO_SIZE, 3)."""
    background, first, second = _colours(rng)
    count = world.SCRATCHES[factors.wear]
    x, y = _place(rng, math.sqrt(1.0 + count * SCRATCH_AREA / (math.pi * RADIUS**2)))
    silhouette = SILHOUETTES[factors.shape]
    product = _blend(first, second, _cover(PATTERN_FIELDS[factors.pattern](x, y, rng)))
    for _ in range(count):
        product = _blend(product, background, _cover(_scratch(x, y, silhouette, rng)))
    return _expose(_blend(background, product, _cover(silhouette(x, y))), rng)


def _place(rng: Random, closer: float) -> tuple[Array, Array]:
    """Coordinates (H, W) in pixels of the product's own frame: shifted, turned and scaled."""
    turn = (rng.random() - 0.5) * 0.3
    scale = closer * (0.92 + 0.16 * rng.random())
    x = _X - (rng.random() - 0.5) * 4
    y = _Y - (rng.random() - 0.5) * 4
    cos, sin = math.cos(turn) / scale, math.sin(turn) / scale
    return cos * x + sin * y, cos * y - sin * x


def _cover(distance: Array) -> Array:
    """Share of each pixel that lies inside, from the signed distance to the edge (inside < 0)."""
    return np.clip(0.5 - distance, 0.0, 1.0)[..., None]


def _blend(below: Array, above: Array, share: Array) -> Array:
    return below + (above - below) * share


def _circle(x: Array, y: Array) -> Array:
    return np.hypot(x, y) - RADIUS


def _square(x: Array, y: Array) -> Array:
    return np.maximum(abs(x), abs(y)) - RADIUS * math.sqrt(math.pi) / 2


def _triangle(x: Array, y: Array) -> Array:
    inner = RADIUS * math.sqrt(math.pi / (3 * math.sqrt(3)))
    y = y - inner / 2
    return np.maximum(y, abs(x) * (math.sqrt(3) / 2) - y / 2) - inner


def _cross(x: Array, y: Array) -> Array:
    reach = RADIUS * math.sqrt(math.pi / 2.56)
    wide, high = abs(x), abs(y)
    return np.minimum(
        np.maximum(wide - reach, high - 0.4 * reach), np.maximum(wide - 0.4 * reach, high - reach)
    )


SILHOUETTES: dict[str, Field] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
}
"""Signed distance in pixels to the edge of each shape, all of area pi RADIUS^2."""


def _halves(x: Array, y: Array, rng: Random) -> Array:
    angle = rng.random() * 2 * math.pi
    return math.cos(angle) * x + math.sin(angle) * y


def _stripes(x: Array, y: Array, rng: Random) -> Array:
    period, phase = _period(rng), rng.random()
    angle = (rng.random() - 0.5) * math.pi / 2
    along = (math.cos(angle) * x + math.sin(angle) * y) / period + phase
    return (abs(along % 1.0 - 0.5) - 0.25) * period


def _dots(x: Array, y: Array, rng: Random) -> Array:
    period = _period(rng)
    u, v = ((t / period + rng.random()) % 1.0 - 0.5 for t in (x, y))
    return (np.hypot(u, v) - math.sqrt(0.5 / math.pi)) * period


def _period(rng: Random) -> float:
    return 14.0 + 2.0 * rng.random()


PATTERN_FIELDS: dict[str, Callable[[Array, Array, Random], Array]] = {
    "halves": _halves,
    "stripes": _stripes,
    "dots": _dots,
}
"""Signed distance in pixels to the edge of the second colour, which fills half of the plane."""


def _scratch(x: Array, y: Array, silhouette: Field, rng: Random) -> Array:
    """A straight line of 2.4 pixels with its middle on the product."""
    x0 = y0 = 2 * RADIUS
    while silhouette(x0, y0) > -2.0:
        x0, y0 = ((rng.random() - 0.5) * 2.4 * RADIUS for _ in range(2))
    angle = rng.random() * math.pi
    cos, sin = math.cos(angle), math.sin(angle)
    half = RADIUS * (0.4 + 0.2 * rng.random())
    along = np.maximum(abs(cos * (x - x0) + sin * (y - y0)) - half, 0.0)
    return np.hypot(along, cos * (y - y0) - sin * (x - x0)) - 1.2


def _colours(rng: Random) -> tuple[Array, Array, Array]:
    """A pale background, a dark and a medium product colour: RGB of random hue."""
    return _colour(rng, 195, 240), _colour(rng, 20, 60), _colour(rng, 95, 140)


def _colour(rng: Random, darkest: float, lightest: float) -> Array:
    hue = np.array([rng.random() for _ in range(3)], np.float32)
    level = darkest + (lightest - darkest) * rng.random()
    return level + CHROMA * (hue - hue.mean())


def _expose(canvas: Array, rng: Random) -> Array:
    """Light from one side, sensor grain, and rounding to 8 bits."""
    slope = (rng.random() - 0.5) * 0.3 / world.PHOTO_SIZE
    light = (1.0 + slope * _X)[..., None]
    grain = np.random.default_rng(int(rng.random() * 2**32)).integers(-6, 7, canvas.shape)
    return np.clip(canvas * light + grain + 0.5, 0, 255).astype(np.uint8)
