"""Tables as other programs export them go through audit, training and prediction, read right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exports import EXPORTS, exported_rows
from runs import shared
from tiny import tiny_config

from multimodal.data.audit.table import audit
from multimodal.data.prepare import prepare
from multimodal.runs.run import Run, load
from multimodal.runs.train import train

KINDS = {"brand": "category", "weight": "number", "listed": "date", "title": "text"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on the German spreadsheet, as it is."""

    def make(out: Path) -> None:
        path = EXPORTS["german"](exported_rows(), out.parent)
        config = tiny_config(data={}, epochs=1).merge(groups=[])
        train(path, "price", out=out, config=config)

    return load(shared(tmp_path_factory, "german_export", make))


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_read_as_it_was_meant(tmp_path: Path, name: str) -> None:
    rows = exported_rows()
    path = EXPORTS[name](rows, tmp_path)
    made = prepare(path, "price")
    assert len(made.table.frame) == len(rows) and not made.table.rejected
    np.testing.assert_allclose(made.raw_labels["price"].values, rows["price"], rtol=1e-6)
    assert {c.name: c.kind for c in made.schema.columns if c.name in KINDS} == KINDS
    found = audit(path, "price")
    assert found.of_level("error") == [] and found.kept == len(rows)
    missing = {column.name: column.missing for column in found.columns}
    assert missing["weight"] == pytest.approx(rows["weight"].isna().mean())


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_predicted_as_the_rows_it_was_made_from(
    tmp_path: Path, name: str, run: Run
) -> None:
    rows = exported_rows().head(40)
    expected = run.predict(rows)["price"]
    found = run.predict(EXPORTS[name](rows, tmp_path))
    if name == "shop":  # a unit that no training row has
        told = found.frame["note"].str.contains("kg' cannot be read, so it is missing")
        assert told.tolist() == rows["weight"].notna().tolist()
        return
    np.testing.assert_allclose(found["price"], expected, rtol=1e-4)
    assert not any(found.frame["note"])
