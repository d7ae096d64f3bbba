"""Rows with a group or column of other rows are answered as if they were such rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from explained import cut_on
from tiny import TABLE

from multimodal.explain.columns import Shuffled
from multimodal.explain.submodels import encode_rows


@pytest.mark.parametrize(("count", "linear"), [(1, False), (2, True)])
def test_shuffled_rows_are_answered_as_such_rows(
    catalogue_folder: Path, count: int, linear: bool
) -> None:
    run, rows, whole, arrays = cut_on(catalogue_folder, count, linear, 60)
    encoded, _ = encode_rows(whole.parts, arrays)
    terms = [] if whole.linear is None else whole.linear.matrices(rows)
    test = Shuffled(run, run.tasks[0], whole, arrays, encoded, terms)
    order = np.random.default_rng(1).permutation(60)

    def wanted(columns: list[str]) -> np.ndarray:
        others = rows.assign(**{c: rows[c].to_numpy()[order] for c in columns})
        return run.predict(others).frame["price_prediction"].to_numpy(float)

    plain = test.outputs({})[:, 0]
    np.testing.assert_allclose(plain, wanted([]), rtol=1e-4)
    for group, columns in {"words": ["description"], "table": TABLE["columns"]}.items():
        found = test.outputs({group: order})[:, 0]
        np.testing.assert_allclose(found, wanted(columns), rtol=1e-4)
        assert not np.allclose(found, plain, rtol=1e-3)
    for column in TABLE["columns"]:
        found = test.with_column(column, order)[:, 0]
        np.testing.assert_allclose(found, wanted([column]), rtol=1e-4)
