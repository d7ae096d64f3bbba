"""Run the harness and time training steps on whatever accelerator the backend sees.

    KERAS_BACKEND=jax python scripts/benchmark_gpu.py [NAME ...] [--steps 50] [--batch 256]
        [--photo-sizes 64,224] [--no-harness]

First every registered part passes the checks of `tests/` on the device: built, called, trained one
step, saved and reloaded. Then a row per encoder: samples per second of a whole training step and,
on JAX, the operations of a sample in it and the share of the peak. The operations come from XLA's
cost analysis of the model's forward pass, a training step counted as three; the peak is that of a
large matrix product, measured in the same run. Without an accelerator it runs on the processor and
says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import plain

ROOT = Path(__file__).resolve().parent.parent
CHECKS = "one_training_step or save_and_reload or shapes_agree or kept_and_trains"


def device() -> str:
    """Return the name of the device that the backend computes on."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        return "cpu"
    return str(tf.config.experimental.get_device_details(found[0])["device_name"])


def harness() -> bool:
    """Run the registered parts' checks in a process of its own; return whether all passed."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/test_registered.py", "-k", CHECKS]
    return subprocess.run(command, cwd=ROOT).returncode == 0


def per_call(work: Callable[[], Any], steps: int) -> float:
    """Return the seconds of one call, the compilation left out and the device waited for."""
    np.asarray(work())
    np.asarray(work())
    start = time.perf_counter()
    for _ in range(steps):
        result = work()
    np.asarray(result)
    return (time.perf_counter() - start) / steps


def peak(size: int) -> float:
    """Return operations per second of a product of two square matrices in the model's dtype."""
    import jax
    import jax.numpy as jnp

    dtype = keras.config.dtype_policy().compute_dtype
    matrix = jnp.ones((size, size), dtype)
    product = jax.jit(lambda a: a @ a)
    seconds = per_call(lambda: product(matrix)[0, 0].astype("float32"), 10)
    return 2 * size**3 / seconds


def operations(model: keras.Model, inputs: dict[str, Any]) -> float:
    """Return the operations of one forward pass, by XLA's own count."""
    import jax

    states = [
        [v.value for v in vs]
        for vs in (
            model.trainable_variables,
            model.non_trainable_variables,
        )
    ]
    forward = jax.jit(lambda x: model.stateless_call(*states, x, training=False)[0])
    return float(forward.lower(inputs).compile().cost_analysis()["flops"])


def measure(pair: plain.Pair, size: int, batch: int, steps: int, limit: float) -> str:
    """Return one row of the table; `limit` is the measured peak, or 0 where there is none."""
    random = np.random.default_rng(0)
    inputs = pair.inputs(random, batch)
    if "pixels" in inputs:
        inputs = {"pixels": random.integers(0, 256, (batch, size, size, 3), "uint8")}
    symbols = {n: keras.Input(a.shape[1:], dtype=str(a.dtype), name=n) for n, a in inputs.items()}
    given = symbols if len(symbols) > 1 else next(iter(symbols.values()))
    output = keras.layers.Dense(1, dtype="float32")(pair.ours()(given))
    model = keras.Model(symbols, output)
    model.compile(keras.optimizers.Adam(1e-3), loss="mse", jit_compile=limit > 0)
    targets = np.ones((batch, 1), "float32")
    seconds = per_call(lambda: model.train_on_batch(inputs, targets), steps)
    name = f"{pair.name} {size} px" if "pixels" in inputs else pair.name
    row = f"{name:28}{model.count_params():>12,}{batch / seconds:>14,.0f}"
    if not limit:
        return f"{row}{'-':>16}{'-':>10}"
    done = 3 * operations(model, inputs)
    return f"{row}{done / batch / 1e6:>16,.1f}{done / seconds / limit:>10.1%}"


def main() -> None:
    """Run the harness, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = [pair.name for pair in plain.PAIRS]
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(names)}; default: all")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--precision", default="mixed_bfloat16")
    parser.add_argument("--matrix", type=int, default=8192, help="side of the peak's matrices")
    parser.add_argument("--photo-sizes", default="64", help="sides of photos in pixels")
    parser.add_argument("--no-harness", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"unknown {sorted(unknown)}; valid: {', '.join(names)}")
    backend, name = keras.backend.backend(), device()
    print(f"keras {keras.__version__} on {backend}, device: {name}, {arguments.precision}")
    if name.lower() == "cpu":
        print("No accelerator: these figures are the processor's.")
    if not arguments.no_harness:
        print("harness:", "passed" if harness() else "FAILED", flush=True)
    keras.config.set_dtype_policy(arguments.precision)
    limit = peak(arguments.matrix) if backend == "jax" else 0.0
    if limit:
        print(f"measured peak: {limit / 1e12:,.2f} Tflop/s, {arguments.matrix} square")
    columns = f"{'parameters':>12}{'samples/s':>14}{'Mflop/sample':>16}{'of peak':>10}"
    print(f"{'encoder':28}{columns}")
    sizes = [int(size) for size in arguments.photo_sizes.split(",")]
    for pair in plain.PAIRS:
        for size in sizes if pair.kind == "image_encoder" else sizes[:1]:
            if pair.name in (arguments.names or names):
                row = measure(pair, size, arguments.batch, arguments.steps, limit)
                print(row, flush=True)


if __name__ == "__main__":
    main()
