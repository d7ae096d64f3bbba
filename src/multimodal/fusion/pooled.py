"""Fusion by dense layers on one vector per group: concatenated (early), or each alone (late)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from multimodal.fusion.base import Fusion, Tensors
from multimodal.layers.base import Tensor, built, check_fraction, check_positive, check_sizes
from multimodal.layers.mlp import MLP
from multimodal.layers.pooling import MeanPooling
from multimodal.layers.registry import register


class _DenseFusion(Fusion):
    """Base: what the fusions with dense layers take."""

    def __init__(
        self,
        hidden_dims: Sequence[int] = (128, 64),
        *,
        dropout: float = 0.1,
        modality_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(modality_dropout=modality_dropout, seed=seed, **kwargs)
        check_sizes(hidden_dims=hidden_dims)
        check_fraction(dropout=dropout)
        self.hidden_dims = hidden_dims
        self.dropout = dropout

    def _mlp(self, name: str, width: int, num_members: int = 1) -> MLP:
        options = {"dropout": self.dropout, "num_members": num_members, "dtype": self.dtype_policy}
        mlp: MLP = built(MLP(self.hidden_dims, name=name, **options), (None, width))
        return mlp

    def output_dim(self) -> int:
        return self.hidden_dims[-1]


@register("fusion", "concat")
class ConcatFusion(_DenseFusion):
    """Join the groups' vectors and pass them through dense layers: `(B, D)`.

    An absent group contributes a learned vector instead of its own, whatever its inputs hold. A
    group without `presence` is never absent and gets no such vector, unless modality dropout drops
    groups in training.

    With `num_members` above 1 the layers are an ensemble in the manner of TabM: the members share
    the kernels and differ in scales and biases of their own, and their vectors are averaged.
    Followed by a linear head this is the mean of as many predictions.

    Args:
        hidden_dims: Sizes of the dense layers, (128, 64) by default; the last is D.
        num_members: Number of ensemble members, 1 by default. More members predict more steadily,
            at about their number times the arithmetic of the dense layers.
        dropout: Fraction of the features dropped after each dense layer, in training; 0.1 by
            default.
        modality_dropout: Probability that a group is dropped from a row in training, 0 by default;
            at least one group of a row always stays. The model then leans less on its strongest
            group, and predicts better where a group is absent.
        seed: Seed of the modality dropout; None, the default, draws one.

    Call arguments:
        inputs: Dict of group name -> vector `(B, D_g)`.
        presence: Dict of group name -> bool `(B,)`, for the groups that can be absent.

    Example:
    >>> import numpy as np
    >>> vectors = {"table": np.ones((2, 3), "float32"), "text": np.ones((2, 5), "float32")}
    >>> tuple(ConcatFusion([4])(vectors, presence={"text": np.array([True, False])}).shape)
    (2, 4)

    References:
        Neverova et al., ModDrop, 2014; Gorishniy et al., TabM, 2024.
    """

    def __init__(
        self,
        hidden_dims: Sequence[int] = (128, 64),
        *,
        num_members: int = 1,
        dropout: float = 0.1,
        modality_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            hidden_dims, dropout=dropout, modality_dropout=modality_dropout, seed=seed, **kwargs
        )
        check_positive(num_members=num_members)
        self.num_members = num_members

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        super().build(inputs_shape, presence_shape)
        width = sum(inputs_shape[group][-1] for group in self.groups)
        self.mlp = self._mlp("mlp", width, self.num_members)

    def fuse(self, inputs: Tensors, keep: Tensors, mask: Tensors, training: bool | None) -> Tensor:
        vectors = self.fill(inputs, keep)
        joined = ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]
        found = self.mlp(joined, training=training)
        return found if self.num_members == 1 else ops.mean(found, axis=1)


@register("fusion", "late")
class LateFusion(_DenseFusion):
    """Dense layers of its own for each group, and the mean of the groups that are there: `(B, D)`.

    Followed by a linear head this is the mean of one head per group: groups are judged one by one
    and cannot interact. An absent group is left out of the mean; where none is there, zeros come
    out.

    Args:
        hidden_dims: Sizes of each group's dense layers, (128, 64) by default; the last is D.
        dropout: Fraction of the features dropped after each dense layer, in training; 0.1 by
            default.
        modality_dropout: Probability that a group is dropped from a row in training, 0 by default;
            at least one group of a row always stays. The model then leans less on its strongest
            group, and predicts better where a group is absent.
        seed: Seed of the modality dropout; None, the default, draws one.

    Call arguments:
        inputs: Dict of group name -> vector `(B, D_g)`.
        presence: Dict of group name -> bool `(B,)`, for the groups that can be absent.

    Example:
    >>> import numpy as np
    >>> vectors = {"table": np.ones((2, 3), "float32"), "text": np.ones((2, 5), "float32")}
    >>> tuple(LateFusion([4])(vectors, presence={"text": np.array([True, False])}).shape)
    (2, 4)

    References:
        Snoek et al., Early versus Late Fusion in Semantic Video Analysis, 2005.
    """

    learns_missing = False

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        super().build(inputs_shape, presence_shape)
        self.mlps = [self._mlp(f"mlp_{group}", inputs_shape[group][-1]) for group in self.groups]
        self.mean = MeanPooling(name="mean", dtype=self.dtype_policy)

    def fuse(self, inputs: Tensors, keep: Tensors, mask: Tensors, training: bool | None) -> Tensor:
        vectors = self.fill(inputs, keep)
        each = [mlp(v, training=training) for mlp, v in zip(self.mlps, vectors, strict=True)]
        return self.mean(ops.stack(each, axis=1), mask=self.keep_matrix(inputs, keep))
