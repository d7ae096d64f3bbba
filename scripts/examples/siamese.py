"""Siamese: do two product photos show the same item? One shared encoder, called twice.

    python scripts/examples/siamese.py

An item is a form and a pattern; colour, light, turn and position differ from photo to photo. Beside
the distance of the embeddings stands that of the pixels, both cut where validation pairs say.
"""

from __future__ import annotations

import keras
import numpy as np
from drawn import designs, options

from multimodal.encoders import ConvolutionalEncoder
from multimodal.heads import EmbeddingHead, PairDistance
from multimodal.heads.losses import ContrastiveLoss


def pair(items: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (count, 2), half of them of one item, and whether they are."""
    first = rng.integers(0, len(items), count)
    same = rng.random(count) < 0.5
    fits = [np.flatnonzero((items == items[i]) == s) for i, s in zip(first, same, strict=True)]
    return np.stack([first, [rng.choice(each) for each in fits]], 1), same.astype("float32")


def accuracy(far: dict[str, np.ndarray], same: dict[str, np.ndarray]) -> float:
    """Return the share told apart by the threshold that is best on the validation pairs."""
    known = far["validation"]
    best = max(np.unique(known), key=lambda t: np.mean((known <= t) == same["validation"]))
    return float(np.mean((far["test"] <= best) == same["test"]))


def main() -> None:
    """Train on pairs, print the accuracy on pairs of photos never seen."""
    epochs, rng = options(__doc__, epochs=12).epochs, np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    photos, _, items = designs(3000)
    parts = {"train": (0, 2000), "validation": (2000, 2400), "test": (2400, 3000)}
    data = {}
    for name, (start, end) in parts.items():
        chosen, same = pair(items[start:end], 2 * (end - start), rng)
        data[name] = ([photos[start:end][chosen[:, i]] for i in (0, 1)], same > 0.5)
    left, right = (keras.Input(photos.shape[1:], dtype="uint8") for _ in range(2))
    tower = keras.Sequential([ConvolutionalEncoder(pooling="mean"), EmbeddingHead(32)])
    model = keras.Model([left, right], PairDistance()([tower(left), tower(right)]))
    model.compile(keras.optimizers.Adam(1e-3), ContrastiveLoss())
    model.fit(*data["train"], batch_size=64, epochs=epochs, verbose=0)
    far = {name: model.predict(x, verbose=0)[:, 0] for name, (x, _) in data.items()}
    raw = {name: np.abs(a / 255 - b / 255).mean((1, 2, 3)) for name, ((a, b), _) in data.items()}
    y_true = {name: same for name, (_, same) in data.items()}
    print(f"Siamese network: accuracy {accuracy(far, y_true):.3f}")
    print(f"distance of pixels: accuracy {accuracy(raw, y_true):.3f}")


if __name__ == "__main__":
    main()
