"""Regression and quantile head: what they emit, learn from and mean, in the user's units."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.spec import FittedHead
from multimodal.heads import QuantileHead, RegressionHead

PRICES = np.array([[1.0], [10.0], [100.0], [1000.0]], "float32")
LOGS = np.log1p(PRICES)


def log_head(**options: Any) -> RegressionHead:
    arguments = {"mean": float(LOGS.mean()), "scale": float(LOGS.std()), **options}
    return RegressionHead("log1p", **arguments)


def test_agrees_with_numpy() -> None:
    head = RegressionHead(mean=5.0, scale=2.0)
    vector = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    raw = keras.ops.convert_to_numpy(head(vector))
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
    fitted = FittedHead(name="p", columns=["p"], mean=4, scale=0.5, minimum=2, maximum=6)
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
    found = model(np.ones((2, 3), "float32"))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transform": "log"}, "`transform` must be one of ['none', 'standardise', 'log1p']"),
        ({"scale": 0}, "`scale` must be greater than 0. Received: scale=0"),
        ({"scale": math.nan}, "`scale` must be greater than 0. Received: scale=nan"),
        ({"bounds": [2, 1]}, "`bounds` must be (least, greatest). Received: bounds=[2, 1]"),
        ({"bounds": [2]}, "`bounds` must be (least, greatest). Received: bounds=[2]"),
        ({"loss": "mae"}, "`loss` must be one of ['squared', 'huber']. Received: loss='mae'"),
        ({"delta": 0}, "`delta` must be greater than 0. Received: delta=0"),
        (
            {"learned_weight": "yes"},
            "`learned_weight` must be one of [False, True]. Received: learned_weight='yes'",
        ),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        RegressionHead(**arguments)


def test_huber_is_moved_less_by_a_wild_target() -> None:
    y_true, raw = np.array([[0.0], [100.0]], "float32"), np.zeros((2, 1), "float32")
    huber = RegressionHead("none", loss="huber", delta=2.0).make_loss()
    assert float(huber(y_true, raw)) == pytest.approx((2 + 2 * 98) / 2)
    assert float(RegressionHead("none").make_loss()(y_true, raw)) == 5000


def test_learned_weight_is_one_more_column_that_decode_removes() -> None:
    head = RegressionHead(mean=5.0, scale=2.0, learned_weight=True)
    raw = head(np.ones((3, 4), "float32"))
    assert raw.shape == head.compute_output_shape((3, 4)) == (3, 2)
    head.log_variance.assign([[0.7]])
    raw = keras.ops.convert_to_numpy(head(np.ones((3, 4), "float32")))
    np.testing.assert_allclose(raw[:, 1], 0.7)
    decoded = keras.ops.convert_to_numpy(head.decode(raw))
    np.testing.assert_allclose(decoded, raw[:, :1] * 2 + 5, rtol=1e-6)
    for metric in head.make_metrics():
        metric.update_state(decoded, raw)
        assert float(metric.result()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("transform", ["none", "standardise", "log1p"])
def test_quantiles_never_cross(transform: str) -> None:
    head = QuantileHead([0.01, 0.2, 0.5, 0.7, 0.99], transform=transform, bounds=[-9.0, 9.0])
    vector = np.random.default_rng(0).normal(0, 20, (50, 4)).astype("float32")
    decoded = keras.ops.convert_to_numpy(head.decode(head(vector)))
    assert decoded.shape == (50, 5) and (np.diff(decoded, axis=1) >= 0).all()


def test_the_quantile_nearest_to_the_median_is_the_start() -> None:
    head = QuantileHead([0.1, 0.2, 0.6, 0.9])
    head.build((None, 2))
    head.dense.bias.assign([3.0, 0.0, 1.0, 2.0])
    raw = keras.ops.convert_to_numpy(head(np.zeros((1, 2), "float32")))
    steps = np.log1p(np.exp([0.0, 1.0, 2.0]))
    expected = [3 - steps[:2].sum(), 3 - steps[1], 3, 3 + steps[2]]
    np.testing.assert_allclose(raw, [expected], rtol=1e-5)


def test_quantiles_are_learned_with_their_coverage() -> None:
    """Noise whose spread grows with x: the interval must grow too."""
    random = np.random.default_rng(0)
    x = random.uniform(0, 1, (2000, 1)).astype("float32")
    y = 10 + (1 + 4 * x) * random.normal(size=(2000, 1))
    head = QuantileHead([0.05, 0.5, 0.95], mean=10.0, scale=float(y.std()))
    model = keras.Sequential([keras.Input((1,)), head])
    model.compile(
        keras.optimizers.Adam(0.1),
        head.make_loss(),
        weighted_metrics=head.make_metrics(),
        jit_compile=keras.backend.backend() == "jax",
    )
    history = model.fit(x, y, batch_size=200, epochs=15, verbose=0).history
    assert float(history["coverage"][-1]) == pytest.approx(0.9, abs=0.04)
    ends = np.array([[0.0], [1.0]], "float32")
    found = keras.ops.convert_to_numpy(head.decode(model(ends)))
    width = found[:, 2] - found[:, 0]
    np.testing.assert_allclose(width, 2 * 1.645 * np.array([1, 5]), rtol=0.25)


@pytest.mark.parametrize("quantiles", [[], [0.5, 0.5], [0.9, 0.1], [0.0, 0.5], [0.5, 1.0], 0.5])
def test_refuses_quantiles(quantiles: Any) -> None:
    message = (
        "`quantiles` must be a list of rising numbers between 0 and 1. "
        f"Received: quantiles={quantiles!r}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        QuantileHead(quantiles)
