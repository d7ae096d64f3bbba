"""Target transforms and probabilities of grades, against plain NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads.labels import TRANSFORMS, decode, encode, ordinal_probabilities

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
