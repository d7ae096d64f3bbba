"""What every test shares: the same random numbers each time; what an environment can run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

# The graph half needs Keras and one backend; without TensorFlow only its tests are collected.
GRAPH_HALF = {
    "array_files",
    "attribution",
    "backbones",
    "backends",
    "boxes",
    "builder",
    "config",
    "contracts",
    "contributions",
    "docstrings",
    "encoders",
    "ensemble",
    "errors",
    "files",
    "fusion",
    "gradient_scores",
    "gradients",
    "heads",
    "importance",
    "importance_view",
    "json_records",
    "layers",
    "losses",
    "manifest",
    "metrics",
    "part_errors",
    "poolings",
    "registered",
    "registry",
    "sizes",
    "spec",
    "targets",
    "transformer",
    "transforms",
    "vectors",
    "weights",
}
HERE = Path(__file__).parent
WITH_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
collect_ignore: list[str] = []

if WITH_TENSORFLOW:
    from runs import catalogue_folder, command, damaged, folder, trained

    __all__ = ["catalogue_folder", "command", "damaged", "fixed_seed", "folder", "trained"]
else:
    collect_ignore += [
        path.name for path in HERE.iterdir() if path.stem.removeprefix("test_") not in GRAPH_HALF
    ]


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Seed Keras where a test's module has imported it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
