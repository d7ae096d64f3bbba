"""Image models with branches: residual and Inception-style, which Sequential cannot express.

    python scripts/examples/residual_and_inception.py

Emotions on drawn faces; a plain Sequential CNN of like size stands beside them.
"""

from __future__ import annotations

import time

import keras
import numpy as np
from drawn import cosine, emotions, options

from multimodal.encoders import ConvolutionalEncoder, InceptionEncoder, ResidualEncoder
from multimodal.heads import MulticlassHead

ENCODERS = {
    "residual": lambda: ResidualEncoder(pooling="mean"),
    "inception": lambda: InceptionEncoder(pooling="mean"),
    "plain CNN": lambda: ConvolutionalEncoder(pooling="mean"),
}


def main() -> None:
    """Train each and print its accuracy on 1,000 fresh faces."""
    arguments = options(__doc__, epochs=10, rows=2000)
    photos, y_true = emotions(arguments.rows + 1000)
    train, test = slice(0, arguments.rows), slice(arguments.rows, None)
    for name, encoder in ENCODERS.items():
        keras.utils.set_random_seed(0)
        head = MulticlassHead(5)
        model = keras.Sequential([keras.Input(photos.shape[1:], dtype="uint8"), encoder(), head])
        schedule = cosine(2e-3, arguments.rows, 64, arguments.epochs)
        model.compile(keras.optimizers.AdamW(schedule), head.make_loss())
        start = time.perf_counter()
        model.fit(photos[train], y_true[train], batch_size=64, epochs=arguments.epochs, verbose=0)
        seconds = time.perf_counter() - start
        guess = model.predict(photos[test], verbose=0).argmax(1)
        print(
            f"{name}: accuracy {np.mean(guess == y_true[test]):.3f} "
            f"({model.count_params():,} parameters, {seconds:.0f} s)"
        )
    print(f"largest class: accuracy {np.bincount(y_true[test]).max() / 1000:.3f}")


if __name__ == "__main__":
    main()
