"""The scikit-learn estimators: what a fit learns from, what predictions are, who may use them."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import shared
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from tiny import PHOTOS, TABLE, WORDS, plain_rows, tiny_config, worded_rows

from multimodal.evaluation.records import RunMetrics
from multimodal.integrations import sklearn as module
from multimodal.sklearn import MultimodalClassifier, MultimodalRegressor

QUICK: dict[str, Any] = {
    "fusion": {"name": "concat", "options": {"hidden_dims": [8]}},
    "training": {"fold_models": 1, "batch_size": 32, "precision": "float32"},
}
# Named here with the reason, so that nothing fails without somebody having said so.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 is one row where rows are dealt to folds and batches, two equal rows "
        "are two, and the check's 9 rows that weigh anything are too few to split"
    ),
}


@pytest.fixture(scope="module")
def regressor(
    catalogue_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> MultimodalRegressor:
    """A regressor of prices from a table, texts and photos; three rows weigh nothing."""

    def make(folder: Path) -> None:
        X, y = products(catalogue_folder)
        weights = np.where(np.arange(len(X)) < 3, 0.0, 1.0)
        config = tiny_config(TABLE, WORDS, PHOTOS, data={"image_size": 16}, fold_models=1)
        model = MultimodalRegressor(config=config, epochs=1, images="elsewhere")
        model.fit(X, y, weights, images=catalogue_folder)
        folder.mkdir()
        (folder / "model.pickle").write_bytes(pickle.dumps(model))

    folder = shared(tmp_path_factory, "sklearn_regressor", make)
    return pickle.loads((folder / "model.pickle").read_bytes())


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> MultimodalClassifier:
    """A classifier of moods, which are numbers here, from reviews in an array."""

    def make(folder: Path) -> None:
        rows = worded_rows(60)
        model = MultimodalClassifier(config=QUICK, epochs=1, random_state=3)
        model.fit(rows[["review", "size"]].to_numpy(), moods(rows))
        folder.mkdir()
        (folder / "model.pickle").write_bytes(pickle.dumps(model))

    folder = shared(tmp_path_factory, "sklearn_classifier", make)
    return pickle.loads((folder / "model.pickle").read_bytes())


def products(folder: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return 70 products of the catalogue under an index that repeats, and their prices."""
    rows = pd.read_csv(folder / "catalogue.csv").head(70)
    rows = rows.drop(columns=["split", "id"]).set_axis(np.arange(70) // 2)
    return rows.drop(columns="price"), rows["price"]


def moods(rows: pd.DataFrame) -> np.ndarray:
    return np.where(rows["mood"] == "glad", 1.5, -1.0).astype(object).astype(str)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, plain_run: Path) -> Iterator[list[dict[str, Any]]]:
    """What trainings are asked for; in place of each, the plain run is copied."""
    found: list[dict[str, Any]] = []

    def train(table: pd.DataFrame, target: str, *, out: Path, **others: Any) -> None:
        found.append({"table": table, "target": target, **others})
        shutil.copytree(plain_run, out)

    monkeypatch.setattr(module, "train", train)
    yield found


def test_all_rows_of_weight_are_learned_from_and_nothing_is_written_for_people(
    regressor: MultimodalRegressor,
) -> None:
    data = RunMetrics.read(regressor.run_.path).data
    assert (data.train + data.validation, data.test, data.read) == (67, 0, 67)
    names = {path.name for path in regressor.run_.path.iterdir()}
    assert {"model.keras", "calibration.json"} <= names
    assert not names & {"report.html", "model_card.md", "predictions.csv", "importance.json"}


def test_a_regressor_predicts_what_its_run_does(
    regressor: MultimodalRegressor, catalogue_folder: Path
) -> None:
    X, y = products(catalogue_folder)
    found = regressor.predict(X.head(9))
    expected = regressor.run_.predict(X.head(9), images=catalogue_folder, level=0.8)
    np.testing.assert_array_equal(found, expected["price"].to_numpy())
    ends = regressor.predict_interval(X.head(9), level=0.8)
    np.testing.assert_array_equal(ends, expected.frame[["price_low", "price_high"]].to_numpy())
    assert (ends[:, 0] < found).all() and (found < ends[:, 1]).all()
    assert regressor.feature_names_in_.tolist() == list(X) and regressor.n_features_in_ == 9
    without = regressor.predict(X.head(9), images=catalogue_folder.parent)
    assert (without != found).any()  # another folder, in which no photo lies


def test_a_classifier_gives_classes_as_they_came(classifier: MultimodalClassifier) -> None:
    rows = worded_rows(12, seed=1)
    X = rows[["review", "size"]].to_numpy()
    assert classifier.classes_.tolist() == ["-1.0", "1.5"]
    found = classifier.predict_proba(X)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[found.argmax(axis=1)])
    assert classifier.score(X, moods(rows)) > 0.8
    assert not hasattr(classifier, "feature_names_in_") and classifier.n_features_in_ == 2
    assert classifier.predict(X[:0]).shape == (0,)


def test_a_pickle_holds_the_files_and_the_folder_goes_with_the_estimator(
    classifier: MultimodalClassifier,
) -> None:
    packed = pickle.dumps(classifier)
    copy = pickle.loads(packed)
    assert b"model.keras" in packed and b"FunctionType" not in packed
    folder = copy._fitted.path.parent
    assert folder.exists() and not copy._fitted.path.exists()  # nothing is read before it is used
    rows = worded_rows(4)[["review", "size"]].to_numpy()
    np.testing.assert_array_equal(copy.predict_proba(rows), classifier.predict_proba(rows))
    assert pickle.dumps(copy) == pickle.dumps(pickle.loads(pickle.dumps(copy)))
    del copy
    gc.collect()
    assert not folder.exists()


def test_a_changed_pickle_is_refused(classifier: MultimodalClassifier) -> None:
    copy = pickle.loads(pickle.dumps(classifier))
    files = bytearray(copy._fitted._files)
    at = files.index(b'"groups"')
    files[at : at + 8] = b'"grupos"'
    copy._fitted._files = bytes(files)
    with pytest.raises(ValueError, match="damaged|CRC"):
        copy.predict([["I like this", 3.0]])


def test_parameters_stay_as_given_and_clones_have_them() -> None:
    config = {"training": {"learning_rate": 1e-3}}
    model = MultimodalRegressor(config=config, images="photos", epochs=3, random_state=4)
    assert model.config is config and clone(model).get_params() == model.get_params()
    model.set_params(epochs=5)
    assert model._train_config("y").training.epochs == 5
    assert model._train_config("y").training.seed == 4
    assert model._train_config("y").training.learning_rate == 1e-3
    drawn = model.set_params(random_state=np.random.RandomState(0))._train_config("y")
    assert drawn.training.seed == np.random.RandomState(0).randint(2**31 - 1)
    assert config == {"training": {"learning_rate": 1e-3}}


def test_names_never_collide(asked: list[dict[str, Any]]) -> None:
    rows = plain_rows(20).drop(columns="weight")
    y = rows["price"].rename("cost")
    MultimodalRegressor().fit(rows, y, np.ones(20))  # columns are named like target and weight
    assert asked[0]["target"] == "cost_" and asked[0]["weight"] == "sample_weight"
    MultimodalRegressor().fit(rows.set_axis([0, 1, 2, 3], axis=1), y.rename(None))
    assert list(asked[1]["table"]) == ["0", "1", "2", "3", "target"] and not asked[1]["weight"]
    MultimodalRegressor().fit(rows.select_dtypes("number").to_numpy(), y.astype("Float64"))
    assert list(asked[2]["table"]) == ["x0", "x1", "x2", "cost"]
    assert asked[2]["table"]["x0"].tolist() == rows["size"].tolist()
    MultimodalClassifier().fit(rows, rows["shop"].rename("target"))
    assert set(asked[3]["table"]["target"]) == {"north", "south", "west"}
    MultimodalClassifier().fit(rows, rows["shop"].map({"north": "NA", "south": "a", "west": "A"}))
    assert set(asked[4]["table"]["shop_"]) == {"class 0", "class 1", "class 2"}


def test_one_head_may_be_declared_for_y(asked: list[dict[str, Any]]) -> None:
    rows = plain_rows(20)
    X, y = rows[["size", "shop"]], rows["price"]
    head = {"name": "euros", "column": "any", "head": "quantile"}
    MultimodalRegressor(config={"heads": [head]}).fit(X, y)
    (found,) = asked[0]["config"].heads
    assert (found.name, found.column, found.head.name) == ("euros", "price", "quantile")
    with pytest.raises(ValueError, match="2 head.*Leave `heads` out"):
        MultimodalRegressor(config={"heads": [head, {**head, "name": "b"}]}).fit(X, y)
    with pytest.raises(ValueError, match="learns a class"):
        MultimodalClassifier(config={"heads": [head]}).fit(X, rows["shop"])


def test_scikit_learn_searches_and_cross_validates(
    asked: list[dict[str, Any]], plain_run: Path
) -> None:
    rows = plain_rows(40)
    X, y = rows[["size", "shop", "cost"]], rows["price"]
    scores = cross_val_score(MultimodalRegressor(images=plain_run), X, y, cv=2)
    assert scores.shape == (2,) and np.isfinite(scores).all()
    assert {each["images"] for each in asked} == {plain_run}
    grid = {"epochs": [1, 2], "config": [None, QUICK]}
    search = GridSearchCV(MultimodalRegressor(), grid, cv=2, scoring="r2").fit(X, y)
    assert len(asked) == 2 + 8 + 1 and search.best_params_["epochs"] in (1, 2)
    assert {each["config"].training.epochs for each in asked[2:]} == {1, 2}


@pytest.mark.parametrize(
    ("X", "y", "weights", "said"),
    [
        (np.ones((20, 2)), [np.nan] * 20, None, "Input y contains NaN"),
        (np.ones((20, 2)), [np.inf] * 20, None, "y contains infinity"),
        (np.ones((20, 2)), ["a", "b"] * 10, None, "Unknown label type"),
        (np.full((20, 2), np.inf), range(20), None, "infinity"),
        (pd.DataFrame({"a": [np.inf] * 20}), range(20), None, "infinity in column 'a'"),
        (csr_matrix(np.ones((20, 2))), range(20), None, "[Ss]parse"),
        (np.ones((9, 2)), range(9), None, "9 sample.*minimum of 10"),
        (np.ones((20, 0)), range(20), None, "0 feature"),
        (np.ones((20, 2)), range(19), None, "inconsistent numbers of samples"),
        (np.ones((20, 2)), np.ones((20, 2)), None, "1d array"),
        (np.ones((20, 2)), range(20), [-1] * 20, "at least 0"),
        (np.ones((20, 2)), range(20), [0] * 20, "weight is not zero"),
        (np.ones((20, 2)), range(20), [1, 2], "one number per row"),
        (np.ones((20, 2)), None, None, "requires y"),
    ],
)
def test_errors_say_what_is_wrong(X: Any, y: Any, weights: Any, said: str) -> None:
    y = y if y is None else np.asarray(y)
    with pytest.raises((ValueError, TypeError), match=said):
        MultimodalRegressor().fit(X, y, weights)


def test_errors_of_classes_and_of_other_columns(
    asked: list[dict[str, Any]], regressor: MultimodalRegressor
) -> None:
    rows = plain_rows(20)
    with pytest.raises(ValueError, match="one class only: 'x'"):
        MultimodalClassifier().fit(rows, ["x"] * 20)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        MultimodalClassifier().fit(rows, rows["size"])
    with pytest.raises(ValueError, match="feature names should match"):
        regressor.predict(rows[["size"]].assign(a=1, b=1, c=1, d=1, e=1))
    with pytest.raises(ValueError, match="fitted"):
        MultimodalRegressor().predict(rows)
    with pytest.raises(ValueError, match="both a config"):
        MultimodalRegressor(config=QUICK, preset="fast").fit(rows, rows["price"])


def test_a_row_without_a_prediction_is_an_error(
    asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = plain_rows(20)
    X = rows[["size", "shop", "cost"]]
    model = MultimodalRegressor().fit(X, rows["price"])
    decoded = type(model.run_).decoded

    def broken(*given: Any) -> Any:
        outputs, faults = decoded(*given)
        outputs["price"][3] = np.inf
        return outputs, faults

    monkeypatch.setattr(type(model.run_), "decoded", broken)
    with pytest.raises(ValueError, match="1 of 20 rows have no prediction: row 3: price: the mode"):
        model.predict(X)


def test_what_training_says_is_logged_if_asked(
    asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    import logging

    logger = logging.getLogger("multimodal")
    with module._told(0):
        assert not logger.isEnabledFor(logging.INFO)
    with module._told(1):
        assert logger.isEnabledFor(logging.INFO)
        logger.info("a line of news")
    assert not logger.isEnabledFor(logging.INFO)


def estimators() -> list[Any]:
    return [kind(config=QUICK, epochs=1) for kind in (MultimodalRegressor, MultimodalClassifier)]


def test_checks_that_train_nothing() -> None:
    names = {
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimators_unfitted",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_valid_tag_types",
    }
    done = set()
    for model in estimators():
        for each, check in estimator_checks_generator(model):
            if check.func.__name__ in names:
                check(each)
                done.add(check.func.__name__)
    assert done == names


@pytest.mark.large
@parametrize_with_checks(estimators(), expected_failed_checks=lambda estimator: EXPECTED)
def test_all_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.large
def test_pipelines_with_transformers_before_the_estimator() -> None:
    skrub = pytest.importorskip("skrub")
    rows = plain_rows(60)
    X, y = rows[["size", "shop"]], rows["price"]
    encoded = ColumnTransformer(
        [("shop", OneHotEncoder(sparse_output=False), ["shop"])], remainder="passthrough"
    )
    model = MultimodalRegressor(config=QUICK, epochs=2)
    for before in (encoded, encoded.set_output(transform="pandas"), skrub.TableVectorizer()):
        pipeline = make_pipeline(before, clone(model)).fit(X, y)
        assert pipeline.score(X, y) > 0.8
    assert cross_val_score(model, X, y, cv=2).min() > 0.8
    moods = worded_rows(60)
    scores = cross_val_score(
        MultimodalClassifier(config=QUICK, epochs=2), moods[["review", "size"]], moods["mood"], cv=2
    )
    assert scores.min() > 0.8


@pytest.mark.large
def test_fits_in_other_processes_come_back_pickled() -> None:
    rows = plain_rows(40)
    X, y = rows[["size", "shop"]], rows["price"]
    model = MultimodalRegressor(config=QUICK, epochs=1)
    search = GridSearchCV(model, {"random_state": [0, 1]}, cv=2, n_jobs=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert os.path.isdir(search.best_estimator_.run_.path)
