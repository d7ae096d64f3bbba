"""Targets before losses and metrics: missing labels, shapes, transforms, ordinal probabilities."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads.labels import (
    TRANSFORMS,
    class_ids,
    columns,
    decode,
    encode,
    flat,
    known,
    ordinal_probabilities,
    split_raw,
)


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("weights", [[2.0, 0.0, 0.5], [[2.0], [0.0], [0.5]]])
@pytest.mark.parametrize("missing", [0.0, -1.0])
def test_rows_of_weight_zero_are_replaced(weights: Any, missing: float) -> None:
    for shape in ((3,), (3, 1), (3, 2), (3, 2, 2)):
        targets = np.full(shape, 7.0, "float32")
        targets[1] = np.nan
        found = array(known(targets, np.array(weights, "float32"), missing))
        assert found.shape == shape
        assert (found[[0, 2]] == 7).all() and (found[1] == missing).all()


def test_without_weights_nothing_is_hidden() -> None:
    assert np.isnan(array(known(np.array([np.nan], "float32"), None))).all()


def test_class_ids_stay_whole_numbers() -> None:
    found = known(np.array([3, 99], "int32"), np.array([1.0, 0.0], "float32"), -1.0)
    np.testing.assert_array_equal(array(found), [3, -1])


def test_the_log_variance_is_the_last_column() -> None:
    raw = np.array([[1.0, 2.0, 3.0]], "float32")
    values, none = split_raw(raw, False)
    assert none is None and array(values).tolist() == [[1, 2, 3]]
    values, log_variance = split_raw(raw, True)
    assert array(values).tolist() == [[1, 2]] and array(log_variance).tolist() == [3]


def test_a_single_column_may_lack_its_axis() -> None:
    for shape in ((4,), (4, 1)):
        assert columns(np.ones(shape), 1).shape == (4, 1)
        assert class_ids(np.ones(shape)).shape == (4,)
    assert columns(np.ones((4, 3)), 3).shape == (4, 3)
    assert flat(np.ones((4, 3, 2)), 6).shape == (4, 6)


def test_what_is_no_class_becomes_minus_one() -> None:
    found = array(class_ids(np.array([2.0, np.nan, -5.0], "float32")))
    assert found.tolist() == [2, -1, -1] and found.dtype == "int32"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: columns(np.ones((4, 3)), 1),
            "targets must have shape (batch, 1). Received: shape=(4, 3)",
        ),
        (
            lambda: columns(np.ones(4), 2),
            "targets must have shape (batch, 2). Received: shape=(4,)",
        ),
        (
            lambda: columns(np.ones((4, 1, 1)), 1),
            "targets must have shape (batch, 1). Received: shape=(4, 1, 1)",
        ),
        (
            lambda: class_ids(np.ones((4, 3))),
            "targets must be class ids of shape (batch,). Received: shape=(4, 3); from one column "
            "for each class, take `argmax(axis=1)`",
        ),
        (
            lambda: flat(np.ones((4, 3, 2)), 5),
            "targets must hold 5 numbers in a row. Received: shape=(4, 3, 2)",
        ),
        (lambda: flat(np.ones(4), 1), "targets must hold 1 numbers in a row. Received: shape=(4,)"),
    ],
)
def test_refuses_other_shapes(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        call()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow has open axes")
def test_a_width_left_open_is_checked_when_it_runs() -> None:
    import tensorflow as tf

    for change in (lambda y: columns(y, 1), class_ids, lambda y: flat(y, 1)):
        graph = tf.function(change, input_signature=[tf.TensorSpec((None, None))])
        assert graph(tf.ones((4, 1))).shape[0] == 4
        with pytest.raises(tf.errors.InvalidArgumentError):
            graph(tf.ones((4, 3)))


PRICES = np.array([0.0, 1.0, 99.0, 25_000.0], "float32")


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("none", PRICES),
        ("standardise", (PRICES - 4) / 2),
        ("log1p", (np.log1p(PRICES) - 4) / 2),
    ],
)
def test_encode(transform: str, expected: np.ndarray) -> None:
    found = encode(PRICES, transform, mean=4.0, scale=2.0)
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_decode_undoes_encode(transform: str) -> None:
    raw = encode(PRICES, transform, mean=4.0, scale=2.0)
    found = decode(raw, transform, mean=4.0, scale=2.0, bounds=None)
    np.testing.assert_allclose(np.array(found), PRICES, rtol=1e-4, atol=1e-4)


def test_negative_targets_count_as_zero_under_log1p() -> None:
    np.testing.assert_array_equal(np.array(encode(np.array([-5.0]), "log1p", 0.0, 1.0)), [0.0])


@pytest.mark.parametrize(
    ("transform", "expected"),
    [("none", [-9, 9]), ("standardise", [-9, 9]), ("log1p", [np.expm1(1), np.expm1(2)])],
)
def test_bounds_apply_to_the_logarithm_alone(transform: str, expected: Any) -> None:
    raw = np.array([-9.0, 9.0], "float32")
    found = decode(raw, transform, mean=0.0, scale=1.0, bounds=(1.0, 2.0))
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-6)


def test_grade_probabilities_sum_to_one() -> None:
    raw = np.array([[2.0, 0.5, -1.0], [0.0, 0.0, 0.0]], "float32")
    found = keras.ops.convert_to_numpy(ordinal_probabilities(raw))
    above = 1 / (1 + np.exp(-raw))
    expected = [1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1] - above[:, 2], above[:, 2]]
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
