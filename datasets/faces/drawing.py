"""A drawn portrait: age shows in wrinkles and hair, emotion in mouth, brows and eyes.

Skin, hair colour, head, glasses, position and light are random and mean nothing.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw, ImageEnhance

SIZE = 64
QUALITY = 92
_SCALE = 4  # drawn larger, then reduced, so that lines have soft edges
Colour = tuple[int, int, int]

_SKINS: tuple[Colour, ...] = ((247, 214, 188), (224, 172, 125), (178, 120, 80), (120, 76, 48))
_HAIRS: tuple[Colour, ...] = ((40, 28, 20), (96, 58, 30), (150, 105, 50), (125, 50, 25))
_GREY: Colour = (205, 205, 205)


@dataclass(frozen=True)
class Expression:
    """Where an emotion moves a face, in hundredths of its width at full strength.

    Args:
        smile: Corners of the mouth up.
        mouth: Mouth open.
        brow: Inner ends of the brows up.
        lift: Whole brows up.
        lid: Eyes opened wider.
    """

    smile: float = 0.0
    mouth: float = 0.0
    brow: float = 0.0
    lift: float = 0.0
    lid: float = 0.0


EXPRESSIONS = {
    "angry": Expression(smile=-5, brow=-7, lift=-2, lid=-1),
    "happy": Expression(smile=9, mouth=3, lift=1, lid=-1),
    "neutral": Expression(),
    "sad": Expression(smile=-8, brow=6),
    "surprised": Expression(mouth=13, lift=6, lid=2.5),
}


def draw_face(looks: float, emotion: str, strength: float, key: str) -> bytes:
    """Draw one portrait as JPEG.

    Args:
        looks: Age in years that wrinkles and hair show.
        emotion: A name in `EXPRESSIONS`.
        strength: Share of the expression that shows, 0 to 1.
        key: Seeds everything else in the picture.
    """
    rng = Random(key)
    canvas = _Canvas(rng)
    age = min(max((looks - 15) / 70, 0.0), 1.1)
    skin = _shade(rng.choice(_SKINS), rng.uniform(0.93, 1.07))
    hair = _mix(rng.choice(_HAIRS), _GREY, min(max((age - 0.3) * 1.6, 0.0), 1.0))
    _head(canvas, skin, hair, age)
    _wrinkles(canvas, _shade(skin, 0.62), age, rng)
    _features(canvas, skin, hair, EXPRESSIONS[emotion], strength)
    if rng.random() < 0.25:
        _glasses(canvas)
    return canvas.jpeg(rng)


class _Canvas:
    """A picture in a face's own units: 0 to 100 across and down, shifted and scaled a little."""

    def __init__(self, rng: Random) -> None:
        self.backdrop = (rng.randint(90, 230), rng.randint(90, 230), rng.randint(90, 230))
        self.image = Image.new("RGB", (SIZE * _SCALE, SIZE * _SCALE), self.backdrop)
        self.draw = ImageDraw.Draw(self.image)
        self.unit = SIZE * _SCALE / 100 * rng.uniform(0.94, 1.06)
        self.left, self.top = rng.uniform(-4, 4), rng.uniform(-3, 3)

    def points(self, *xy: float) -> list[float]:
        """Return coordinates x, y, x, y ... in pixels."""
        shift = (self.left, self.top)
        return [(value + shift[i % 2]) * self.unit for i, value in enumerate(xy)]

    def ellipse(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        self.draw.ellipse(self.points(x - wide, y - high, x + wide, y + high), fill=colour)

    def line(self, colour: Colour, width: float, *xy: float) -> None:
        self.draw.line(self.points(*xy), fill=colour, width=round(width * self.unit), joint="curve")

    def jpeg(self, rng: Random) -> bytes:
        small = self.image.resize((SIZE, SIZE), Image.Resampling.BOX)
        turn = rng.uniform(-6, 6)
        small = small.rotate(turn, Image.Resampling.BILINEAR, fillcolor=self.backdrop)
        light = ImageEnhance.Brightness(small).enhance(rng.uniform(0.8, 1.15))
        buffer = io.BytesIO()
        light.save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue()


def _head(canvas: _Canvas, skin: Colour, hair: Colour, age: float) -> None:
    """Hair behind, the face, and hair in front whose line recedes with age."""
    canvas.ellipse(50, 42, 34 - 3 * age, 36 - 3 * age, hair)
    canvas.ellipse(17, 54, 4, 7, skin)
    canvas.ellipse(83, 54, 4, 7, skin)
    canvas.ellipse(50, 54, 31, 38, skin)
    line = 27 - 13 * age
    box = canvas.points(21, 10, 79, 10 + 2 * line)
    canvas.draw.chord(box, 180, 360, fill=hair)


def _wrinkles(canvas: _Canvas, colour: Colour, age: float, rng: Random) -> None:
    """Lines on the forehead, around the eyes and beside the mouth; more and deeper with age."""
    depth = max(age - 0.1, 0.0)
    for i in range(round(5 * depth)):
        y = 31.0 - 3.2 * i + rng.uniform(-0.6, 0.6)
        canvas.line(colour, 0.5 + 0.8 * depth, 36, y + 1, 50, y, 64, y + 1)
    for side in (-1, 1):
        for i in range(round(4 * depth)):
            y = 46 + 2.6 * i + rng.uniform(-0.5, 0.5)
            canvas.line(colour, 0.5 + 0.7 * depth, 50 + side * 24, 48, 50 + side * 30, y)
        if depth > 0.25:
            points = (50 + side * 9, 61, 50 + side * 15, 67, 50 + side * 16, 75)
            canvas.line(colour, 0.4 + 1.2 * depth, *points)


def _features(
    canvas: _Canvas, skin: Colour, hair: Colour, expression: Expression, strength: float
) -> None:
    """Eyes, brows, nose and mouth."""
    move = {name: value * strength for name, value in vars(expression).items()}
    for side in (-1, 1):
        x = 50 + side * 13
        canvas.ellipse(x, 48, 5.5, 3.4 + move["lid"], (250, 250, 250))
        canvas.ellipse(x, 48, 2.3, 2.6, (30, 25, 25))
        inner, outer = 40 - move["lift"] - move["brow"], 40 - move["lift"] + move["brow"] / 3
        canvas.line(_shade(hair, 0.7), 1.8, 50 + side * 7, inner, 50 + side * 20, outer)
    canvas.line(_shade(skin, 0.75), 1.2, 50, 50, 47, 61, 52, 62)
    _mouth(canvas, move["smile"], move["mouth"])


def _mouth(canvas: _Canvas, smile: float, opened: float) -> None:
    red: Colour = (150, 50, 55)
    if opened > 5:
        canvas.ellipse(50, 74, 7, opened, (70, 20, 25))
        return
    curve = [
        value
        for i in range(-6, 7)
        for value in (50 + 2 * i, 73 + smile * (0.5 - (i / 6) ** 2) / 1.5)
    ]
    canvas.line(red, 2.0 + opened, *curve)


def _glasses(canvas: _Canvas) -> None:
    for side in (-1, 1):
        x = 50 + side * 13
        box = canvas.points(x - 8, 42, x + 8, 54)
        canvas.draw.ellipse(box, outline=(25, 25, 30), width=round(1.1 * canvas.unit))
    canvas.line((25, 25, 30), 1.1, 45, 48, 55, 48)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
