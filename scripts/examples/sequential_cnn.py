"""Sequential is enough: a convolutional network on MNIST digits, 99 % in a few minutes.

    python scripts/examples/sequential_cnn.py --data mnist.npz

The file holds x_train, y_train, x_test and y_test (LeCun, Cortes and Burges, 1998).
"""

from __future__ import annotations

import time
from pathlib import Path

import keras
import numpy as np
from drawn import cosine, options

from multimodal.encoders import ConvolutionalEncoder
from multimodal.heads import MulticlassHead


def build() -> tuple[keras.Model, MulticlassHead]:
    """Return three stages of convolutions, pooled over a 4 x 4 grid, and ten classes."""
    head = MulticlassHead(10, name="digit")
    layers = [
        keras.Input((28, 28, 3), dtype="uint8"),
        ConvolutionalEncoder([32, 64, 64], strides=[1, 1, 1], pool_sizes=[2, 2, 2]),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.4),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dropout(0.3),
        head,
    ]
    return keras.Sequential(layers), head


def main() -> None:
    """Train, and print the accuracy on the 10,000 test digits."""
    arguments = options(__doc__, data=Path, epochs=6, rows=60_000)
    keras.utils.set_random_seed(0)
    with np.load(arguments.data) as file:
        x, y = file["x_train"][: arguments.rows], file["y_train"][: arguments.rows]
        x_test, y_true = file["x_test"], file["y_test"]
    x, x_test = (np.repeat(array[..., None], 3, -1) for array in (x, x_test))
    model, head = build()
    schedule = cosine(2e-3, len(x), 128, arguments.epochs)
    model.compile(keras.optimizers.AdamW(schedule), head.make_loss())
    start = time.perf_counter()
    model.fit(x, y.astype("int32"), batch_size=128, epochs=arguments.epochs, verbose=0)
    seconds = time.perf_counter() - start
    guess = model.predict(x_test, batch_size=500, verbose=0).argmax(1)
    print(f"Sequential CNN: accuracy {np.mean(guess == y_true):.4f} in {seconds:.0f} s")
    print(f"largest class: accuracy {np.bincount(y_true).max() / len(y_true):.4f}")


if __name__ == "__main__":
    main()
