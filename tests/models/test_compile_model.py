"""Compiling what the builder made: losses, metrics and weights of heads, on missing labels too."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from graphs import PRICE, TABLE, batch_of, build_for, config_of, spec_of

from multimodal.core.config import Config
from multimodal.core.spec import FittedSpec
from multimodal.models.build import build, compile_model


def two_heads() -> tuple[keras.Model, Config, FittedSpec]:
    plain = {"name": "rent", "column": "r", "weight": 0.5}
    config = config_of(TABLE, heads=(PRICE, plain))
    return build(config, spec_of(config)), config, spec_of(config)


def test_loss_and_metrics_agree_with_numpy() -> None:
    model, config, spec = two_heads()
    compile_model(model, config, keras.optimizers.SGD(0.0))
    batch = batch_of(spec)
    price = np.array([[10.0], [0.0], [500.0], [30.0]], "float32")  # the second label is missing
    rent = np.array([[1.0], [2.0], [3.0], [4.0]], "float32")
    weights = {"price": np.array([1, 0, 2, 1.0]), "rent": np.array([1, 1, 1, 3.0])}
    raw = {name: keras.ops.convert_to_numpy(each) for name, each in model(batch).items()}
    found = model.evaluate(
        batch, {"price": price, "rent": rent}, sample_weight=weights, verbose=0, return_dict=True
    )

    def mean(name: str, values: np.ndarray) -> float:
        return float((weights[name] * values[:, 0]).sum() / weights[name].sum())

    losses = {
        "price": mean("price", ((np.log1p(price) - 2) / 1.5 - raw["price"]) ** 2),
        "rent": mean("rent", ((rent - 2) / 1.5 - raw["rent"]) ** 2),
    }
    money = np.expm1(np.clip(raw["price"] * 1.5 + 2, -1.5, 7.5))
    expected = {
        "loss": losses["price"] + 0.5 * losses["rent"],
        "price_loss": losses["price"],
        "rent_loss": losses["rent"],
        "price_mae": mean("price", np.abs(money - price)),
        "price_rmse": mean("price", (money - price) ** 2) ** 0.5,
        "rent_mae": mean("rent", np.abs(raw["rent"] * 1.5 + 2 - rent)),
        "rent_rmse": mean("rent", (raw["rent"] * 1.5 + 2 - rent) ** 2) ** 0.5,
    }
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_batch_without_any_label_of_a_head_is_finite() -> None:
    model, config, spec = two_heads()
    compile_model(model, config, keras.optimizers.Adam(0.1))
    zeros = np.zeros((4, 1), "float32")
    weights = {"price": np.zeros(4, "float32"), "rent": np.ones(4, "float32")}
    loss = model.train_on_batch(
        batch_of(spec), {"price": zeros, "rent": zeros}, sample_weight=weights, return_dict=True
    )
    assert all(np.isfinite(value) for value in loss.values())
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_loss_metrics_and_optimizer_survive_saving(tmp_path: Any) -> None:
    model, spec = build_for(TABLE)
    compile_model(model, config_of(TABLE), keras.optimizers.AdamW(0.01))
    batch, target = batch_of(spec), {"price": np.ones((4, 1), "float32")}
    model.train_on_batch(batch, target)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model.evaluate(batch, target, verbose=0, return_dict=True)
    assert again.evaluate(batch, target, verbose=0, return_dict=True) == pytest.approx(expected)
    assert set(expected) == {"loss", "rmse", "mae"}


def test_weights_of_heads_follow_their_names() -> None:
    heads = ({**PRICE, "name": "rent", "weight": 3.0}, PRICE, {**PRICE, "name": "a"})
    config = config_of(TABLE, heads=heads)
    model = build(config, spec_of(config))
    compile_model(model, config, keras.optimizers.SGD(0.1))
    shares = model._compile_loss._user_loss_weights
    assert shares == {"rent": 3.0, "price": 1.0, "a": 1.0}


def test_a_learned_weight_is_an_option_of_the_head_and_not_of_the_loss() -> None:
    config = config_of(TABLE, heads=({**PRICE, "weight": "learned"}, {**PRICE, "name": "rent"}))
    model = build(config, spec_of(config))
    assert model.get_layer("price").learned_weight and not model.get_layer("rent").learned_weight
    compile_model(model, config, keras.optimizers.SGD(0.1))
    assert model._compile_loss._user_loss_weights == {"price": 1.0, "rent": 1.0}
