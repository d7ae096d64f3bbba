"""What is prepared: the rows of a split, of a network, of a sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import plain_config, plain_rows

from multimodal.data.prepare import prepare
from multimodal.data.prepared import Prepared


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(plain_rows(), ["price"], plain_config(fold_models=3, linear=False))


def test_every_row_is_on_one_side(prepared: Prepared) -> None:
    splits = [prepared.rows(split) for split in ("train", "validation", "test")]
    assert sorted(np.concatenate(splits)) == list(range(80))
    counts = prepared.summary()
    assert [counts[split] for split in ("train", "validation", "test")] == list(map(len, splits))
    assert (counts["read"], counts["kept"], counts["quarantined"]) == (80, 80, 0)


def test_each_network_is_stopped_by_rows_that_it_does_not_learn_from(prepared: Prepared) -> None:
    parts = [prepared.fold_rows(i) for i in range(3)]
    tested = set(prepared.rows("test"))
    assert sorted(np.concatenate([held for _, held in parts])) == sorted(set(range(80)) - tested)
    for rows, held in parts:
        assert not set(rows) & set(held) and not (set(rows) | set(held)) & tested


def test_what_is_left_of_several_networks_keeps_its_part(prepared: Prepared) -> None:
    config = prepared.config.merge(training={"fold_models": 1})
    left = replace(prepared, config=config).fold_rows(0)
    for rows, same in zip(left, prepared.fold_rows(0), strict=True):
        np.testing.assert_array_equal(rows, same)


def test_one_network_is_stopped_by_the_validation_rows() -> None:
    prepared = prepare(plain_rows(), ["price"], plain_config(fold_models=1, linear=False))
    rows, held = prepared.fold_rows(0)
    np.testing.assert_array_equal(rows, prepared.rows("train"))
    np.testing.assert_array_equal(held, prepared.rows("validation"))
