from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from tiny import TRAINING, plain_rows

import multimodal
from multimodal.core.config import Config
from multimodal.models.build import members
from multimodal.models.stack import stack

ROWS = plain_rows(120)
ROWS["words"] = np.where(ROWS["shop"] == "west", "a red hat", "some blue shoes of no name")


def config(**training):
    fusion = {"name": "concat", "options": {"hidden_dims": [8]}}
    return Config.parse({"fusion": fusion, "training": {**TRAINING, **training}})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    seen = {}
    patch = pytest.MonkeyPatch()
    real = stack.stack_networks

    def spy(prepared, networks):
        seen["prepared"], seen["whole"] = prepared, real(prepared, networks)
        return seen["whole"]

    patch.setattr("multimodal.runs.steps.stack_networks", spy)
    trained = multimodal.train(ROWS, "price", out=out, config=config(fold_models=3))
    patch.undo()
    return trained, seen


def test_every_row_but_the_test_rows_is_held_out_once(run):
    _, seen = run
    prepared, held = seen["prepared"], seen["whole"].held
    np.testing.assert_array_equal(held.rows, np.flatnonzero(prepared.splits != "test"))
    assert held.outputs["price"].shape == (len(held.rows), 1)
    for i in range(3):
        learned, own = prepared.fold_rows(i)
        assert not set(learned) & set(own)
        assert set(learned) | set(own) == set(held.rows)


def test_a_held_out_row_is_predicted_without_what_learned_from_it(run):
    """The outputs are those of the row's own network and of a linear model without its fold."""
    trained, seen = run
    prepared, held = seen["prepared"], seen["whole"].held
    inside = trained.predict(ROWS.iloc[held.rows]).frame["price_prediction"].to_numpy()
    assert np.abs(inside - held.outputs["price"][:, 0]).max() > 1e-3
    blend = seen["whole"].model.get_layer("price")
    assert np.asarray(blend.shares)[1, 0] > 0.2  # an untrained network is not worth much
    error = held.outputs["price"][:, 0] - prepared.labels["price"][held.rows]
    constant = prepared.labels["price"][held.rows]
    assert error.std() < 0.5 * constant.std()


def test_the_run_holds_three_networks_and_reloads(run, tmp_path):
    trained, _ = run
    again = multimodal.load(trained.path)
    assert len(members(again.model)) == 3
    assert again.config.training.fold_models == 3
    pd.testing.assert_frame_equal(again.predict(ROWS).frame, trained.predict(ROWS).frame)
    plain = keras.saving.load_model(trained.path / "model.keras")
    arrays = again.preprocessor.arrays(ROWS, Path()).inputs
    raw = plain.predict(arrays, verbose=0)["price"]
    np.testing.assert_allclose(raw, again.model.predict(arrays, verbose=0)["price"], rtol=1e-6)


def test_one_row_is_predicted_as_many_are(run):
    trained, _ = run
    many = trained.predict(ROWS.head(3)).frame["price_prediction"]
    for i in range(3):
        one = trained.predict_row(dict(ROWS.iloc[i]))["price"]
        assert one == pytest.approx(many[i], rel=1e-5)


def test_the_log_names_the_network(run):
    trained, _ = run
    log = pd.read_csv(trained.path / "training_log.csv")
    assert log.groupby("network")["epoch"].max().to_dict() == {1: 2, 2: 2, 3: 2}


def test_without_linear_the_model_is_the_network(tmp_path):
    trained = multimodal.train(
        ROWS, "price", out=tmp_path / "run", config=config(fold_models=1, linear=False)
    )
    assert trained.spec.terms is None
    assert members(trained.model) == [trained.model]


def test_networks_share_the_validation_rows_that_somebody_chose(tmp_path, monkeypatch):
    """They are held out of all, and what is calibrated on is the answer of the whole model."""
    splits = np.repeat(["train", "validation", "test"], 40)
    split = {"data": {"split": {"method": "column", "column": "side"}}}
    asked = Config.parse({**config(fold_models=2, linear=False).model_dump(), **split})
    seen, real = [], stack.stack_networks

    def spy(prepared, *others):
        seen.append((prepared, real(prepared, *others)))
        return seen[-1][1]

    monkeypatch.setattr("multimodal.runs.steps.stack_networks", spy)
    rows = ROWS.assign(split=splits)
    trained = multimodal.train(rows, "price", out=tmp_path / "run", config=asked)
    [(prepared, found)] = seen
    assert len(members(trained.model)) == 2 and trained.config.training.fold_models == 2
    for i in range(2):
        learned, own = prepared.fold_rows(i)
        assert (list(learned), list(own)) == (list(range(40)), list(range(40, 80)))
    assert list(found.held.rows) == list(range(40, 80))
    answers = trained.predict(rows[40:80]).frame["price_prediction"]
    np.testing.assert_allclose(found.held.outputs["price"][:, 0], answers, rtol=1e-5)
    one, other = (member.get_weights() for member in members(trained.model))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("target", ["shop", "words"])
def test_classes_are_blended(target, tmp_path):
    rows = ROWS.drop(columns=["words"] if target == "shop" else ["shop"])
    options = {"data": {"columns": {"words": "category"}}} if target == "words" else {}
    asked = Config.parse({**config(fold_models=2).model_dump(), **options})
    trained = multimodal.train(rows, target, out=tmp_path / "run", config=asked)
    frame = trained.predict(rows).frame
    chances = frame[[c for c in frame if c.startswith(f"{target}_probability_")]]
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-5)


def test_a_killed_ensemble_ends_with_the_same_weights(tmp_path):
    asked = config(fold_models=3, checkpoint_seconds=0)
    whole_run = multimodal.train(ROWS, "price", out=tmp_path / "a", config=asked)

    class Kill(keras.callbacks.Callback):
        count = 0

        def on_train_batch_end(self, batch, logs=None):
            Kill.count += 1
            if Kill.count == 9:
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        multimodal.train(ROWS, "price", out=tmp_path / "b", config=asked, callbacks=[Kill()])
    resumed = multimodal.train(ROWS, "price", out=tmp_path / "b", config=asked)
    for one, other in zip(whole_run.model.weights, resumed.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)
