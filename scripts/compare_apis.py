"""One problem in both of Keras' APIs: what Sequential can express, what needs Functional, the cost.

    python scripts/compare_apis.py

Predicted is the log price of drawn products. Where both APIs express the model, both train it from
the same seed and stand side by side; where Sequential cannot, what Keras answers is printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from examples.drawn import products
from keras import layers
from rich.console import Console
from rich.table import Table

from multimodal.encoders import ConvolutionalEncoder, RecurrentEncoder

WORDS, VOCABULARY = 60, 5000
Build = Callable[[], keras.Model]


def photo() -> keras.KerasTensor:
    """Return the symbolic photo."""
    return keras.Input((80, 80, 3), dtype="uint8", name="photo")


def words() -> keras.KerasTensor:
    """Return the symbolic description."""
    return keras.Input((WORDS,), dtype="int32", name="words")


def see() -> list[layers.Layer]:
    """Return a straight line of layers from a photo to 64 numbers."""
    return [ConvolutionalEncoder(pooling="mean"), layers.Dense(64, "relu")]


def read() -> list[layers.Layer]:
    """Return a straight line of layers from a description to 64 numbers."""
    return [RecurrentEncoder(VOCABULARY, 32, pooling="attention"), layers.Dense(64, "relu")]


def through(x: keras.KerasTensor, line: list[layers.Layer]) -> keras.KerasTensor:
    """Call one layer after the other."""
    for layer in line:
        x = layer(x)
    return x


def price(name: str = "price") -> layers.Layer:
    """Return the output layer."""
    return layers.Dense(1, name=name)


def two_inputs() -> keras.Model:
    """Photo and description, each through its own branch."""
    seen, told = photo(), words()
    x = layers.Concatenate()([through(seen, see()), through(told, read())])
    return keras.Model([seen, told], price()(layers.Dense(64, "relu")(x)))


def two_outputs() -> keras.Model:
    """Price and scratches from one trunk."""
    seen = photo()
    x = through(seen, see())
    return keras.Model(seen, {"price": price()(x), "scratches": price("scratches")(x)})


def skip() -> keras.Model:
    """A dense layer whose input is added to its output."""
    seen = photo()
    x = through(seen, see())
    return keras.Model(seen, price()(layers.Add()([x, layers.Dense(64, "relu")(x)])))


def one_output_each() -> keras.Model:
    """Let Sequential try two outputs: the second head reads the first."""
    model = keras.Sequential([photo(), *see(), price(), price("scratches")])
    raise ValueError(f"{len(model.outputs)} output; the second head reads the first one's")


def straight() -> keras.Model:
    """The same straight line as Sequential's."""
    seen, line = photo(), [*see(), price()]
    return keras.Model(seen, through(seen, line))


PROBLEMS: dict[str, tuple[Build, Build]] = {
    "one input, one output": (lambda: keras.Sequential([photo(), *see(), price()]), straight),
    "two inputs": (lambda: keras.Sequential([photo(), *see(), words(), *read()]), two_inputs),
    "two outputs": (one_output_each, two_outputs),
    "a skip connection": (lambda: keras.Sequential([photo(), *see(), layers.Add()]), skip),
}


def row(build: Build, data: dict[str, np.ndarray], rows: int, epochs: int) -> list[str]:
    """Train what `build` returns; give parameters, error of the price and seconds, as text."""
    keras.utils.set_random_seed(0)
    try:
        model = build()
    except ValueError as error:
        return ["cannot", str(error).splitlines()[0], "", ""]
    known, asked = (_inputs(model, data, part) for part in (slice(rows), slice(rows, None)))
    y = {name: data[name][:rows] for name in ("price", "scratches")[: len(model.outputs)]}
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    start = time.perf_counter()
    targets = y if len(y) > 1 else y["price"]
    model.fit(known, targets, batch_size=64, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start
    guess = model.predict(asked, verbose=0)
    guess = guess["price"] if isinstance(guess, dict) else guess
    rmse = float(np.sqrt(np.mean((guess - data["price"][rows:]) ** 2)))
    return ["can", f"{model.count_params():,}", f"{rmse:.4f}", f"{seconds:.0f}"]


def _inputs(model: keras.Model, data: dict[str, np.ndarray], rows: slice) -> Any:
    arrays = [data[tensor.name][rows] for tensor in model.inputs]
    return arrays if len(arrays) > 1 else arrays[0]


def main() -> None:
    """Train every problem in every API that can express it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rows", type=int, default=2000, help="products to train on")
    given = parser.parse_args()
    data = products(given.rows, 500, WORDS, VOCABULARY)
    table = Table("problem", "API", "expresses it", "parameters", "RMSE of log price", "seconds")
    for problem, builds in PROBLEMS.items():
        for api, build in zip(("Sequential", "Functional"), builds, strict=True):
            table.add_row(problem, api, *row(build, data, given.rows, given.epochs))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
