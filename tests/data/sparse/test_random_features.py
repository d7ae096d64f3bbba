"""Random Fourier features over a table, and the target encoding of its categories."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.spec import CategoricalColumn, FittedGroup, FittedSpec, NumericColumn
from multimodal.data.prepare import prepare
from multimodal.data.sparse.blocks import feature_hashes, sparse_matrix
from multimodal.data.sparse.ngrams import random_feature_hashes
from multimodal.data.sparse.random_features import (
    COUNT,
    PRIOR,
    Cells,
    baseline_cells,
    fit_random_features,
    random_feature_targets,
    random_features_of,
    random_features_out_of_fold,
    read_cells,
    target_encoding,
)

GROUP = FittedGroup(
    name="t",
    modality="tabular",
    columns=["n", "c"],
    numeric=[NumericColumn(name="n", source="n")],
    categorical=[CategoricalColumn(name="c", source="c", categories=["a", "b"])],
)
RANDOM = np.random.default_rng(1)
NUMBERS = RANDOM.normal(size=(60, 1))
NAMES = RANDOM.choice(["a", "b"], 60)
CODES = np.where(NAMES == "a", 2, 3)[:, None]
THERE = np.ones(60, bool)
CELLS = Cells(NUMBERS, CODES, THERE)
TARGETS = RANDOM.normal(size=(60, 1)) + (NAMES == "b")[:, None]


def test_the_features_of_two_rows_are_alike_where_the_rows_are():
    random = np.random.default_rng(0)
    group = GROUP.model_copy(update={"categorical": []})
    fourier = fit_random_features(group, Cells(NUMBERS, CODES[:, :0], THERE), TARGETS)
    x = np.array([[0.0], [0.1], [0.5], [2.0], [5.0]]) + random.normal()
    found = random_features_of(fourier, Cells(x, np.zeros((5, 0), int), np.ones(5, bool)))
    alike = np.exp(-0.5 * (x - x.T) ** 2)  # what the products come to with ever more waves
    assert np.abs(found @ found.T - alike).max() < 4 / np.sqrt(COUNT)


def test_a_category_stands_for_its_mean_target():
    fourier = fit_random_features(GROUP, CELLS, TARGETS)
    rows = Cells(np.zeros((2, 1)), np.array([[2], [3]]), THERE[:2])
    one, other = random_features_of(fourier, rows)
    assert not np.allclose(one, other)
    same = random_features_of(fourier, rows, np.zeros((2, 1, 1)))
    np.testing.assert_allclose(same[0], same[1])


def test_a_rows_own_fold_does_not_encode_its_category():
    folds = np.arange(60) % 3
    moved = TARGETS.copy()
    moved[folds == 0] += RANDOM.normal(size=(20, 1)) * 100
    fourier = fit_random_features(GROUP, CELLS, TARGETS)
    first = random_features_out_of_fold(fourier, GROUP, CELLS, TARGETS, folds)
    second = random_features_out_of_fold(fourier, GROUP, CELLS, moved, folds)
    np.testing.assert_array_equal(first[folds == 0], second[folds == 0])
    assert not np.allclose(first[folds == 1], second[folds == 1])


def test_rows_without_a_fold_stand_as_they_will_be_predicted():
    fourier = fit_random_features(GROUP, CELLS, TARGETS)
    found = random_features_out_of_fold(fourier, GROUP, CELLS, TARGETS, np.full(60, -1))
    np.testing.assert_array_equal(found, random_features_of(fourier, CELLS))


def test_no_rows_have_no_features():
    none = Cells(*(each[:0] for each in CELLS))
    assert random_features_of(fit_random_features(GROUP, CELLS, TARGETS), none).shape == (0, COUNT)
    numbers = GROUP.model_copy(update={"categorical": []})
    bare = Cells(NUMBERS, CODES[:, :0], THERE)
    assert random_features_of(fit_random_features(numbers, bare, TARGETS), bare).shape == (
        60,
        COUNT,
    )


def test_heads_that_no_category_can_be_measured_by_leave_no_targets():
    assert random_feature_targets([], [], {"where": np.zeros((60, 4))}).shape == (60, 0)


def test_raw_cells_are_read_as_networks_read_them():
    frame = {"n": ["1.5", None], "c": ["b", "never seen"]}
    cells = read_cells(GROUP, {}, frame)
    assert cells.codes[:, 0].tolist() == [3, 1]
    assert cells.numbers[1, 0] == 0.0 and cells.numbers[0, 0] > 1
    assert cells.there.all()
    assert read_cells(GROUP, {}, {"n": [None], "c": [None]}).there.tolist() == [False]
    assert baseline_cells(GROUP).codes.tolist() == [[2]]


def test_targets_of_all_heads_are_of_one_scale_and_missing_ones_stay_missing():
    rows = plain_rows().assign(mood=["glad", "sad"] * 40)
    prepared = prepare(rows, ["price", "mood"], plain_config())
    labels = {name: y_true.copy() for name, y_true in prepared.labels.items()}
    labels["mood"][3] = -1
    found = random_feature_targets(prepared.config.heads, prepared.spec.heads, labels)
    assert found.shape == (80, 2) and np.isnan(found).sum() == 1
    np.testing.assert_allclose(np.nanmean(found, axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.nanstd(found, axis=0), 1)


def test_random_features_stand_among_the_sparse_ones():
    prepared = prepare(plain_rows(), ["price"], plain_config(linear=True))
    spec = prepared.spec
    (block,) = (block for block in spec.terms.blocks if block.kind == "waves")
    place = spec.terms.blocks.index(block)
    matrix = sparse_matrix(spec.terms, spec, {}, prepared.table.frame)
    columns = np.searchsorted(feature_hashes(spec.terms), random_feature_hashes(place, COUNT))
    cells = read_cells(spec.group(block.group), {}, prepared.table.frame)
    expected = random_features_of(block.waves, cells) * block.scale
    np.testing.assert_allclose(matrix[:, columns].toarray(), expected, rtol=1e-5, atol=1e-6)


def test_features_of_another_group_are_refused():
    prepared = prepare(plain_rows(), ["price"], plain_config(linear=True))
    content = prepared.spec.model_dump()
    content["groups"][0]["categorical"][0]["categories"].append("more")
    with pytest.raises(ValueError, match="features are not those of a group"):
        FittedSpec.model_validate(content)


def test_rare_categories_are_drawn_to_the_mean_of_all_rows():
    codes = np.array([[0, 2]] * 90 + [[1, 2]] * 10)
    targets = np.where(codes[:, :1] == 1, 10.0, 0.0)
    found = target_encoding(codes, 4, targets, np.ones(100))[:, 0]
    mean = 1.0
    np.testing.assert_allclose(found[0], PRIOR * mean / (90 + PRIOR))
    np.testing.assert_allclose(found[1], (100 + PRIOR * mean) / (10 + PRIOR))
    np.testing.assert_allclose(found[2:], [mean, mean])  # in all rows, in none


def test_a_missing_target_of_one_head_leaves_those_of_others():
    targets = np.array([[1.0, 5.0], [3.0, 0.0]])
    weight = np.array([[1.0, 1.0], [1.0, 0.0]])
    found = target_encoding(np.zeros((2, 1), int), 1, targets, weight)
    np.testing.assert_allclose(found, [[2.0, 5.0]])


def test_without_any_weight_nothing_is_known():
    assert target_encoding(np.zeros((2, 1), int), 2, np.ones((2, 1)), np.zeros(2)).tolist() == [
        [0.0],
        [0.0],
    ]
