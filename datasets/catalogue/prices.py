"""The price function: a sum of standardised terms, each with its share of the variance.

    log price = base + table part + text part + photo part + interaction part + noise

Every score has mean 0 and variance 1 over the catalogue and the scores multiplied within an
interaction are independent, so the terms are uncorrelated and their variances add up.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from random import Random

from . import world
from .factors import Factors, normal


@dataclass(frozen=True, slots=True)
class Price:
    """A price and what it is made of, in log units except `price` itself.

    `expected_log_price` is the sum of the base level and the four parts, and log `price` is
    exactly `expected_log_price + noise`. `noise_sd` is the standard deviation of the row's noise.
    """

    price: float
    expected_log_price: float
    noise: float
    noise_sd: float
    table_part: float
    text_part: float
    photo_part: float
    interaction_part: float


def _levels(effects: dict[str, float]) -> dict[str, float]:
    return dict(zip(effects, world.standardise(list(effects.values())), strict=True))


_AMOUNT = {name: math.sqrt(s * world.TOTAL_VARIANCE) for name, s in world.SHARES.items()}
_NAMES = [category.name for category in world.CATEGORIES]
_CATEGORY = _levels({c.name: c.effect for c in world.CATEGORIES})
_TASTE = _levels({c.name: c.taste for c in world.CATEGORIES})
_SLOPE_RMS = math.sqrt(sum(c.weight_slope**2 for c in world.CATEGORIES) / len(_NAMES))
_SLOPE = {c.name: c.weight_slope / _SLOPE_RMS for c in world.CATEGORIES}
_MATERIAL = _levels(world.MATERIALS)
_SHAPE = _levels(world.SHAPES)
_PATTERN = _levels(world.PATTERNS)
_WEAR = world.standardise([-float(count) for count in world.SCRATCHES])
_PIECES = dict(
    zip(world.PIECES, world.standardise([math.log(n) for n in world.PIECES]), strict=True)
)
_YEARS = range(world.FIRST_YEAR, world.LAST_YEAR + 1)
_AGE = dict(zip(_YEARS, world.standardise([-float(year) for year in _YEARS]), strict=True))


def _tier_scores() -> dict[str, float]:
    mass = dict.fromkeys(world.TIERS, 0.0)
    for index, weight in enumerate(world.brand_weights()):
        mass[world.brand_tier(index)] += weight
    scores = world.standardise(list(world.TIERS.values()), list(mass.values()))
    return dict(zip(world.TIERS, scores, strict=True))


_TIER = _tier_scores()
_FADE = 0.8
"""How much of its loss of value with age a product of tier score +1 is spared."""
_REFURBISHED_NOISE = {False: 0.75, True: 1.25}
_NOISE_RMS = math.sqrt(
    sum(
        (category.spread * factor) ** 2
        for category, factor in itertools.product(world.CATEGORIES, _REFURBISHED_NOISE.values())
    )
    / (2 * len(world.CATEGORIES))
)


def price_row(factors: Factors, rng: Random, log_level: float = 0.0) -> Price:
    """Compute the price of one row.

    Args:
        factors: Latent factors of the row.
        rng: Source of the row's noise.
        log_level: Added to every log price (a shifted price level).

    Returns:
        The price, rounded to 2 decimals, with its parts; the rounding is counted as noise.
    """
    parts = (
        table_part(factors),
        text_part(factors),
        photo_part(factors),
        interaction_part(factors),
    )
    expected = world.BASE_LOG_PRICE + log_level + sum(parts)
    spread = noise_sd(factors)
    price = max(0.01, round(math.exp(expected + spread * normal(rng)), 2))
    return Price(price, expected, math.log(price) - expected, spread, *parts)


def table_part(factors: Factors) -> float:
    """Effect of category, brand tier, weight (slope by category), dimensions, age (by tier)."""
    tier = _tier_score(factors)
    fading = _AGE[factors.year] * (_FADE * tier - 1.0) / math.sqrt(1.0 + _FADE**2)
    return (
        _AMOUNT["category"] * _CATEGORY[factors.category]
        + _AMOUNT["tier"] * tier
        + _AMOUNT["weight"] * _SLOPE[factors.category] * factors.weight_z
        + _AMOUNT["dimensions"] * factors.dims_z
        + _AMOUNT["age"] * fading
    )


def text_part(factors: Factors) -> float:
    """Effect of the body's material, the number of pieces and the two claims."""
    return (
        _AMOUNT["material"] * _MATERIAL[factors.material]
        + _AMOUNT["pieces"] * _PIECES[factors.pieces]
        + _AMOUNT["waterproof"] * _sign(factors.waterproof)
        - _AMOUNT["refurbished"] * _sign(factors.refurbished)
    )


def photo_part(factors: Factors) -> float:
    """Effect of silhouette, surface pattern and wear."""
    return (
        _AMOUNT["shape"] * _SHAPE[factors.shape]
        + _AMOUNT["pattern"] * _PATTERN[factors.pattern]
        + _AMOUNT["wear"] * _WEAR[factors.wear]
    )


def interaction_part(factors: Factors) -> float:
    """Effect that needs two modalities at once.

    A fine material pays in some categories (text x table), and wear costs a product that is said
    to be waterproof more (text x photo).
    """
    return (
        _AMOUNT["material_x_category"] * _MATERIAL[factors.material] * _TASTE[factors.category]
        + _AMOUNT["waterproof_x_wear"] * _sign(factors.waterproof) * _WEAR[factors.wear]
    )


def noise_sd(factors: Factors) -> float:
    """Standard deviation of the row's noise: by category, larger for refurbished products."""
    spread = world.CATEGORY_BY_NAME[factors.category].spread
    return _AMOUNT["noise"] * spread * _REFURBISHED_NOISE[factors.refurbished] / _NOISE_RMS


def _tier_score(factors: Factors) -> float:
    return _TIER.get(factors.tier, 0.0)


def _sign(claim: bool) -> float:
    return 1.0 if claim else -1.0
