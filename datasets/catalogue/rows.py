"""Rows of the catalogue as a stream.

A row depends on its seed and number alone, so a catalogue can be streamed, sliced, or drawn by
several processes with the same result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from .descriptions import write_description
from .factors import Factors, Table, draw_factors, draw_table
from .photos import draw_photo
from .prices import Price, price_row

SIZES: dict[str, tuple[int, int, int]] = {
    "small": (1600, 200, 200),
    "default": (8000, 1000, 1000),
    "large": (90000, 5000, 5000),
}
"""Rows in the training, validation and test split of each size."""

SPLITS = ("train", "validation", "test")
SPLIT_STRIDE = 10_000_000
"""Number of the first row of a split, times the split's position: no two splits share a row."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How a shifted catalogue differs from the usual one, as a market does a year later.

    Args:
        price_factor: Every price is multiplied by this.
        new_brand_rate: Share of rows whose brand no usual catalogue holds.
        new_word_rate: Chance that a material or claim is put in a word no usual catalogue holds.
    """

    price_factor: float = 1.6
    new_brand_rate: float = 0.3
    new_word_rate: float = 0.4

    def __post_init__(self) -> None:
        if not (math.isfinite(self.price_factor) and self.price_factor > 0):
            raise ValueError(
                f"`price_factor` must be a positive number. Received: {self.price_factor!r}"
            )
        for name in ("new_brand_rate", "new_word_rate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"`{name}` must be in [0, 1]. Received: {getattr(self, name)!r}")


NO_SHIFT = Shift(price_factor=1.0, new_brand_rate=0.0, new_word_rate=0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One product: what a user sees, and the truth behind its price."""

    id: str
    split: str
    table: Table
    description: str
    price: float
    y_true: Price
    factors: Factors
    photo_key: str

    def jpeg(self) -> bytes:
        """Draw the photo: a baseline RGB JPEG of `PHOTO_SIZE` x `PHOTO_SIZE` pixels."""
        return draw_photo(self.factors, self.photo_key)


def split_counts(size: str | tuple[int, int, int]) -> tuple[int, int, int]:
    """Rows per split of a named size, or the three counts themselves once checked.

    Raises:
        ValueError: If the name is unknown, or the counts are not three integers in range.
    """
    if isinstance(size, str):
        if size not in SIZES:
            raise ValueError(f"`size` must be one of {tuple(SIZES)}. Received: {size!r}")
        return SIZES[size]
    counts = tuple(size)
    if len(counts) != 3 or any(not _is_count(n) for n in counts):
        raise ValueError(
            "`size` must hold three row counts (train, validation, test), each an integer from 0 "
            f"to {SPLIT_STRIDE}. Received: {size!r}"
        )
    return counts[0], counts[1], counts[2]


def generate(
    size: str | tuple[int, int, int] = "default",
    seed: int = 0,
    *,
    shift: Shift | None = None,
) -> Iterator[Row]:
    """Stream the rows of a catalogue: train, then validation, then test.

    Rows are independent and identically distributed. Photos are drawn only when `Row.jpeg` is
    called. A smaller catalogue is, split by split, the head of a larger one of the same seed.

    Args:
        size: A name in `SIZES`, or the rows in each of the three splits.
        seed: Non-negative integer; each seed is another catalogue of the same world.
        shift: How the catalogue differs from the usual one; None for not at all.

    Returns:
        An iterator over `Row`. Memory use does not grow with `size`.

    Raises:
        ValueError: If `size` or `seed` is not as described.

    Example:
        >>> [row.split for row in generate((1, 1, 1), seed=7)]
        ['train', 'validation', 'test']
    """
    counts = split_counts(size)
    check_seed(seed)
    return (
        make_row(seed, split, number, shift)
        for split, count in zip(SPLITS, counts, strict=True)
        for number in range(count)
    )


def make_row(seed: int, split: str, number: int, shift: Shift | None = None) -> Row:
    """Make row `number` of `split` without making those before it."""
    shift = shift or NO_SHIFT
    index = SPLITS.index(split) * SPLIT_STRIDE + number
    key = f"catalogue/{seed}/{index}"
    text_rng = Random(f"{key}/text")
    table = draw_table(Random(f"{key}/table"), shift.new_brand_rate)
    factors = draw_factors(table, text_rng, Random(f"{key}/photo"))
    y_true = price_row(factors, Random(f"{key}/noise"), math.log(shift.price_factor))
    return Row(
        id=f"p{index:08d}",
        split=split,
        table=table,
        description=write_description(factors, text_rng, shift.new_word_rate),
        price=y_true.price,
        y_true=y_true,
        factors=factors,
        photo_key=f"{key}/pixels",
    )


def check_seed(seed: int) -> None:
    """Raise ValueError unless `seed` is a non-negative integer."""
    if not _is_count(seed, limit=2**63):
        raise ValueError(f"`seed` must be a non-negative integer. Received: {seed!r}")


def _is_count(value: object, limit: int = SPLIT_STRIDE) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit
