"""Gated fusion: a weighted sum of the groups, with weights that follow from the row."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.fusion.base import Fusion, Tensors
from multimodal.layers.base import Tensor, built, check_choice, check_fraction, check_positive
from multimodal.layers.registry import register

ACTIVATIONS = ("softmax", "sigmoid")


@register("fusion", "gated")
class GatedFusion(Fusion):
    """A weighted sum of the groups, with weights that follow from the row itself: `(B, D)`.

    Each group goes through a dense layer with tanh; one more dense layer on all groups together
    gives each group its weight, which `gates` reads out. An absent group has weight 0 and no part
    in the others' weights; zeros come out where no group is there.

    Args:
        hidden_dim: Size D of the result, 64 by default.
        activation: `softmax` (the default), so that a row's weights add up to 1, or `sigmoid`, so
            that each group is weighted for itself.
        dropout: Fraction of the result's features dropped, in training; 0.1 by default.
        modality_dropout: Probability that a group is dropped from a row in training, 0 by default;
            at least one group of a row always stays. The model then leans less on its strongest
            group, and predicts better where a group is absent.
        seed: Seed of the modality dropout; None, the default, draws one.

    Call arguments:
        inputs: Dict of group name -> vector `(B, D_g)`.
        presence: Dict of group name -> bool `(B,)`, for the groups that can be absent.

    Example:
    >>> import numpy as np
    >>> rows = {"table": np.ones((2, 3), "float32"), "text": np.ones((2, 5), "float32")}
    >>> there = {"text": np.array([True, False])}
    >>> fusion = GatedFusion(4)
    >>> tuple(fusion(rows, presence=there).shape), fusion.groups
    ((2, 4), ['table', 'text'])
    >>> ops.convert_to_numpy(fusion.gates(rows, there))[1].tolist()
    [1.0, 0.0]

    References:
        Arevalo et al., Gated Multimodal Units for Information Fusion, 2017; here with one weight
        per group instead of one per unit, so that it can be read.
    """

    learns_missing = False

    def __init__(
        self,
        hidden_dim: int = 64,
        *,
        activation: str = "softmax",
        dropout: float = 0.1,
        modality_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(modality_dropout=modality_dropout, seed=seed, **kwargs)
        check_positive(hidden_dim=hidden_dim)
        check_choice("activation", activation, ACTIVATIONS)
        check_fraction(dropout=dropout)
        self.hidden_dim = hidden_dim
        self.activation = activation
        self.dropout = dropout

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        super().build(inputs_shape, presence_shape)
        policy, widths = self.dtype_policy, [inputs_shape[group][-1] for group in self.groups]
        self.hidden = []
        for group, width in zip(self.groups, widths, strict=True):
            name = f"hidden_{group}"
            dense = keras.layers.Dense(self.hidden_dim, activation="tanh", name=name, dtype=policy)
            self.hidden.append(built(dense, (None, width)))
        score = keras.layers.Dense(len(widths), name="score", dtype=policy)
        self.score = built(score, (None, sum(widths)))
        self.drop = keras.layers.Dropout(self.dropout, name="dropout", dtype=policy)

    def fuse(self, inputs: Tensors, keep: Tensors, mask: Tensors, training: bool | None) -> Tensor:
        vectors = self.fill(inputs, keep)
        gates = self._weigh(vectors, self.keep_matrix(inputs, keep))
        each = [dense(v) for dense, v in zip(self.hidden, vectors, strict=True)]
        fused = ops.sum(ops.stack(each, axis=1) * ops.expand_dims(gates, -1), axis=1)
        return self.drop(fused, training=training)

    def _weigh(self, vectors: list[Tensor], there: Tensor) -> Tensor:
        scores = self.score(ops.concatenate(vectors, axis=-1))
        if self.activation == "sigmoid":
            gates = ops.sigmoid(scores)
        else:
            # -1e4 and not -infinity: finite where no group is there, in ONNX and in float16
            gates = ops.softmax(ops.where(there, scores, ops.full_like(scores, -1e4)))
        return ops.where(there, gates, 0)

    def gates(self, inputs: Tensors, presence: Tensors | None = None) -> Tensor:
        """Return the weight of each group in each row, `(B, G)`, in the order of `groups`.

        Args:
            inputs: As in a call.
            presence: As in a call.

        Raises:
            ValueError: The layer has not been called yet, so its groups are not known.
        """
        if not self.built:
            raise ValueError("`gates` must follow a call of the fusion. Received: built=False")
        self.check_inputs(inputs, presence)
        cast = {group: ops.cast(tensor, self.compute_dtype) for group, tensor in inputs.items()}
        keep = {group: ops.cast(tensor, "bool") for group, tensor in (presence or {}).items()}
        return self._weigh(self.fill(cast, keep), self.keep_matrix(cast, keep))

    def output_dim(self) -> int:
        return self.hidden_dim
