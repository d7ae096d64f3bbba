"""Promises that every registered part keeps, as checks that take a class and a tiny case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import encoders
from .case import Case, as_array, functional
from .fusions import FUSION
from .heads import HEAD
from .parts import EVERY

__all__ = ["Case", "Check", "as_array", "checks_of", "functional"]

Check = Callable[[Any, Case, Path], None]
BY_KIND: dict[str, tuple[Check, ...]] = {
    **encoders.BY_KIND,
    "fusion": FUSION,
    "head": HEAD,
    "layer": (),
}


def checks_of(kind: str, case: Case) -> tuple[Check, ...]:
    """Return the checks for parts of `kind`, without those that the case skips."""
    every = EVERY + BY_KIND[kind]
    unknown = case.skip.keys() - {check.__name__ for check in every}
    assert not unknown, f"no such checks to skip: {unknown}"
    return tuple(check for check in every if check.__name__ not in case.skip)
