"""Metric of a head that emits one box."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.box_ops import corners, intersection_over_union
from multimodal.heads.labels import columns
from multimodal.heads.metrics.base import HeadMetric, Tensor


@keras.saving.register_keras_serializable(package="multimodal")
class BoxIoU(HeadMetric):
    """Mean intersection over union of true boxes and raw outputs, both `(B, 4)`."""

    def __init__(self, *, name: str = "iou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        guess = ops.clip(corners(raw), 0.0, 1.0)
        return intersection_over_union(columns(y_true, 4), guess)
