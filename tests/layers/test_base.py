"""Argument checks, and what a new encoder has to write and gets for nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.spec import FittedGroup, FittedHead
from multimodal.layers import pooling
from multimodal.layers.base import (
    Encoder,
    HeadLayer,
    check_choice,
    check_fraction,
    check_positive,
    check_sizes,
)

MODULES = (pooling,)  # importing it registers the poolings


class RepeatEncoder(Encoder):
    """The smallest encoder: every number twice, one token a number; below zero is padding."""

    def token_shape(self, input_shape: Any) -> Any:
        return (*input_shape, 2)

    def encode(self, inputs: Any, mask: Any, training: bool | None) -> Any:
        return keras.ops.stack([inputs, inputs], axis=-1)

    def token_mask(self, inputs: Any, mask: Any) -> Any:
        return inputs >= 0


NUMBERS = np.array([[1.0, 3.0, -1.0]], "float32")


def test_tokens_come_with_their_mask() -> None:
    encoder = RepeatEncoder()
    tokens = encoder(NUMBERS)
    assert tokens.shape == encoder.compute_output_shape((1, 3)) == (1, 3, 2)
    np.testing.assert_array_equal(np.array(tokens._keras_mask), NUMBERS >= 0)


@pytest.mark.parametrize(("pooling", "expected"), [("mean", 2.0), ("max", 3.0)])
def test_pooling_respects_the_mask_and_drops_it(pooling: str, expected: float) -> None:
    encoder = RepeatEncoder(pooling=pooling)
    vector = encoder(NUMBERS)
    np.testing.assert_array_equal(np.array(vector), [[expected, expected]])
    assert encoder.compute_output_shape((1, 3)) == (1, 2)
    assert getattr(vector, "_keras_mask", None) is None
    assert encoder.get_config()["pooling"] == pooling


def test_pooling_follows_the_dtype_of_the_encoder() -> None:
    encoder = RepeatEncoder(pooling="mean", dtype="mixed_bfloat16")
    assert encoder._pool is not None and encoder._pool.compute_dtype == "bfloat16"


def test_nothing_is_decided_by_the_data_unless_a_part_says_so() -> None:
    assert Encoder.from_group(FittedGroup(name="g", modality="text", columns=["t"])) == {}
    assert HeadLayer.from_head(FittedHead(name="h", columns=["h"])) == {}
    assert Encoder.gains_from_bfloat16 is False


@pytest.mark.parametrize(
    "call",
    [
        lambda: Encoder()(NUMBERS),
        lambda: Encoder().compute_output_shape((1, 3)),
        lambda: HeadLayer().make_loss(),
        lambda: HeadLayer().make_metrics(),
        lambda: HeadLayer().decode(NUMBERS),
    ],
)
def test_what_a_part_must_write(call: Callable[[], Any]) -> None:
    with pytest.raises(NotImplementedError):
        call()


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.25)])
def test_fractions(value: float) -> None:
    check_fraction(rate=value)


@pytest.mark.parametrize("value", [1, -0.1, float("nan"), "0.5", None])
def test_no_fractions(value: Any) -> None:
    message = f"`rate` must be in [0, 1). Received: rate={value!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_fraction(rate=value)


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", True, None, [1]])
def test_no_positive_integers(value: Any) -> None:
    check_positive(size=1)
    message = f"`size` must be an integer of at least 1. Received: size={value!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_positive(size=value)


@pytest.mark.parametrize("values", [[], (), 3, "12", [1, 0], [1.5], None, [True]])
def test_no_sizes(values: Any) -> None:
    check_sizes(sizes=[1, 2])
    check_sizes(sizes=(3,))
    message = f"`sizes` must be a list of integers of at least 1. Received: sizes={values!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_sizes(sizes=values)


def test_the_first_argument_that_is_wrong_is_named() -> None:
    with pytest.raises(ValueError, match=r"^`second` must be an integer"):
        check_positive(first=1, second=0, third=-1)


class WideEncoder(RepeatEncoder):
    """Adds an argument, and writes no `get_config`."""

    def __init__(self, widths: Any, *, pooling: str | None = None, **kwargs: Any) -> None:
        super().__init__(pooling=pooling, **kwargs)
        self.widths = widths


def test_a_config_holds_the_arguments_of_class_and_base() -> None:
    encoder = WideEncoder([[1, 2], (3,)], pooling="mean", name="wide", trainable=False)
    config = encoder.get_config()
    assert (config["widths"], config["pooling"], config["name"]) == ([[1, 2], (3,)], "mean", "wide")
    assert config["trainable"] is False and "kwargs" not in config
    again = WideEncoder.from_config(config)
    assert again.get_config() == config


def test_a_config_is_a_copy() -> None:
    encoder = WideEncoder([[1, 2]])
    config = encoder.get_config()
    config["widths"][0].append(3)
    assert encoder.widths == [[1, 2]]
    assert type(config["widths"]) is list and type(config["widths"][0]) is list


def test_choice() -> None:
    check_choice("cell", "gru", ("gru", "lstm"))
    message = "`cell` must be one of ['gru', 'lstm']. Received: cell='rnn'"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_choice("cell", "rnn", ("gru", "lstm"))
