"""Autoencoder: drawn faces through 24 numbers and back.

    python scripts/examples/autoencoder.py

Beside it stand the best linear one, principal components of the same number, and the mean face.
"""

from __future__ import annotations

import keras
import numpy as np
from drawn import cosine, emotions, options
from sklearn.decomposition import PCA

from multimodal.encoders import ConvolutionalEncoder
from multimodal.heads import ReconstructionHead

CODE = 24


def build(side: int) -> tuple[keras.Model, ReconstructionHead]:
    """Return grey photo -> code -> photo; the encoder's map keeps its places."""
    photo = keras.Input((side, side, 3), dtype="uint8")
    x = ConvolutionalEncoder([32, 64, 64], strides=[2, 2, 2], pool_sizes=[1, 1, 1])(photo)
    code = keras.layers.Dense(CODE, name="code")(keras.layers.Flatten()(x))
    x = keras.layers.Dense(512, "relu")(code)
    head = ReconstructionHead((side, side), name="photo")
    return keras.Model(photo, head(x)), head


def main() -> None:
    """Train on 4,000 faces, print the error on 1,000 fresh ones (grey values from 0 to 1)."""
    epochs = options(__doc__, epochs=60).epochs
    keras.utils.set_random_seed(0)
    photos, _ = emotions(5000)
    grey = photos.mean(-1).astype("float32") / 255
    model, head = build(photos.shape[1])
    model.compile(keras.optimizers.Adam(cosine(2e-3, 4000, 64, epochs)), head.make_loss())
    model.fit(photos[:4000], grey[:4000], batch_size=64, epochs=epochs, verbose=0)
    flat, y_true = grey.reshape(5000, -1), grey[4000:]
    linear = PCA(CODE, random_state=0).fit(flat[:4000])
    back = linear.inverse_transform(linear.transform(flat[4000:]))
    raw = model.predict(photos[4000:], verbose=0)
    guesses = {
        "autoencoder": keras.ops.convert_to_numpy(head.decode(raw)),
        "principal components": back.reshape(y_true.shape),
        "mean face": grey[:4000].mean(0, keepdims=True),
    }
    for name, guess in guesses.items():
        print(f"{name}: RMSE {np.sqrt(np.mean((guess - y_true) ** 2)):.4f}")


if __name__ == "__main__":
    main()
