"""Folds: every row tested once, groups whole, targets spread, a given column taken as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimodal.core.errors import DataError
from multimodal.data.read.readers import read_table
from multimodal.data.read.table import Table
from multimodal.data.split.folds import deal_folds, fold_splits, read_folds, rows_apart

RANDOM = np.random.default_rng(0)
N = 300
PRICE = RANDOM.lognormal(3, 1, N)
GROUPS = np.unique(RANDOM.integers(0, 200, N), return_inverse=True)[1]
KIND = np.where(RANDOM.random(N) < 0.2, "rare", "common").astype(object)


def test_folds_are_even_whole_and_stratified() -> None:
    folds = deal_folds(5, GROUPS, [PRICE], seed=1)
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]
    assert np.bincount(folds).max() - np.bincount(folds).min() <= 3
    assert not len(rows_apart(folds, GROUPS))
    cheap = PRICE < np.median(PRICE)
    assert all(abs(cheap[folds == fold].mean() - 0.5) < 0.1 for fold in range(5))


def test_classes_are_spread_and_one_alone_is_tested_too() -> None:
    kinds = KIND.copy()
    kinds[7] = "alone"
    folds = deal_folds(4, np.arange(N), [kinds], seed=0)
    counts = [int((kinds[folds == fold] == "rare").sum()) for fold in range(4)]
    assert max(counts) - min(counts) <= 1
    assert set(folds.tolist()) == {0, 1, 2, 3}


def test_the_seed_decides() -> None:
    first, again, other = (deal_folds(3, GROUPS, [PRICE], seed=s) for s in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_fewer_groups_than_folds() -> None:
    with pytest.raises(DataError, match="10 rows to 4 folds: they form 3 groups"):
        deal_folds(4, np.arange(10) % 3, [np.arange(10.0)], seed=0)


def test_one_fold_tests_and_some_of_the_others_validate() -> None:
    folds = deal_folds(5, GROUPS, [PRICE], seed=1)
    splits = fold_splits(folds, 2, GROUPS, [PRICE], 0.1, seed=0)
    assert ((splits == "test") == (folds == 2)).all()
    assert np.mean(splits == "validation") == pytest.approx(0.1, abs=0.02)
    number = np.array([["train", "validation", "test"].index(split) for split in splits])
    assert not len(rows_apart(number, GROUPS))


def table(cells: list[object], tmp_path: Path) -> Table:
    path = tmp_path / "t.csv"
    pd.DataFrame({"part": cells, "x": range(len(cells))}).to_csv(path, index=False)
    return read_table(path)


def test_a_column_of_folds(tmp_path: Path) -> None:
    found = read_folds(table([10, 2, 9, 2], tmp_path), "part")
    assert found.tolist() == [2, 0, 1, 0]
    found = read_folds(table(["b", "a", "b", "a"], tmp_path), "part")
    assert found.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("cells", "column", "told"),
    [
        (["a", "b"], "pat", "'pat' is missing. Did you mean 'part'?"),
        (["a", None, "b"], "part", r"t\.csv, line 3, column 'part': .* got an empty cell"),
        (["a", "a"], "part", "names 1 different folds, such as 'a'"),
        (list(range(200)), "part", "names 200 different folds"),
    ],
)
def test_a_column_that_is_none(cells: list[object], column: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        read_folds(table(cells, tmp_path), column)
