"""Losses against plain NumPy: labelled rows alone enter, and a head may learn its weight."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads import MulticlassHead, RegressionHead
from multimodal.heads.losses import (
    BinaryCrossentropy,
    BoxLoss,
    ContrastiveLoss,
    HeadLoss,
    MulticlassCrossentropy,
    MultilabelCrossentropy,
    OrdinalCrossentropy,
    PinballLoss,
    ReconstructionLoss,
    TransformedHuber,
    TransformedMeanSquaredError,
    TripletLoss,
    pairwise_distances,
    relations,
)

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


DRAW = np.random.default_rng(0)
LOGITS = DRAW.normal(0, 2, (5, 3)).astype("float32")
IDS = np.array([0, 2, 1, 1, 0], "int32")
WEIGHTS = np.array([1.0, 2.0, 0.0, 0.5, 1.0], "float32")


def weighted_mean(rows: np.ndarray) -> float:
    return float((WEIGHTS * rows).sum() / WEIGHTS.sum())


def cross(y_true: np.ndarray, logits: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    return -(y_true * np.log(p) + (1 - y_true) * np.log(1 - p))


def test_binary() -> None:
    y_true = (IDS > 0).astype("int32")
    expected = weighted_mean(cross(y_true[:, None], LOGITS[:, :1])[:, 0])
    assert number(BinaryCrossentropy()(y_true, LOGITS[:, :1], WEIGHTS)) == pytest.approx(expected)
    found = number(BinaryCrossentropy()(y_true[:, None], LOGITS[:, :1], WEIGHTS))
    assert found == pytest.approx(expected)


def test_multilabel() -> None:
    y_true = DRAW.integers(0, 2, LOGITS.shape)
    expected = weighted_mean(cross(y_true, LOGITS).mean(axis=1))
    assert number(MultilabelCrossentropy()(y_true, LOGITS, WEIGHTS)) == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_multiclass(smoothing: float) -> None:
    logs = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    y_true = np.eye(3)[IDS] * (1 - smoothing) + smoothing / 3
    expected = weighted_mean(-(y_true * logs).sum(axis=1))
    loss = MulticlassCrossentropy(label_smoothing=smoothing)
    assert number(loss(IDS, LOGITS, WEIGHTS)) == pytest.approx(expected, rel=1e-5)
    assert loss.get_config()["label_smoothing"] == smoothing


def test_ordinal() -> None:
    ids = np.array([0, 3, 1, 2, 3])
    above = (ids[:, None] > np.arange(3)).astype("float64")
    expected = weighted_mean(cross(above, LOGITS).mean(axis=1))
    assert number(OrdinalCrossentropy()(ids, LOGITS, WEIGHTS)) == pytest.approx(expected, rel=1e-5)


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
    raw = LOGITS[:1, :width]
    assert np.isfinite(number(loss()(np.array([beyond - 1]), raw)))
    for wrong in (beyond, -1, np.nan):
        assert np.isnan(number(loss()(np.array([wrong], "float32"), raw)))


NUMBERS = np.array([[10.0], [20.0], [0.0]], "float32")
OUTPUTS = np.array([[0.5], [1.5], [9.0]], "float32")


def transformed_by_hand(transform: str, weights: np.ndarray) -> float:
    y = np.log1p(NUMBERS) if transform == "log1p" else NUMBERS
    y = y if transform == "none" else (y - 2) / 3
    return float((weights * (y - OUTPUTS)[:, 0] ** 2).sum() / weights.sum())


@pytest.mark.parametrize("transform", ["none", "standardise", "log1p"])
@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 3, 0], [0.5, 0, 0]])
def test_is_a_mean_that_knows_the_weights(transform: str, weights: list[float]) -> None:
    array = np.array(weights, "float32")
    loss = TransformedMeanSquaredError(transform, mean=2.0, scale=3.0)
    assert float(loss(NUMBERS, OUTPUTS, array)) == pytest.approx(
        transformed_by_hand(transform, array), rel=1e-5
    )


def test_no_label_at_all_is_zero() -> None:
    loss = TransformedMeanSquaredError("log1p", mean=2.0, scale=3.0)
    assert float(loss(NUMBERS, OUTPUTS, np.zeros(3, "float32"))) == 0


def test_low_precision_predictions_are_compared_in_float32() -> None:
    loss = TransformedMeanSquaredError()
    raw = keras.ops.cast(NUMBERS, "bfloat16")
    assert float(loss(keras.ops.cast(NUMBERS, "int32"), raw)) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"transform": "log1p", "mean": 1.5, "scale": 2.5, "reduction": "sum", "name": "own"},
        {"transform": "standardise", "mean": -1.0, "scale": 0.5},
    ],
)
def test_number_losses_survive_serialization(arguments: dict[str, object]) -> None:
    loss = TransformedMeanSquaredError(**arguments)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert {key: again.get_config()[key] for key in arguments} == arguments
    assert float(again(NUMBERS, OUTPUTS)) == float(loss(NUMBERS, OUTPUTS))


def test_huber_is_squared_within_delta_and_straight_beyond() -> None:
    loss = TransformedHuber(delta=2.0, reduction=None)
    y_true, raw = np.array([[1.0], [5.0], [-5.0]], "float32"), np.zeros((3, 1), "float32")
    found = keras.ops.convert_to_numpy(loss(y_true, raw))
    np.testing.assert_allclose(found, [0.5, 0.5 * 4 + 2 * 3, 0.5 * 4 + 2 * 3])
    assert TransformedHuber("log1p", 1.0, 2.0, delta=3.0).get_config()["delta"] == 3


def test_pinball_agrees_with_numpy() -> None:
    raw = np.array([[0.5, 1.5], [1.0, 9.0], [0.0, 0.0]], "float32")
    error = (np.log1p(NUMBERS) - 2) / 3 - raw
    levels = np.array([[0.1, 0.9]])
    rows = np.where(error > 0, levels * error, (levels - 1) * error).mean(axis=1)
    loss = PinballLoss([0.1, 0.9], "log1p", mean=2.0, scale=3.0)
    weights = np.array([1.0, 3.0, 0.0], "float32")
    expected = (weights * rows).sum() / weights.sum()
    assert float(loss(NUMBERS, raw, weights)) == pytest.approx(expected, rel=1e-5)


def test_the_best_constants_under_pinball_are_the_quantiles() -> None:
    y_true = np.arange(101, dtype="float32")[:, None]
    loss = PinballLoss([0.25])
    costs = [float(loss(y_true, np.full((101, 1), c, "float32"))) for c in range(101)]
    assert int(np.argmin(costs)) == 25


@pytest.mark.parametrize("kind", ["squared", "binary"])
def test_reconstruction_compares_number_by_number(kind: str) -> None:
    random = np.random.default_rng(0)
    y_true = random.uniform(size=(3, 2, 2)).astype("float32")
    raw = random.normal(size=(3, 4)).astype("float32")
    flat, p = y_true.reshape(3, 4), 1 / (1 + np.exp(-raw))
    cells = (flat - raw) ** 2
    if kind == "binary":
        cells = -(flat * np.log(p) + (1 - flat) * np.log(1 - p))
    loss = ReconstructionLoss(kind)
    assert float(loss(y_true, raw)) == pytest.approx(cells.mean(), rel=1e-5)
    assert loss.get_config()["loss"] == kind


BOX = np.array([[0.2, 0.2, 0.6, 0.4]], "float32")
RAW_BOX = np.zeros((1, 4), "float32")  # 0.25, 0.25, 0.75, 0.75
GIOU = 0.35 * 0.15 / (0.08 + 0.25 - 0.35 * 0.15) - (0.55 * 0.55 - (0.33 - 0.35 * 0.15)) / 0.55**2
DISTANCE = abs(0.4 - 0.5) + abs(0.3 - 0.5) + abs(0.4 - 0.5) + abs(0.2 - 0.5)


@pytest.mark.parametrize(("giou", "l1"), [(1.0, 0.0), (0.0, 1.0), (2.0, 5.0)])
def test_by_hand(giou: float, l1: float) -> None:
    loss = BoxLoss(giou_weight=giou, l1_weight=l1)
    expected = giou * (1 - GIOU) + l1 * DISTANCE
    assert float(loss(BOX, RAW_BOX)) == pytest.approx(expected, rel=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(BOX, RAW_BOX)) == float(loss(BOX, RAW_BOX))


def test_descends_to_a_box_that_it_does_not_touch() -> None:
    y_true = np.array([[0.02, 0.9, 0.08, 0.98]], "float32")
    head = keras.layers.Dense(4)
    model = keras.Sequential([keras.Input((1,)), head])
    model.compile(
        keras.optimizers.Adam(0.2), BoxLoss(), jit_compile=keras.backend.backend() == "jax"
    )
    ones = np.ones((100, 1), "float32")
    model.fit(ones, np.tile(y_true, (100, 1)), batch_size=1, verbose=0)
    loss = model.evaluate(ones[:1], y_true, verbose=0)
    assert loss < 1, "boxes that do not touch cost at least 2"


POINT_DRAW = np.random.default_rng(0)
POINTS = POINT_DRAW.normal(size=(7, 3)).astype("float32")
ITEMS = np.array([0, 0, 1, 1, 1, 2, 0])


def triplet_by_hand(ids: np.ndarray, margin: float) -> np.ndarray:
    d = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=-1)
    rows = []
    for i, own in enumerate(ids):
        match = [d[i, j] for j in range(len(ids)) if j != i and ids[j] == own >= 0]
        other = [d[i, j] for j in range(len(ids)) if ids[j] != own and ids[j] >= 0 <= own]
        rows.append(max(max(match) - min(other) + margin, 0) if match and other else 0)
    return np.array(rows)


def test_contrastive() -> None:
    distance = np.array([[0.3], [0.3], [2.5]], "float32")
    loss = ContrastiveLoss(margin=1.5, reduction=None)
    found = keras.ops.convert_to_numpy(loss(np.array([1, 0, 0]), distance))
    np.testing.assert_allclose(found, [0.09, 1.44, 0], rtol=1e-5)
    assert loss.get_config()["margin"] == 1.5


def test_triplet() -> None:
    expected = triplet_by_hand(ITEMS, 0.4)
    assert expected[5] == 0 and expected.max() > 0
    found = keras.ops.convert_to_numpy(TripletLoss(0.4, reduction=None)(ITEMS, POINTS))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rows_without_an_id_are_neither_match_nor_other() -> None:
    weights = np.array([1, 1, 1, 0, 1, 1, 0], "float32")
    ids = np.where(weights > 0, ITEMS, -1)
    expected = (triplet_by_hand(ids, 0.4) * weights).sum() / weights.sum()
    assert number(TripletLoss(0.4)(ITEMS, POINTS, weights)) == pytest.approx(expected, rel=1e-5)


def test_relations_and_distances() -> None:
    match, other = (keras.ops.convert_to_numpy(each) for each in relations(np.array([0, 0, 1, -1])))
    assert match.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    assert other.tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0] * 4]
    found = keras.ops.convert_to_numpy(pairwise_distances(POINTS))
    expected = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=-1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_equal_embeddings_have_a_finite_gradient() -> None:
    dense = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((2,)), dense])
    model.compile("sgd", TripletLoss(), jit_compile=keras.backend.backend() == "jax")
    model.train_on_batch(np.ones((4, 2), "float32"), np.array([0, 0, 1, 1]))
    assert all(np.isfinite(weight).all() for weight in dense.get_weights())


@pytest.mark.parametrize("loss", [ContrastiveLoss, TripletLoss])
def test_refuses_a_margin(loss: Any) -> None:
    message = "`margin` must be greater than 0. Received: margin=0"
    with pytest.raises(ValueError, match=re.escape(message)):
        loss(margin=0)
