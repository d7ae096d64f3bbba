"""What all encoders of numbers and categories share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from multimodal.core.spec import FittedGroup
from multimodal.encoders.numeric import EMBEDDINGS, NumericEmbedding, check_bins
from multimodal.layers.base import (
    Encoder,
    Tensor,
    check_above_zero,
    check_choice,
    check_dtype,
    check_fraction,
    check_rank,
    check_sizes,
)

KEYS = ("numeric", "categorical")
NO_EMBEDDING = "none"


class TabularEncoder(Encoder):
    """Base: `{"numeric": (B, N), "categorical": (B, C)}`, or one numeric tensor, to tokens.

    A number is float, NaN where missing. A category is an integer code: row 0 of a column is the
    missing category and row 1 the unknown one. All categories of all columns lie in one embedding
    table, so that one look-up serves every column. Numbers keep the precision of the weights
    (float32 under a mixed policy), so that 2013 and 2016 stay two numbers.
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
        super().__init__(pooling=pooling, **{"autocast": False, **kwargs})
        if cardinalities:
            check_sizes("cardinalities", cardinalities)
        check_choice("numeric_embedding", numeric_embedding, self.numeric_embeddings())
        check_bins(bins)
        check_above_zero("frequency_scale", frequency_scale)
        check_fraction("dropout", dropout)
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
        self.num_numeric = shapes["numeric"][-1] if "numeric" in shapes else 0
        if columns:
            self.offsets = [sum(self.cardinalities[:i]) for i in range(columns)]
            self.embedding = keras.layers.Embedding(
                sum(self.cardinalities), embedding_dim, name="embedding", dtype=self.variable_dtype
            )
            self.embedding.build()
        embeds = self.numeric_embedding != NO_EMBEDDING
        if self.num_numeric and embeds:
            self.numbers = NumericEmbedding(
                numeric_dim, self.numeric_embedding, bins=self.bins,
                frequency_scale=self.frequency_scale, name="numbers", dtype=self.variable_dtype,
            )  # fmt: skip
            self.numbers.build(shapes["numeric"])
        return columns * embedding_dim + self.num_numeric * (numeric_dim if embeds else 2)

    def embed_categories(self, codes: Tensor) -> Tensor:
        """Return the vectors `(B, C, E)` of integer codes `(B, C)`."""
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
            parts += [
                ops.where(missing, 0, numbers),
                ops.cast(missing, self.variable_dtype),
            ]
        elif "numeric" in columns:
            parts.append(_flat(self.numbers(columns["numeric"])))
        if "categorical" in columns:
            parts.append(_flat(self.embed_categories(columns["categorical"])))
        return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "cardinalities": self.cardinalities,
            "numeric_embedding": self.numeric_embedding,
            "bins": self.bins,
            "frequency_scale": self.frequency_scale,
            "dropout": self.dropout,
        }


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
