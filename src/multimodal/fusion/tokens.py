"""Base of the fusions by attention: the tokens of all groups as one masked sequence."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.fusion.base import Fusion, Tensors
from multimodal.layers.base import Tensor, built, check_fraction, check_heads, check_positive
from multimodal.layers.transformer import layer_norm


class TokenFusion(Fusion):
    """Base: the tokens of all groups, as one sequence `(B, T, D)` with its mask, to a vector.

    Each group is projected to D features; the bias of its projection is its group embedding. A
    vector `(B, D_g)` is one token. An absent group is one token, learned, whatever its inputs hold;
    a masked token is never read. A subclass calls `super().build` and implements `read`.

    Args:
        hidden_dim: Size D of a token and of the result, 64 by default; a multiple of `num_heads`.
        num_heads: Number of attention heads, 4 by default.
        num_layers: Number of layers, 2 by default.
        mlp_dim: Size of the hidden layer in each layer's MLP, 128 by default.
        dropout: Fraction of the features dropped in each layer, in training; 0.1 by default.
        modality_dropout: Probability that a group is dropped from a row in training, 0 by default;
            at least one group of a row always stays. The model then leans less on its strongest
            group, and predicts better where a group is absent.
        seed: Seed of the modality dropout; None, the default, draws one.
    """

    takes_tokens = True

    def __init__(
        self,
        hidden_dim: int = 64,
        num_heads: int = 4,
        *,
        num_layers: int = 2,
        mlp_dim: int = 128,
        dropout: float = 0.1,
        modality_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(modality_dropout=modality_dropout, seed=seed, **kwargs)
        check_positive(
            hidden_dim=hidden_dim, num_heads=num_heads, num_layers=num_layers, mlp_dim=mlp_dim
        )
        check_heads(hidden_dim, num_heads)
        check_fraction(dropout=dropout)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.num_layers = num_layers
        self.mlp_dim = mlp_dim
        self.dropout = dropout

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        super().build(inputs_shape, presence_shape)
        self.projections = []
        for group in self.groups:
            name = f"projection_{group}"
            dense = keras.layers.Dense(self.hidden_dim, name=name, dtype=self.dtype_policy)
            self.projections.append(built(dense, (None, None, inputs_shape[group][-1])))
        self.norm = self._norm("norm")

    def _norm(self, name: str) -> Any:
        return layer_norm(name, (None, None, self.hidden_dim), self.dtype_policy)

    def fuse(self, inputs: Tensors, keep: Tensors, mask: Tensors, training: bool | None) -> Tensor:
        masks = [
            _token_mask(inputs[group], keep.get(group), mask.get(group)) for group in self.groups
        ]
        # Zeros where nothing is kept: a NaN there would reach the others through the attention.
        filled = [
            ops.where(ops.expand_dims(kept, -1), _as_tokens(tensor), 0)
            for tensor, kept in zip(self.fill(inputs, keep), masks, strict=True)
        ]
        each = [dense(tokens) for dense, tokens in zip(self.projections, filled, strict=True)]
        return self.read(ops.concatenate(each, axis=1), ops.concatenate(masks, axis=1), training)

    def read(self, tokens: Tensor, mask: Tensor, training: bool | None) -> Tensor:
        """Return the vector `(B, D)` of the tokens `(B, T, D)` that `mask` `(B, T)` keeps."""
        raise NotImplementedError

    def output_dim(self) -> int:
        return self.hidden_dim


def _as_tokens(tensor: Tensor) -> Tensor:
    return tensor if len(tensor.shape) == 3 else ops.expand_dims(tensor, 1)


def _token_mask(tensor: Tensor, keep: Tensor | None, mask: Tensor | None) -> Tensor:
    """Return bool `(B, T_g)`: the given mask, and the first token alone where a group is absent."""
    shape = ops.shape(_as_tokens(tensor))[:2]
    if mask is None:
        mask = ops.ones(shape, dtype="bool")
    if keep is None:
        return mask
    first = ops.expand_dims(ops.arange(shape[1], dtype="int32") == 0, 0)
    return ops.where(ops.expand_dims(keep, -1), mask, first)
