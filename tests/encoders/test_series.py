"""The encoders of series against plain NumPy, their causality, and their error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.encoders import ConvolutionalSeriesEncoder, RecurrentSeriesEncoder

WINDOW = np.random.default_rng(0).normal(size=(2, 6, 2)).astype("float32")
ENCODERS = (RecurrentSeriesEncoder, ConvolutionalSeriesEncoder)


def values(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def causal(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, dilation: int) -> np.ndarray:
    """Sum over the kernel's taps of the step so many dilations back, zeros before the start."""
    size, steps = len(kernel), x.shape[1]
    early = np.zeros((len(x), (size - 1) * dilation, x.shape[2]))
    padded = np.concatenate([early, x], axis=1)
    taps = [padded[:, i * dilation : i * dilation + steps] @ kernel[i] for i in range(size)]
    return sum(taps) + bias


def test_convolutions_agree_with_numpy() -> None:
    encoder = ConvolutionalSeriesEncoder(3, [1, 2], kernel_size=2)
    series = WINDOW.copy()
    series[0, 2, 1] = np.nan
    found = values(encoder(series))
    project, start, *convolutions = [values(weight) for weight in encoder.weights]
    missing = np.isnan(series)
    x = np.concatenate([np.where(missing, 0, series), missing], axis=2) @ project + start
    for kernel, bias, dilation in zip(convolutions[::2], convolutions[1::2], [1, 2], strict=True):
        x = x + np.maximum(causal(x, kernel, bias, dilation), 0)
    np.testing.assert_allclose(found, x, atol=1e-5)


@pytest.mark.parametrize("cls", ENCODERS)
def test_a_later_step_does_not_change_an_earlier_token(cls: Any) -> None:
    encoder = cls(4)
    changed = WINDOW.copy()
    changed[:, 4:] += 1
    before, after = values(encoder(WINDOW)), values(encoder(changed))
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-6)
    assert np.abs(after[:, 4:] - before[:, 4:]).max() > 1e-3


@pytest.mark.parametrize("cls", ENCODERS)
def test_a_missing_number_is_not_a_zero(cls: Any) -> None:
    encoder = cls(4, pooling="mean")
    zero, missing = WINDOW.copy(), WINDOW.copy()
    zero[:, 3, 0], missing[:, 3, 0] = 0, np.nan
    assert np.abs(values(encoder(zero)) - values(encoder(missing))).max() > 1e-4


def test_lstm_and_stacked_layers_have_their_weights() -> None:
    encoder = RecurrentSeriesEncoder(4, 2, cell="lstm", dropout=0.5)
    assert tuple(encoder(WINDOW).shape) == (2, 6, 4)
    shapes = [tuple(weight.shape) for weight in encoder.weights]
    assert shapes == [(4, 16), (4, 16), (16,), (4, 16), (4, 16), (16,)]
    once, again = (values(encoder(WINDOW, training=True)) for _ in range(2))
    assert not np.array_equal(once, again)


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (RecurrentSeriesEncoder, {"hidden_dim": 0}, "`hidden_dim` must be an integer of at least"),
        (RecurrentSeriesEncoder, {"num_layers": 0}, "`num_layers` must be an integer of at least"),
        (RecurrentSeriesEncoder, {"cell": "rnn"}, "`cell` must be one of ['gru', 'lstm']."),
        (RecurrentSeriesEncoder, {"dropout": 1}, "`dropout` must be in [0, 1). Received"),
        (ConvolutionalSeriesEncoder, {"filters": -1}, "`filters` must be an integer of at least 1"),
        (ConvolutionalSeriesEncoder, {"dilations": []}, "`dilations` must be a list of integers"),
        (ConvolutionalSeriesEncoder, {"kernel_size": 0}, "`kernel_size` must be an integer of at"),
        (ConvolutionalSeriesEncoder, {"dropout": 2}, "`dropout` must be in [0, 1). Received"),
    ],
)
def test_refuses_arguments(cls: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        cls(**arguments)


@pytest.mark.parametrize("cls", ENCODERS)
def test_refuses_inputs_in_one_line(cls: Any) -> None:
    rank = r"^`inputs` must have shape \(batch, steps, channels\)\. Received: shape=\(2, 6\)$"
    with pytest.raises(ValueError, match=rank):
        cls()(WINDOW[:, :, 0])
    with pytest.raises(TypeError, match=r"^`inputs` must be float\. Received: dtype='int32'$"):
        cls()(WINDOW.astype("int32"))
    with pytest.raises(ValueError, match=r"^`inputs` must have a fixed number of channels"):
        cls().build((None, 6, None))
