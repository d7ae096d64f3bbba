"""What every test shares: the same random numbers each time; what an environment can run."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from pathlib import Path

import pytest

# A worker per core and tiny arrays: threads would only wait for each other. The environment is
# read when TensorFlow, NumPy and PyTorch are imported, and new processes inherit it.
for _variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
):
    os.environ.setdefault(_variable, "1")
# Tracing makes many objects and few cycles: the default collects so often that it takes a fifth.
gc.set_threshold(100_000, 50, 100)

# The graph half needs Keras and one backend; without TensorFlow only its tests are collected.
GRAPH_HALF = {"layers", "encoders", "fusion", "heads"}
GRAPH_FILES = {
    "test_backends.py",
    "test_docstrings.py",
    "test_part_errors.py",
    "test_registered.py",
    "models/test_build.py",
    "models/test_build_errors.py",
    "models/test_compile_model.py",
    "explain/test_attribution.py",
    "explain/test_gradients.py",
}
QUICK = {"cli", "core", "data", "encoders", "evaluation", "fusion", "heads", "layers", "report"}
HERE = Path(__file__).parent
WITH_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
collect_ignore: list[str] = []

if WITH_TENSORFLOW:
    import tensorflow as tf

    # Rewriting a graph takes longer than running it a few times.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    from runs import (
        catalogue_folder,
        command,
        damaged,
        eagerly,
        folder,
        only_the_model,
        partial_run,
        plain_run,
        said,
        saved_run,
        trained,
        worded_run,
    )

    __all__ = [
        "catalogue_folder",
        "command",
        "damaged",
        "eagerly",
        "fixed_seed",
        "folder",
        "only_the_model",
        "partial_run",
        "plain_run",
        "said",
        "saved_run",
        "trained",
        "worded_run",
    ]
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


def _is_for_every_backend(item: pytest.Item) -> bool:
    """Whether a test tells something about JAX or PyTorch that it does not about TensorFlow."""
    if item.path.name == "test_registered.py":
        return item.name.rstrip("]").endswith(("one_training_step", "save_and_reload"))
    return item.path.name in ("test_backends.py", "test_docstrings.py", "test_part_errors.py")


def _package(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).parts[0]


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist keep the order below; by itself it puts files of few tests last."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # before `-m` is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that train first, so that no worker begins a long one when others end.

    Without TensorFlow, mark as `large` what needs no second backend to be known.
    """
    items.sort(key=lambda item: item.path.is_relative_to(HERE) and _package(item) in QUICK)
    for item in items:
        if not WITH_TENSORFLOW and not _is_for_every_backend(item):
            item.add_marker(pytest.mark.large)
