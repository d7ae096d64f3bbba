from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from multimodal.models.stack.boosting import grow, options_for

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(400, 4))
FEATURES[RANDOM.random(size=FEATURES.shape) < 0.1] = np.nan
SIGNAL = np.nan_to_num(FEATURES[:, 0]) * 2 + np.isnan(FEATURES[:, 1]) - (FEATURES[:, 2] > 0)
ONES = np.ones(400)


def test_arrays_answer_as_the_grown_trees_do():
    forest = grow("number", FEATURES, SIGNAL, ONES, 1, seed=3)
    model = HistGradientBoostingRegressor(random_state=3, **options_for(400)).fit(FEATURES, SIGNAL)
    np.testing.assert_allclose(forest.raw(FEATURES)[:, 0], model.predict(FEATURES), rtol=1e-10)
    forest.check(4, 1)


@pytest.mark.parametrize("classes", [2, 3])
def test_logits_of_classes(classes):
    y_true = np.digitize(SIGNAL, [-1.0, 1.0][: classes - 1])
    outputs = 1 if classes == 2 else 3
    forest = grow("binary" if classes == 2 else "class", FEATURES, y_true, ONES, outputs, seed=0)
    options = {**options_for(400), "max_iter": max(250 // outputs, 100)}
    model = HistGradientBoostingClassifier(random_state=0, **options).fit(FEATURES, y_true)
    raw = forest.raw(FEATURES)
    wanted = model.decision_function(FEATURES)
    np.testing.assert_allclose(raw, wanted.reshape(raw.shape), rtol=1e-8, atol=1e-8)


def test_classes_that_are_not_there_are_rare():
    y_true = np.where(SIGNAL > 0, 2, 0)
    raw = grow("class", FEATURES, y_true, ONES, 4, seed=0).raw(FEATURES)
    assert np.mean(raw.argmax(axis=1) == y_true) > 0.95
    alone = grow("class", FEATURES, np.full(400, 3), ONES, 4, seed=0).raw(FEATURES[:2])
    assert alone.argmax(axis=1).tolist() == [3, 3]
    assert grow("binary", FEATURES, np.zeros(400, int), ONES, 1, 0).raw(FEATURES[:1])[0, 0] < 0


def test_labels_stand_side_by_side():
    y_true = np.stack([SIGNAL > 0, SIGNAL > 1], axis=1).astype(float)
    forest = grow("labels", FEATURES, y_true, ONES, 2, seed=0)
    forest.check(4, 2)
    assert np.mean((forest.raw(FEATURES) > 0) == y_true) > 0.95


def test_no_rows_have_no_outputs():
    assert grow("number", FEATURES, SIGNAL, ONES, 1, seed=0).raw(FEATURES[:0]).shape == (0, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("roots", 10**6), ("feature", 4), ("left", -1), ("right", 10**9), ("outputs", 1)],
)
def test_trees_that_point_astray_are_refused(name, value):
    forest = grow("number", FEATURES, SIGNAL, ONES, 1, seed=0)
    getattr(forest, name)[0] = value
    with pytest.raises(ValueError, match="point to what is not there"):
        forest.check(4, 1)


def test_numbers_that_are_none_are_refused():
    forest = grow("number", FEATURES, SIGNAL, ONES, 1, seed=0)
    forest.value[0] = np.nan
    with pytest.raises(ValueError, match="'value'"):
        forest.check(4, 1)
