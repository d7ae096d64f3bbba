"""Boosted base models: what trees read, how they are weighted, their file, a run that has some."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from shoes import FRAME, SPEC
from tiny import TRAINING, plain_rows

import multimodal
from multimodal.core.config import Config
from multimodal.core.errors import RunError
from multimodal.core.spec import TEXT_STATISTICS, FittedSpec
from multimodal.data.sparse.blocks import block_matrices
from multimodal.data.sparse.fit import fit_sparse_features
from multimodal.evaluation.records import RunMetrics
from multimodal.explain.page import page
from multimodal.models.stack import boosted_models as module
from multimodal.models.stack import boosting
from multimodal.models.stack.boosted_models import fit_projection, relative_to_blend
from multimodal.models.stack.boosting import grow
from multimodal.runtime.boosted_models import (
    TREES,
    BoostedModel,
    BoostedModels,
    codes_as_numbers,
    read_boosted_models,
    write_boosted_models,
)

ROWS = plain_rows(240)
ROWS["words"] = np.where(ROWS["size"] > 5, "a large one", "some small ones")
TEETH = (np.floor(ROWS["size"]) % 2 == 0) ^ (
    ROWS["shop"] == "west"
)  # too fast for random Fourier features
ROWS["mood"] = np.where(TEETH, "glad", "sad")
NO_TARGETS = np.zeros((60, 0))
TITLES = [f"{size} g of {what}" for size in range(100, 400, 10) for what in ("salt", "sugar")]
TITLED = pd.concat([FRAME.head(1)] * 60).assign(title=[*TITLES[:-1], "nothing"])
FEATURES = fit_sparse_features(SPEC, {}, FRAME)
KNOWN = SPEC.model_copy(update={"terms": FEATURES})
RANDOM = np.random.default_rng(0)
READ = RANDOM.normal(size=(60, 5))  # a number, a target encoding, the linear model, two sums


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with trees, though fewer than usual."""
    out = tmp_path_factory.mktemp("trees") / "run"
    fusion = {"name": "concat", "options": {"hidden_dims": [8]}}
    training = {**TRAINING, "epochs": 1, "fold_models": 1, "trees": True}
    data = {"columns": {"words": "text"}}
    config = Config.parse({"data": data, "fusion": fusion, "training": training})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "FEW", {**boosting.FEW, "max_iter": 50, "learning_rate": 0.1})
        return multimodal.train(
            ROWS.drop(columns="cost"), ["price", "mood"], out=out, config=config
        )


def test_trees_have_a_share_in_what_is_predicted(run):
    assert set(run.boosted_models.heads) == {"price", "mood"}
    assert run.boosted_models.heads["mood"].weights[2] > 0.05
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
    assert found.trees == pytest.approx(run.boosted_models.heads["mood"].weights.tolist())
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
        found = relative_to_blend(np.array(counted), np.array(blend)) @ [keras, linear, trees]
        np.testing.assert_allclose(found, counted @ np.stack([networks, linear, trees]))


def summed(rows: pd.DataFrame, targets: np.ndarray = NO_TARGETS) -> np.ndarray:
    terms = fit_sparse_features(SPEC, {}, TITLED)
    places, added = fit_projection(
        terms, list(block_matrices(terms, SPEC, {}, TITLED)), targets, seed=0
    )
    assert added.shape[0] == len(places) and added.dtype == np.float32
    total = sum(block_matrices(terms, SPEC, {}, rows))
    return np.asarray(total[:, places] @ added)


def test_a_number_in_a_text_becomes_a_number_again() -> None:
    found = summed(TITLED)
    sizes = np.array([float(title.split()[0]) for title in TITLES[:-1]])
    greatest = [np.corrcoef(column[:-1].argsort().argsort(), sizes)[0, 1] for column in found.T]
    assert max(greatest) > 0.98
    told = found[:, int(np.argmax(greatest))]
    assert told[-1] < told[:-1].min()  # without a number


def test_texts_become_singular_vectors_without_the_facts() -> None:
    other = TITLED.assign(title=["salt"] * 30 + ["sugar"] * 30)
    found = summed(other)
    assert np.ptp(found[:30], axis=0).max() < 1e-5 < np.abs(found[0] - found[-1]).max()


def test_telling_words_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INFORMATIVE", 2)
    salty = np.array([[float("salt" in title)] for title in TITLED["title"]]) - 0.5
    salty[3] = np.nan
    facts = sum(
        block.kind in TEXT_STATISTICS for block in fit_sparse_features(SPEC, {}, TITLED).blocks
    )
    singular = summed(TITLED).shape[1] - facts
    told = summed(TITLED.head(6), salty)[:, singular:-facts]
    assert told.shape[1] == 2
    assert ((told[::2] > 0) & (told[1::2] == 0) | (told[::2] == 0) & (told[1::2] > 0)).all()


def test_without_texts_there_is_nothing_to_sum() -> None:
    table = SPEC.model_copy(update={"groups": SPEC.groups[:1]})
    terms = fit_sparse_features(table, {}, FRAME)
    places, added = fit_projection(
        terms, list(block_matrices(terms, table, {}, FRAME)), np.ones((6, 1)), seed=0
    )
    assert places.shape == (0,) and added.shape == (0, 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    forest = grow("number", READ, READ[:, 0], np.ones(60), 1, seed=0)
    boosted_model = BoostedModel(
        forest, np.array([0.75, -0.1, 0.25]), np.array([[0.0], [0.1], [0.2], [0.3]])
    )
    projection = RANDOM.normal(size=(3, 2)).astype(np.float32)
    write_boosted_models(
        tmp_path / TREES, BoostedModels(np.array([0, 2, 5]), projection, {"price": boosted_model})
    )
    return tmp_path / TREES


def test_trees_come_back_and_answer_alike(file: Path) -> None:
    found = read_boosted_models(file, KNOWN, {"price": 1})
    with np.load(file, allow_pickle=False) as content:
        np.testing.assert_array_equal(found.projection, content["summaries"])
    raw = grow("number", READ, READ[:, 0], np.ones(60), 1, seed=0).raw(READ)
    np.testing.assert_array_equal(found.heads["price"].forest.raw(READ), raw)
    assert found.heads["price"].weights.tolist() == [0.75, -0.1, 0.25]


@pytest.mark.parametrize(
    "fault", ["roots", "feature", "shares", "meanings", "columns", "summaries", "gone", "width"]
)
def test_a_damaged_file_is_refused(file: Path, fault: str) -> None:
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    if fault == "gone":
        del arrays["price/left"]
    elif fault == "columns":
        arrays["columns"][0] = 10**6
    elif fault == "summaries":
        arrays["summaries"] = arrays["summaries"][:, :1]  # a feature less than the trees ask for
    elif fault == "meanings":
        arrays["price/meanings"] = arrays["price/meanings"][1:]
    elif fault == "shares":
        arrays["price/shares"] = np.array([np.nan, 1.0, 0.0])
    elif fault != "width":
        arrays[f"price/{fault}"] = arrays[f"price/{fault}"] + 10**6
    np.savez(file, **arrays)
    with pytest.raises(RunError, match=r"trees\.npz: damaged, or of another run"):
        read_boosted_models(file, KNOWN, {"price": 2 if fault == "width" else 1})
