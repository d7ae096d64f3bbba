"""Vision transformers for published weights: what they give, and that they are backbones."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal.encoders.image_backbone import ImageBackboneEncoder
from multimodal.layers.vision_transformer import VisionSizes, vision_transformer

SIZES = VisionSizes(patch=4, grid=3, dim=8, blocks=2, heads=2, mlp_dim=12)
PHOTOS = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3)).astype("float32")


def test_patches_have_places() -> None:
    model = vision_transformer(SIZES, "query", (1 / 255, 0.0))
    found = keras.ops.convert_to_numpy(model(PHOTOS))
    assert found.shape == (2, 1, 8)
    turned = np.concatenate([PHOTOS[:, 4:], PHOTOS[:, :4]], axis=1)  # the same patches elsewhere
    assert np.abs(keras.ops.convert_to_numpy(model(turned)) - found).max() > 1e-4


def test_it_is_a_backbone() -> None:
    model = vision_transformer(SIZES, "class", ([1 / 255] * 3, [0.0, -0.1, 0.2]))
    encoder = ImageBackboneEncoder(model, preprocessing="none")
    assert tuple(encoder(PHOTOS).shape) == (2, 10, 8)


def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="`heads` must divide `dim`"):
        vision_transformer(SIZES._replace(heads=3), "class", (1.0, 0.0))
    with pytest.raises(ValueError, match="`pooling` must be one of"):
        vision_transformer(SIZES, "mean", (1.0, 0.0))  # type: ignore[arg-type]
