"""Base of the tabular encoders, and embeddings of numbers: linear, piecewise linear, periodic.

Numbers and categories keep float32 and int32 whatever the dtype policy: bfloat16 has 8 bits of
significand, so that 2013 becomes 2016.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import keras
from keras import ops

from multimodal.core.spec import FittedGroup
from multimodal.layers.base import (
    Composite,
    Encoder,
    Shape,
    Tensor,
    built,
    check_above_zero,
    check_choice,
    check_dtype,
    check_fraction,
    check_positive,
    check_rank,
    check_sizes,
)
from multimodal.layers.registry import register

KEYS = ("numeric", "categorical")
EMBEDDINGS = ("linear", "piecewise_linear", "periodic")
NO_EMBEDDING = "none"


class TabularEncoder(Encoder):
    """Base: `{"numeric": (B, N), "categorical": (B, C)}`, or one numeric tensor, to tokens.

    A number is float, NaN where missing. A category is an integer code: row 0 of a column is the
    missing category and row 1 the unknown one. All categories of all columns lie in one embedding
    table, so that one look-up serves every column. A subclass calls `build_columns` in `build` and
    joins the columns by `join`. The arguments are those of `DenseEncoder`.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        *,
        numeric_embedding: str,
        bins: Sequence[Sequence[float]],
        frequency_scale: float,
        dropout: float,
        pooling: str | None,
        **kwargs: Any,
    ) -> None:
        # no autocast: Keras would round the numbers to bfloat16 before `call` sees them
        super().__init__(pooling=pooling, **{"autocast": False, **kwargs})
        if cardinalities:
            check_sizes(cardinalities=cardinalities)
        check_choice("numeric_embedding", numeric_embedding, self.numeric_embeddings())
        check_bins(bins)
        check_above_zero(frequency_scale=frequency_scale)
        check_fraction(dropout=dropout)
        self.cardinalities = cardinalities
        self.numeric_embedding = numeric_embedding
        self.bins = bins
        self.frequency_scale = frequency_scale
        self.dropout = dropout

    @classmethod
    def from_group(cls, group: FittedGroup) -> dict[str, Any]:
        return {
            "cardinalities": [len(column.categories) + 2 for column in group.categorical],
            "bins": [column.bins for column in group.numeric],
        }

    @classmethod
    def numeric_embeddings(cls) -> Sequence[str]:
        """Return what `numeric_embedding` can be."""
        return (NO_EMBEDDING, *EMBEDDINGS)

    def check_inputs(self, inputs: Tensor) -> None:
        columns = by_kind(inputs)
        for kind, tensor in columns.items():
            name = f'inputs["{kind}"]' if isinstance(inputs, Mapping) else "inputs"
            check_rank(name, getattr(tensor, "shape", None), "(batch, columns)")  # type: ignore[arg-type]
            check_dtype(name, tensor, ("int", "float"))
        if self.built:
            self._check_counts({kind: tensor.shape for kind, tensor in columns.items()})

    def _check_counts(self, shapes: Mapping[str, Sequence[int | None]]) -> None:
        found = {kind: shapes[kind][-1] if kind in shapes else 0 for kind in KEYS}
        wanted = {"numeric": self.num_numeric, "categorical": len(self.cardinalities)}
        if found != wanted:
            raise ValueError(
                "`inputs` must have as many columns as the encoder was built for "
                f"({_counted(wanted)}). Received: {_counted(found)}"
            )

    def build_columns(self, input_shape: Any, embedding_dim: int, numeric_dim: int) -> int:
        """Build the embeddings of categories and numbers; return the features of a joined row."""
        shapes, columns = by_kind(input_shape), len(self.cardinalities)
        if shapes.get("categorical", (None, 0))[-1] != columns:
            raise ValueError(
                f"`cardinalities` must have one entry per categorical column. Received: {columns} "
                f"entries, input_shape={input_shape}"
            )
        # `embedding` and `numbers` are names that `models.finetune` tells weights apart by.
        self.num_numeric = shapes["numeric"][-1] if "numeric" in shapes else 0
        if columns:
            self.offsets = [sum(self.cardinalities[:i]) for i in range(columns)]
            table = keras.layers.Embedding(
                sum(self.cardinalities), embedding_dim, name="embedding", dtype=self.variable_dtype
            )
            self.embedding = built(table)
        embeds = self.numeric_embedding != NO_EMBEDDING
        if self.num_numeric and embeds:
            numbers = NumericEmbedding(
                numeric_dim,
                self.numeric_embedding,
                bins=self.bins,
                frequency_scale=self.frequency_scale,
                name="numbers",
                dtype=self.variable_dtype,
            )
            self.numbers = built(numbers, shapes["numeric"])
        return columns * embedding_dim + self.num_numeric * (numeric_dim if embeds else 2)

    def embed_categories(self, codes: Tensor) -> Tensor:
        """Return the vectors `(B, C, E)` of integer codes `(B, C)`."""
        # Made in the call, as a tensor made in `build` would belong to the graph that was built
        # then.
        offsets = ops.convert_to_tensor(self.offsets, dtype="int32")
        return self.embedding(ops.cast(codes, "int32") + offsets)

    def join(self, inputs: Tensor) -> Tensor:
        """Return each row as one float32 vector: its numbers, then its categories.

        A number without an embedding is itself, or zero where it is missing; the flags of the
        missing ones stand behind the numbers.
        """
        columns, parts = by_kind(inputs), []
        if "numeric" in columns and self.numeric_embedding == NO_EMBEDDING:
            numbers = ops.cast(columns["numeric"], self.variable_dtype)
            missing = ops.isnan(numbers)
            parts += [ops.where(missing, 0, numbers), ops.cast(missing, self.variable_dtype)]
        elif "numeric" in columns:
            parts.append(_flat(self.numbers(columns["numeric"])))
        if "categorical" in columns:
            parts.append(_flat(self.embed_categories(columns["categorical"])))
        return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def by_kind(inputs: Any) -> dict[str, Any]:
    """Return tensors or shapes by `numeric` and `categorical`; a single one is numeric.

    Raises:
        ValueError: The keys are none of the two, or there is none.
    """
    if not isinstance(inputs, Mapping):
        return {"numeric": inputs}
    if not inputs or inputs.keys() - set(KEYS):
        raise ValueError(
            "`inputs` must be one tensor, or a dict with `numeric` and/or `categorical`. "
            f"Received: keys={sorted(map(str, inputs))}"
        )
    return dict(inputs)


def batch_of(input_shape: Any) -> int | None:
    """Return the number of rows of an encoder's input shape."""
    size: int | None = next(iter(by_kind(input_shape).values()))[0]
    return size


def _flat(vectors: Tensor) -> Tensor:
    return ops.reshape(vectors, (-1, vectors.shape[1] * vectors.shape[2]))


def _counted(counts: Mapping[str, int | None]) -> str:
    return ", ".join(f"{counts[kind]} {kind}" for kind in KEYS)


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
    Rectangles let one operation serve all columns, however many bins each has.
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
class NumericEmbedding(Composite):
    """Numbers `(B, N)` to one vector per number `(B, N, E)`; a missing one (NaN) has a learned one.

    - `linear`: a learned vector times the number, plus another.
    - `piecewise_linear`: how much of each bin the number fills, 0 to 1, through a linear layer of
      the column's own. The first bin reaches down, and the last one up, without end.
    - `periodic`: sines and cosines of E learned frequencies, through a linear layer of the column's
      own and ReLU.

    The arithmetic keeps the precision of the weights (float32 under a mixed policy); the result is
    in the compute dtype.

    Args:
        embedding_dim: Size E of one number's vector. Larger ones tell more levels of a number
            apart, and make all that follows wider.
        kind: `linear` (the default), `piecewise_linear` for steps and thresholds, `periodic` for
            smooth or repeated ups and downs.
        bins: For `piecewise_linear`, the rising edges of each column's bins, at least two; such as
            quantiles of the training rows.
        frequency_scale: For `periodic`, the standard deviation of the frequencies at the start, 0.1
            by default, for numbers scaled to about 1. Larger values see finer detail, and noise.

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
        check_positive(embedding_dim=embedding_dim)
        check_choice("kind", kind, EMBEDDINGS)
        check_bins(bins)
        check_above_zero(frequency_scale=frequency_scale)
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
        # 0 before the arithmetic: `where` on the result alone would leave NaN in the gradient
        numbers = ops.expand_dims(ops.where(absent, 0, numbers), -1)
        weights = (self.kernel, self.bias, self.missing)
        kernel, bias, missing = (ops.convert_to_tensor(weight) for weight in weights)
        if self.kind == "linear":
            vectors = numbers * kernel + bias
        else:
            encode = self._fill if self.kind == "piecewise_linear" else self._turn
            vectors = ops.einsum("bnk,nkd->bnd", encode(numbers), kernel) + bias
        if self.kind == "periodic":
            vectors = ops.relu(vectors)
        vectors = ops.where(ops.expand_dims(absent, -1), missing, vectors)
        return ops.saturate_cast(vectors, self.compute_dtype)

    def _fill(self, numbers: Tensor) -> Tensor:
        """Return the fraction `(B, N, K)` of each bin that `(B, N, 1)` numbers fill."""
        all_four = ops.convert_to_tensor(self.rectangles, dtype=self.variable_dtype)
        starts, widths, floors, ceilings = (all_four[i] for i in range(4))
        return ops.minimum(ops.maximum((numbers - starts) / widths, floors), ceilings)

    def _turn(self, numbers: Tensor) -> Tensor:
        """Return the sines and cosines `(B, N, 2 * E)` of `(B, N, 1)` numbers."""
        angles = 2 * math.pi * numbers * ops.convert_to_tensor(self.frequencies)
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.embedding_dim)
