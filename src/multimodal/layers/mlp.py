"""Multilayer perceptrons, alone or as a parameter-efficient ensemble (BatchEnsemble, TabM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import (
    Shape,
    Tensor,
    check_flag,
    check_fraction,
    check_positive,
    check_sizes,
)
from multimodal.layers.registry import register


@register("layer", "ensemble_dense")
class EnsembleDense(keras.layers.Layer):
    """A dense layer with one kernel for `num_members` members: `(B, k or 1, I)` to `(B, k, O)`.

    Member m computes `activation(((x * r_m) W) * s_m + b_m)`: a kernel W that all share, and
    scales r, s and a bias of its own, so that k members cost little more memory than one.

    Args:
        units: Size O of the output.
        num_members: Number of members k.
        activation: Name of a Keras activation, or None.
        random_signs: Whether r starts as random signs, so that members differ from the start,
            instead of ones. For the first layer of an ensemble.

    Example:
    >>> import numpy as np
    >>> tuple(EnsembleDense(5, 4)(np.ones((2, 1, 3), "float32")).shape)
    (2, 4, 5)

    References:
        Wen et al., BatchEnsemble, 2020; Gorishniy et al., TabM, 2024.
    """

    def __init__(
        self,
        units: int,
        num_members: int,
        *,
        activation: str | None = None,
        random_signs: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_positive("units", units)
        check_positive("num_members", num_members)
        check_flag("random_signs", random_signs)
        self.units = units
        self.num_members = num_members
        self.activation = activation
        self.random_signs = random_signs
        self.activate = keras.activations.get(activation)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 3 or input_shape[1] not in (1, self.num_members):
            raise ValueError(
                f"`inputs` must have shape (batch, 1 or {self.num_members}, features). "
                f"Received: input_shape={input_shape}"
            )
        size, members = input_shape[-1], self.num_members
        first = random_signs if self.random_signs else "ones"
        self.kernel = self.add_weight(
            shape=(size, self.units), initializer="he_normal", name="kernel"
        )
        self.scale_in = self.add_weight(shape=(members, size), initializer=first, name="scale_in")
        self.scale_out = self.add_weight(
            shape=(members, self.units), initializer="ones", name="scale_out"
        )
        self.bias = self.add_weight(shape=(members, self.units), initializer="zeros", name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        return self.activate(
            ops.matmul(inputs * self.scale_in, self.kernel) * self.scale_out + self.bias
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.num_members, self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_members": self.num_members,
            "activation": self.activation,
            "random_signs": self.random_signs,
        }


def random_signs(shape: Shape, dtype: str | None = None) -> Tensor:
    """Return -1 and 1 at random, as an initializer does."""
    return ops.sign(keras.initializers.RandomUniform(-1.0, 1.0)(shape, dtype))


def dense(units: int, num_members: int, *, name: str, dtype: Any, **options: Any) -> Any:
    """Return a dense layer for one member, or for an ensemble of several."""
    if num_members > 1:
        return EnsembleDense(units, num_members, name=name, dtype=dtype, **options)
    options.pop("random_signs", None)
    return keras.layers.Dense(
        units, kernel_initializer="he_normal", name=name, dtype=dtype, **options
    )


@register("layer", "mlp")
class MLP(keras.layers.Layer):
    """Dense layers with ReLU, each followed by dropout: the last axis I to O.

    With `num_members` above 1 they are an ensemble in the manner of TabM, whose members share the
    kernels and differ in scales and biases of their own: `(B, I)` to `(B, num_members, O)`.

    Args:
        hidden_dims: Output size of each layer; the last is O.
        dropout: Share of the features dropped after each layer, in training.
        num_members: Number of ensemble members.
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        *,
        dropout: float = 0.0,
        num_members: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_sizes("hidden_dims", hidden_dims)
        check_fraction("dropout", dropout)
        check_positive("num_members", num_members)
        self.hidden_dims = hidden_dims
        self.dropout = dropout
        self.num_members = num_members

    def build(self, input_shape: Shape) -> None:
        self.layers, self.drops = [], []
        members, policy = self.num_members, self.dtype_policy
        if members > 1:
            input_shape = (input_shape[0], 1, input_shape[-1])
        for i, dim in enumerate(self.hidden_dims):
            layer = dense(
                dim,
                members,
                activation="relu",
                random_signs=i == 0,
                name=f"dense_{i}",
                dtype=policy,
            )
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
            self.layers.append(layer)
            if self.dropout:
                drop = keras.layers.Dropout(self.dropout, name=f"dropout_{i}", dtype=policy)
                self.drops.append(drop)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if self.num_members > 1:
            inputs = ops.expand_dims(inputs, 1)
        for i, layer in enumerate(self.layers):
            inputs = layer(inputs)
            if self.drops:
                inputs = self.drops[i](inputs, training=training)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        members = () if self.num_members == 1 else (self.num_members,)
        return (*input_shape[:-1], *members, self.hidden_dims[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dims": self.hidden_dims,
            "dropout": self.dropout,
            "num_members": self.num_members,
        }


@register("layer", "dense_block")
class DenseBlock(keras.layers.Layer):
    """A residual block of two dense layers: `x + W2 relu(W1 norm(x))`, with dropout after each.

    The normalization is over the features of one row, so that a row's output depends on no other
    row. The hidden layer is twice as wide as the input.

    Args:
        num_members: More than 1 makes each dense layer an `EnsembleDense`; the input is then
            `(B, k, D)`.
        dropout: Dropout after each dense layer.

    Example:
    >>> import numpy as np
    >>> tuple(DenseBlock()(np.ones((2, 3), "float32")).shape)
    (2, 3)

    References:
        Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, 2021.
    """

    def __init__(self, num_members: int = 1, *, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive("num_members", num_members)
        check_fraction("dropout", dropout)
        self.num_members = num_members
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        dim = input_shape[-1]
        if len(input_shape) != (2 if self.num_members == 1 else 3) or dim is None:
            axes = "(batch, features)" if self.num_members == 1 else "(batch, members, features)"
            raise ValueError(
                f"`inputs` must have shape {axes}. Received: input_shape={input_shape}"
            )
        policy = self.dtype_policy
        self.norm = keras.layers.LayerNormalization(name="norm", dtype=policy)
        self.norm.build(input_shape)
        members = self.num_members
        self.expand = dense(2 * dim, members, activation="relu", name="expand", dtype=policy)
        self.expand.build(input_shape)
        self.contract = dense(dim, members, name="contract", dtype=policy)
        self.contract.build((*input_shape[:-1], 2 * dim))
        self.drops = [
            keras.layers.Dropout(self.dropout, name=f"dropout_{i}", dtype=policy)
            for i in range(2 if self.dropout else 0)
        ]

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        hidden = self._drop(0, self.expand(self.norm(inputs)), training)
        return inputs + self._drop(1, self.contract(hidden), training)

    def _drop(self, which: int, hidden: Tensor, training: bool | None) -> Tensor:
        return self.drops[which](hidden, training=training) if self.drops else hidden

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_members": self.num_members,
            "dropout": self.dropout,
        }
