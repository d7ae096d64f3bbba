"""Base of the fusions that read the tokens of all groups."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.fusion.base import Fusion, Tensors
from multimodal.layers.base import Tensor, check_fraction, check_positive


class TokenFusion(Fusion):
    """Base: the tokens of all groups, as one sequence `(B, T, D)` with its mask, to a vector.

    Each group is projected to D features; the bias of its projection is its group embedding. A
    vector `(B, D_g)` counts as one token. An absent group is one token, learned, whatever its
    inputs hold; a masked token counts for nothing. A subclass calls `super().build` and implements
    `read`.

    Args:
        hidden_dim: D, a multiple of `num_heads`.
        num_heads: Number of attention heads.
        num_layers: Number of layers.
        mlp_dim: Size of the hidden layer in each layer's MLP.
        dropout: Dropout in each layer.
        modality_dropout: Chance that a group is withheld from a row in training; at least one
            group of a row always stays.
        seed: Seed of the modality dropout.
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
        for name, value in (
            ("hidden_dim", hidden_dim),
            ("num_heads", num_heads),
            ("num_layers", num_layers),
            ("mlp_dim", mlp_dim),
        ):
            check_positive(name, value)
        if hidden_dim % num_heads:
            raise ValueError(
                "`hidden_dim` must be a multiple of `num_heads`. "
                f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}"
            )
        check_fraction("dropout", dropout)
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
            dense.build((None, None, inputs_shape[group][-1]))
            self.projections.append(dense)
        self.norm = self._norm("norm")

    def _norm(self, name: str) -> keras.layers.Layer:
        norm = keras.layers.LayerNormalization(epsilon=1e-6, name=name, dtype=self.dtype_policy)
        norm.build((None, None, self.hidden_dim))
        return norm

    def fuse(self, inputs: Tensors, keep: Tensors, mask: Tensors, training: bool | None) -> Tensor:
        masks = [
            _token_mask(inputs[group], keep.get(group), mask.get(group)) for group in self.groups
        ]
        filled = [
            ops.where(ops.expand_dims(counts, -1), _as_tokens(tensor), 0)
            for tensor, counts in zip(self.fill(inputs, keep), masks, strict=True)
        ]
        each = [dense(tokens) for dense, tokens in zip(self.projections, filled, strict=True)]
        tokens, counts = ops.concatenate(each, axis=1), ops.concatenate(masks, axis=1)
        return self.read(tokens, counts, training)

    def read(self, tokens: Tensor, mask: Tensor, training: bool | None) -> Tensor:
        """Return the vector `(B, D)` of tokens `(B, T, D)`, of which `mask` `(B, T)` counts."""
        raise NotImplementedError

    def output_dim(self) -> int:
        return self.hidden_dim

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "num_layers": self.num_layers,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
        }


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
