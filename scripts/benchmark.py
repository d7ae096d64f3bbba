"""Measure speed as ratios within one run: pipeline, built model, import.

    python scripts/benchmark.py [pipeline] [model] [import] [--repeats 10]

Every figure is CPU-seconds (user + system, all threads), so that a neighbour counts little. The
variants take turns, and beside every ratio stands that of a twin, the same thing
measured twice: a smaller difference than the twin's is not resolved. The model is `reference.py`'s.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import reference
import tensorflow as tf

from multimodal.data.batches import Source, training_dataset
from multimodal.data.photos.cache import PhotoCache

BATCH, STEPS, EPOCHS = 64, 12, 3
Work = Callable[[], float]
Times = Mapping[str, list[float]]


def cpu(work: Callable[[], Any]) -> float:
    """Return the CPU-seconds that `work` takes, in all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def take_turns(variants: Mapping[str, Work], repeats: int) -> dict[str, list[float]]:
    """Run the variants in turn, `repeats` times, after one round that does not count."""
    for work in variants.values():
        work()
    rounds = [{name: work() for name, work in variants.items()} for _ in range(repeats)]
    return {name: [each[name] for each in rounds] for name in variants}


def show(label: str, found: str, target: str = "") -> None:
    """Print one line of results."""
    print(f"{label:42}{found}{'   target ' + target if target else ''}", flush=True)


def ratio(times: Times, base: str, name: str) -> str:
    """Return the median of base / name over the rounds, with the least and greatest."""
    each = [b / n for b, n in zip(times[base], times[name], strict=True)]
    return f"{statistics.median(each):.3f} (min {min(each):.3f}, max {max(each):.3f})"


def batches(source: Source, rows: Any, epochs: int = 1) -> tf.data.Dataset:
    """Return the training pipeline without augmentation."""
    return training_dataset(source, rows, batch_size=BATCH, seed=0, epochs=epochs, augment=False)


def fit(model: keras.Model, data: tf.data.Dataset, epochs: int) -> float:
    """Return the CPU-seconds of one epoch of `STEPS` batches."""
    fitting = {"epochs": epochs, "steps_per_epoch": STEPS, "shuffle": False, "verbose": 0}
    return cpu(lambda: model.fit(data, **fitting)) / epochs


def undecoded(source: Source) -> Source:
    """Return the source with photos that are still to be decoded."""
    fresh = {name: PhotoCache(cache.photos, budget=2**30) for name, cache in source.caches.items()}
    return Source(source.inputs, fresh, source.targets, source.weights, source.lengths)


def pipeline(repeats: int) -> None:
    """Compare training from the pipeline with training from one batch in memory; feed alone.

    The batch in memory leaves the number of rows open, as the pipeline must for the last batch of
    an epoch, so that both run one graph; what a graph for exactly 64 rows would save stands below.
    """
    prepared = reference.prepare()
    model, rows, source = reference.built(prepared), prepared.rows("train"), prepared.source
    some = rows[: BATCH * STEPS]
    memory = batches(source, rows).take(1).cache().repeat(STEPS * EPOCHS).prefetch(2)
    fixed = tf.data.Dataset.from_tensors(next(iter(batches(source, rows))))
    fixed = fixed.repeat(STEPS * EPOCHS).prefetch(2)

    def feed(source: Source, epochs: int) -> float:
        data = batches(source, rows, epochs)
        return len(rows) * epochs / cpu(lambda: [None for _ in data])

    times = take_turns(
        {
            "memory": lambda: fit(model, memory, EPOCHS),
            "cache": lambda: fit(model, batches(source, some, EPOCHS), EPOCHS),
            "first epoch": lambda: fit(model, batches(undecoded(source), some), 1),
            "twin": lambda: fit(model, memory, EPOCHS),
            "fixed": lambda: fit(model, fixed, EPOCHS),
        },
        repeats,
    )
    show("training from memory / from cache", ratio(times, "memory", "cache"), ">= 0.95")
    show("training from memory / first epoch", ratio(times, "memory", "first epoch"), ">= 0.85")
    show("training from memory / its twin", ratio(times, "memory", "twin"))
    show("the same with a fixed batch size / memory", ratio(times, "fixed", "memory"))
    rates = take_turns(
        {"first": lambda: feed(undecoded(source), 1), "cache": lambda: feed(source, 20)}, repeats
    )
    for name, target in (("first", ">= 1,800"), ("cache", ">= 50,000")):
        found = f"{statistics.median(rates[name]):,.0f} rows per CPU-second"
        show(f"feed alone, {name}", found, target)


def model(repeats: int) -> None:
    """Compare a training step of the built model with that of the same network by hand."""
    prepared = reference.prepare()
    batch = next(iter(batches(prepared.source, prepared.rows("train"))))
    memory = tf.data.Dataset.from_tensors(batch).repeat(STEPS).prefetch(2)
    models = {"by hand": reference.by_hand(prepared), "built": reference.built(prepared)}
    models["twin"] = models["by hand"]
    times = take_turns(
        {name: lambda name=name: fit(models[name], memory, 1) for name in models},  # type: ignore[misc]
        repeats,
    )
    show("by hand / built", ratio(times, "by hand", "built"), ">= 0.98")
    show("by hand / its twin", ratio(times, "by hand", "twin"))
    for name in ("by hand", "built"):
        found = f"{operations(models[name], batch[0]):,}"
        show(f"operations, {name}", f"{found}, {models[name].count_params():,} parameters")


def operations(model: keras.Model, inputs: Any) -> int:
    """Count the operations of the forward pass."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    forward = tf.function(lambda inputs: model(inputs, training=False), autograph=False)
    frozen = convert_variables_to_constants_v2(forward.get_concrete_function(inputs))
    return len(frozen.graph.get_operations())


def imports(repeats: int) -> None:
    """Compare the CPU time of imports, each in a process of its own."""

    def spent(*command: str) -> Work:
        def work() -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        return work

    times = take_turns(
        {
            "tensorflow": spent("-c", "import tensorflow"),
            "import multimodal": spent("-c", "import multimodal"),
            "multimodal --help": spent("-m", "multimodal", "--help"),
            "python": spent("-c", "pass"),
            "twin": spent("-c", "import tensorflow"),
        },
        repeats,
    )
    targets = {"import multimodal": "<= 0.03", "multimodal --help": "<= 0.10"}
    for name in ("import multimodal", "multimodal --help", "python", "twin"):
        found = ratio(times, name, "tensorflow")
        show(f"{name} / import tensorflow", found, targets.get(name, ""))


PARTS = {"pipeline": pipeline, "model": model, "import": imports}


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, keras {keras.__version__}, tensorflow {tf.__version__}")
    for name in arguments.parts or PARTS:
        PARTS[name](arguments.repeats)


if __name__ == "__main__":
    main()
