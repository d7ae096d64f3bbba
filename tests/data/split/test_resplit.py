"""The same rows in other splits: all that is learned comes from the new training rows alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import PHOTOS, TABLE, WORDS, plain_config, plain_rows, tiny_config

from multimodal.core.errors import DataError
from multimodal.data.prepare import Prepared, prepare
from multimodal.data.split.folds import resplit, row_weights, strata


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


def splits(prepared: Prepared) -> np.ndarray:
    found = np.full(len(prepared.splits), "train", object)
    found[::3], found[1::6] = "test", "validation"
    return found


def test_scales_are_those_of_the_new_training_rows(prepared: Prepared) -> None:
    found = resplit(prepared, splits(prepared))
    train = found.rows("train")
    numbers = prepared.table.frame["size"].to_numpy()[train]
    assert found.spec.groups[0].numeric[0].centre == pytest.approx(np.median(numbers))
    weighing = train[row_weights(prepared)[train] > 0]
    price = prepared.labels["price"][weighing]
    assert found.spec.heads[0].mean == pytest.approx(price.mean())
    assert found.spec.groups[0].numeric[0].centre != prepared.spec.groups[0].numeric[0].centre


def test_weights_and_missing_labels_stay(prepared: Prepared) -> None:
    found = resplit(prepared, splits(prepared))
    for head in ("price", "cost"):
        np.testing.assert_array_equal(found.source.weights[head], prepared.source.weights[head])
        np.testing.assert_array_equal(found.labels[head], prepared.labels[head])
    assert not found.source.weights["cost"][:5].any()
    assert row_weights(prepared).tolist() == [float(i % 3) for i in range(60)]


def test_the_same_sides_give_the_same_arrays(prepared: Prepared) -> None:
    found = resplit(prepared, prepared.splits)
    assert found.spec == prepared.spec
    for key, array in prepared.source.inputs.items():
        np.testing.assert_array_equal(found.source.inputs[key], array)


def test_a_side_without_labels_is_told(prepared: Prepared) -> None:
    found = splits(prepared)
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
