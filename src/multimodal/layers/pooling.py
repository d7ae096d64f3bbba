"""Poolings: tokens `(B, T, D)` and their mask to one vector per row.

Mean, max, last and attention serve any tokens. Grid and spatial softmax serve the cells of a square
map and keep where something is, which a mean over the map forgets.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import (
    Composite,
    Shape,
    Tensor,
    built,
    check_dtype,
    check_positive,
    check_rank,
)
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


class Pooling(Composite):
    """Base of all poolings: tokens `(B, T, D)` and their mask to a vector `(B, D)` without one.

    A subclass implements `call(inputs, mask=None)`, and `compute_output_shape` where its vector has
    another size. What the mask leaves out must not reach the vector, whatever it holds.

    Call arguments:
        inputs: Tokens `(B, T, D)`.
        mask: Optional bool `(B, T)`, True where a token is kept; read from the tokens' Keras mask
            where it is left out.
    """

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
        # `where` first: a masked NaN times 0 would still be a NaN
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

    A token that the mask `(B, T)` leaves out is 0, and its score so low that its weight is 0.

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
    # finite: tf2onnx writes `where` as a product, and infinity times 0 is NaN; within float16, too
    return inputs, ops.where(keep, scores, ops.full_like(scores, -1e4))


def _score_layer(units: int, shape: Shape, dtype: Any) -> Any:
    # no bias: it would move the scores of all tokens alike, which a softmax does not see
    return built(keras.layers.Dense(units, use_bias=False, name="score", dtype=dtype), shape)


@register("pooling", "attention")
class AttentionPooling(Pooling):
    """Weighted mean over the kept tokens, by a learned softmax score per token and head.

    Args:
        num_heads: The features are divided into this many parts, each with a softmax of its own, so
            that they may look at different tokens. Divides D; 4 by default.

    Example:
    >>> import numpy as np
    >>> tuple(AttentionPooling(num_heads=2)(np.ones((3, 5, 8), "float32")).shape)
    (3, 8)

    References:
        Lin et al., A Structured Self-attentive Sentence Embedding, 2017.
    """

    def __init__(self, *, num_heads: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive(num_heads=num_heads)
        self.num_heads = num_heads

    def build(self, input_shape: Shape) -> None:
        if input_shape[-1] is None or input_shape[-1] % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide the token size. Received: num_heads={self.num_heads}, "
                f"input_shape={input_shape}"
            )
        self.score = _score_layer(self.num_heads, input_shape, self.dtype_policy)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        inputs, scores = token_scores(self.score, inputs, mask)
        weights = ops.exp(scores - ops.logsumexp(scores, axis=1, keepdims=True))
        shape = ops.shape(inputs)
        parts = ops.reshape(
            inputs, (-1, shape[1], self.num_heads, inputs.shape[2] // self.num_heads)
        )
        return ops.reshape(ops.einsum("bth,bthd->bhd", weights, parts), (-1, inputs.shape[2]))


class MapPooling(Pooling):
    """Base: the tokens `(B, S * S, D)` of a square map, row by row, to a vector.

    Attributes:
        takes_map: Whether the tokens must be the cells of a square map.
    """

    takes_map = True

    def build(self, input_shape: Shape) -> None:
        map_side(input_shape)


def map_side(shape: Shape) -> int:
    """Return the side of the square map whose tokens have `shape`; raise ValueError for another."""
    tokens = shape[1] or 0
    side = math.isqrt(tokens)
    if side == 0 or side * side != tokens or shape[2] is None:
        raise ValueError(
            "`inputs` must be the tokens of a square map, (batch, side * side, dim). "
            f"Received: input_shape={tuple(shape)}"
        )
    return side


@register("pooling", "grid")
class GridPooling(MapPooling):
    """Means over the parts of a grid laid over the map, side by side: `(B, grid_size ** 2 * D)`.

    Part i of g spans the cells from floor(i S / g) to ceil((i + 1) S / g) along each axis, so parts
    overlap where g does not divide the side S. Masked cells enter no mean; a part without any cell
    is zeros. Made for heads that predict a place, such as `bounding_box`.

    Args:
        grid_size: Parts along each side of the map, 4 by default; at most its side. More parts
            place things more exactly, in a vector that grows with their square.

    Example:
    >>> import numpy as np
    >>> cells = np.arange(16, dtype="float32").reshape(1, 16, 1)
    >>> GridPooling(grid_size=2)(cells).shape[1]
    4

    References:
        Lazebnik et al., Beyond Bags of Features: Spatial Pyramid Matching, 2006; He et al., Spatial
        Pyramid Pooling in Deep Convolutional Networks, 2014.
    """

    def __init__(self, *, grid_size: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive(grid_size=grid_size)
        self.grid_size = grid_size

    def build(self, input_shape: Shape) -> None:
        side, parts = map_side(input_shape), self.grid_size
        if parts > side:
            raise ValueError(
                "`grid_size` must be at most the side of the map. "
                f"Received: grid_size={parts}, input_shape={tuple(input_shape)} (side {side})"
            )
        spans = [(i * side // parts, -(-(i + 1) * side // parts)) for i in range(parts)]
        along = [[float(start <= cell < end) for cell in range(side)] for start, end in spans]
        self.cells = [
            [down * across for down in rows for across in columns]
            for rows in along
            for columns in along
        ]

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        cells = ops.convert_to_tensor(self.cells, dtype=inputs.dtype)
        if mask is None:
            counts = ops.expand_dims(ops.sum(cells, axis=1, keepdims=True), 0)
        else:
            inputs = ops.where(ops.expand_dims(mask, -1), inputs, 0)
            counts = ops.einsum("pt,bto->bpo", cells, expand_mask(mask, inputs))
        means = ops.einsum("pt,btd->bpd", cells, inputs) / ops.maximum(counts, 1)
        return ops.reshape(means, (-1, self.grid_size**2 * inputs.shape[2]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.grid_size**2 * (input_shape[2] or 0))


@register("pooling", "spatial_softmax")
class SpatialSoftmaxPooling(MapPooling):
    """Expected place of each of several learned points on the map: `(B, 2 * num_points)`.

    A dense layer scores every cell for every point; the softmax over the cells is the probability
    of the point in each, and the mean of the cells' centres under it is the point. The first half
    of the vector is x, the second y, from -1 (left, top edge of the map) to 1. The points never lie
    in masked cells; where none is kept, they are 0.

    Args:
        num_points: Number of points, 32 by default: each can follow another feature of the map.

    Example:
    >>> import numpy as np
    >>> tuple(SpatialSoftmaxPooling(num_points=3)(np.ones((2, 16, 8), "float32")).shape)
    (2, 6)

    References:
        Levine et al., End-to-End Training of Deep Visuomotor Policies, 2016; Finn et al., Deep
        Spatial Autoencoders for Visuomotor Learning, 2016.
    """

    def __init__(self, *, num_points: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive(num_points=num_points)
        self.num_points = num_points

    def build(self, input_shape: Shape) -> None:
        side = map_side(input_shape)
        centres = [(2 * cell + 1) / side - 1 for cell in range(side)]
        self.places = [[x, y] for y in centres for x in centres]
        self.score = _score_layer(self.num_points, input_shape, self.dtype_policy)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        _, scores = token_scores(self.score, inputs, mask)
        likely = ops.softmax(scores, axis=1)
        if mask is not None:  # where no cell is kept the softmax is even over all of them
            likely = ops.where(ops.expand_dims(mask, -1), likely, 0)
        places = ops.convert_to_tensor(self.places, dtype=likely.dtype)
        points = ops.einsum("btp,tc->bcp", likely, places)
        return ops.reshape(points, (-1, 2 * self.num_points))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], 2 * self.num_points)
