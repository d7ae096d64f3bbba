"""The linear model in a head: its parts add up to what the layer computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explained import untrained_on
from tiny import TABLE, WORDS, tiny_config

from multimodal.data.features.cell_arrays import texts
from multimodal.explain.linear import LinearScores, LinearSubmodel, linear_submodel
from multimodal.runs.run import Run

BARE = dict.fromkeys(["words", "table"])


@pytest.fixture(scope="module")
def run(catalogue_folder: Path) -> Run:
    return untrained_on(catalogue_folder, tiny_config(TABLE, WORDS), 2)


@pytest.fixture(scope="module")
def rows(catalogue_folder: Path) -> pd.DataFrame:
    return pd.read_csv(catalogue_folder / "catalogue.csv").head(5)


def part_of(run: Run) -> LinearSubmodel:
    part = linear_submodel(run, "price")
    assert part is not None
    return part


def scores_of(run: Run, row: pd.DataFrame) -> LinearScores:
    part = part_of(run)
    return part.scores(part.matrices(row), part.matrices(row, list(BARE)), [-2.0])


def text_of(run: Run, row: pd.DataFrame) -> str:
    return texts(run.spec.group("words").columns, row)[0]


def test_networks_and_terms_are_the_whole(run: Run, rows: pd.DataFrame) -> None:
    part, arrays = part_of(run), run.preprocessor.arrays(rows, Path())
    inputs = dict(arrays.inputs)
    whole = np.asarray(run.model(inputs, training=False)["price"])
    without = {**inputs, "terms_weights": np.zeros_like(inputs["terms_weights"])}
    networks = np.asarray(run.model(without, training=False)["price"]) - part.constant
    found = networks + part.raw(part.matrices(rows), len(rows)) + part.constant
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-4)


def test_words_add_up_to_their_group(run: Run, rows: pd.DataFrame) -> None:
    for i in range(len(rows)):
        row = rows.iloc[[i]].reset_index(drop=True)
        scores = scores_of(run, row)
        words = scores.words(run.spec.group("words"), text_of(run, row))
        assert words.sum() == pytest.approx(scores.groups(["words"]), rel=1e-4)
        assert abs(scores.groups(["words"])) > 1e-3
        both = scores.groups(["words", "table"])
        assert both == pytest.approx(scores.groups(["words"]) + scores.groups(["table"]))


def test_columns_are_compared_with_typical_ones(run: Run, rows: pd.DataFrame) -> None:
    spec = run.spec.group("table")
    typical = {c.source: c.categories[0] for c in spec.categorical}
    typical |= {n.source: n.centre for n in spec.numeric}
    row = rows.head(1).assign(**typical)
    assert scores_of(run, row).columns(["table"], list(typical)) == pytest.approx(0, abs=1e-5)
    moved = scores_of(run, row.assign(brand=rows["brand"][1])).columns(["table"], list(typical))
    assert np.count_nonzero(np.abs(moved) > 1e-4) == 1


def test_words_add_up_where_terms_were_cut(run: Run, rows: pd.DataFrame) -> None:
    part = part_of(run)
    terms = part.terms.model_copy(update={"lengths": [60]})
    short = LinearSubmodel(
        terms,
        *(
            getattr(part, name)
            for name in ("spec", "readings", "network_weight", "linear_weight", "kernel", "bias")
        ),
    )
    row = rows.head(1)
    scores = short.scores(short.matrices(row), short.matrices(row, list(BARE)), [1.0])
    words = scores.words(run.spec.group("words"), text_of(run, row))
    assert words.sum() == pytest.approx(scores.groups(["words"]), rel=1e-3, abs=1e-5)
    whole = scores_of(run, row).words(run.spec.group("words"), text_of(run, row)) / -2
    assert not np.allclose(words, whole, rtol=0.01)


def test_models_without_terms_have_none(catalogue_folder: Path) -> None:
    for count in (1, 2):
        run = untrained_on(catalogue_folder, tiny_config(TABLE, linear=False), count)
        assert linear_submodel(run, "price") is None
