"""What is said of rows to predict: cells unread, unknown, missing; rows that fail; no numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import plain_rows

from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.features.preprocess import Preprocessor
from multimodal.runs.notes import cell_notes, failing_rows, joined_notes, prediction_notes
from multimodal.runs.run import Run, load

SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "table",
                "modality": "tabular",
                "columns": ["size", "sold", "shop", "rare"],
                "numeric": [
                    {"name": "size", "source": "size"},
                    {"name": "sold_year", "source": "sold", "part": "year"},
                    {"name": "sold_month", "source": "sold", "part": "month"},
                    {"name": "rare", "source": "rare"},
                ],
                "categorical": [{"name": "shop", "source": "shop", "categories": ["a", "b"]}],
            },
            {"name": "words", "modality": "text", "columns": ["title"], "lengths": [8]},
        ],
        "heads": [],
    }
)
MISSING = {"size": 0.0, "sold": 0.0, "shop": 0.005, "rare": 0.4, "title": 0.0}
SCHEMA = Schema(
    columns=[
        Column(name=name, kind="number", missing=share, distinct=3, example="")
        for name, share in MISSING.items()
    ]
)
GOOD = {"size": "2.5", "sold": "2020-01-02", "shop": "a", "rare": "1", "title": "a chair"}


def notes(row: dict[str, Any], unusual: str | None = None) -> str:
    preprocessor = Preprocessor(SPEC, SCHEMA)
    cells = {name: [cell, cell] for name, cell in GOOD.items()}
    for name, cell in row.items():
        cells[name][1] = cell
    said = None if unusual is None else ["", unusual]
    found = cell_notes(preprocessor, cells, preprocessor.arrays(cells, Path()), said)
    assert (
        cell_notes(preprocessor, pd.DataFrame(cells), preprocessor.arrays(cells, Path()), said)
        == found
    )
    assert set(found) <= {1}
    return found.get(1, "")


@pytest.mark.parametrize("gone", [None, np.nan, "", " "])
@pytest.mark.parametrize("column", list(GOOD))
def test_a_cell_is_missing_that_training_rows_have(column: str, gone: Any) -> None:
    wanted = f"'{column}' is missing; training rows have it" if MISSING[column] < 0.01 else ""
    assert notes({column: gone}) == wanted


@pytest.mark.parametrize("column", ["size", "sold", "rare"])
def test_a_cell_that_cannot_be_read_is_named(column: str) -> None:
    assert notes({column: "vi\x1bel"}) == (
        f"'{column}': 'vi\\x1bel' cannot be read, so it is missing"
    )


def test_an_unknown_category_is_named_once() -> None:
    assert notes({"shop": "z"}) == "'shop': 'z' is unknown"
    assert notes({"shop": "z"}, "size: 9 is far outside") == "'shop': 'z' is unknown"
    assert notes({"shop": "z"}, "shop: 'z' is unknown") == ""
    said = notes({"size": "?!", "title": None})
    assert said.count(";") == 2 and said.startswith("'size': '?!' cannot")


def test_what_is_no_number_is_emptied_and_said() -> None:
    outputs = {
        "price": np.array([[1.0], [np.nan], [2.0]]),
        "mood": np.array([[0, 1], [0, 1], [-np.inf, 1]]),
    }
    assert prediction_notes(outputs) == {
        1: "price: the model gives no finite number",
        2: "mood: the model gives no finite number",
    }
    assert np.isnan(outputs["mood"][2]).all() and outputs["price"][2, 0] == 2.0


@pytest.mark.parametrize("bad", [[], [0], [6], [1, 2, 5]])
def test_rows_that_fail_are_found_among_the_others(bad: list[int]) -> None:
    rows = pd.DataFrame({"a": ["x" if i in bad else "1" for i in range(7)]})
    assert list(failing_rows(lambda part: part["a"].map(int), rows)) == bad
    assert failing_rows(len, rows.head(0)) == {}


def test_notes_are_joined_in_order() -> None:
    assert joined_notes({1: "a"}, {}, {1: "b", 2: "c"}) == {1: "a; b", 2: "c"}


class Unspeakable:
    """A cell that no function can make anything of."""

    def __str__(self) -> str:
        raise TypeError("no text\nof this")

    __repr__ = __hash__ = __str__  # type: ignore[assignment]


@pytest.fixture(scope="module")
def run(plain_run: Path) -> Run:
    return load(plain_run)


def test_no_row_stops_the_others(run: Run) -> None:
    rows = plain_rows().head(5).astype(object)
    good = run.predict(rows)["price"].to_numpy()
    shop = rows.columns.get_loc("shop")
    rows.iloc[2, shop] = Unspeakable()
    found = run.predict(rows).frame
    assert found["price_prediction"].isna().tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(found["price_prediction"].drop(2), good[[0, 1, 3, 4]], rtol=1e-5)
    assert found["note"].tolist() == ["", "", "no text", "", ""]
    assert run.predict(rows).counts["rows without a prediction"] == 1
