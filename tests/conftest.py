"""What every test shares: the same random numbers each time; what an environment can run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

# The graph half needs Keras and one backend; without TensorFlow only its tests are collected.
GRAPH_HALF = {"core", "layers", "encoders", "fusion", "heads"}
GRAPH_FILES = {
    "test_backends.py",
    "test_docstrings.py",
    "test_part_errors.py",
    "test_registered.py",
    "models/test_build.py",
    "models/test_pretrained_vectors.py",
    "explain/test_attribution.py",
    "explain/test_contributions.py",
    "explain/test_gradient_scores.py",
    "explain/test_gradients.py",
}
HERE = Path(__file__).parent
WITH_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
collect_ignore: list[str] = []

if WITH_TENSORFLOW:
    from runs import catalogue_folder, command, damaged, folder, said, trained

    __all__ = ["catalogue_folder", "command", "damaged", "fixed_seed", "folder", "said", "trained"]
else:
    collect_ignore += [
        str(path.relative_to(HERE))
        for path in HERE.rglob("test_*.py")
        if path.relative_to(HERE).parts[0] not in GRAPH_HALF
        and str(path.relative_to(HERE)) not in GRAPH_FILES
    ]


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Seed Keras where a test's module has imported it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
