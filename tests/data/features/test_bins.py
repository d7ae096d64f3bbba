"""Edges of bins: from quantiles, and from labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.data.features.bins import fit_bins

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.uniform(-2, 2, 4000).astype("float32")


def test_quantiles_hold_equally_many_rows() -> None:
    numbers = RANDOM.normal(size=4000)
    edges = fit_bins(numbers, 8)
    counts, _ = np.histogram(numbers, np.array(edges) + [-1, 0, 0, 0, 0, 0, 0, 0, 1])
    assert len(edges) == 9 and (np.abs(counts - 500) <= 5).all()


@pytest.mark.parametrize(
    ("numbers", "edges"),
    [
        ([np.nan, np.nan], [-1.0, 1.0]),
        ([], [-1.0, 1.0]),
        ([0.5, 0.5, np.nan], [-0.5, 1.5]),
        ([0.0, 0.0, 0.0, 1.0], [0.0, 0.25, 1.0]),
        ([0.0, 1e-7, 1.0], [0.0, 0.5, 1.0]),
        ([0.0, 1.0, np.nan], [0.0, 0.25, 0.5, 0.75, 1.0]),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_numbers(numbers: list[float], edges: list[float], dtype: str) -> None:
    found = fit_bins(np.array(numbers, dtype), 4)
    assert found[0] == edges[0] and found[-1] == edges[-1]
    assert all(b - a >= 1e-3 for a, b in zip(found, found[1:], strict=False))
    if len(edges) == 5:
        assert found == edges


def test_cuts_lie_where_the_labels_change() -> None:
    target = np.where(NUMBERS > 0.7, 5.0, 1.0) + np.where(NUMBERS > -1.2, 2.0, 0.0)
    edges = fit_bins(NUMBERS, 3, target)
    np.testing.assert_allclose(edges, [-2, -1.2, 0.7, 2], atol=0.01)


def test_classes_are_told_apart_not_ordered() -> None:
    classes = np.select([NUMBERS > 1, NUMBERS > -1], [0, 2], 1)
    np.testing.assert_allclose(fit_bins(NUMBERS, 3, classes), [-2, -1, 1, 2], atol=0.01)
    several = np.stack([NUMBERS > 1, NUMBERS > -1], axis=1).astype(float)
    np.testing.assert_allclose(fit_bins(NUMBERS, 3, several), [-2, -1, 1, 2], atol=0.01)


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_rows_without_a_label_place_no_cut(dtype: str) -> None:
    target = (NUMBERS > 0.5).astype(dtype)
    target[NUMBERS < -0.5] = -1 if dtype == "int64" else np.nan
    edges = fit_bins(NUMBERS, 2, target)
    np.testing.assert_allclose(edges, [-2, 0.5, 2], atol=0.01)
    nothing = np.full(len(NUMBERS), -1 if dtype == "int64" else np.nan, dtype)
    np.testing.assert_allclose(fit_bins(NUMBERS, 2, nothing), [-2, 2], atol=0.01)


def test_a_label_that_never_changes_leaves_one_bin() -> None:
    assert len(fit_bins(NUMBERS, 8, np.ones(len(NUMBERS)))) == 2


def test_no_more_bins_than_asked_for() -> None:
    target: Any = RANDOM.normal(size=len(NUMBERS))
    for count in (2, 5, 32):
        assert len(fit_bins(NUMBERS, count)) == count + 1
        assert 2 <= len(fit_bins(NUMBERS, count, target)) <= count + 1
