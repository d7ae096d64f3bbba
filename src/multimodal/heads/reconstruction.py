"""Autoencoder head: a vector back to the input it was made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import split_raw
from multimodal.heads.losses import ReconstructionLoss
from multimodal.heads.metrics import ReconstructionError
from multimodal.layers.base import LinearHead, Tensor, check_choice, check_sizes
from multimodal.layers.registry import register

LOSSES = ("squared", "binary")


@register("head", "reconstruction")
class ReconstructionHead(LinearHead):
    """The input that the vector was made from: raw outputs `(B, N)`, decoded to `(B, *shape)`.

    The targets `(B, *shape)` are the model's own inputs, so no column of a table holds them:
    `model.fit(x, x)`. The raw outputs lie in one row, `N` being the product of `shape`; `decode`
    gives them their shape back.

    Args:
        shape: Shape of one row, such as `[28, 28, 1]`, or `[12]` for twelve numbers.
        loss: `squared` (the default), or `binary` for targets in [0, 1], such as pixels: the raw
            outputs are then logits, and what is decoded stays in that range.
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; False by default.

    Example:
    >>> import numpy as np
    >>> head = ReconstructionHead([8, 8, 1], loss="binary")
    >>> tuple(head.decode(head(np.zeros((2, 3), "float32"))).shape)
    (2, 8, 8, 1)

    References:
        Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        loss: str = "squared",
        learned_weight: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learned_weight=learned_weight, **kwargs)
        check_sizes(shape=shape)
        check_choice("loss", loss, LOSSES)
        self.shape = shape
        self.loss = loss

    @property
    def num_outputs(self) -> int:
        return math.prod(self.shape)

    def make_loss(self) -> keras.losses.Loss:
        return ReconstructionLoss(self.loss, learned_weight=self.learned_weight)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        return [ReconstructionError(self.loss, learned_weight=self.learned_weight)]

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into `(B, *shape)`, in the units of the targets."""
        values, _ = split_raw(raw, self.learned_weight)
        values = ops.sigmoid(values) if self.loss == "binary" else values
        return ops.reshape(values, (-1, *self.shape))
