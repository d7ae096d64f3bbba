"""A model saved on one backend computes the same on another; the graph half needs little."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXCHANGE = Path(__file__).with_name("exchange.py")
BACKENDS = {
    name: importlib.util.find_spec(name) is not None
    for name in (
        "tensorflow",
        "jax",
        "torch",
    )
}
HERE = [name for name, there in BACKENDS.items() if there]
NOT_NEEDED = (
    "tensorflow",
    "pandas",
    "pyarrow",
    "PIL",
    "sklearn",
    "typer",
    "matplotlib",
    "jinja2",
    "tensorflow_datasets",
    "keras_hub",
)
GRAPH = ("encoders", "fusion", "heads", "layers", "losses", "metrics", "models.build")


def start(backend: str, *command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=500)
    assert process.returncode == 0, output[-4000:] + errors[-4000:]
    return output


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of each installed backend's models."""
    if len(HERE) < 2:
        pytest.skip(f"nothing to compare: of the backends only {HERE} is installed")
    root = tmp_path_factory.mktemp("exchange")
    folders = {backend: root / backend for backend in HERE}
    for process in [start(name, str(EXCHANGE), "save", str(f)) for name, f in folders.items()]:
        finish(process)
    return folders


@pytest.mark.parametrize("reader", BACKENDS)
def test_models_of_the_other_backends_compute_the_same(saved: dict[str, Path], reader: str) -> None:
    if not BACKENDS[reader]:
        pytest.skip(f"{reader} is not installed")
    others = [str(folder) for backend, folder in saved.items() if backend != reader]
    assert "models agree" in finish(start(reader, str(EXCHANGE), "load", *others))


def test_a_difference_is_found(saved: dict[str, Path], tmp_path: Path) -> None:
    import numpy as np

    source = next(iter(saved.values())) / "layer-mlp.keras"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    arrays = dict(np.load(source.with_suffix(".npz")))
    np.savez(tmp_path / "layer-mlp.npz", **{**arrays, "output_00": arrays["output_00"] + 1e-2})
    process = start(HERE[0], str(EXCHANGE), "load", str(tmp_path))
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 1
    assert "layer-mlp" in output and "0 of 1 models agree" in output


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_graph_half_needs_keras_and_one_backend(backend: str) -> None:
    if not BACKENDS[backend]:
        pytest.skip(f"{backend} is not installed")
    code = f"""
import sys
sys.modules.update(dict.fromkeys({NOT_NEEDED}))  # None: not to be found
import {", ".join(f"multimodal.{name}" for name in GRAPH)}
print(multimodal.layers.registry.kinds())
"""
    assert "fusion" in finish(start(backend, "-c", code))
