"""Faces as a stream: a face depends on its seed and number alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from .drawing import draw_face

VERSION = "1.0.0"
EMOTIONS = ("angry", "happy", "neutral", "sad", "surprised")
SIZES = {"small": (300, 300), "default": (3000, 3000)}
"""Photos with an age and photos with an emotion, of each size; no photo has both."""

YOUNGEST, OLDEST = 15, 85
AGE_NOISE = 3.0
"""Standard deviation in years by which a face looks older or younger than it is."""
WEAKEST = 0.35
"""Least strength of an emotion; 1 is a mask of the stage."""


@dataclass(frozen=True, slots=True)
class Face:
    """One portrait and what is known about it.

    `age` is in years; the face is drawn with the wrinkles and hair of `looks`, which lies around
    it. `strength` is how much of the emotion shows, from `WEAKEST` to 1.
    """

    id: str
    age: int
    emotion: str
    looks: float
    strength: float

    def jpeg(self) -> bytes:
        """Draw the photo: an RGB JPEG of `drawing.SIZE` pixels squared."""
        return draw_face(self.looks, self.emotion, self.strength, self.id)


def make_face(seed: int, number: int) -> Face:
    """Return face `number` of `seed`."""
    rng = Random(f"face {seed} {number}")
    age = rng.randint(YOUNGEST, OLDEST)
    return Face(
        id=f"{seed}-{number:06d}",
        age=age,
        emotion=rng.choice(EMOTIONS),
        looks=age + rng.gauss(0, AGE_NOISE),
        strength=WEAKEST + (1 - WEAKEST) * rng.random(),
    )


def generate(size: str | tuple[int, int] = "default", seed: int = 0) -> Iterator[tuple[str, Face]]:
    """Yield (`age` or `emotion`, face): first the faces whose age is known, then the others.

    Args:
        size: A name in `SIZES`, or the two counts.
        seed: Non-negative integer.

    Raises:
        ValueError: If the name is unknown or a count is not positive.
    """
    counts = _counts(size)
    for number in range(sum(counts)):
        yield "age" if number < counts[0] else "emotion", make_face(seed, number)


def _counts(size: str | tuple[int, int]) -> tuple[int, int]:
    if isinstance(size, str):
        if size not in SIZES:
            raise ValueError(f"`size` must be one of {list(SIZES)}. Received: size={size!r}")
        return SIZES[size]
    if len(size) != 2 or any(type(count) is not int or count < 1 for count in size):
        raise ValueError(f"`size` must be two counts of at least 1. Received: size={size!r}")
    return size
