"""The vision transformer: its patches against plain NumPy, its sizes, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from keras import ops

from multimodal.encoders import ViTEncoder

PHOTOS = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3)).astype("uint8")
TINY: dict[str, Any] = {"hidden_dim": 6, "num_layers": 1, "patch_size": 4, "num_heads": 2}


def array(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def test_patches_agree_with_numpy() -> None:
    encoder = ViTEncoder(**TINY, mlp_dim=5)
    encoder.build((None, 8, 12, 3))
    kernel, bias = encoder.patches.get_weights()
    scaled = PHOTOS / 127.5 - 1
    patches = scaled.reshape(2, 2, 4, 3, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 48)
    x = patches @ kernel.reshape(48, 6) + bias + array(encoder.positions)
    x = array(encoder.blocks[0](x.astype("float32")))
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(array(encoder(PHOTOS)), expected, atol=1e-4)


def test_places_count() -> None:
    encoder = ViTEncoder(**TINY, mlp_dim=5, pooling="mean")
    one = array(encoder(PHOTOS))
    other = array(encoder(PHOTOS[:, ::-1, ::-1][:, :, :]))
    swapped = np.concatenate([PHOTOS[:, 4:], PHOTOS[:, :4]], axis=1)  # the same patches elsewhere
    assert np.abs(one - other).max() > 1e-4
    assert np.abs(one - array(encoder(swapped))).max() > 1e-6


def test_dropout_works_in_training_only() -> None:
    encoder = ViTEncoder(**TINY, mlp_dim=5, dropout=0.5)
    np.testing.assert_array_equal(array(encoder(PHOTOS)), array(encoder(PHOTOS)))
    assert not np.array_equal(array(encoder(PHOTOS, training=True)), array(encoder(PHOTOS)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dim": 0}, "`hidden_dim` must be an integer of at least 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer of at least 1"),
        ({"patch_size": 0}, "`patch_size` must be an integer of at least 1"),
        ({"mlp_dim": 0}, "`mlp_dim` must be an integer of at least 1"),
        ({"hidden_dim": 6, "num_heads": 4}, "`hidden_dim` must be a multiple of `num_heads`. Rec"),
        ({"dropout": 1}, "`dropout` must be in [0, 1). Received: dropout=1"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ViTEncoder(**arguments)


def test_refuses_a_size_that_the_patches_do_not_divide() -> None:
    with pytest.raises(ValueError, match="`patch_size` must divide the photos' height and width"):
        ViTEncoder(**TINY)(np.zeros((1, 8, 10, 3), "uint8"))


def test_refuses_photos_of_another_size() -> None:
    encoder = ViTEncoder(**TINY)
    encoder(PHOTOS)
    message = r"photos of shape \(8, 12, 3\), for which the positions.*\(1, 12, 8, 3\)$"
    with pytest.raises(ValueError, match=message):
        encoder(np.zeros((1, 12, 8, 3), "uint8"))
