"""Rows that lack a modality: kept, flagged, predicted, and measured with each ablated in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explained import untrained
from tiny import PHOTOS, TABLE, WORDS, tiny_config

from multimodal.core.config import Config
from multimodal.data.prepare import Prepared, prepare
from multimodal.report.sections import FULL
from multimodal.runs import comparison
from multimodal.runs.comparison import ablate, ablation_scores
from multimodal.runs.run import Run

CELLS = {"table": TABLE["columns"], "text": ["description"], "photos": ["image"]}
MODALITIES = {"table": "tabular", "text": "text", "photos": "image"}
CASES = list(CELLS)


def rows_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "catalogue.csv")


def without(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    return rows.assign(**dict.fromkeys(CELLS[name], None))


@pytest.fixture(scope="module")
def prepared(catalogue_folder: Path) -> Prepared:
    return prepare(catalogue_folder / "catalogue.csv", ["price"], tiny_config())


@pytest.fixture(scope="module")
def run(prepared: Prepared) -> Run:
    return untrained(prepared)


@pytest.mark.parametrize("name", CASES)
def test_an_ablated_modality_looks_as_in_a_row_without_it(
    run: Run, catalogue_folder: Path, name: str
) -> None:
    rows = rows_of(catalogue_folder).head(9)
    arrays = run.preprocessor.arrays(rows, catalogue_folder)
    before = {key: array.copy() for key, array in arrays.inputs.items()}
    found = ablate(arrays, run.spec, MODALITIES[name])
    expected = run.preprocessor.arrays(without(rows, name), catalogue_folder)
    groups = [g.name for g in run.spec.groups if g.modality == MODALITIES[name]]
    found.inputs.update(run.preprocessor.sparse_inputs_without(rows, groups))
    for key, array in expected.inputs.items():
        wanted = np.pad(
            array,
            [
                (0, 0),
                *[
                    (0, m - n)
                    for m, n in zip(found.inputs[key].shape[1:], array.shape[1:], strict=True)
                ],
            ],
        )
        np.testing.assert_array_equal(found.inputs[key], wanted, err_msg=key)
    for group, photos in expected.photos.items():
        assert [list(row) for row in found.photos[group].paths] == photos.paths
    for key, array in before.items():
        np.testing.assert_array_equal(arrays.inputs[key], array, err_msg=key)


def test_scores_are_those_of_rows_without_it(
    run: Run, prepared: Prepared, catalogue_folder: Path
) -> None:
    rows, chosen = rows_of(catalogue_folder), prepared.rows("test")
    labels = {"price": prepared.labels["price"][chosen]}
    weights = {"price": prepared.source.weights["price"][chosen]}
    frame = prepared.table.frame.iloc[chosen]
    scores = ablation_scores(run, frame, prepared.photo_root, labels, weights)["price"]
    assert list(scores) == [FULL, *CASES]
    tested = rows.iloc[chosen]
    for name in CASES:
        expected = run.evaluate(without(tested, name), images=catalogue_folder)["price"]
        assert scores[name] == pytest.approx(expected, rel=1e-4)
        assert scores[name]["mae"] != pytest.approx(scores[FULL]["mae"], rel=1e-6)
    assert scores[FULL] == pytest.approx(run.evaluate(tested, images=catalogue_folder)["price"])


def test_at_most_so_many_rows(
    run: Run, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "MOST_ROWS", 5)
    rows = prepared.table.frame.head(8)
    known = {"price": np.ones(8)}
    scores = ablation_scores(run, rows, prepared.photo_root, known, known)["price"]
    assert {found["n"] for found in scores.values()} == {5}


def test_one_modality_has_nothing_to_ablate(catalogue_folder: Path) -> None:
    alone = prepare(catalogue_folder / "catalogue.csv", ["price"], tiny_config(TABLE))
    known = {"price": np.ones(4)}
    rows = alone.table.frame.head(4)
    assert ablation_scores(untrained(alone), rows, alone.photo_root, known, known) == {}


@pytest.mark.parametrize("groups", [(TABLE, WORDS, PHOTOS), (TABLE, WORDS), (WORDS, PHOTOS)])
def test_every_modality_of_several_can_be_absent(catalogue_folder: Path, groups: tuple) -> None:
    fitted = prepare(catalogue_folder / "catalogue.csv", ["price"], tiny_config(*groups)).spec
    assert all(group.optional for group in fitted.groups)


def test_the_only_modality_cannot_be_absent_where_it_never_was(catalogue_folder: Path) -> None:
    fitted = prepare(catalogue_folder / "catalogue.csv", ["price"], tiny_config(TABLE)).spec
    assert not fitted.groups[0].optional


def test_rows_that_lack_a_modality_are_kept_and_flagged(catalogue_folder: Path) -> None:
    rows = rows_of(catalogue_folder)
    for i, columns in enumerate(CELLS.values()):
        rows.loc[rows.index % 5 == i, columns] = None
    prepared = prepare(rows, ["price"], tiny_config(), images=catalogue_folder)
    assert not prepared.table.rejected
    position = prepared.table.rows % 5
    for i, group in enumerate(("table", "words")):
        np.testing.assert_array_equal(prepared.source.inputs[f"{group}_present"], position != i)
    _, present = prepared.source.caches["photos"].get(np.arange(len(position)))
    np.testing.assert_array_equal(present[:, 0], position != 2)
    found = untrained(prepared).predict(rows, images=catalogue_folder)
    assert found.frame["price_prediction"].notna().all()
    # brands that no training row has; nothing of what is absent
    assert all("is unknown" in note for note in found.frame["note"] if note)
    assert found.counts["rows without a photo"] == (np.arange(len(rows)) % 5 == 2).sum()


def test_a_row_with_nothing_at_all_is_predicted(run: Run) -> None:
    columns = [column for group in CELLS.values() for column in group]
    found = run.predict([dict.fromkeys(columns)])
    assert np.isfinite(found.frame["price_prediction"][0])


def test_modality_dropout_is_on_unless_told_otherwise() -> None:
    assert Config().fusion.options["modality_dropout"] > 0
