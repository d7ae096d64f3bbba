"""Encoders of numbers and categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.contracts import Encoder, Shape, Tensor, check_fraction, check_positive, check_sizes
from multimodal.layers import MLP
from multimodal.registry import register
from multimodal.spec import FittedGroup


class TabularEncoder(Encoder):
    """Base: `{"numeric": (B, N), "categorical": (B, C)}`, or one numeric tensor, to tokens."""

    @classmethod
    def from_group(cls, group: FittedGroup) -> dict[str, Any]:
        return {"cardinalities": [len(column.categories) + 2 for column in group.categorical]}


@register("tabular_encoder", "dense")
class DenseEncoder(TabularEncoder):
    """Numbers and embedded categories through dense layers: one token `(B, 1, D)`.

    A missing number (NaN) counts as zero beside a flag that says so. All categories of all
    columns lie in one embedding table, so that one look-up serves every column; row 0 of a
    column is the missing category and row 1 the unknown one. The arithmetic keeps the precision of
    the weights (float32 under a mixed policy), so that 2013 and 2016 stay two numbers; only the
    result is in the compute dtype.

    Args:
        cardinalities: Number of integer codes of each categorical column.
        embedding_dim: Size of one category's vector.
        hidden_dims: Sizes of the dense layers; the last is D.
        dropout: Dropout after each dense layer.
        pooling: None for tokens, or the name of a registered pooling for a vector.

    Call arguments:
        inputs: A dict with `numeric` float32 `(B, N)`, NaN where missing, and/or `categorical`
            int32 `(B, C)`; or one numeric tensor `(B, N)`.

    Example:
    >>> import numpy as np
    >>> encoder = DenseEncoder(cardinalities=[5], hidden_dims=[8], pooling="mean")
    >>> rows = {"numeric": np.ones((2, 3), "float32"), "categorical": np.ones((2, 1), "int32")}
    >>> tuple(encoder(rows).shape)
    (2, 8)

    References:
        Guo and Berkhahn, Entity Embeddings of Categorical Variables, 2016.
    """

    def __init__(
        self,
        cardinalities: Sequence[int] = (),
        hidden_dims: Sequence[int] = (128, 64),
        *,
        embedding_dim: int = 16,
        dropout: float = 0.1,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **{"autocast": False, **kwargs})
        if cardinalities:
            check_sizes("cardinalities", cardinalities)
        check_sizes("hidden_dims", hidden_dims)
        check_positive("embedding_dim", embedding_dim)
        check_fraction("dropout", dropout)
        self.cardinalities = cardinalities
        self.hidden_dims = hidden_dims
        self.embedding_dim = embedding_dim
        self.dropout = dropout

    def build(self, input_shape: Any) -> None:
        shapes = input_shape if isinstance(input_shape, dict) else {"numeric": input_shape}
        if not shapes or shapes.keys() - {"numeric", "categorical"}:
            raise ValueError(
                "`inputs` must be one tensor, or a dict with `numeric` and/or `categorical`. "
                f"Received: input_shape={input_shape}"
            )
        columns = len(self.cardinalities)
        if shapes.get("categorical", (None, 0))[-1] != columns:
            raise ValueError(
                f"`cardinalities` must have one entry per categorical column. Received: {columns} "
                f"entries, input_shape={input_shape}"
            )
        if columns:
            self.offsets = [sum(self.cardinalities[:i]) for i in range(columns)]
            self.embedding = keras.layers.Embedding(
                sum(self.cardinalities),
                self.embedding_dim,
                name="embedding",
                dtype=self.variable_dtype,
            )
            self.embedding.build()
        width = 2 * (shapes["numeric"][-1] if "numeric" in shapes else 0)
        self.mlp = MLP(
            tuple(self.hidden_dims), dropout=self.dropout, name="mlp", dtype=self.variable_dtype
        )
        self.mlp.build((None, width + columns * self.embedding_dim))
        super().build(input_shape)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        columns = inputs if isinstance(inputs, dict) else {"numeric": inputs}
        parts = []
        if "numeric" in columns:
            parts += self._numeric(columns["numeric"])
        if "categorical" in columns:
            codes = ops.cast(columns["categorical"], "int32")
            codes += ops.convert_to_tensor(self.offsets, dtype="int32")
            width = len(self.cardinalities) * self.embedding_dim
            parts.append(ops.reshape(self.embedding(codes), (-1, width)))
        joined = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        token = ops.expand_dims(self.mlp(joined, training=training), 1)
        return ops.saturate_cast(token, self.compute_dtype)

    def _numeric(self, numbers: Tensor) -> list[Tensor]:
        numbers = ops.cast(numbers, self.variable_dtype)
        missing = ops.isnan(numbers)
        known = ops.where(missing, ops.zeros_like(numbers), numbers)
        return [known, ops.cast(missing, self.variable_dtype)]

    def token_shape(self, input_shape: Any) -> Shape:
        shapes = list(input_shape.values()) if isinstance(input_shape, dict) else [input_shape]
        return (shapes[0][0], 1, self.hidden_dims[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "cardinalities": self.cardinalities,
            "hidden_dims": self.hidden_dims,
            "embedding_dim": self.embedding_dim,
            "dropout": self.dropout,
        }
