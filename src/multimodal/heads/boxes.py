"""Bounding-box regression: where in a photo something is."""

from __future__ import annotations

from numbers import Real
from typing import Any

import keras
from keras import ops

from multimodal.heads.box_ops import corners
from multimodal.heads.labels import split_raw
from multimodal.heads.losses import BoxLoss
from multimodal.heads.metrics import BoxIoU
from multimodal.layers.base import LinearHead, Tensor
from multimodal.layers.registry import register


@register("head", "bounding_box")
class BoundingBoxHead(LinearHead):
    """One box around the object in a photo; its category is a second head on the same vector.

    Raw outputs `(B, 4)` are the logits of the centre, the width and the height. Targets and
    decoded boxes `(B, 4)` are `xmin, ymin, xmax, ymax` as fractions of the photo's width and
    height; `data.labels.boxes.to_pixels` turns them into pixels of the original photo. The vector
    must still know where things are: a mean over the whole photo forgets it, the poolings `grid`
    and `spatial_softmax` do not.

    Args:
        giou_weight: Weight of the generalized intersection over union in the loss, at least 0; 2 by
            default, as in Carion et al. It measures overlap, whatever the size of the box.
        l1_weight: Weight of the L1 distance in the loss, at least 0; 5 by default, as in Carion et
            al. It has a steadier gradient, but favours large boxes. Not both are 0.
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; False by default.

    Example:
    >>> import numpy as np
    >>> np.array(BoundingBoxHead().decode(np.zeros((1, 4), "float32"))).tolist()
    [[0.25, 0.25, 0.75, 0.75]]

    References:
        Rezatofighi et al., Generalized Intersection over Union, 2019; Carion et al., End-to-End
        Object Detection with Transformers, 2020.
    """

    label_kind = "box"

    def __init__(
        self,
        *,
        giou_weight: float = 2.0,
        l1_weight: float = 5.0,
        learned_weight: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learned_weight=learned_weight, **kwargs)
        for name, value in (("giou_weight", giou_weight), ("l1_weight", l1_weight)):
            if not isinstance(value, Real) or not value >= 0:
                raise ValueError(f"`{name}` must be at least 0. Received: {name}={value!r}")
        if not giou_weight + l1_weight > 0:
            raise ValueError("`giou_weight` or `l1_weight` must be above 0. Received: both 0")
        self.giou_weight = giou_weight
        self.l1_weight = l1_weight

    @property
    def num_outputs(self) -> int:
        return 4

    def make_loss(self) -> keras.losses.Loss:
        return BoxLoss(
            giou_weight=self.giou_weight,
            l1_weight=self.l1_weight,
            learned_weight=self.learned_weight,
        )

    def make_metrics(self) -> list[keras.metrics.Metric]:
        return [BoxIoU(learned_weight=self.learned_weight)]

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into boxes `(B, 4)`, fractions of the photo, cut at its edges."""
        values, _ = split_raw(raw, self.learned_weight)
        return ops.clip(corners(values), 0.0, 1.0)
