"""Multilayer perceptrons, alone or as a parameter-efficient ensemble (BatchEnsemble, TabM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import (
    Composite,
    Shape,
    Tensor,
    built,
    check_flag,
    check_fraction,
    check_positive,
    check_sizes,
)
from multimodal.layers.registry import register


@register("layer", "ensemble_dense")
class EnsembleDense(Composite):
    """A dense layer with one kernel for `num_members` members: `(B, k or 1, I)` to `(B, k, O)`.

    Member m computes `activation(((x * r_m) W) * s_m + b_m)`: a kernel W that all share, and
    scales r, s and a bias of its own, so that k members cost little more memory than one.

    Args:
        units: Size O of each member's output.
        num_members: Number of members k. An input `(B, 1, I)` is shown to all of them, an input
            `(B, k, I)` has a row of features for each.
        activation: Name of a Keras activation; None, the default, is linear.
        random_signs: Whether r starts as random signs, for the first layer of an ensemble, whose
            members all see the same input and would learn the same from ones. Later layers start
            from ones (False, the default): their inputs differ already.

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
        check_positive(units=units, num_members=num_members)
        check_flag(random_signs=random_signs)
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
        scale_in = random_signs if self.random_signs else "ones"
        self.kernel = self._weight("kernel", (size, self.units), "he_normal")
        self.scale_in = self._weight("scale_in", (members, size), scale_in)
        self.scale_out = self._weight("scale_out", (members, self.units), "ones")
        self.bias = self._weight("bias", (members, self.units), "zeros")

    def _weight(self, name: str, shape: Shape, initializer: Any) -> Any:
        return self.add_weight(shape=shape, initializer=initializer, name=name)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activate(
            ops.matmul(inputs * self.scale_in, self.kernel) * self.scale_out + self.bias
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.num_members, self.units)


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
class MLP(Composite):
    """Dense layers with ReLU, each followed by dropout: the last axis I to O.

    With `num_members` above 1 they are an ensemble in the manner of TabM, whose members share the
    kernels and differ in scales and biases of their own: `(B, I)` to `(B, num_members, O)`.

    Args:
        hidden_dims: Output size of each layer; the last is O. More or wider layers fit more and
            overfit small tables sooner.
        dropout: Fraction of the features dropped after each layer, in training; 0 by default.
        num_members: Number of ensemble members; 1, the default, is a plain MLP. More members
            predict more steadily, at about their number times the arithmetic.

    Example:
    >>> import numpy as np
    >>> tuple(MLP([8, 4], num_members=3)(np.ones((2, 5), "float32")).shape)
    (2, 3, 4)
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
        check_sizes(hidden_dims=hidden_dims)
        check_fraction(dropout=dropout)
        check_positive(num_members=num_members)
        self.hidden_dims = hidden_dims
        self.dropout = dropout
        self.num_members = num_members

    def build(self, input_shape: Shape) -> None:
        self.layers, self.drops = [], []
        members, policy = self.num_members, self.dtype_policy
        if members > 1:
            input_shape = (input_shape[0], 1, input_shape[-1])
        for i, dim in enumerate(self.hidden_dims):
            options = {"activation": "relu", "random_signs": i == 0}
            layer = dense(dim, members, **options, name=f"dense_{i}", dtype=policy)
            self.layers.append(built(layer, input_shape))
            input_shape = layer.compute_output_shape(input_shape)
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


@register("layer", "dense_block")
class DenseBlock(Composite):
    """A residual block of two dense layers: `x + W2 relu(W1 norm(x))`, with dropout after each.

    The hidden layer is twice as wide as the input.

    Args:
        num_members: Number of ensemble members. Above 1, each dense layer is an `EnsembleDense`,
            and the input is `(B, k, D)`; 1, the default, takes `(B, D)`.
        dropout: Fraction of the features dropped after each dense layer, in training; 0 by default.

    Example:
    >>> import numpy as np
    >>> tuple(DenseBlock()(np.ones((2, 3), "float32")).shape)
    (2, 3)

    References:
        Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, 2021.
    """

    def __init__(self, num_members: int = 1, *, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive(num_members=num_members)
        check_fraction(dropout=dropout)
        self.num_members = num_members
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        dim, members, policy = input_shape[-1], self.num_members, self.dtype_policy
        if len(input_shape) != (2 if members == 1 else 3) or dim is None:
            axes = "(batch, features)" if members == 1 else "(batch, members, features)"
            raise ValueError(
                f"`inputs` must have shape {axes}. Received: input_shape={input_shape}"
            )
        # the paper normalises over the batch; over the features, a row's output depends on no other
        self.norm = built(keras.layers.LayerNormalization(name="norm", dtype=policy), input_shape)
        expand = dense(2 * dim, members, activation="relu", name="expand", dtype=policy)
        self.expand = built(expand, input_shape)
        contract = dense(dim, members, name="contract", dtype=policy)
        self.contract = built(contract, (*input_shape[:-1], 2 * dim))
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
