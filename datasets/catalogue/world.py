"""Fixed facts of the generated catalogue: levels, probabilities and effects.

Nothing here depends on a seed. The seed draws rows; the world stays the same for a given
`VERSION`, so that a model trained on one seed is right for another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

VERSION = "1.0.0"

BASE_LOG_PRICE = math.log(80.0)
TOTAL_VARIANCE = 0.49
"""Designed variance of log price, noise included."""

PHOTO_SIZE = 80
"""Side of a photo in pixels."""

SHARES: dict[str, float] = {
    "category": 0.070,
    "tier": 0.060,
    "weight": 0.100,
    "dimensions": 0.030,
    "age": 0.060,
    "material": 0.100,
    "pieces": 0.090,
    "waterproof": 0.050,
    "refurbished": 0.050,
    "shape": 0.095,
    "pattern": 0.075,
    "wear": 0.055,
    "material_x_category": 0.060,
    "waterproof_x_wear": 0.058,
    "noise": 0.047,
}
"""Share of `TOTAL_VARIANCE` that each term of the price function is designed to carry."""


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of product.

    Args:
        name: Value of the `category` column.
        nouns: Words a description may use for it.
        effect: Effect on log price, before standardising.
        weight_g: Median weight in grams.
        weight_slope: Effect of relative log weight on log price, before standardising.
        size_cm: Median width, height and depth in centimetres.
        taste: +1 where a fine material pays, -1 where it does not.
        spread: Noise level relative to other categories.
    """

    name: str
    nouns: tuple[str, ...]
    effect: float
    weight_g: float
    weight_slope: float
    size_cm: tuple[float, float, float]
    taste: float
    spread: float


CATEGORIES: tuple[Category, ...] = (
    Category("lamp", ("lamp", "light"), 0.2, 1800, 1.0, (24, 45, 24), 1.0, 0.8),
    Category("vase", ("vase", "urn"), -0.6, 1200, 1.4, (16, 30, 16), 1.0, 1.3),
    Category("clock", ("clock", "timepiece"), 0.5, 900, 1.2, (28, 28, 6), 1.0, 0.7),
    Category("speaker", ("speaker", "loudspeaker"), 0.9, 2600, -0.8, (18, 22, 18), -1.0, 0.6),
    Category("kettle", ("kettle", "teapot"), -0.9, 1100, 1.2, (20, 24, 17), -1.0, 0.9),
    Category("stool", ("stool", "seat"), 1.1, 4200, 1.0, (40, 48, 40), 1.0, 1.1),
    Category("bag", ("bag", "case"), 0.0, 850, -0.9, (38, 28, 14), -1.0, 1.4),
    Category("tray", ("tray", "platter"), -1.2, 700, 0.8, (36, 4, 26), -1.0, 0.8),
)

TIERS: dict[str, float] = {"budget": -1.0, "standard": 0.0, "premium": 1.2}
"""Effect of a budget, standard and premium brand, before standardising."""

MATERIALS: dict[str, float] = {
    "oak": 0.4,
    "steel": 0.0,
    "glass": -0.4,
    "leather": 1.1,
    "bamboo": -0.8,
    "plastic": -1.3,
}
PIECES: tuple[int, ...] = (2, 3, 4, 6, 8)
SHAPES: dict[str, float] = {"circle": -0.3, "square": -1.1, "triangle": 0.3, "cross": 1.1}
PATTERNS: dict[str, float] = {"halves": -1.0, "stripes": 0.0, "dots": 1.0}
SCRATCHES: tuple[int, ...] = (0, 2, 6)
"""Number of scratches at each level of wear."""

FIRST_YEAR, LAST_YEAR = 2009, 2024
MISSING_RATE = 0.06
"""Chance that one cell of brand, weight or a dimension is empty."""

WEIGHT_LOG_SD = 0.5
SIZE_LOG_SD = 0.25
SIZE_CORRELATION = 0.5
"""Correlation between the log dimensions of one product (and with its log weight)."""

NUM_BRANDS = 90
NUM_NEW_BRANDS = 20
_SYLLABLES = ("ar", "bel", "cor", "dun", "el", "fen", "gor", "hal", "ister", "jun", "kel", "lor")
_ENDINGS = ("a", "en", "ix", "o", "um", "ley", "tek", "wood", "mark")


def brand_name(index: int) -> str:
    """Name of brand `index`: unique up to 108 x 12 brands, the same in every catalogue."""
    first, rest = divmod(index, len(_ENDINGS))
    name = _SYLLABLES[first % len(_SYLLABLES)] + _ENDINGS[rest]
    prefix = first // len(_SYLLABLES)
    return (_SYLLABLES[prefix - 1] + name if prefix else name).capitalize()


def brand_tier(index: int) -> str:
    """Tier of brand `index`, a key of `TIERS`; unrelated to popularity."""
    return tuple(TIERS)[(0, 1, 2, 1, 2, 0, 2, 0, 1)[index % 9]]


def brand_weights() -> list[float]:
    """Relative frequency of each brand: Zipf with a flattened head."""
    return [1.0 / (rank + 3) for rank in range(NUM_BRANDS)]


CATEGORY_BY_NAME = {category.name: category for category in CATEGORIES}
TIER_BY_BRAND = {
    brand_name(index): brand_tier(index) for index in range(NUM_BRANDS + NUM_NEW_BRANDS)
}


def standardise(values: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Centre `values` and scale them to variance 1 under `weights` (uniform by default).

    Example:
        >>> standardise([1.0, 3.0])
        [-1.0, 1.0]
    """
    mass = list(weights) if weights is not None else [1.0] * len(values)
    total = sum(mass)
    mean = sum(v * w for v, w in zip(values, mass, strict=True)) / total
    variance = sum((v - mean) ** 2 * w for v, w in zip(values, mass, strict=True)) / total
    return [(v - mean) / math.sqrt(variance) for v in values]
