"""The regression head: what it emits, learns from and means, in the user's units."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads import RegressionHead
from multimodal.spec import FittedHead

PRICES = np.array([[1.0], [10.0], [100.0], [1000.0]], "float32")
LOGS = np.log1p(PRICES)


def log_head(**options: Any) -> RegressionHead:
    arguments = {"mean": float(LOGS.mean()), "scale": float(LOGS.std()), **options}
    return RegressionHead("log1p", **arguments)


def test_agrees_with_numpy() -> None:
    head = RegressionHead(mean=5.0, scale=2.0)
    vector = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    raw = np.array(head(vector))
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(raw, vector @ kernel + bias, atol=1e-6)
    np.testing.assert_allclose(np.array(head.decode(raw)), raw * 2 + 5, rtol=1e-6)


@pytest.mark.parametrize(
    ("transform", "encoded"),
    [
        ("none", PRICES),
        ("standardise", (PRICES - 3) / 2),
        ("log1p", (LOGS - 3) / 2),
    ],
)
def test_decode_undoes_what_the_loss_encodes(transform: str, encoded: np.ndarray) -> None:
    head = RegressionHead(transform, mean=3.0, scale=2.0)
    assert float(head.make_loss()(PRICES, encoded)) == pytest.approx(0, abs=1e-10)
    np.testing.assert_allclose(np.array(head.decode(encoded)), PRICES, rtol=1e-4)
    for metric in head.make_metrics():
        metric.update_state(PRICES, encoded)
        assert float(metric.result()) == pytest.approx(0, abs=1e-2)


def test_bounds_tame_bold_extrapolation() -> None:
    wild = np.array([[50.0], [-50.0]], "float32")
    assert not np.isfinite(np.array(log_head().decode(wild))).all()
    head = log_head(bounds=[0.0, math.log1p(2000)])
    np.testing.assert_allclose(np.array(head.decode(wild)), [[2000.0], [0.0]], rtol=1e-4)
    assert all(metric.bounds == (0.0, math.log1p(2000)) for metric in head.make_metrics())


def test_fitted_head_decides_statistics_and_bounds() -> None:
    fitted = FittedHead(name="p", column="p", mean=4, scale=0.5, minimum=2, maximum=6)
    assert RegressionHead.from_head(fitted) == {"mean": 4, "scale": 0.5, "bounds": [1.5, 6.5]}


def test_metric_names() -> None:
    assert [metric.name for metric in RegressionHead().make_metrics()] == ["rmse", "mae"]


def test_output_is_float32_in_a_low_precision_graph() -> None:
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, dtype="mixed_bfloat16"),
            RegressionHead(dtype="mixed_bfloat16"),
        ]
    )
    assert model.outputs[0].dtype == "float32"
    assert model(np.ones((2, 3), "float32")).dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transform": "log"}, "`transform` must be one of ['none', 'standardise', 'log1p']"),
        ({"scale": 0}, "`scale` must be greater than 0. Received: scale=0"),
        ({"scale": math.nan}, "`scale` must be greater than 0. Received: scale=nan"),
        ({"bounds": [2, 1]}, "`bounds` must be (least, greatest). Received: bounds=[2, 1]"),
        ({"bounds": [2]}, "`bounds` must be (least, greatest). Received: bounds=[2]"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        RegressionHead(**arguments)
