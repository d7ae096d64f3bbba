"""Precision and XLA by device; several devices and processes train one model."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from multimodal.core.errors import ConfigError
from multimodal.models.training import devices
from multimodal.runs.run import load

CHILD = Path(__file__).parents[2] / "shared_training.py"
WITH_JAX = importlib.util.find_spec("jax") is not None
needs_jax = pytest.mark.skipif(not WITH_JAX, reason="jax is not installed")
pytestmark = pytest.mark.timeout(900)


def start(
    backend: str, folder: Path, out: Path, *options: object, **variables: object
) -> subprocess.Popen[str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("KERAS_DIST")}
    environment = {**plain, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), str(out), *map(str, options)],
        text=True,
        env=environment | {key: str(value) for key, value in variables.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def several(folder: Path, out: Path, *options: tuple[object, ...]) -> list[subprocess.Popen[str]]:
    """Start one JAX process for each set of options."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [
        start(
            "jax",
            folder,
            out,
            *each,
            **{
                devices.ADDRESSES: address,
                devices.PROCESSES: len(options),
                devices.PROCESS: number,
            },
        )
        for number, each in enumerate(options)
    ]


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a process that ends well; return what it said."""
    out, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    return out


def assert_same(one: Path, other: Path, tolerance: float = 1e-4) -> None:
    """Compare the losses and metrics of every epoch, and the final weights."""
    logs = [pd.read_csv(out / "training_log.csv") for out in (one, other)]
    np.testing.assert_allclose(*logs, rtol=tolerance)
    weights = [load(out).model.get_weights() for out in (one, other)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def alone(catalogue_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one JAX process."""
    if not WITH_JAX:
        pytest.skip("jax is not installed")
    out = tmp_path_factory.mktemp("alone") / "run"
    ended(start("jax", catalogue_folder, out))
    return out


def test_processes_train_as_one_also_where_one_is_killed(
    alone: Path, catalogue_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    lead, victim = several(catalogue_folder, out, (), ("--die", 6))
    _, errors = lead.communicate(timeout=600)
    victim.communicate(timeout=60)
    assert victim.returncode == -signal.SIGKILL
    assert lead.returncode == 2, errors[-3000:]
    assert "error: another process of this training has ended" in errors
    assert "same command" in errors and "Traceback" not in errors
    lead, other = several(catalogue_folder, out, (), ())
    assert "going on from epoch 2, step " in ended(lead)
    ended(other)
    assert_same(out, alone)
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in alone.iterdir())


@needs_jax
def test_without_process_0_the_others_end(catalogue_folder: Path, tmp_path: Path) -> None:
    victim, other = several(catalogue_folder, tmp_path / "run", ("--die", 2), ())
    _, errors = other.communicate(timeout=600)
    victim.communicate(timeout=60)
    assert other.returncode not in (0, None)
    assert "another process" in errors or "another task died" in errors


def test_two_devices_of_one_process_train_as_one(
    alone: Path, catalogue_folder: Path, tmp_path: Path
) -> None:
    flags = "--xla_force_host_platform_device_count=2"
    ended(start("jax", catalogue_folder, tmp_path / "run", XLA_FLAGS=flags))
    assert_same(tmp_path / "run", alone)


@pytest.mark.large
def test_two_devices_of_tensorflow_train_as_one_and_go_on(
    catalogue_folder: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    ended(start("tensorflow", catalogue_folder, one, "--plain"))
    options = ("--plain", "--devices", 2)
    killed = start("tensorflow", catalogue_folder, two, *options, "--die", 6)
    killed.communicate(timeout=600)
    assert killed.returncode == -signal.SIGKILL
    assert "going on from epoch 2, step " in ended(
        start("tensorflow", catalogue_folder, two, *options)
    )
    assert_same(two, one)


@pytest.mark.parametrize(
    "variables, message",
    [
        ({devices.PROCESSES: "two"}, "must be a whole number. Received: 'two'"),
        ({devices.PROCESSES: "2"}, "must be a whole number. Received: None"),
        (
            {devices.PROCESSES: "2", devices.PROCESS: "2", devices.ADDRESSES: "a:1"},
            "Received: 2, 2",
        ),
        ({devices.PROCESSES: "2", devices.PROCESS: "0"}, "Received: 0, 2 and None"),
    ],
)
def test_variables_that_name_no_place(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (devices.ADDRESSES, devices.PROCESSES, devices.PROCESS):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match=message):
        devices.join()


def test_several_processes_take_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.PROCESSES, "2")
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ConfigError, match="Set KERAS_BACKEND=jax. Received: torch"):
        devices.join()


def test_one_process_alone_is_the_chief_and_shards_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(devices.PROCESSES, raising=False)
    devices.join()
    batches = object()
    with devices.all_devices():
        assert devices.shard(batches) is batches
    assert devices.is_chief()


def test_slices_are_equal_and_fill_up_with_rows_that_weigh_nothing() -> None:
    rows = np.arange(5.0)
    batch = ({"x": rows}, {"y": rows}, {"y": np.ones(5)})
    parts = [devices._slice(batch, 4, 2, process) for process in (0, 1)]
    assert [part[0]["x"].numpy().tolist() for part in parts] == [[0, 1, 2, 3], [4, 0, 0, 0]]
    assert [part[2]["y"].numpy().tolist() for part in parts] == [[1, 1, 1, 1], [1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("wanted", "flags", "expected"),
    [
        ("auto", "flags: fpu avx512_bf16 sse", "mixed_bfloat16"),
        ("auto", "flags: fpu amx_bf16", "mixed_bfloat16"),
        ("auto", "flags: fpu avx512f", "float32"),
        ("float32", "flags: avx512_bf16", "float32"),
        ("mixed_bfloat16", "flags: fpu", "mixed_bfloat16"),
    ],
)
def test_precision_asks_the_processor(
    wanted: str, flags: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(devices, "Path", lambda _: tmp_path / "cpuinfo")
    assert devices.choose_precision(wanted) == expected


def test_precision_without_an_answer_is_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "Path", lambda _: tmp_path / "absent")
    assert devices.choose_precision("auto") == "float32"


def test_dtype_policy_comes_back_after_an_error() -> None:
    before = keras.config.dtype_policy().name
    with pytest.raises(ZeroDivisionError), devices.dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).dtype_policy.name == "mixed_bfloat16"
        raise ZeroDivisionError
    assert keras.config.dtype_policy().name == before == "float32"


@pytest.mark.parametrize(("backend", "wanted"), [("jax", True), ("tensorflow", False)])
def test_batches_are_of_one_size_where_each_costs_a_compilation(
    backend: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert devices.fixed_batch_size() is wanted


def test_compiler_is_off_on_a_processor() -> None:
    import tensorflow as tf

    expected = bool(tf.config.list_physical_devices("GPU"))
    assert devices.compiler_options() == {"jit_compile": expected}


def test_lowest_precision_names_what_is_used() -> None:
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert devices.lowest_precision(plain) == "float32"
    mixed = keras.layers.Dense(1, dtype="mixed_bfloat16")
    assert devices.lowest_precision(keras.Sequential([plain, mixed])) == "mixed_bfloat16"
