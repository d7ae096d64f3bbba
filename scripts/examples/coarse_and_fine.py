"""An auxiliary coarse category and the main fine category from one trunk.

    python scripts/examples/coarse_and_fine.py

Of 12 drawn designs (fine) each has one of 4 forms (coarse). Most photos carry the coarse label
only, which is cheap to give; a few carry the fine one. The same trunk without the auxiliary head,
which has the few alone, stands beside it.
"""

from __future__ import annotations

import keras
import numpy as np
from drawn import designs, options

from multimodal.encoders import ConvolutionalEncoder
from multimodal.heads import MulticlassHead

FINE_LABELS = 100


def fit(
    photos: np.ndarray,
    labels: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
    classes: dict[str, int],
    epochs: int,
) -> keras.Model:
    """Train one trunk with a head for each of `classes`; a weight of 0 means "no label"."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(photos.shape[1:], dtype="uint8")
    x = keras.layers.Dense(64, "relu")(ConvolutionalEncoder(pooling="mean")(x))
    heads = {name: MulticlassHead(number, name=name) for name, number in classes.items()}
    model = keras.Model(inputs, {name: head(x) for name, head in heads.items()})
    loss = {name: head.make_loss() for name, head in heads.items()}
    model.compile(keras.optimizers.Adam(1e-3), loss)
    targets = {name: labels[name] for name in classes}
    model.fit(
        photos,
        targets,
        sample_weight={name: weights[name] for name in classes},
        batch_size=64,
        epochs=epochs,
        verbose=0,
    )
    return model


def main() -> None:
    """Train with and without the auxiliary head, print the accuracy of the fine category."""
    epochs = options(__doc__, epochs=15).epochs
    photos, coarse, fine = designs(3000)
    labels = {"coarse": coarse, "fine": fine}
    known = np.arange(2000) < FINE_LABELS
    weights = {"coarse": np.ones(2000, "float32"), "fine": known.astype("float32")}
    train = {name: label[:2000] for name, label in labels.items()}
    both = {"coarse": 4, "fine": 12}
    for title, classes in (("fine + coarse", both), ("fine alone", {"fine": 12})):
        rows = slice(0, 2000) if "coarse" in classes else slice(0, FINE_LABELS)
        longer = 1 if "coarse" in classes else 2000 // FINE_LABELS  # as many steps
        model = fit(
            photos[rows],
            {k: v[rows] for k, v in train.items()},
            {k: v[rows] for k, v in weights.items()},
            classes,
            epochs * longer,
        )
        guess = model.predict(photos[2000:], verbose=0)["fine"].argmax(1)
        print(f"{title}: accuracy {np.mean(guess == labels['fine'][2000:]):.3f}")
    print(f"largest class: accuracy {np.bincount(labels['fine'][2000:]).max() / 1000:.3f}")


if __name__ == "__main__":
    main()
