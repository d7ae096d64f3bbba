"""Cross-entropies against plain NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads.losses import (
    BinaryCrossentropy,
    MulticlassCrossentropy,
    MultilabelCrossentropy,
    OrdinalCrossentropy,
)

RANDOM = np.random.default_rng(0)
RAW = RANDOM.normal(0, 2, (5, 3)).astype("float32")
IDS = np.array([0, 2, 1, 1, 0], "int32")
WEIGHTS = np.array([1.0, 2.0, 0.0, 0.5, 1.0], "float32")


def number(tensor: Any) -> float:
    return float(keras.ops.convert_to_numpy(tensor))


def mean(rows: np.ndarray) -> float:
    return float((WEIGHTS * rows).sum() / WEIGHTS.sum())


def cross(y_true: np.ndarray, logits: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    return -(y_true * np.log(p) + (1 - y_true) * np.log(1 - p))


def test_binary() -> None:
    y_true = (IDS > 0).astype("int32")
    expected = mean(cross(y_true[:, None], RAW[:, :1])[:, 0])
    assert number(BinaryCrossentropy()(y_true, RAW[:, :1], WEIGHTS)) == pytest.approx(expected)
    found = number(BinaryCrossentropy()(y_true[:, None], RAW[:, :1], WEIGHTS))
    assert found == pytest.approx(expected)


def test_multilabel() -> None:
    y_true = RANDOM.integers(0, 2, RAW.shape)
    expected = mean(cross(y_true, RAW).mean(axis=1))
    assert number(MultilabelCrossentropy()(y_true, RAW, WEIGHTS)) == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_multiclass(smoothing: float) -> None:
    logs = RAW - np.log(np.exp(RAW).sum(axis=1, keepdims=True))
    y_true = np.eye(3)[IDS] * (1 - smoothing) + smoothing / 3
    expected = mean(-(y_true * logs).sum(axis=1))
    loss = MulticlassCrossentropy(label_smoothing=smoothing)
    assert number(loss(IDS, RAW, WEIGHTS)) == pytest.approx(expected, rel=1e-5)
    assert loss.get_config()["label_smoothing"] == smoothing


def test_ordinal() -> None:
    ids = np.array([0, 3, 1, 2, 3])
    above = (ids[:, None] > np.arange(3)).astype("float64")
    expected = mean(cross(above, RAW).mean(axis=1))
    assert number(OrdinalCrossentropy()(ids, RAW, WEIGHTS)) == pytest.approx(expected, rel=1e-5)


def test_bold_logits_do_not_overflow() -> None:
    bold = np.array([[1e4, -1e4, 0.0]], "float32")
    assert number(MultilabelCrossentropy()(np.array([[0, 1, 1]]), bold)) == pytest.approx(
        (2e4 + np.log(2)) / 3
    )
    assert number(MulticlassCrossentropy()(np.array([1]), bold)) == pytest.approx(2e4)


@pytest.mark.parametrize(
    ("loss", "width", "beyond"),
    [(BinaryCrossentropy, 1, 2), (MulticlassCrossentropy, 3, 3), (OrdinalCrossentropy, 3, 4)],
)
def test_a_class_that_does_not_exist_is_no_number(loss: Any, width: int, beyond: int) -> None:
    raw = RAW[:1, :width]
    assert np.isfinite(number(loss()(np.array([beyond - 1]), raw)))
    for wrong in (beyond, -1, np.nan):
        assert np.isnan(number(loss()(np.array([wrong], "float32"), raw)))
