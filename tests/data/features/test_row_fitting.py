"""Groups, heads and terms are fitted on the rows that they may be."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import plain_config, plain_rows

from multimodal.data.features.fit import fit_rows, with_terms
from multimodal.data.prepare import prepare
from multimodal.data.prepared import Prepared


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(plain_rows(), ["price"], plain_config())


def fitted(prepared: Prepared, train: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return the largest price, and the centre of the sizes, that are learned."""
    spec = fit_rows(
        prepared.config, prepared.schema, prepared.table, prepared.raw_labels, weights, train, None
    )
    (size,) = (column for column in spec.groups[0].numeric if column.source == "size")
    return spec.heads[0].maximum, size.centre


def test_only_training_rows_count_and_for_heads_those_that_weigh(prepared: Prepared) -> None:
    price = prepared.table.frame["price"].to_numpy(float)
    train, weights = np.arange(80) < 40, np.ones(80)
    most, centre = fitted(prepared, train, weights)
    assert most == price[:40].max()
    weights[np.argmax(price[:40])] = 0.0
    assert fitted(prepared, train, weights) == (np.sort(price[:40])[-2], centre)
    assert fitted(prepared, ~train, np.ones(80))[1] != centre


def test_terms_are_those_of_all_rows_but_the_test_rows(prepared: Prepared) -> None:
    frame = prepared.table.frame.assign(shop=["a"] * 40 + ["b"] * 40)
    table = type(prepared.table)(**{**vars(prepared.table), "frame": frame})
    counts = []
    for first in ("train", "validation", "test"):
        splits = np.array([first] * 40 + ["train"] * 40, object)
        found = with_terms(prepared.spec, prepared.schema, table, splits)
        assert found.terms is not None
        counts.append(found.terms.num_terms)
    assert counts[0] == counts[1] > counts[2]
