"""What every loss does: labelled rows alone count, and a head may learn its weight."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads import MulticlassHead, RegressionHead
from multimodal.heads.losses import BinaryCrossentropy, HeadLoss, TransformedMeanSquaredError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 4)).astype("float32")


def number(tensor: Any) -> float:
    return float(np.squeeze(keras.ops.convert_to_numpy(tensor)))


def test_one_labelled_row_in_many_teaches_at_full_strength() -> None:
    loss, raw = TransformedMeanSquaredError(), np.zeros((64, 1), "float32")
    y_true, weights = np.full((64, 1), 3.0, "float32"), np.zeros(64, "float32")
    weights[5] = 1
    assert number(loss(y_true, raw, weights)) == pytest.approx(9)


def test_learned_weight_by_hand() -> None:
    loss = TransformedMeanSquaredError(learned_weight=True)
    raw = np.array([[1.0, 0.5], [4.0, 0.5], [2.0, 0.5]], "float32")
    weights = np.array([1.0, 3.0, 0.0], "float32")
    rows = np.exp(-0.5) * np.array([1.0, 16.0, 4.0]) + 0.5
    expected = (weights * rows).sum() / weights.sum()
    assert number(loss(np.zeros((3, 1)), raw, weights)) == pytest.approx(expected, rel=1e-6)


def test_what_a_loss_must_write() -> None:
    with pytest.raises(NotImplementedError):
        HeadLoss()(X, X)


def test_survives_serialization() -> None:
    loss = BinaryCrossentropy(learned_weight=True, reduction="sum", name="own")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert again.learned_weight and again.reduction == "sum" and again.name == "own"


def two_headed(learned_weight: bool) -> tuple[keras.Model, dict[str, Any]]:
    inputs = keras.Input((4,))
    vector = keras.layers.Dense(16, activation="relu")(inputs)
    heads: dict[str, Any] = {
        "age": RegressionHead(mean=40, scale=10, learned_weight=learned_weight, name="age"),
        "mood": MulticlassHead(2, learned_weight=learned_weight, name="mood"),
    }
    model = keras.Model(inputs, {name: head(vector) for name, head in heads.items()})
    model.compile(
        keras.optimizers.Adam(0.05),
        loss={name: head.make_loss() for name, head in heads.items()},
        weighted_metrics={name: head.make_metrics() for name, head in heads.items()},
        jit_compile=keras.backend.backend() == "jax",
    )
    return model, heads


def test_the_log_variance_approaches_the_loss_of_its_own_head() -> None:
    """At the minimum it is the logarithm of the mean loss, and a head without labels stays."""
    model, heads = two_headed(True)
    y_true = {"age": 40 + 10 * RANDOM.normal(size=(64, 1)), "mood": np.zeros(64, "int32")}
    weights = {"age": np.ones(64, "float32"), "mood": np.zeros(64, "float32")}
    heads["age"].dense.trainable = False
    model.layers[1].trainable = False
    model.compile(
        keras.optimizers.Adam(0.1),
        loss={n: h.make_loss() for n, h in heads.items()},
        jit_compile=keras.backend.backend() == "jax",
    )
    model.fit(X, y_true, sample_weight=weights, batch_size=64, epochs=60, verbose=0)
    raw = keras.ops.convert_to_numpy(model(X)["age"])
    expected = np.log(np.mean((raw[:, 0] - (y_true["age"][:, 0] - 40) / 10) ** 2))
    assert number(heads["age"].log_variance) == pytest.approx(expected, abs=0.05)
    assert number(heads["mood"].log_variance) == 0


def test_two_sources_with_one_label_each_train_one_model() -> None:
    model, _ = two_headed(False)
    age, mood = 40 + 10 * X[:, :1], (X[:, 1] > 0).astype("int32")
    first = np.arange(64) < 32
    weights = {"age": first.astype("float32"), "mood": (~first).astype("float32")}
    y_true = {"age": np.where(first[:, None], age, np.nan), "mood": np.where(first, -1, mood)}
    model.fit(X, y_true, sample_weight=weights, batch_size=16, epochs=20, verbose=0)
    found = model.evaluate(X, {"age": age, "mood": mood}, verbose=0, return_dict=True)
    assert found["age_rmse"] < 5 < np.std(age)
    assert found["mood_accuracy"] > 0.8
