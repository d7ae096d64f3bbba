"""EfficientNet-Lite0: its layers, its size, and that it is a backbone of the image encoders."""

from __future__ import annotations

import numpy as np

from multimodal.encoders.image_backbone import ImageBackboneEncoder
from multimodal.layers.efficientnet_lite import efficientnet_lite0


def test_its_layers() -> None:
    model = efficientnet_lite0()
    assert model.count_params() == 3_413_024  # as published, without the classifier
    blocks = [layer.name for layer in model.layers if layer.name.endswith("project")]
    assert blocks == [f"block_{i}_project" for i in range(16)]
    sums = [layer.name for layer in model.layers if layer.name.endswith("add")]
    assert sums == [f"block_{i}_add" for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)]


def test_it_is_a_backbone() -> None:
    encoder = ImageBackboneEncoder(efficientnet_lite0(64), preprocessing="none", frozen=True)
    photos = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    assert tuple(encoder(photos).shape) == (2, 4, 1280)
