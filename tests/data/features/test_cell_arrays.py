"""Numbers, names, texts and photos of rows, from a frame and from a dict of lists alike."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.spec import CategoricalColumn, NumericColumn
from multimodal.data.columns.reading import Reading
from multimodal.data.features import cell_arrays

CELLS: dict[str, list[Any]] = {
    "size": ["5", None, "1,200", "free", 7],
    "reviews": ["8 reviews", "1 review", "", "many", 3],
    "sold": ["2016-03-10", date(2017, 1, 2), None, "soon", "Mar 2016"],
    "colour": ["red", " ", "blue", None, 5.0],
    "title": ["Red shoe ", None, "", "x", 12],
    "photo": ["a.jpg|b.jpg", None, ["c.jpg"], "", "d.jpg"],
    "back": [None, "e.jpg|f.jpg", [], "g.jpg", np.array(["h.jpg"], object)],
}
FRAMES = [CELLS, pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in CELLS.items()})]
both = pytest.mark.parametrize("frame", FRAMES, ids=["dict", "frame"])
NAN = float("nan")


def column(source: str, part: Any = None, centre: float = 0, scale: float = 1) -> NumericColumn:
    return NumericColumn(name="x", source=source, part=part, centre=centre, scale=scale)


@both
def test_numbers(frame: Any) -> None:
    columns = [column("size"), column("reviews"), column("sold", "year"), column("sold", "month")]
    found = cell_arrays.numbers(columns, {"reviews": Reading(unit="# reviews")}, frame).values
    wanted = [
        [5, 8, 2016, 3],
        [NAN, 1, 2017, 1],
        [1200, NAN, NAN, NAN],
        [NAN, NAN, NAN, NAN],
        [7, 3, 2016, 3],
    ]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, wanted)


@both
def test_a_date_is_parsed_once_for_all_parts(frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    parse = cell_arrays.parse_dates
    monkeypatch.setattr(cell_arrays, "parse_dates", lambda *cells: calls.append(1) or parse(*cells))
    cell_arrays.numbers([column("sold", part) for part in ("year", "month", "days")], {}, frame)
    assert len(calls) == 1


def names(categories: list[str], **options: Any) -> CategoricalColumn:
    return CategoricalColumn(name="c", source="c", categories=categories, **options)


def test_categories_are_found_by_their_spellings_where_the_column_says_so() -> None:
    cells = ["RED", " red", "Re\u200bd", "05", "5.0", None, "blue"]
    strict = cell_arrays.codes(names(["red", "5"]), cells)
    assert strict.tolist() == [1, 2, 1, 1, 3, 0, 1]
    folded = cell_arrays.codes(names(["red", "5"], folded=True, blank="red"), cells)
    assert folded.tolist() == [2, 2, 2, 3, 3, 2, 1]


def test_sets_are_read_as_flags() -> None:
    columns = [column("genre", "has Comedy"), column("genre", "has Drama")]
    found = cell_arrays.numbers(
        columns, {"genre": Reading(separator=",")}, {"genre": ["Drama, comedy", "Comedy", None]}
    )
    np.testing.assert_array_equal(found.values, [[1, 1], [1, 0], [NAN, NAN]])
    assert not found.unreadable


@both
def test_codes(frame: Any) -> None:
    found = cell_arrays.codes(names(["red", "5"]), frame["colour"])
    assert found.dtype == np.int32 and found.tolist() == [2, 0, 1, 0, 3]


@both
def test_texts(frame: Any) -> None:
    assert cell_arrays.texts(["title"], frame) == ["Red shoe", "", "", "x", "12"]
    joined = cell_arrays.texts(["title", "colour"], frame)
    assert joined == ["Red shoe\nred", "", "blue", "x", "12\n5"]


@both
def test_photo_names(frame: Any) -> None:
    found = cell_arrays.photo_names(["photo"], frame)
    assert found == [["a.jpg", "b.jpg"], [], ["c.jpg"], [], ["d.jpg"]]
    found = cell_arrays.photo_names(["photo", "back"], frame)
    assert found == [
        ["a.jpg", None],
        [None, "e.jpg"],
        ["c.jpg", None],
        [None, "g.jpg"],
        ["d.jpg", "h.jpg"],
    ]


@pytest.mark.parametrize("frame", [{}, {"a": []}, pd.DataFrame({"a": []})])
def test_no_rows(frame: Any) -> None:
    assert cell_arrays.row_count(frame) == 0
    if len(frame):
        assert cell_arrays.numbers([column("a")], {}, {"a": []}).values.shape == (0, 1)
        assert cell_arrays.texts(["a"], frame) == [] == cell_arrays.photo_names(["a"], frame)


def test_scaling_is_robust_and_smooth() -> None:
    found = np.array([[10.0], [12.0], [8.0], [NAN], [1e9], [-1e9], [1e308], [-1e308]])
    scaled = cell_arrays.scaled(found, [column("size", centre=10, scale=2)])
    assert scaled.dtype == np.float32 and np.isnan(scaled[3, 0])
    one = 1 / np.sqrt(1 + 1 / 9)
    np.testing.assert_allclose(
        scaled[[0, 1, 2, 4, 5, 6, 7], 0], [0, one, -one, 3, -3, 3, -3], rtol=1e-6
    )


def test_scaling_never_overflows() -> None:
    scaled = cell_arrays.scaled(
        np.array([[1.7e308]]), [column("size", centre=-1e308, scale=1e-300)]
    )
    assert scaled.tolist() == [[3.0]]


def test_scaling_keeps_the_order() -> None:
    values = np.linspace(-50, 50, 201)[:, None]
    assert (np.diff(cell_arrays.scaled(values, [column("size")])[:, 0]) > 0).all()


def test_unreadable_numbers_are_told_not_hidden() -> None:
    frame = {"size": ["3", "12,50", None, "wide"]}
    found = cell_arrays.numbers([column("size")], {}, frame)
    assert {name: rows.tolist() for name, rows in found.unreadable.items()} == {"size": [1, 3]}
    assert np.isnan(found.values[:, 0]).tolist() == [False, True, True, True]
