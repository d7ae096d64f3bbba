"""The model of a run from its fold models: predictions out of fold, and stacking weights."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import TRAINING, plain_rows

from multimodal.core.config import Config
from multimodal.data.prepare import Prepared, prepare
from multimodal.heads.labels import encode
from multimodal.models.build import fold_models
from multimodal.models.fitted import FittedModel
from multimodal.models.stack.stack import OutOfFold, StackedModel, stack_networks
from multimodal.models.training.fit import TrainingState
from multimodal.models.training.kfold import fit_network, new_network

ROWS = plain_rows(120).drop(columns=["cost", "weight"])
ROWS["words"] = np.where(ROWS["price"] > 50, "a large red shoe", "some blue shoes of no name")


def config(**training):
    fusion = {"name": "concat", "options": {"hidden_dims": [8]}}
    return Config.parse({"fusion": fusion, "training": {**TRAINING, **training}})


def stack_new(prepared: Prepared) -> StackedModel:
    """Stack networks that have learned nothing."""
    count = int(prepared.config.training.fold_models)
    return stack_networks(prepared, [new_network(prepared, i)[0] for i in range(count)])


def fitted(prepared: Prepared, found: StackedModel) -> FittedModel:
    return FittedModel(prepared.config, prepared.schema, prepared.spec, found.model)


def predict(model: FittedModel, rows) -> dict[str, np.ndarray]:
    return model.decoded(model.preprocessor.arrays(rows, Path()))[0]


@pytest.fixture(scope="module")
def stacked() -> tuple[Prepared, StackedModel, FittedModel]:
    prepared = prepare(ROWS, ["price"], config(fold_models=3, epochs=1))
    networks = [new_network(prepared, i)[0] for i in range(3)]
    for i, network in enumerate(networks):
        fit_network(network, prepared, i, TrainingState())
    found = stack_networks(prepared, networks)
    return prepared, found, fitted(prepared, found)


def test_every_row_but_the_test_rows_is_out_of_fold_once(stacked):
    prepared, found, _ = stacked
    own = found.out_of_fold
    np.testing.assert_array_equal(own.rows, np.flatnonzero(prepared.splits != "test"))
    assert own.outputs["price"].shape == (len(own.rows), 1)
    for i in range(3):
        learned, left = prepared.fold_rows(i)
        assert not set(learned) & set(left)
        assert set(learned) | set(left) == set(own.rows)


def test_a_row_out_of_fold_is_predicted_without_what_learned_from_it(stacked):
    """The outputs are those of the row's own network and of a linear model without its fold."""
    prepared, found, model = stacked
    own = found.out_of_fold
    inside = predict(model, ROWS.iloc[own.rows])["price"][:, 0]
    assert np.abs(inside - own.outputs["price"][:, 0]).max() > 1e-3
    weights = np.asarray(found.model.get_layer("price").shares)
    assert weights[1, 0] > 0.2  # an untrained network is not worth much
    assert found.notes == [
        f"price: stacking weights {weights[0, 0]:.2f} (networks), "
        f"{weights[1, 0]:.2f} (sparse linear model)"
    ]
    y_true = prepared.labels["price"][own.rows]
    assert (own.outputs["price"][:, 0] - y_true).std() < 0.5 * y_true.std()


def test_plain_keras_loads_the_model(stacked, tmp_path):
    _, found, model = stacked
    assert len(fold_models(found.model)) == 3
    found.model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(fold_models(loaded)) == 3
    arrays = model.preprocessor.arrays(ROWS, Path()).inputs
    raw = loaded.predict(arrays, verbose=0)["price"]
    np.testing.assert_allclose(raw, found.model.predict(arrays, verbose=0)["price"], rtol=1e-6)


def test_one_row_is_predicted_as_many_are(stacked):
    model = stacked[2]
    many = predict(model, ROWS.head(3))["price"]
    for i in range(3):
        np.testing.assert_allclose(predict(model, ROWS[i : i + 1])["price"][0], many[i], rtol=1e-5)


def test_without_a_linear_model_and_folds_the_model_is_the_network():
    prepared = prepare(ROWS, ["price"], config(fold_models=1, linear=False))
    network, _ = new_network(prepared, 0)
    assert prepared.spec.terms is None
    assert stack_networks(prepared, [network]).model is network
    assert fold_models(network) == [network]


def test_networks_share_the_validation_rows_that_somebody_chose():
    """These are out of fold for all, and predicted by the mean of the networks."""
    split = {"data": {"split": {"method": "column", "column": "side"}}}
    asked = Config.parse({**config(fold_models=2, linear=False).model_dump(), **split})
    rows = ROWS.assign(side=np.repeat(["train", "validation", "test"], 40))
    prepared = prepare(rows, ["price"], asked)
    found = stack_new(prepared)
    assert len(fold_models(found.model)) == 2
    for i in range(2):
        learned, left = prepared.fold_rows(i)
        assert (list(learned), list(left)) == (list(range(40)), list(range(40, 80)))
    assert list(found.out_of_fold.rows) == list(range(40, 80))
    expected = predict(fitted(prepared, found), rows[40:80])["price"]
    np.testing.assert_allclose(found.out_of_fold.outputs["price"], expected, rtol=1e-5)


@pytest.fixture(scope="module")
def single() -> Prepared:
    return prepare(ROWS, ["price"], config(fold_models=1))


def stacked_with(prepared: Prepared, outputs: np.ndarray) -> StackedModel:
    """Stack a network that says `outputs` of the validation rows."""
    rows = prepared.rows("validation")
    held = OutOfFold(rows, {"price": outputs[rows][:, None]}, {})
    return stack_networks(prepared, [new_network(prepared, 0)[0]], held_out=[held])


def test_a_network_that_adds_nothing_has_no_part_and_all_rows_are_out_of_fold(single):
    found = stacked_with(single, np.random.default_rng(0).normal(size=len(ROWS)))
    np.testing.assert_array_equal(found.model.get_layer("price").shares, [[0.0], [1.0]])
    rows = np.flatnonzero(single.splits != "test")
    np.testing.assert_array_equal(found.out_of_fold.rows, rows)
    error = found.out_of_fold.outputs["price"][:, 0] - single.labels["price"][rows]
    assert np.std(error) < 0.7 * np.std(single.labels["price"][rows])


def test_a_network_that_knows_keeps_its_part(single):
    head = new_network(single, 0)[0].get_layer("price")
    space = encode(single.labels["price"], head.transform, head.mean, head.scale)
    found = stacked_with(single, np.asarray(space).ravel())
    assert np.asarray(found.model.get_layer("price").shares)[0, 0] > 0.5
    np.testing.assert_array_equal(found.out_of_fold.rows, single.rows("validation"))


def test_chosen_validation_rows_are_what_is_measured():
    split = {"data": {"split": {"method": "column", "column": "side"}}}
    asked = Config.parse({**config(fold_models=1).model_dump(), **split})
    rows = ROWS.assign(side=np.repeat(["train", "validation", "test"], 40))
    found = stacked_with(prepare(rows, ["price"], asked), np.zeros(120))
    assert list(found.out_of_fold.rows) == list(range(40, 80))


@pytest.mark.parametrize("target", ["shop", "words"])
def test_classes_are_blended(target):
    rows = ROWS.drop(columns=["words"] if target == "shop" else ["shop"])
    options = {"data": {"columns": {"words": "category"}}} if target == "words" else {}
    asked = Config.parse({**config(fold_models=2).model_dump(), **options})
    prepared = prepare(rows, [target], asked)
    found = stack_new(prepared)
    assert np.asarray(found.model.get_layer(target).shares)[1].min() > 0
    chances = predict(fitted(prepared, found), rows)[target]
    total = chances.sum(axis=1) if target == "shop" else chances[:, 0] + (1 - chances[:, 0])
    np.testing.assert_allclose(total, 1.0, atol=1e-5)
