"""Several photos of a row: folded into the batch axis for an encoder, and back into one sequence.

An image encoder sees all photos of a batch in one call, so its batch statistics are those of all.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.layers.base import Composite, Shape, Tensor, check_positive
from multimodal.layers.registry import register


@register("layer", "fold_photos")
class FoldPhotos(keras.layers.Layer):
    """Join the first two axes: photos `(B, K, ...)`, or their presence, to `(B * K, ...)`."""

    def call(self, inputs: Tensor) -> Tensor:
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, *input_shape[2:])

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        # without this, Keras gives the symbolic output the compute dtype: a presence is bool
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)


@register("layer", "unfold_photos")
class UnfoldPhotos(Composite):
    """Divide the first axis again: `(B * K, ...)` to `(B, K, ...)`.

    Args:
        photos: Number K of photos per row, as before they were folded; 1 by default.
    """

    def __init__(self, *, photos: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive(photos=photos)
        self.photos = photos

    def call(self, inputs: Tensor) -> Tensor:
        return ops.reshape(inputs, (-1, self.photos, *inputs.shape[1:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, self.photos, *input_shape[1:])


@register("layer", "join_tokens")
class JoinTokens(keras.layers.Layer):
    """Put the tokens of all photos of a row in one sequence: `(B, K, T, D)` to `(B, K * T, D)`.

    The mask is bool `(B, K)`, True where the photo is there; the tokens come out with a Keras mask
    `(B, K * T)` that keeps the tokens of those.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        return ops.reshape(inputs, (-1, inputs.shape[1] * inputs.shape[2], inputs.shape[3]))

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> Tensor | None:
        return None if previous_mask is None else ops.repeat(previous_mask, inputs.shape[2], axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], (input_shape[1] or 0) * (input_shape[2] or 0), input_shape[3])


@register("layer", "any_photo")
class AnyPhoto(keras.layers.Layer):
    """Presence of a group: whether any of its photos is there, bool `(B, K)` to bool `(B,)`."""

    def call(self, inputs: Tensor) -> Tensor:
        return ops.any(inputs, axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0],)

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor((inputs.shape[0],), dtype="bool")
