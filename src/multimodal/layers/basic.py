"""Small layers that encoders, fusion and the builder share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import (
    Shape,
    Tensor,
    check_dtype,
    check_fraction,
    check_positive,
    check_rank,
    check_sizes,
)
from multimodal.layers.mlp_ensemble import dense
from multimodal.layers.registry import register


def expand_mask(mask: Tensor, tokens: Tensor) -> Tensor:
    """Return a bool mask `(B, T)` as `(B, T, 1)` in the dtype of `tokens`."""
    return ops.expand_dims(ops.cast(mask, tokens.dtype), -1)


def check_mask(mask: Tensor, shape: Shape) -> None:
    """Raise ValueError or TypeError unless `mask` is bool and fits tokens of `shape`."""
    found = tuple(getattr(mask, "shape", ()))
    check_rank("mask", found, "(batch, tokens)")
    check_dtype("mask", mask, ("bool",))
    if None not in (found[1], shape[1]) and found[1] != shape[1]:
        raise ValueError(
            f"`mask` must have one entry per token, {shape[1]}. Received: shape={found}"
        )


class Pooling(keras.layers.Layer):
    """Base: tokens `(B, T, D)` to a vector `(B, D)`; no mask comes out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def __call__(self, inputs: Tensor, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        shape = tuple(getattr(inputs, "shape", ()))
        check_rank("inputs", shape, "(batch, tokens, dim)")
        check_dtype("inputs", inputs, ("int", "float"))
        if mask is not None:
            kwargs["mask"] = mask
            check_mask(mask, shape)
        return super().__call__(inputs, **kwargs)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> None:
        return None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[2])


@register("pooling", "mean")
class MeanPooling(Pooling):
    """Mean over the tokens that the mask keeps; zeros where it keeps none.

    Example:
    >>> import numpy as np
    >>> tokens = np.array([[[1.0], [3.0], [100.0]]], "float32")
    >>> float(MeanPooling()(tokens, mask=np.array([[True, True, False]]))[0, 0])
    2.0
    """

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return ops.mean(inputs, axis=1)
        keep = ops.expand_dims(mask, -1)
        total = ops.sum(ops.where(keep, inputs, 0), axis=1)
        return total / ops.maximum(ops.sum(expand_mask(mask, inputs), axis=1), 1)


@register("pooling", "max")
class MaxPooling(Pooling):
    """Largest value of each feature over the tokens that the mask keeps; zeros where it keeps none.

    Example:
    >>> import numpy as np
    >>> tokens = np.array([[[1.0], [3.0], [100.0]]], "float32")
    >>> float(MaxPooling()(tokens, mask=np.array([[True, True, False]]))[0, 0])
    3.0
    """

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return ops.max(inputs, axis=1)
        keep = ops.expand_dims(mask, -1)
        lowest = ops.full_like(inputs, -float("inf"))
        largest = ops.max(ops.where(keep, inputs, lowest), axis=1)
        return ops.where(ops.any(keep, axis=1), largest, 0)


@register("pooling", "last")
class LastPooling(Pooling):
    """The last token that the mask keeps, as for a forecast; zeros where it keeps none.

    Example:
    >>> import numpy as np
    >>> tokens = np.array([[[1.0], [3.0], [100.0]]], "float32")
    >>> float(LastPooling()(tokens, mask=np.array([[True, True, False]]))[0, 0])
    3.0
    """

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return inputs[:, -1]
        mask = ops.cast(mask, "bool")
        places = ops.where(mask, ops.expand_dims(ops.arange(ops.shape(mask)[1]), 0), -1)
        last = ops.reshape(ops.maximum(ops.max(places, axis=1), 0), (-1, 1, 1))
        token = ops.squeeze(ops.take_along_axis(inputs, last, axis=1), axis=1)
        return ops.where(ops.any(mask, axis=1, keepdims=True), token, 0)


def token_scores(
    score: keras.layers.Layer, inputs: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return tokens `(B, T, D)` and their scores `(B, T, H)`, of which a softmax over T follows.

    A token that the mask `(B, T)` leaves out is 0, and its score so low that it counts nothing.

    Example:
    >>> import numpy as np
    >>> tokens, mask = np.array([[[3.0], [5.0]]], "float32"), np.array([[True, False]])
    >>> inputs, scores = token_scores(keras.layers.Identity(), tokens, mask)
    >>> ops.convert_to_numpy(inputs).ravel().tolist(), ops.convert_to_numpy(scores).ravel().tolist()
    ([3.0, 0.0], [3.0, -10000.0])
    """
    if mask is None:
        return inputs, score(inputs)
    keep = ops.expand_dims(mask, -1)
    inputs = ops.where(keep, inputs, 0)
    scores = score(inputs)
    return inputs, ops.where(keep, scores, ops.full_like(scores, -1e4))


@register("pooling", "attention")
class AttentionPooling(Pooling):
    """Weighted mean over the kept tokens, by a learned softmax score per token and head.

    Args:
        num_heads: The features are divided into this many parts, each with weights of its own.

    References:
        Lin et al., A Structured Self-attentive Sentence Embedding, 2017.
    """

    def __init__(self, *, num_heads: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive("num_heads", num_heads)
        self.num_heads = num_heads

    def build(self, input_shape: Shape) -> None:
        if input_shape[-1] is None or input_shape[-1] % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide the token size. Received: num_heads={self.num_heads}, "
                f"input_shape={input_shape}"
            )
        self.score = keras.layers.Dense(  # a bias would move all tokens' scores alike
            self.num_heads, use_bias=False, name="score", dtype=self.dtype_policy
        )
        self.score.build(input_shape)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        inputs, scores = token_scores(self.score, inputs, mask)
        weights = ops.exp(scores - ops.logsumexp(scores, axis=1, keepdims=True))
        shape = ops.shape(inputs)
        parts = ops.reshape(
            inputs, (-1, shape[1], self.num_heads, inputs.shape[2] // self.num_heads)
        )
        return ops.reshape(ops.einsum("bth,bthd->bhd", weights, parts), (-1, inputs.shape[2]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_heads": self.num_heads}


@register("layer", "fold_photos")
class FoldPhotos(keras.layers.Layer):
    """Join the first two axes: `(B, K, ...)` to `(B * K, ...)`."""

    def call(self, inputs: Tensor) -> Tensor:
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, *input_shape[2:])

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)


@register("layer", "unfold_photos")
class UnfoldPhotos(keras.layers.Layer):
    """Divide the first axis again: `(B * K, ...)` to `(B, K, ...)`.

    Args:
        photos: Size K of the second axis.
    """

    def __init__(self, *, photos: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive("photos", photos)
        self.photos = photos

    def call(self, inputs: Tensor) -> Tensor:
        return ops.reshape(inputs, (-1, self.photos, *inputs.shape[1:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, self.photos, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "photos": self.photos}


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
    """Presence of a group: whether any of its photos is there, `(B, K)` to `(B,)`."""

    def call(self, inputs: Tensor) -> Tensor:
        return ops.any(inputs, axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0],)

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor((inputs.shape[0],), dtype="bool")


@register("layer", "mlp")
class MLP(keras.layers.Layer):
    """Dense layers with ReLU, each followed by dropout: the last axis I to O.

    With `num_members` above 1 they are an ensemble in the manner of TabM, whose members share the
    kernels and differ in scales and biases of their own: `(B, I)` to `(B, num_members, O)`.

    Args:
        hidden_dims: Output size of each layer; the last is O.
        dropout: Share of the features dropped after each layer, in training.
        num_members: Number of ensemble members.
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        *,
        dropout: float = 0.0,
        num_members: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_sizes("hidden_dims", hidden_dims)
        check_fraction("dropout", dropout)
        check_positive("num_members", num_members)
        self.hidden_dims = hidden_dims
        self.dropout = dropout
        self.num_members = num_members

    def build(self, input_shape: Shape) -> None:
        self.layers, self.drops = [], []
        members, policy = self.num_members, self.dtype_policy
        if members > 1:
            input_shape = (input_shape[0], 1, input_shape[-1])
        for i, dim in enumerate(self.hidden_dims):
            layer = dense(
                dim,
                members,
                activation="relu",
                random_signs=i == 0,
                name=f"dense_{i}",
                dtype=policy,
            )
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
            self.layers.append(layer)
            if self.dropout:
                drop = keras.layers.Dropout(self.dropout, name=f"dropout_{i}", dtype=policy)
                self.drops.append(drop)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if self.num_members > 1:
            inputs = ops.expand_dims(inputs, 1)
        for i, layer in enumerate(self.layers):
            inputs = layer(inputs)
            if self.drops:
                inputs = self.drops[i](inputs, training=training)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        members = () if self.num_members == 1 else (self.num_members,)
        return (*input_shape[:-1], *members, self.hidden_dims[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dims": self.hidden_dims,
            "dropout": self.dropout,
            "num_members": self.num_members,
        }
