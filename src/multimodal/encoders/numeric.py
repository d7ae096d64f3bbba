"""Embeddings of numbers: one vector per number, from a line, from bins or from waves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import Shape, Tensor, check_above_zero, check_choice, check_positive
from multimodal.layers.registry import register

EMBEDDINGS = ("linear", "piecewise_linear", "periodic")


def check_bins(bins: Sequence[Sequence[float]]) -> None:
    """Raise ValueError unless every entry of `bins` is a list of rising numbers."""
    if not isinstance(bins, Sequence) or not all(_rises(edges) for edges in bins):
        raise ValueError(
            "`bins` must be a list with one list of rising edges per numeric column. "
            f"Received: bins={bins!r:.200}"
        )


def _rises(edges: Sequence[float]) -> bool:
    if not isinstance(edges, Sequence) or not all(isinstance(edge, Real) for edge in edges):
        return False
    return all(low < high for low, high in zip(edges, edges[1:], strict=False))


def _rectangle(edges: Sequence[float], size: int) -> list[list[float]]:
    """Return start, width, lowest and highest filling of one column's bins, `size` of each.

    A bin that the column lacks is bounded by 0 from both sides, so that it never fills.
    """
    count = len(edges) - 1
    spare = [0.0] * (size - count)
    widths = [float(high - low) for low, high in zip(edges, edges[1:], strict=False)]
    return [
        [*map(float, edges[:-1]), *spare],
        [*widths, *(1.0 for _ in spare)],
        [-math.inf, *[0.0] * (count - 1), *spare],
        [*[1.0] * (count - 1), math.inf, *spare],
    ]


@register("layer", "numeric_embedding")
class NumericEmbedding(keras.layers.Layer):
    """Numbers `(B, N)` to one vector per number `(B, N, E)`; a missing one (NaN) has a learned one.

    - `linear`: a learned vector times the number, plus another.
    - `piecewise_linear`: how much of each bin the number fills, 0 to 1, through a linear layer of
      the column's own. The first bin reaches down, and the last one up, without end.
    - `periodic`: sines and cosines of E learned frequencies, through a linear layer of the column's
      own and ReLU.

    All columns are embedded in one operation, however many bins each has. The arithmetic keeps the
    precision of the weights (float32 under a mixed policy); the result is in the compute dtype.

    Args:
        embedding_dim: Size E of one number's vector.
        kind: `linear`, `piecewise_linear` or `periodic`.
        bins: For `piecewise_linear`, the rising edges of each column's bins, at least two.
        frequency_scale: For `periodic`, the standard deviation of the frequencies at the start.

    Example:
    >>> import numpy as np
    >>> embedding = NumericEmbedding(4, "piecewise_linear", bins=[[0, 1, 2], [-1, 1]])
    >>> tuple(embedding(np.array([[0.5, np.nan]])).shape)
    (1, 2, 4)

    References:
        Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, 2022.
    """

    def __init__(
        self,
        embedding_dim: int,
        kind: str = "linear",
        *,
        bins: Sequence[Sequence[float]] = (),
        frequency_scale: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        check_positive("embedding_dim", embedding_dim)
        check_choice("kind", kind, EMBEDDINGS)
        check_bins(bins)
        check_above_zero("frequency_scale", frequency_scale)
        self.embedding_dim = embedding_dim
        self.kind = kind
        self.bins = bins
        self.frequency_scale = frequency_scale

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(
                "`inputs` must be numbers of shape (batch, columns) with a fixed number of "
                f"columns. Received: input_shape={input_shape}"
            )
        columns, dim = input_shape[-1], self.embedding_dim
        size = 1
        if self.kind == "piecewise_linear":
            size = self._build_bins(columns)
        if self.kind == "periodic":
            size = 2 * dim
            normal = keras.initializers.RandomNormal(0.0, self.frequency_scale)
            self.frequencies = self._weight("frequencies", (columns, dim), normal)
        limit = 1 / math.sqrt(dim if self.kind == "linear" else size)
        uniform = keras.initializers.RandomUniform(-limit, limit)
        kernel = (columns, dim) if self.kind == "linear" else (columns, size, dim)
        self.kernel = self._weight("kernel", kernel, uniform)
        self.bias = self._weight("bias", (columns, dim), uniform)
        self.missing = self._weight("missing", (columns, dim), uniform)

    def _weight(self, name: str, shape: Shape, initializer: Any) -> Any:
        return self.add_weight(shape=shape, initializer=initializer, name=name, autocast=False)

    def _build_bins(self, columns: int) -> int:
        """Lay the bins of all columns into rectangles; return the largest number of bins."""
        if len(self.bins) != columns or any(len(edges) < 2 for edges in self.bins):
            raise ValueError(
                f"`bins` must have at least two edges for each of the {columns} numeric columns. "
                f"Received: {len(self.bins)} columns with {[len(e) for e in self.bins]} edges"
            )
        size = max(len(edges) for edges in self.bins) - 1
        columns_of_bins = [_rectangle(edges, size) for edges in self.bins]
        self.rectangles = [list(each) for each in zip(*columns_of_bins, strict=True)]
        return size

    def call(self, inputs: Tensor) -> Tensor:
        numbers = ops.cast(inputs, self.variable_dtype)
        absent = ops.isnan(numbers)
        numbers = ops.expand_dims(ops.where(absent, 0, numbers), -1)
        weights = (self.kernel, self.bias, self.missing)
        kernel, bias, missing = (ops.convert_to_tensor(weight) for weight in weights)
        if self.kind == "linear":
            vectors = numbers * kernel + bias
        else:
            encode = self._fill if self.kind == "piecewise_linear" else self._wave
            vectors = ops.einsum("bnk,nkd->bnd", encode(numbers), kernel) + bias
        if self.kind == "periodic":
            vectors = ops.relu(vectors)
        vectors = ops.where(ops.expand_dims(absent, -1), missing, vectors)
        return ops.saturate_cast(vectors, self.compute_dtype)

    def _fill(self, numbers: Tensor) -> Tensor:
        """Return the share `(B, N, K)` of each bin that `(B, N, 1)` numbers fill."""
        all_four = ops.convert_to_tensor(self.rectangles, dtype=self.variable_dtype)
        starts, widths, floors, ceilings = (all_four[i] for i in range(4))
        return ops.minimum(ops.maximum((numbers - starts) / widths, floors), ceilings)

    def _wave(self, numbers: Tensor) -> Tensor:
        angles = 2 * math.pi * numbers * ops.convert_to_tensor(self.frequencies)
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.embedding_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "embedding_dim": self.embedding_dim,
            "kind": self.kind,
            "bins": self.bins,
            "frequency_scale": self.frequency_scale,
        }
