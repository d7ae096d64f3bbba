"""Fusions of one vector per group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.contracts import Fusion, Shape, Tensor, check_fraction, check_sizes
from multimodal.layers import MLP
from multimodal.registry import register


@register("fusion", "concat")
class ConcatFusion(Fusion):
    """Join the groups' vectors and pass them through dense layers: `(B, D)`.

    An absent group contributes a learned vector instead of its own, whatever its inputs hold. A
    group without `presence` is never absent and gets no such vector, unless modality dropout
    withholds groups in training.

    Args:
        hidden_dims: Sizes of the dense layers; the last is D.
        dropout: Dropout after each dense layer.
        modality_dropout: Chance that a group is withheld from a row in training; at least one
            group of a row always stays.
        seed: Seed of the modality dropout.

    Call arguments:
        inputs: Dict of group name -> vector `(B, D_g)`.
        presence: Dict of group name -> bool `(B,)`, for the groups that can be absent.

    Example:
    >>> import numpy as np
    >>> vectors = {"table": np.ones((2, 3), "float32"), "text": np.ones((2, 5), "float32")}
    >>> tuple(ConcatFusion([4])(vectors, presence={"text": np.array([True, False])}).shape)
    (2, 4)

    References:
        Neverova et al., ModDrop, 2014.
    """

    def __init__(
        self,
        hidden_dims: Sequence[int] = (128, 64),
        *,
        dropout: float = 0.1,
        modality_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_sizes("hidden_dims", hidden_dims)
        check_fraction("dropout", dropout)
        check_fraction("modality_dropout", modality_dropout)
        self.hidden_dims = hidden_dims
        self.dropout = dropout
        self.modality_dropout = modality_dropout
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        if not isinstance(inputs_shape, dict) or not inputs_shape:
            raise ValueError(
                f"`inputs` must be a dict of group name -> vector with at least one group. "
                f"Received: inputs_shape={inputs_shape}"
            )
        groups = sorted(inputs_shape)
        if set(presence_shape or {}) - set(groups):
            raise ValueError(
                f"`presence` must name groups of `inputs`, {groups}. "
                f"Received: presence_shape={presence_shape}"
            )
        absent = groups if self.modality_dropout else sorted(presence_shape or {})
        self.missing = {
            group: self.add_weight(
                shape=(inputs_shape[group][-1],), initializer="zeros", name=f"missing_{group}"
            )
            for group in absent
        }
        width = sum(inputs_shape[group][-1] for group in groups)
        self.mlp = MLP(
            tuple(self.hidden_dims), dropout=self.dropout, name="mlp", dtype=self.dtype_policy
        )
        self.mlp.build((None, width))

    def call(
        self,
        inputs: dict[str, Tensor],
        presence: dict[str, Tensor] | None = None,
        training: bool | None = None,
    ) -> Tensor:
        keep = dict(presence or {})
        if training and self.modality_dropout:
            keep = self._withhold(inputs, keep)
        vectors = [self._fill(group, inputs[group], keep.get(group)) for group in sorted(inputs)]
        joined = ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]
        return self.mlp(joined, training=training)

    def _fill(self, group: str, vector: Tensor, keep: Tensor | None) -> Tensor:
        if keep is None:
            return vector
        missing = ops.expand_dims(ops.cast(self.missing[group], vector.dtype), 0)
        return ops.where(ops.expand_dims(keep, -1), vector, missing)

    def _withhold(self, inputs: dict[str, Tensor], keep: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return presence with groups withheld at random, at least one kept where one was there."""
        groups = sorted(inputs)
        batch = ops.shape(inputs[groups[0]])[0]
        ones = ops.ones((batch,), dtype="bool")
        there = ops.stack([keep.get(group, ones) for group in groups], axis=1)
        draw = keras.random.uniform((batch, len(groups)), seed=self._generator)
        kept = ops.logical_and(there, draw >= self.modality_dropout)
        kept = ops.where(ops.any(kept, axis=1, keepdims=True), kept, there)
        return {group: kept[:, i] for i, group in enumerate(groups)}

    def compute_output_shape(self, inputs_shape: Any, presence_shape: Any = None) -> Shape:
        return (next(iter(inputs_shape.values()))[0], self.hidden_dims[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dims": self.hidden_dims,
            "dropout": self.dropout,
            "modality_dropout": self.modality_dropout,
            "seed": self.seed,
        }
