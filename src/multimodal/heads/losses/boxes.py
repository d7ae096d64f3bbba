"""Loss of a head that emits one box."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.box_ops import centre_and_size, corners, generalized_iou
from multimodal.heads.labels import columns
from multimodal.heads.losses.base import HeadLoss, Tensor


@keras.saving.register_keras_serializable(package="multimodal")
class BoxLoss(HeadLoss):
    """`giou_weight * (1 - GIoU) + l1_weight * L1` of raw boxes `(B, 4)`.

    Targets are corners as shares of the photo, `(B, 4)`. The L1 distance sums over the centre, the
    width and the height.

    Args:
        giou_weight: Weight of the generalized intersection over union.
        l1_weight: Weight of the L1 distance.
        **kwargs: As in `HeadLoss`.

    References:
        Rezatofighi et al., Generalized Intersection over Union, 2019; Carion et al., End-to-End
        Object Detection with Transformers, 2020 (both together, and their weights).
    """

    def __init__(self, *, giou_weight: float = 2.0, l1_weight: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.giou_weight = giou_weight
        self.l1_weight = l1_weight

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        truth, guess = columns(y_true, 4), corners(raw)
        distance = ops.sum(ops.abs(centre_and_size(truth) - centre_and_size(guess)), axis=-1)
        overlap = generalized_iou(truth, guess)
        return self.giou_weight * (1 - overlap) + self.l1_weight * distance

    def get_config(self) -> dict[str, Any]:
        weights = {"giou_weight": self.giou_weight, "l1_weight": self.l1_weight}
        return {**super().get_config(), **weights}
