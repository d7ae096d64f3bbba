"""Latent factors of a product and the table columns that show some of them."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import TypeVar

from . import world

T = TypeVar("T")

_NORMAL = NormalDist()
_BRAND_BOUNDS = list(itertools.accumulate(world.brand_weights()))
_DIMS_SCALE = math.sqrt(3 + 6 * world.SIZE_CORRELATION)


@dataclass(frozen=True, slots=True)
class Table:
    """The table columns of one row; None is an empty cell."""

    category: str
    brand: str | None
    weight_g: int | None
    width_cm: float | None
    height_cm: float | None
    depth_cm: float | None
    year: int


@dataclass(frozen=True, slots=True)
class Factors:
    """Latent factors that the price function reads.

    `weight_z` is log weight relative to the category's median, `dims_z` the sum of the relative
    log dimensions, both standardised. An empty cell scores 0 and an empty brand has the tier
    "unknown": the price is computed as if the cell held the typical value, so the irreducible
    error of the row stays exact. `trim` is a second material that the description names; it has
    no effect.
    """

    category: str
    tier: str
    weight_z: float
    dims_z: float
    year: int
    material: str
    trim: str | None
    pieces: int
    waterproof: bool
    refurbished: bool
    shape: str
    pattern: str
    wear: int


def pick(rng: Random, options: Sequence[T]) -> T:
    """One of `options`, all equally likely, for one call of `rng.random`."""
    return options[int(rng.random() * len(options))]


def normal(rng: Random) -> float:
    """One standard normal value, for one call of `rng.random`."""
    return _NORMAL.inv_cdf(min(max(rng.random(), 1e-9), 1 - 1e-9))


def draw_table(rng: Random, new_brand_rate: float = 0.0) -> Table:
    """Draw the table columns of one row, some cells empty."""
    category = pick(rng, world.CATEGORIES)
    brand = world.brand_name(_draw_brand(rng, new_brand_rate))
    year = world.FIRST_YEAR + int(rng.random() * (world.LAST_YEAR - world.FIRST_YEAR + 1))
    size = normal(rng)
    weight = category.weight_g * math.exp(world.WEIGHT_LOG_SD * _correlated(rng, size))
    width, height, depth = (
        round(median * math.exp(world.SIZE_LOG_SD * _correlated(rng, size)), 1)
        for median in category.size_cm
    )
    return Table(
        category=category.name,
        brand=_maybe_empty(rng, brand),
        weight_g=_maybe_empty(rng, round(weight)),
        width_cm=_maybe_empty(rng, width),
        height_cm=_maybe_empty(rng, height),
        depth_cm=_maybe_empty(rng, depth),
        year=year,
    )


def draw_factors(table: Table, text_rng: Random, photo_rng: Random) -> Factors:
    """Read the table's factors off its cells and draw those of the text and the photo."""
    category = world.CATEGORY_BY_NAME[table.category]
    sides = (table.width_cm, table.height_cm, table.depth_cm)
    dims = sum(
        _score(side, median, world.SIZE_LOG_SD)
        for side, median in zip(sides, category.size_cm, strict=True)
    )
    material, trim = _two_materials(text_rng)
    return Factors(
        category=table.category,
        tier="unknown" if table.brand is None else world.TIER_BY_BRAND[table.brand],
        weight_z=_score(table.weight_g, category.weight_g, world.WEIGHT_LOG_SD),
        dims_z=dims / _DIMS_SCALE,
        year=table.year,
        material=material,
        trim=trim,
        pieces=pick(text_rng, world.PIECES),
        waterproof=text_rng.random() < 0.5,
        refurbished=text_rng.random() < 0.5,
        shape=pick(photo_rng, tuple(world.SHAPES)),
        pattern=pick(photo_rng, tuple(world.PATTERNS)),
        wear=pick(photo_rng, range(len(world.SCRATCHES))),
    )


def _two_materials(rng: Random) -> tuple[str, str | None]:
    names = list(world.MATERIALS)
    material = names.pop(int(rng.random() * len(names)))
    trim = pick(rng, names)
    return material, trim if rng.random() < 0.6 else None


def _draw_brand(rng: Random, new_brand_rate: float) -> int:
    is_new, where = rng.random() < new_brand_rate, rng.random()
    if is_new:
        return world.NUM_BRANDS + int(where * world.NUM_NEW_BRANDS)
    return bisect.bisect(_BRAND_BOUNDS, where * _BRAND_BOUNDS[-1])


def _correlated(rng: Random, common: float) -> float:
    share = world.SIZE_CORRELATION
    return math.sqrt(share) * common + math.sqrt(1 - share) * normal(rng)


def _maybe_empty(rng: Random, value: T) -> T | None:
    return None if rng.random() < world.MISSING_RATE else value


def _score(value: float | None, median: float, log_sd: float) -> float:
    return 0.0 if value is None else math.log(value / median) / log_sd
