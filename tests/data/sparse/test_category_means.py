from __future__ import annotations

import numpy as np

from multimodal.data.sparse.random_features import PRIOR, target_encoding


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
