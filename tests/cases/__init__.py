"""Every registered part in tiny: what the checks of `checks` are given."""

from __future__ import annotations

from . import encoders, fusions, heads, layers
from .encoders import VARIANTS

__all__ = ["CASES", "VARIANTS"]

CASES = {**encoders.CASES, **layers.CASES, **fusions.CASES, **heads.CASES}
