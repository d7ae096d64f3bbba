"""Folds: every row tested once, groups whole, targets spread; k-fold training; splitting again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import PHOTOS, TABLE, WORDS, plain_config, plain_rows, tiny_config

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, DataError
from multimodal.data.labels.cells import Label
from multimodal.data.prepare import Prepared, prepare
from multimodal.data.read.readers import read_table
from multimodal.data.read.table import Table
from multimodal.data.split.folds import (
    LINEAR_FOLDS,
    deal_folds,
    fold_splits,
    read_folds,
    resplit,
    row_weights,
    split_targets,
    strata,
    training_folds,
)
from multimodal.data.split.splits import leaking_rows

RANDOM = np.random.default_rng(0)
N = 300
PRICE = RANDOM.lognormal(3, 1, N)
GROUPS = np.unique(RANDOM.integers(0, 200, N), return_inverse=True)[1]
KIND = np.where(RANDOM.random(N) < 0.2, "rare", "common").astype(object)


def test_folds_are_even_whole_and_stratified() -> None:
    folds = deal_folds(5, GROUPS, [PRICE], seed=1)
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]
    assert np.bincount(folds).max() - np.bincount(folds).min() <= 3
    assert not len(leaking_rows(folds, GROUPS))
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
    assert not len(leaking_rows(number, GROUPS))


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


def splits_of(rows: int, test: int = 0) -> np.ndarray:
    return np.array(["train"] * (rows - test) + ["test"] * test, object)


def number(values: np.ndarray) -> Label:
    return Label("number", ["y"], values, [])


def test_duplicates_are_in_one_part_and_test_rows_in_none() -> None:
    groups = np.arange(100) // 2
    label = {"y": number(np.arange(100.0))}
    for members, k_fold, count in (
        (4, True, 4),
        (4, False, LINEAR_FOLDS),
        (1, False, LINEAR_FOLDS),
    ):
        config = Config.parse({"training": {"fold_models": members}})
        found = training_folds(config, groups, splits_of(100, 20), label, k_fold)
        assert (found[80:] == -1).all() and set(found[:80]) == set(range(count))
        assert (found[0:80:2] == found[1:80:2]).all()


def test_too_few_rows_are_told() -> None:
    config = Config.parse({"training": {"fold_models": 5}})
    with pytest.raises(
        ConfigError, match="`training.fold_models` is 5, .* there are 6, and duplicate"
    ):
        label = {"y": number(np.arange(6.0))}
        training_folds(config, np.zeros(6, np.int64), splits_of(6), label, k_fold=True)


def test_a_split_shares_out_sizes_of_boxes_and_each_label() -> None:
    boxes = Label("box", list("abcd"), np.array([[0.0, 0.0, 2.0, 3.0]]), [])
    assert split_targets(boxes)[0].tolist() == [6.0]
    values = np.empty(3, object)
    values[:] = [("a",), ("a", "b"), None]
    found = split_targets(Label("labels", ["t"], values, []))
    assert [each.tolist() for each in found] == [[1.0, 1.0, None], [0.0, 1.0, None]]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    rows = plain_rows(60)
    rows["weight"] = np.arange(60) % 3
    rows.loc[rows.index[:5], "cost"] = np.nan
    heads = [
        {"name": "price", "column": "price"},
        {"name": "cost", "column": "cost", "partial": True},
    ]
    config = plain_config().merge(heads=heads)
    return prepare(rows, ["price", "cost"], config, weight="weight")


def other_splits(prepared: Prepared) -> np.ndarray:
    found = np.full(len(prepared.splits), "train", object)
    found[::3], found[1::6] = "test", "validation"
    return found


def test_scales_are_those_of_the_new_training_rows(prepared: Prepared) -> None:
    found = resplit(prepared, other_splits(prepared))
    train = found.rows("train")
    numbers = prepared.table.frame["size"].to_numpy()[train]
    assert found.spec.groups[0].numeric[0].centre == pytest.approx(np.median(numbers))
    weighing = train[row_weights(prepared)[train] > 0]
    price = prepared.labels["price"][weighing]
    assert found.spec.heads[0].mean == pytest.approx(price.mean())
    assert found.spec.groups[0].numeric[0].centre != prepared.spec.groups[0].numeric[0].centre


def test_weights_and_missing_labels_stay(prepared: Prepared) -> None:
    found = resplit(prepared, other_splits(prepared))
    for head in ("price", "cost"):
        np.testing.assert_array_equal(found.source.weights[head], prepared.source.weights[head])
        np.testing.assert_array_equal(found.labels[head], prepared.labels[head])
    assert not found.source.weights["cost"][:5].any()
    assert row_weights(prepared).tolist() == [float(i % 3) for i in range(60)]


def test_the_same_splits_give_the_same_arrays(prepared: Prepared) -> None:
    found = resplit(prepared, prepared.splits)
    assert found.spec == prepared.spec
    for key, array in prepared.source.inputs.items():
        np.testing.assert_array_equal(found.source.inputs[key], array)


def test_a_split_without_labels_is_told(prepared: Prepared) -> None:
    found = other_splits(prepared)
    found[:] = "train"
    found[10:20], found[:5] = "validation", "test"
    with pytest.raises(DataError, match="head 'cost'.* none of the 5 test rows"):
        resplit(prepared, found)


def test_strata_are_the_labels(prepared: Prepared) -> None:
    assert [len(each) for each in strata(prepared)] == [60, 60]


def test_photos_are_decoded_once(catalogue_folder: Path) -> None:
    config = tiny_config(TABLE, WORDS, PHOTOS)
    first = prepare(catalogue_folder / "catalogue.csv", ["price"], config)
    found = resplit(first, np.roll(first.splits, 7))
    assert found.source.caches["photos"] is first.source.caches["photos"]
    assert found.spec.group("words").vocabulary != first.spec.group("words").vocabulary
