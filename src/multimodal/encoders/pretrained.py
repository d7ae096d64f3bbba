"""Frozen features of a pretrained model as tokens."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from multimodal.core.pretrained import PRETRAINED
from multimodal.layers.base import (
    Encoder,
    Shape,
    Tensor,
    built,
    check_choice,
    check_dtype,
    check_fraction,
    check_positive,
    check_rank,
)
from multimodal.layers.registry import register


@register("features_encoder", "pretrained")
class PretrainedEncoder(Encoder):
    """Features that a pretrained model has computed beforehand: one token `(B, T, D)` for each.

    Each feature vector is brought to one length, since models differ in the size of their features
    by orders of magnitude, and goes through a dense layer with GELU. The pretrained model itself is
    no part of the graph: its features are computed once, before the training.

    Args:
        model: Name of the pretrained model, such as `efficientnet_lite0`; see
            `multimodal weights`. Kept for whoever reads the config.
        weights: Where its weights lie; None, the default, for the usual places. Kept likewise.
        size: Side of the photos in pixels; None, the default, for what suits the model. Kept
            likewise.
        dim: Size D of the tokens, 64 by default.
        dropout: Fraction of the features dropped in training; 0.3 by default, as a few hundred rows
            can fit any of a thousand features.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Features float `(B, T, F)`, zeros where a photo or text is absent.
        mask: Optional bool `(B, T)`, False where it is absent.

    Example:
    >>> import numpy as np
    >>> encoder = PretrainedEncoder("efficientnet_lite0", dim=8, pooling="mean")
    >>> tuple(encoder(np.ones((2, 4, 1280), "float32")).shape)
    (2, 8)
    """

    def __init__(
        self,
        model: str,
        weights: str | None = None,
        size: int | None = None,
        *,
        dim: int = 64,
        dropout: float = 0.3,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **kwargs)
        check_choice("model", model, sorted(PRETRAINED))
        if weights is not None and not isinstance(weights, str):
            raise TypeError(f"`weights` must be None or a path. Received: weights={weights!r}")
        check_positive(dim=dim, **({} if size is None else {"size": size}))
        check_fraction(dropout=dropout)
        self.model = model
        self.weights_path = weights  # `weights` is taken by Keras
        self.size = size
        self.dim = dim
        self.dropout = dropout

    def check_inputs(self, inputs: Tensor) -> None:
        check_rank("inputs", tuple(inputs.shape), "(batch, tokens, features)")
        check_dtype("inputs", inputs, ("float",))

    def build(self, input_shape: Shape) -> None:
        options = {"activation": "gelu", "name": "dense", "dtype": self.dtype_policy}
        self.dense = built(keras.layers.Dense(self.dim, **options), input_shape)
        self.drop = keras.layers.Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)
        super().build(input_shape)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        unit = ops.normalize(inputs, axis=-1) * math.sqrt(inputs.shape[-1])
        return self.drop(self.dense(unit), training=training)

    def token_mask(self, inputs: Tensor, mask: Tensor | None) -> Tensor | None:
        return mask

    def token_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights_path}
