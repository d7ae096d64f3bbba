"""Prediction intervals from a record, and the features that a scale of errors may have."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from multimodal.core.errors import ConfigError, RunError
from multimodal.core.spec import FittedSpec
from multimodal.core.target_transform import TargetTransform
from multimodal.evaluation.calibration.intervals import (
    MOST_FEATURES,
    NonconformityScore,
    NumberCalibration,
    RowFeature,
    choose_features,
    conformal_quantile,
    features_fit,
    prediction_interval,
    row_features,
    score_quantiles,
)
from multimodal.evaluation.calibration.scale import ConditionalScale

NINE = [float(i) for i in range(1, 10)]


def record(**changes: object) -> NumberCalibration:
    plain = NumberCalibration(
        space=TargetTransform(),
        shape=NonconformityScore(),
        spread=ConditionalScale(),
        rows=9,
        upper=NINE,
    )
    return plain.model_copy(update=changes)


@pytest.mark.parametrize(
    ("share", "score"), [(0.1, 1.0), (0.5, 5.0), (0.51, 6.0), (0.89, 9.0), (0.9, 9.0)]
)
def test_the_rank_includes_the_new_row(share: float, score: float) -> None:
    assert conformal_quantile(NINE, share) == score


def test_a_level_that_the_rows_do_not_allow() -> None:
    assert record().most == 0.9
    with pytest.raises(RunError, match=r"level 0.95 take more than the 9 rows .* 0.9 at most"):
        prediction_interval(record(), [[1.0]], 0.95)
    two = record(lower=NINE)
    assert score_quantiles(two, 0.8) == (9.0, 9.0)
    with pytest.raises(RunError, match="0.8 at most"):
        score_quantiles(two, 0.9)


@pytest.mark.parametrize("level", [0.0, 1.0, 90, -0.1, float("nan")])
def test_a_level_lies_between_0_and_1(level: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1, such as 0.9. Received"):
        prediction_interval(record(), [[1.0]], level)


def test_two_sides_differ_and_the_prediction_stays_inside() -> None:
    lean = record(lower=[each - 20 for each in NINE])
    found = prediction_interval(lean, [[100.0]], 0.5)
    assert (found.low[0], found.high[0]) == (100.0, 108.0)  # the errors all point upwards
    apart = record(lower=[each / 2 for each in NINE])
    assert prediction_interval(apart, [[100.0]], 0.5) == (
        pytest.approx([96.0]),
        pytest.approx([108.0]),
    )


def test_rows_without_a_prediction_have_no_interval() -> None:
    low, high = prediction_interval(record(), [[np.nan], [1.0]], 0.9)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, False]


def test_prices_stay_above_zero_and_finite() -> None:
    space = TargetTransform(transform="log1p", mean=0.0, scale=1.0)
    wide = record(space=space, upper=[900.0] * 9)
    low, high = prediction_interval(wide, [[5.0]], 0.9)
    assert low[0] == 0.0 and np.isfinite(high[0])


def test_quantiles_keep_their_proportions() -> None:
    shape = NonconformityScore(middle=1, outer=(0, 2), least=(0.5, 0.5))
    found = prediction_interval(record(shape=shape), [[8.0, 10.0, 11.0], [10.0, 10.0, 10.0]], 0.2)
    assert found.low.tolist() == [6.0, 9.0] and found.high.tolist() == [12.0, 11.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": NonconformityScore(middle=3)},
        {"spread": ConditionalScale(knots=[[0.0, 1.0]] * 2, heights=[[0.0, 0.0]] * 2)},
    ],
)
def test_a_record_of_another_head_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RunError, match="not of this model's head"):
        prediction_interval(record(**wrong), [[1.0]], 0.9)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"upper": [2.0, 1.0]}, "must rise"),
        ({"upper": [1.0, 2.0], "lower": [1.0]}, "as many lower"),
        ({"upper": []}, "at least 1"),
        ({"upper": [1.0, float("nan")]}, "finite"),
        ({"upper": [1.0] * 5001}, "at most 5000"),
        ({"shape": {"middle": 0, "outer": [0, 1]}}, "between the outer"),
        ({"shape": {"middle": 1, "outer": [0, 2], "least": [0, 1]}}, "between the outer"),
        ({"space": {"transform": "exp"}}, "log1p"),
        ({"space": {"scale": 0}}, "greater than 0"),
    ],
)
def test_a_damaged_record_is_refused(values: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        NumberCalibration.model_validate({**record().model_dump(), **values})


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


def test_a_category_that_all_rows_have_is_no_feature() -> None:
    assert not choose_features(spec(0, 1), {"t_categorical": np.full((9, 1), 2)})


def test_many_columns_are_cut() -> None:
    inputs = {"t_numeric": np.zeros((5, 99))}
    assert len(choose_features(spec(99, 0), inputs)) == MOST_FEATURES


def test_missing_numbers_count_as_zero_and_no_feature_has_no_column() -> None:
    one = RowFeature(key="t_numeric", column=0)
    assert row_features([one], {"t_numeric": np.array([[np.nan], [2.0]])}).tolist() == [[0], [2]]
    assert row_features([], {"t_numeric": np.zeros((3, 1))}).shape == (3, 0)
