"""Facts of a text: the greatest and least number in it, how many there are, and its length.

Sizes, years, pack counts and weights stand in titles and descriptions, where the words alone do not
say that 500 is more than 250.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.features import text

Floats = NDArray[np.float64]


def fact_values(kind: str, cells: Sequence[str]) -> Floats:
    """Return a fact of each text on a logarithmic scale, (rows,), NaN where it has none.

    Args:
        kind: A name in `FACTS`.
        cells: The texts; an empty one has no facts.

    Example:
    >>> np.expm1(fact_values("greatest", ["pack of 3, 1,500 g", "a shoe", ""])).round(3).tolist()
    [1500.0, nan, nan]
    >>> np.expm1(fact_values("numbers", ["pack of 3, 1,500 g", "a shoe", ""])).round(3).tolist()
    [2.0, 0.0, nan]
    """
    read = FACTS[kind]
    return np.log1p(np.array([read(cell) if cell else np.nan for cell in cells], np.float64))


def fact_shares(kind: str, cell: str) -> Floats:
    """Return how much of a fact each word of a text makes, (words,).

    That of the greatest or least number is the first word that says it; every number counts for
    their number in equal parts, every word for the length.

    Example:
    >>> fact_shares("greatest", "2 packs of 12").tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    numbers = _numbers_in_words(cell)
    mine = np.ones(len(numbers)) if kind == "length" else np.isfinite(numbers).astype(float)
    if kind in ("greatest", "least") and mine.any():
        best = np.nanargmax(numbers) if kind == "greatest" else np.nanargmin(numbers)
        mine = np.eye(1, len(numbers), int(best))[0]
    return np.asarray(mine / max(mine.sum(), 1.0))


def _numbers_in_words(cell: str) -> Floats:
    """Return the number that each word of a text is, NaN where it is none."""
    return parse_numbers(text.words(cell)).values


def _known(cell: str) -> Floats:
    found = parse_numbers(text.number_words(cell)).values
    return np.asarray(found[np.isfinite(found)])


def _extreme(cell: str, of: Callable[[Floats], Any]) -> float:
    found = _known(cell)
    return float(of(found)) if len(found) else np.nan


FACTS: dict[str, Callable[[str], float]] = {
    "greatest": lambda cell: _extreme(cell, np.max),
    "least": lambda cell: _extreme(cell, np.min),
    "numbers": lambda cell: float(len(_known(cell))),
    "length": lambda cell: float(len(cell)),
}
"""What there is to know of a text that is not empty; NaN where it holds no number."""
