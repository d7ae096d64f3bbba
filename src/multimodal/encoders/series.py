"""Encoders of time series: recurrent and causal convolutional networks over a window of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.layers.base import (
    Encoder,
    Shape,
    Tensor,
    built,
    check_choice,
    check_dtype,
    check_fraction,
    check_positive,
    check_rank,
    check_sizes,
)
from multimodal.layers.registry import register

CELLS = ("gru", "lstm")
WINDOW = "(batch, steps, channels)"


class SeriesEncoder(Encoder):
    """Base: windows float32 `(B, T, C)`, NaN where a number is missing, to tokens `(B, T, D)`.

    A missing number is a zero beside a flag that says so, so that no step is left out and no mask
    comes out. The numbers keep the precision of the weights until the first layer: rounding
    them under a mixed policy would lose small changes of large numbers.
    """

    def __init__(self, *, pooling: str | None = None, **kwargs: Any) -> None:
        super().__init__(pooling=pooling, **{"autocast": False, **kwargs})

    def check_inputs(self, inputs: Tensor) -> None:
        check_rank("inputs", tuple(getattr(inputs, "shape", ())), WINDOW)
        check_dtype("inputs", inputs, ("float",))

    def build(self, input_shape: Shape) -> None:
        check_rank("inputs", tuple(input_shape), WINDOW)
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                "`inputs` must have a fixed number of channels. Received: "
                f"shape={tuple(input_shape)}"
            )
        self.width = 2 * channels
        super().build(input_shape)

    def flagged(self, inputs: Tensor) -> Tensor:
        """Return `(B, T, 2 * C)`: the numbers with zeros for missing ones, then the flags."""
        numbers = ops.cast(inputs, self.variable_dtype)
        missing = ops.isnan(numbers)
        known = ops.where(missing, 0, numbers)
        # The flag tells a missing number from one that is 0, the median of its channel.
        return ops.concatenate([known, ops.cast(missing, self.variable_dtype)], axis=-1)


@register("series_encoder", "recurrent")
class RecurrentSeriesEncoder(SeriesEncoder):
    """A window through GRU or LSTM layers: tokens `(B, T, D)`, D = `hidden_dim`.

    The layers read forwards only: token t knows the steps up to t, the last token all of them. The
    arithmetic is float32 under a mixed policy; only the result is in the compute dtype.

    Args:
        hidden_dim: Units of each layer, D, 32 by default: what a layer can keep in mind of the
            steps so far.
        num_layers: Number of stacked layers, 1 by default.
        cell: `gru` (the default), or `lstm`, with a third more weights.
        dropout: Fraction of the features dropped between the layers, each for all steps, in
            training; 0 by default, and without effect on a single layer.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Float `(B, T, C)`, NaN where missing, each channel about centred and scaled.

    Example:
    >>> import numpy as np
    >>> encoder = RecurrentSeriesEncoder(8)
    >>> tuple(encoder(np.zeros((2, 12, 1), "float32")).shape)
    (2, 12, 8)

    References:
        Hewamalage et al., Recurrent Neural Networks for Time Series Forecasting, 2021.
    """

    def __init__(
        self,
        hidden_dim: int = 32,
        num_layers: int = 1,
        *,
        cell: str = "gru",
        dropout: float = 0.0,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **kwargs)
        check_positive(hidden_dim=hidden_dim, num_layers=num_layers)
        check_choice("cell", cell, CELLS)
        check_fraction(dropout=dropout)
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.cell = cell
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        cls = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[self.cell]
        self.drop = keras.layers.SpatialDropout1D(
            self.dropout, name="dropout", dtype=self.variable_dtype
        )
        self.recurrent = []
        shape: Shape = (*input_shape[:2], self.width)
        for i in range(self.num_layers):
            options = {"name": f"{self.cell}_{i}", "dtype": self.variable_dtype}
            # forwards only: a step must not know what comes after it
            layer = cls(self.hidden_dim, return_sequences=True, **options)
            self.recurrent.append(built(layer, shape))
            shape = self.token_shape(shape)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        steps = self.flagged(inputs)
        for i, layer in enumerate(self.recurrent):
            if i:
                steps = self.drop(steps, training=training)
            steps = layer(steps, training=training)
        # float16 would make infinities of large values, not its largest number
        return ops.saturate_cast(steps, self.compute_dtype)

    def token_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], self.hidden_dim)


@register("series_encoder", "convolutional")
class ConvolutionalSeriesEncoder(SeriesEncoder):
    """A window through causal dilated convolutions with residuals: tokens `(B, T, D)`.

    Token t sees the steps up to t and none after it. Each layer adds its convolution to what comes
    in; with dilations 1, 2, 4, … the layers together see
    `1 + (kernel_size - 1) * sum(dilations)` steps back. The first layer's arithmetic is float32
    under a mixed policy.

    Args:
        filters: Features of each layer, D, 32 by default.
        dilations: Distance between the steps that a kernel sees, one entry per layer; (1, 2, 4, 8)
            by default. Doubling it from layer to layer makes the view grow fastest without gaps.
        kernel_size: Number of steps that a kernel sees, 3 by default.
        dropout: Fraction of the features dropped after each layer, each for all steps, in training;
            0 by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Float `(B, T, C)`, NaN where missing, each channel about centred and scaled.

    Example:
    >>> import numpy as np
    >>> encoder = ConvolutionalSeriesEncoder(8, pooling="mean")
    >>> tuple(encoder(np.zeros((2, 12, 1), "float32")).shape)
    (2, 8)

    References:
        van den Oord et al., WaveNet: A Generative Model for Raw Audio, 2016; Bai et al., An
        Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling,
        2018.
    """

    gains_from_bfloat16 = True

    def __init__(
        self,
        filters: int = 32,
        dilations: Sequence[int] = (1, 2, 4, 8),
        *,
        kernel_size: int = 3,
        dropout: float = 0.0,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **kwargs)
        check_positive(filters=filters, kernel_size=kernel_size)
        check_sizes(dilations=dilations)
        check_fraction(dropout=dropout)
        self.filters = filters
        self.dilations = dilations
        self.kernel_size = kernel_size
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        dense = keras.layers.Dense(self.filters, name="projection", dtype=self.variable_dtype)
        self.projection = built(dense, (*input_shape[:2], self.width))
        self.drop = keras.layers.SpatialDropout1D(
            self.dropout, name="dropout", dtype=self.dtype_policy
        )
        self.convolutions = []
        for i, dilation in enumerate(self.dilations):
            layer = keras.layers.Conv1D(
                self.filters,
                self.kernel_size,
                dilation_rate=dilation,
                padding="causal",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"convolution_{i}",
                dtype=self.dtype_policy,
            )
            self.convolutions.append(built(layer, self.token_shape(input_shape)))

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        steps = ops.saturate_cast(self.projection(self.flagged(inputs)), self.compute_dtype)
        for layer in self.convolutions:
            steps = steps + self.drop(layer(steps), training=training)
        return steps

    def token_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], self.filters)
