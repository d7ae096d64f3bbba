"""What every test shares: the same random numbers each time."""

from __future__ import annotations

import sys

import pytest
from runs import catalogue_folder, command, trained

__all__ = ["catalogue_folder", "command", "fixed_seed", "trained"]


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Seed Keras where a test's module has imported it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
