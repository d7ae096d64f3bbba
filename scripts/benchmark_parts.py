"""Compare each encoder's speed with that of the same network in the plainest Keras, in one run.

    KERAS_BACKEND=tensorflow python scripts/benchmark_parts.py [NAME ...] [--rounds 8]

A row holds the encoder's parameters, its samples per CPU-second forward and in training, and
plain / ours: the cost of the hand-written network divided by the encoder's, so that 1.00 is equal
and less is slower. Variants take turns. `twin` is the hand-written network measured against a
second copy of itself: a difference smaller than its distance from 1 is not resolved.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import plain

BATCH = 64
TARGET = 0.95
Work = Callable[[], Any]


def model_of(encode: Callable[[Any], Any], inputs: dict[str, Any]) -> keras.Model:
    """Return a compiled model: the inputs, a network that makes a vector, one number."""
    symbols = {n: keras.Input(a.shape[1:], dtype=str(a.dtype), name=n) for n, a in inputs.items()}
    given = symbols if len(symbols) > 1 else next(iter(symbols.values()))
    model = keras.Model(symbols, keras.layers.Dense(1)(encode(given)))
    compiles = keras.backend.backend() == "jax"
    model.compile(keras.optimizers.Adam(1e-3), loss="mse", jit_compile=compiles)
    return model


def cpu_seconds(work: Work, steps: int) -> float:
    """Return the CPU-seconds of one call of `work`, over all threads of this process."""
    start = time.process_time()
    for _ in range(steps):
        work()
    return (time.process_time() - start) / steps


def take_turns(works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Measure the works in turn, starting with another one each round; the first call is left out.

    One measurement lasts about a fifth of a second.
    """
    for work in works.values():
        work()
    slowest = max(cpu_seconds(work, 2) for work in works.values())
    steps = max(2, round(0.2 / max(slowest, 1e-4)))
    times: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds):
        order = list(works.items())
        for name, work in order[i % len(order) :] + order[: i % len(order)]:
            times[name].append(cpu_seconds(work, steps))
    return times


def ratio(times: dict[str, list[float]], name: str) -> float:
    """Return the median over the rounds of plain / `name`."""
    pairs = zip(times["plain"], times[name], strict=True)
    return statistics.median(base / other for base, other in pairs)


def measure(case: plain.Pair, rounds: int) -> str:
    """Return one row of the table."""
    inputs = case.inputs(np.random.default_rng(0), BATCH)
    targets = np.ones((BATCH, 1), "float32")
    models = {"ours": model_of(case.ours(), inputs)}
    models |= {name: model_of(case.by_hand, inputs) for name in ("plain", "twin")}
    forward = {n: lambda m=m: m.predict_on_batch(inputs) for n, m in models.items()}
    training = {n: lambda m=m: m.train_on_batch(inputs, targets) for n, m in models.items()}
    cells = []
    for works in (forward, training):
        times = take_turns(works, rounds)  # type: ignore[arg-type]
        rate = BATCH / statistics.median(times["ours"])
        found = ratio(times, "ours")
        mark = " " if found >= TARGET else "!"
        cells.append(f"{rate:>11,.0f}{found:>8.2f}{mark}{ratio(times, 'twin'):>7.2f}")
    sizes = [models[name].count_params() for name in ("ours", "plain")]
    same = "" if sizes[0] == sizes[1] else f"   plain has {sizes[1]:,}"
    return f"{case.name:28}{sizes[0]:>11,} |{cells[0]} |{cells[1]}{same}"


def main() -> None:
    """Print a row for each encoder."""
    names = [pair.name for pair in plain.PAIRS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(names)}; default: all")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"unknown {sorted(unknown)}; valid: {', '.join(names)}")
    backend = keras.backend.backend()
    print(f"keras {keras.__version__} on {backend}, {os.cpu_count()} processors, batch {BATCH}")
    columns = f"{'samples/s':>11}{'ratio':>8} {'twin':>7}"
    print(f"{'encoder':28}{'parameters':>11} |{columns} |{columns}   (forward | training)")
    for pair in plain.PAIRS:
        if pair.name in (arguments.names or names):
            print(measure(pair, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
