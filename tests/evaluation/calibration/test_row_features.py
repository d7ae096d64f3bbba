"""Numbers and frequent names of rows as plain features."""

from __future__ import annotations

import numpy as np

from multimodal.core.spec import FittedSpec
from multimodal.evaluation.calibration.intervals import (
    MOST_FEATURES,
    RowFeature,
    choose_features,
    features_fit,
    row_features,
)


def spec(numbers: int, names: int) -> FittedSpec:
    columns = [{"name": f"n{i}", "source": f"n{i}"} for i in range(max(numbers, names))]
    group = {
        "name": "t",
        "modality": "tabular",
        "columns": ["x"],
        "numeric": columns[:numbers],
        "categorical": columns[:names],
    }
    text = {"name": "w", "modality": "text", "columns": ["w"], "lengths": [8]}
    return FittedSpec.model_validate({"groups": [group, text], "heads": []})


def test_numbers_and_frequent_names_are_chosen() -> None:
    codes = np.repeat([2, 3, 4, 1], [60, 37, 2, 1])[:, None]
    inputs = {
        "t_numeric": np.arange(100.0)[:, None],
        "t_categorical": codes,
        "w_tokens": np.ones((100, 8), int),
    }
    chosen = choose_features(spec(1, 1), inputs)
    assert [(each.key, each.code) for each in chosen] == [
        ("t_numeric", None),
        ("t_categorical", 2),
        ("t_categorical", 3),
    ]
    found = row_features(chosen, inputs)
    assert found.shape == (100, 3) and found.sum(axis=0).tolist() == [4950, 60, 37]
    assert features_fit(chosen, spec(1, 1)) and not features_fit(chosen, spec(1, 0))


def test_a_name_that_all_rows_have_tells_nothing() -> None:
    assert not choose_features(spec(0, 1), {"t_categorical": np.full((9, 1), 2)})


def test_many_columns_are_cut() -> None:
    inputs = {"t_numeric": np.zeros((5, 99))}
    assert len(choose_features(spec(99, 0), inputs)) == MOST_FEATURES


def test_missing_numbers_count_as_zero_and_no_feature_has_no_column() -> None:
    one = RowFeature(key="t_numeric", column=0)
    assert row_features([one], {"t_numeric": np.array([[np.nan], [2.0]])}).tolist() == [[0], [2]]
    assert row_features([], {"t_numeric": np.zeros((3, 1))}).shape == (3, 0)
