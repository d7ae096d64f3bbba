"""The bounding box head: boxes in order, inside the photo, and learned."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
from plain import iou

from multimodal.heads import BoundingBoxHead, MulticlassHead


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_boxes_are_in_order_and_inside_the_photo() -> None:
    head = BoundingBoxHead()
    found = array(head.decode(np.random.default_rng(0).normal(0, 9, (50, 4)).astype("float32")))
    assert (found[:, :2] <= found[:, 2:]).all() and found.min() >= 0 and found.max() <= 1


def test_box_and_category_are_learned_from_one_trunk() -> None:
    """A bright square on a dark photo: where it is, and whether it is a large one."""
    random = np.random.default_rng(0)
    low = random.integers(0, 6, (200, 2))
    size = np.where(random.random(200) < 0.5, 2, 5)
    high = np.minimum(low + size[:, None], 8)
    cells = np.arange(8)
    inside = [(cells >= low[:, i, None]) & (cells < high[:, i, None]) for i in (0, 1)]
    photos = (inside[1][:, :, None] & inside[0][:, None, :]).astype("float32")
    boxes, large = np.concatenate([low, high], axis=1) / 8, (size > 2).astype("int32")
    inputs = keras.Input((8, 8))
    vector = keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(inputs))
    heads: dict[str, Any] = {
        "box": BoundingBoxHead(name="box"),
        "category": MulticlassHead(2, name="category"),
    }
    model = keras.Model(inputs, {name: head(vector) for name, head in heads.items()})
    model.compile(
        keras.optimizers.Adam(0.02),
        loss={name: head.make_loss() for name, head in heads.items()},
        weighted_metrics={name: head.make_metrics() for name, head in heads.items()},
        jit_compile=keras.backend.backend() == "jax",
    )
    y_true = {"box": boxes.astype("float32"), "category": large}
    history = model.fit(photos, y_true, epochs=20, batch_size=50, verbose=0).history
    found = array(heads["box"].decode(model(photos)["box"]))
    mean_box = np.tile(boxes.mean(axis=0), (200, 1))
    assert iou(found, boxes).mean() > 0.7 > 2 * iou(mean_box, boxes).mean()
    assert float(history["box_iou"][-1]) == pytest.approx(iou(found, boxes).mean(), abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"giou_weight": -1}, "`giou_weight` must be at least 0. Received: giou_weight=-1"),
        ({"l1_weight": float("nan")}, "`l1_weight` must be at least 0. Received: l1_weight=nan"),
        (
            {"giou_weight": 0, "l1_weight": 0},
            "`giou_weight` or `l1_weight` must be above 0. Received: both 0",
        ),
    ],
)
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        BoundingBoxHead(**arguments)
