from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny import TRAINING, plain_rows

import multimodal
from multimodal.core.config import Config
from multimodal.core.spec import FittedSpec
from multimodal.evaluation.records import RunMetrics
from multimodal.explain.page import page
from multimodal.models.stack.boosted_heads import TREES, beside, codes_as_numbers

ROWS = plain_rows(400)
ROWS["words"] = np.where(ROWS["size"] > 5, "a large one", "some small ones")
TEETH = (np.floor(ROWS["size"]) % 2 == 0) ^ (ROWS["shop"] == "west")  # too fast for waves
ROWS["mood"] = np.where(TEETH, "glad", "sad")


def config(**training):
    fusion = {"name": "concat", "options": {"hidden_dims": [8]}}
    training = {**TRAINING, "epochs": 1, "trees": True, **training}
    data = {"columns": {"words": "text"}}
    return Config.parse({"data": data, "fusion": fusion, "training": training})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("trees") / "run"
    rows = ROWS.drop(columns="cost")
    return multimodal.train(rows, ["price", "mood"], out=out, config=config(fold_models=2))


def test_trees_have_a_share_in_what_is_predicted(run):
    assert set(run.boosted_models.heads) == {"price", "mood"}
    assert run.boosted_models.heads["mood"].shares[2] > 0.05
    whole = run.predict(ROWS).frame["mood_probability_glad"]
    alone = multimodal.runs.run.Run(run.config, run.schema, run.spec, run.model)
    assert np.abs(whole - alone.predict(ROWS).frame["mood_probability_glad"]).max() > 0.005


def test_the_keras_model_holds_no_trees(run):
    assert {path.name for path in run.path.iterdir()} >= {TREES, "model.keras"}
    with np.load(run.path / TREES, allow_pickle=False) as content:
        assert "price/feature" in content.files


def test_it_reloads_and_answers_alike_row_by_row(run):
    again = multimodal.load(run.path)
    many = again.predict(ROWS).frame
    pd.testing.assert_frame_equal(many, run.predict(ROWS).frame)
    for i in range(3):
        one = again.predict_row(dict(ROWS.iloc[i]))
        assert one["price"] == pytest.approx(many["price_prediction"][i], rel=1e-4)
        assert one["mood"]["prediction"] == many["mood_prediction"][i]


def test_measures_are_of_the_whole(run):
    metrics = RunMetrics.read(run.path).heads["price"]
    predictions = pd.read_csv(run.path / "predictions.csv")
    again = run.predict(ROWS.iloc[predictions["row"]].reset_index(drop=True)).frame
    np.testing.assert_allclose(
        again["price_prediction"], predictions["price_prediction"], rtol=1e-5
    )
    assert metrics.test["r2"] > 0.5


def test_the_keras_model_alone_is_measured_beside_the_whole(run):
    scores = {score.name: score for score in RunMetrics.read(run.path).comparison["mood"]}
    rows = ROWS.iloc[pd.read_csv(run.path / "predictions.csv")["row"]].reset_index(drop=True)
    for name, model in {
        "Fusion": run,
        "Fusion without trees": replace(run, boosted_models=None),
    }.items():
        sure = model.predict(rows).frame["mood_probability_glad"].to_numpy(float)
        told = np.where(rows["mood"] == "glad", sure, 1 - sure)
        assert scores[name].metrics["log_loss"] == pytest.approx(-np.log(told).mean(), rel=1e-3)


def test_an_explanation_says_what_it_leaves_out(run):
    (found,) = run.explain(ROWS[:1], head="mood")
    assert found.trees == pytest.approx(run.boosted_models.heads["mood"].shares.tolist())
    assert "gradient boosting, which is not explained" in page(found, run.path)


def test_codes_of_digits_are_numbers_too():
    column = {"name": "zip", "source": "zip", "categories": [str(90000 + i) for i in range(12)]}
    named = {"name": "shop", "source": "shop", "categories": ["12b"] + list(map(str, range(12)))}
    group = {
        "name": "t",
        "modality": "tabular",
        "columns": ["shop", "zip"],
        "categorical": [named, column],
    }
    spec = FittedSpec.model_validate({"groups": [group], "heads": []})
    ((name, place, values),) = codes_as_numbers(spec)
    assert (name, place) == ("t", 1)
    np.testing.assert_array_equal(values, [np.nan, np.nan, *range(90000, 90012)])
    column["categories"][0] = "9" * 400
    assert codes_as_numbers(FittedSpec.model_validate({"groups": [group], "heads": []})) == []


def test_networks_linear_model_and_trees_count_what_they_should():
    networks, linear, trees = np.random.default_rng(0).normal(size=(3, 9))
    for blend, counted in (([0.4, 0.7], [0.3, 0.1, 0.6]), ([0.0, 0.9], [0.0, 0.5, 0.5])):
        keras = blend[0] * networks + blend[1] * linear
        found = beside(np.array(counted), np.array(blend)) @ [keras, linear, trees]
        np.testing.assert_allclose(found, counted @ np.stack([networks, linear, trees]))
