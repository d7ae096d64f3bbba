"""Networks and folds: how many there are, and that parts are fair."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multimodal.config import Config
from multimodal.data.labels import Label
from multimodal.data.member_folds import (
    FOLDS,
    member_folds,
    split_targets,
    with_members,
    with_pace,
)
from multimodal.data.readers import read_table
from multimodal.errors import ConfigError


def sides_of(rows: int, test: int = 0) -> np.ndarray:
    return np.array(["train"] * (rows - test) + ["test"] * test, object)


def number(values: np.ndarray) -> Label:
    return Label("number", ["y"], values, [])


@pytest.mark.parametrize(("rows", "members"), [(199, 1), (200, 5), (7_500, 5), (7_501, 1)])
def test_few_rows_have_several_networks_and_very_few_one(rows: int, members: int) -> None:
    table = read_table(pd.DataFrame({"y": np.arange(rows + 9.0)}))
    found = with_members(Config(), table, sides_of(rows + 9, 9))
    assert found.training.members == members


@pytest.mark.parametrize(
    ("rows", "epochs"), [(0, 25), (8_000, 25), (50_000, 12), (100_000, 6), (5_000_000, 5)]
)
def test_many_rows_are_read_less_often(rows: int, epochs: int) -> None:
    sides = np.repeat(np.array(["train", "test"], object), [rows, 9])
    assert with_pace(Config(), sides).training.epochs == epochs


@pytest.mark.parametrize(("rows", "batch"), [(0, 16), (2_000, 16), (2_001, 64)])
def test_few_rows_are_read_in_small_batches(rows: int, batch: int) -> None:
    sides = np.repeat(np.array(["train", "test"], object), [rows, 9_999])
    assert with_pace(Config(), sides).training.batch_size == batch


def test_epochs_and_batches_that_are_asked_for_stay() -> None:
    sides = np.array(["train"] * 9, object)
    asked = Config.parse({"training": {"epochs": 3, "batch_size": 5}})
    assert with_pace(asked, sides) is asked
    half = with_pace(Config.parse({"training": {"epochs": 3}}), sides).training
    assert (half.epochs, half.batch_size) == (3, 16)


def test_a_number_that_is_asked_for_and_chosen_rows_count() -> None:
    table = read_table(pd.DataFrame({"y": np.arange(500.0), "side": ["validation"] * 500}))
    asked = Config.parse({"training": {"members": 2}})
    assert with_members(asked, table, sides_of(500)) is asked
    for split in ({"method": "time", "column": "y"}, {"method": "column", "column": "side"}):
        config = Config.parse({"data": {"split": split}})
        assert with_members(config, table, sides_of(500)).training.members == 1


def test_duplicates_are_in_one_part_and_test_rows_in_none() -> None:
    groups = np.arange(100) // 2
    label = {"y": number(np.arange(100.0))}
    for members, count in ((4, 4), (1, FOLDS)):
        config = Config.parse({"training": {"members": members}})
        found = member_folds(config, groups, sides_of(100, 20), label)
        assert (found[80:] == -1).all() and set(found[:80]) == set(range(count))
        assert (found[0:80:2] == found[1:80:2]).all()


def test_too_few_rows_are_told() -> None:
    config = Config.parse({"training": {"members": 5}})
    with pytest.raises(ConfigError, match="`training.members` is 5, .* there are 6, and duplicate"):
        member_folds(config, np.zeros(6, np.int64), sides_of(6), {"y": number(np.arange(6.0))})


def test_a_split_shares_out_sizes_of_boxes_and_each_label() -> None:
    boxes = Label("box", list("abcd"), np.array([[0.0, 0.0, 2.0, 3.0]]), [])
    assert split_targets(boxes)[0].tolist() == [6.0]
    values = np.empty(3, object)
    values[:] = [("a",), ("a", "b"), None]
    found = split_targets(Label("labels", ["t"], values, []))
    assert [each.tolist() for each in found] == [[1.0, 1.0, None], [0.0, 1.0, None]]
