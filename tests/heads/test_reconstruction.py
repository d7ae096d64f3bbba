"""The head of an autoencoder gives back what went in."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads import ReconstructionHead


@pytest.mark.parametrize("loss", ["squared", "binary"])
def test_an_autoencoder_beats_the_mean_photo(loss: str) -> None:
    """Photos of one bright column each: three numbers are enough to draw them."""
    column = np.random.default_rng(0).integers(0, 4, 128)
    photos = np.tile(np.eye(4, dtype="float32")[column][:, None, :, None], (1, 3, 1, 1))
    inputs = keras.Input((3, 4, 1))
    code = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    head = ReconstructionHead([3, 4, 1], loss=loss)
    model = keras.Model(inputs, head(code))
    model.compile(
        keras.optimizers.Adam(0.1),
        head.make_loss(),
        weighted_metrics=head.make_metrics(),
        jit_compile=keras.backend.backend() == "jax",
    )
    history = model.fit(photos, photos, epochs=12, batch_size=16, verbose=0).history
    drawn = keras.ops.convert_to_numpy(head.decode(model(photos)))
    assert drawn.shape == photos.shape
    error = np.sqrt(np.mean((drawn - photos) ** 2))
    assert error < 0.25 * photos.std()
    assert float(history["rmse"][-1]) == pytest.approx(error, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": []}, "`shape` must be a list of integers of at least 1. Received: shape=[]"),
        (
            {"shape": [4, None]},
            "`shape` must be a list of integers of at least 1. Received: shape=[4, None]",
        ),
        (
            {"shape": [4], "loss": "mae"},
            "`loss` must be one of ['squared', 'binary']. Received: loss='mae'",
        ),
    ],
)
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ReconstructionHead(**arguments)
