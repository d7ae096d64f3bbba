"""Head that predicts where in a photo something is."""

from __future__ import annotations

from numbers import Real
from typing import Any

import keras
from keras import ops

from multimodal.heads.box_ops import corners
from multimodal.heads.labels import split_raw
from multimodal.heads.losses import BoxLoss
from multimodal.heads.metrics import BoxIoU
from multimodal.layers.base import HeadLayer, Shape, Tensor
from multimodal.layers.registry import register


@register("head", "bounding_box")
class BoundingBoxHead(HeadLayer):
    """One box around the object in a photo; its category is a second head on the same vector.

    Raw outputs `(B, 4)` are the logits of the centre, the width and the height. Targets and
    decoded boxes `(B, 4)` are `xmin, ymin, xmax, ymax` as shares of the photo's width and height;
    `detection.to_pixels` turns them into pixels of the original photo. The vector must still know
    where things are: a mean over the whole photo forgets it.

    Args:
        giou_weight: Weight of the generalized intersection over union in the loss, at least 0.
        l1_weight: Weight of the L1 distance in the loss, at least 0; not both are 0.
        learned_weight: As in `HeadLayer`.

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

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.dense = keras.layers.Dense(4, name="dense", dtype="float32")
        self.dense.build(input_shape)

    def compute_raw(self, vector: Tensor) -> Tensor:
        return self.dense(vector)

    @property
    def _weights_of_loss(self) -> dict[str, Any]:
        return {"giou_weight": self.giou_weight, "l1_weight": self.l1_weight}

    def make_loss(self) -> keras.losses.Loss:
        return BoxLoss(**self._weights_of_loss, learned_weight=self.learned_weight)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        return [BoxIoU(learned_weight=self.learned_weight)]

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into boxes `(B, 4)`, shares of the photo, cut at its edges."""
        values, _ = split_raw(raw, self.learned_weight)
        return ops.clip(corners(values), 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._weights_of_loss}
