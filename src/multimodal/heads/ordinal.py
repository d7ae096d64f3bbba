"""Ordinal regression: one of several classes in an order, by a cumulative logit model."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from multimodal.core.spec import FittedHead
from multimodal.heads.classification import check_num_classes
from multimodal.heads.labels import ordinal_probabilities, split_raw
from multimodal.heads.losses import OrdinalCrossentropy
from multimodal.heads.metrics import OrdinalAccuracy, OrdinalMeanAbsoluteError
from multimodal.layers.base import HeadLayer, Shape, Tensor, built
from multimodal.layers.registry import register


@register("head", "ordinal")
class OrdinalHead(HeadLayer):
    """One of several ordered classes, such as age bands; targets are class ids, `(B,)`.

    One number per row is compared with `C - 1` thresholds: the raw outputs `(B, C - 1)` are the
    logits of "the class is above k". The thresholds rise by a softplus each, so the probabilities
    of the classes, which `decode` gives as `(B, C)`, are never negative and sum to 1. Before
    training, all classes are equally likely at 0.

    Args:
        num_classes: Number of classes C, at least 2, in their order, lowest first.
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; False by default.

    Example:
    >>> import numpy as np
    >>> head = OrdinalHead(4)
    >>> probabilities = head.decode(head(np.zeros((1, 3), "float32")))
    >>> ops.convert_to_numpy(probabilities).round(3).tolist()
    [[0.25, 0.25, 0.25, 0.25]]

    References:
        McCullagh, Regression Models for Ordinal Data, 1980; Cao et al., Rank Consistent Ordinal
        Regression (CORAL), 2020.
    """

    label_kind = "class"

    def __init__(self, num_classes: int, *, learned_weight: bool = False, **kwargs: Any) -> None:
        super().__init__(learned_weight=learned_weight, **kwargs)
        check_num_classes(num_classes)
        self.num_classes = num_classes

    @classmethod
    def from_head(cls, head: FittedHead) -> dict[str, Any]:
        return {"num_classes": len(head.classes)}

    @property
    def num_outputs(self) -> int:
        return self.num_classes - 1

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        # no bias: it would move all thresholds, which the lowest one does already
        dense = keras.layers.Dense(1, use_bias=False, name="dense", dtype="float32")
        self.dense = built(dense, input_shape)
        start, steps = _even_thresholds(self.num_classes)
        self.lowest = self._weight("lowest", [start])
        self.steps = self._weight("steps", steps) if steps else None

    def _weight(self, name: str, values: list[float]) -> Tensor:
        def initializer(shape: Shape, dtype: Any = None) -> Tensor:
            return ops.convert_to_tensor([values], dtype=dtype)

        return self.add_weight(
            shape=(1, len(values)),
            initializer=initializer,
            dtype="float32",
            autocast=False,
            name=name,
        )

    def compute_raw(self, vector: Tensor) -> Tensor:
        first = self.dense(vector) - self.lowest
        if self.steps is None:
            return first
        distances = ops.cumsum(ops.softplus(self.steps), axis=-1)
        return ops.concatenate([first, first - distances], axis=-1)

    def make_loss(self) -> keras.losses.Loss:
        return OrdinalCrossentropy(learned_weight=self.learned_weight)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        learned = self.learned_weight
        return [
            OrdinalMeanAbsoluteError(learned_weight=learned),
            OrdinalAccuracy(learned_weight=learned),
        ]

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into probabilities `(B, C)`, lowest class first."""
        return ordinal_probabilities(split_raw(raw, self.learned_weight)[0])


def _even_thresholds(num_classes: int) -> tuple[float, list[float]]:
    """Return the lowest threshold and the steps, before softplus, that make classes equally likely.

    Threshold k is the logit of k / C; a step is the inverse softplus of a difference.
    """
    logits = [math.log(k / (num_classes - k)) for k in range(1, num_classes)]
    gaps = [high - low for low, high in zip(logits[:-1], logits[1:], strict=True)]
    return logits[0], [math.log(math.expm1(gap)) for gap in gaps]
