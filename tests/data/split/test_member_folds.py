"""Networks and folds: how many there are, and that parts are fair."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.data.labels.cells import Label
from multimodal.data.read.readers import read_table
from multimodal.data.split.folds import (
    FOLDS,
    in_parts,
    member_folds,
    split_targets,
    with_members,
    with_training_schedule,
)


def sides_of(rows: int, test: int = 0) -> np.ndarray:
    return np.array(["train"] * (rows - test) + ["test"] * test, object)


def number(values: np.ndarray) -> Label:
    return Label("number", ["y"], values, [])


@pytest.mark.parametrize(("rows", "members"), [(199, 1), (200, 5), (12_000, 5), (12_001, 1)])
def test_few_rows_have_several_networks_and_very_few_one(rows: int, members: int) -> None:
    table = read_table(pd.DataFrame({"y": np.arange(rows + 9.0)}))
    found = with_members(Config(), table, sides_of(rows + 9, 9))
    assert found.training.members == members


@pytest.mark.parametrize(
    ("rows", "epochs"), [(0, 25), (8_000, 25), (50_000, 12), (100_000, 6), (5_000_000, 5)]
)
def test_many_rows_are_read_less_often(rows: int, epochs: int) -> None:
    splits = np.repeat(np.array(["train", "test"], object), [rows, 9])
    assert with_training_schedule(Config(), splits).training.epochs == epochs


@pytest.mark.parametrize(("rows", "batch"), [(0, 16), (2_000, 16), (2_001, 64)])
def test_few_rows_are_read_in_small_batches(rows: int, batch: int) -> None:
    splits = np.repeat(np.array(["train", "test"], object), [rows, 9_999])
    assert with_training_schedule(Config(), splits).training.batch_size == batch


def test_epochs_and_batches_that_are_asked_for_stay() -> None:
    splits = np.array(["train"] * 9, object)
    asked = Config.parse({"training": {"epochs": 3, "batch_size": 5}})
    assert with_training_schedule(asked, splits) is asked
    half = with_training_schedule(Config.parse({"training": {"epochs": 3}}), splits).training
    assert (half.epochs, half.batch_size) == (3, 16)


CHOSEN = [{"method": "time", "column": "y"}, {"method": "column", "column": "side"}]


@pytest.mark.parametrize("split", CHOSEN)
@pytest.mark.parametrize(
    ("rows", "members"), [(191, 1), (192, 5), (4_800, 5), (8_000, 3), (12_000, 2), (12_001, 1)]
)
def test_networks_share_chosen_rows_as_often_as_they_may_be_read(
    split: dict[str, str], rows: int, members: int
) -> None:
    splits = np.repeat(np.array(["train", "validation", "test"], object), [rows, 8, 9])
    table = read_table(pd.DataFrame({"y": np.arange(rows + 17.0), "side": "validation"}))
    config = with_members(Config.parse({"data": {"split": split}}), table, splits)
    assert config.training.members == members
    assert not in_parts(config, table)


def test_a_number_that_is_asked_for_stays() -> None:
    table = read_table(pd.DataFrame({"y": np.arange(500.0), "side": ["validation"] * 500}))
    asked = Config.parse({"training": {"members": 2}})
    assert with_members(asked, table, sides_of(500)) is asked
    assert in_parts(asked, table)
    assert not in_parts(asked.merge(training={"members": 1}), table)
    assert not in_parts(asked.merge(data={"split": CHOSEN[1]}), table)


def test_duplicates_are_in_one_part_and_test_rows_in_none() -> None:
    groups = np.arange(100) // 2
    label = {"y": number(np.arange(100.0))}
    for members, parts, count in ((4, True, 4), (4, False, FOLDS), (1, False, FOLDS)):
        config = Config.parse({"training": {"members": members}})
        found = member_folds(config, groups, sides_of(100, 20), label, parts)
        assert (found[80:] == -1).all() and set(found[:80]) == set(range(count))
        assert (found[0:80:2] == found[1:80:2]).all()


def test_too_few_rows_are_told() -> None:
    config = Config.parse({"training": {"members": 5}})
    with pytest.raises(ConfigError, match="`training.members` is 5, .* there are 6, and duplicate"):
        label = {"y": number(np.arange(6.0))}
        member_folds(config, np.zeros(6, np.int64), sides_of(6), label, parts=True)


def test_a_split_shares_out_sizes_of_boxes_and_each_label() -> None:
    boxes = Label("box", list("abcd"), np.array([[0.0, 0.0, 2.0, 3.0]]), [])
    assert split_targets(boxes)[0].tolist() == [6.0]
    values = np.empty(3, object)
    values[:] = [("a",), ("a", "b"), None]
    found = split_targets(Label("labels", ["t"], values, []))
    assert [each.tolist() for each in found] == [[1.0, 1.0, None], [0.0, 1.0, None]]
