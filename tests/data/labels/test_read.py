"""Labels and weights: what is read, set aside, refused and summed up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from runs import news

from multimodal.core.config import Component, Head
from multimodal.core.errors import DataError
from multimodal.core.spec import FittedGroup, FittedHead
from multimodal.data.columns.schema import infer_schema
from multimodal.data.labels.cells import Label, known_rows
from multimodal.data.labels.fit import label_kind
from multimodal.data.labels.read import (
    boxes_to_fractions,
    fit_head,
    label_arrays,
    read_labels,
    read_y_true,
)
from multimodal.data.read.readers import read_table
from multimodal.data.read.table import Table

BOX = ["xmin", "ymin", "xmax", "ymax"]
Found = tuple[Table, dict[str, Label], np.ndarray]


def declared(column: Any, part: str = "regression", **more: Any) -> Head:
    name = column if isinstance(column, str) else part
    return Head.model_validate({"name": name, "column": column, "head": part, **more})


def read(columns: dict[str, list[Any]], *heads: Head, weight: str | None = None) -> Found:
    """Read the heads' columns of a table given by its columns; a regression head for `price`."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    table = read_table(rows)
    chosen = heads or (declared("price"),)
    targets = [column for head in chosen for column in head.columns]
    schema = infer_schema(table, targets=targets, weight=weight)
    kinds = {head.name: label_kind(head) for head in chosen}
    return read_labels(table, schema, chosen, kinds, weight)


def prices(*cells: Any) -> Found:
    return read({"price": list(cells)})


def head(transform: str = "log1p") -> Head:
    component = Component(name="regression", options={"transform": transform})
    return Head(name="price", column="price", head=component)


def numbers(values: Any) -> Label:
    return Label("number", ["price"], np.array(values, float), [])


def test_rows_without_a_label_are_set_aside() -> None:
    table, labels, weights = prices(*range(40), None, "free")
    assert labels["price"].values.tolist() == list(range(40)) and weights.tolist() == [1.0] * 40
    assert table.frame["price"].tolist() == list(range(40))
    assert [(f.row, f.reason) for f in table.rejected] == [
        (40, "column 'price': the target is missing"),
        (41, "column 'price': expected a number, got 'free'"),
    ]


def test_everything_stays_aligned() -> None:
    columns = {
        "price": [None, *range(1, 60)],
        "rent": [float(i) if i != 30 else "ask" for i in range(60)],
        "w": [2 * i if i != 50 else -1 for i in range(60)],
    }
    table, labels, found = read(columns, declared("price"), declared("rent"), weight="w")
    kept = [i for i in range(60) if i not in (0, 30, 50)]
    assert table.rows.tolist() == kept and len(table.frame) == 57
    assert labels["price"].values.tolist() == labels["rent"].values.tolist() == kept
    assert found.tolist() == [2 * i for i in kept]
    assert [fault.row for fault in table.rejected] == [0, 30, 50]
    assert table.rejected[1].reason.startswith("column 'rent': expected a number, got 'ask'")


@pytest.mark.parametrize("bad", [-1, "heavy", None, float("inf"), 1e300])
def test_bad_weights_are_set_aside(bad: Any) -> None:
    table, _, weights = read({"price": [1, 2, 3], "w": [1, bad, 0.5]}, weight="w")
    assert weights.tolist() == [1, 0.5]
    (fault,) = table.rejected
    assert fault.reason.startswith("column 'w': expected a weight of at least 0, got ")


def test_all_weights_zero() -> None:
    with pytest.raises(DataError, match="weight 'w' is 0 in every row; expected some above 0"):
        read({"price": [1, 2, 3], "w": [0, 0, 0.0]}, weight="w")


def test_the_phrase_around_a_target_is_read() -> None:
    assert prices("$1,234.50", "$9.99", "$3")[1]["price"].values.tolist() == [1234.5, 9.99, 3]


def test_text_in_the_price_names_line_and_cell(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("price,a\n1,x\n2,y\nabout 5,z\n3,u\n")
    table = read_table(path)
    schema = infer_schema(table, targets=["price"])
    with pytest.raises(DataError) as caught:
        read_labels(table, schema, [declared("price")], {"price": "number"}, None)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 4: column 'price': expected a number, got 'about 5'.")
    assert "1 of 4 rows of the target 'price' are not numbers" in message
    assert "Remove currency signs" in message


def test_an_unknown_word_is_a_fault_and_one_for_missing_is_none() -> None:
    with pytest.raises(DataError, match="got 'ask'"):
        prices(1, 2, "ask")
    table, _, _ = prices(1, 2, "missing")
    assert table.rejected[0].reason == "column 'price': the target is missing"


@pytest.mark.parametrize("cells", [["987", "1.250"], ["12,500", "1,250"]])
def test_numbers_that_may_be_read_two_ways_are_refused(cells: list[str]) -> None:
    with pytest.raises(DataError, match="target 'price': .* may be 1250.*`--decimal .`"):
        prices(*cells * 9)


def test_numbers_too_large_to_learn_are_set_aside() -> None:
    table, labels, _ = prices(*range(60), 1e300, -1e39)
    assert labels["price"].values.tolist() == list(range(60))
    assert "at most 1e+38, got 1e+300" in table.rejected[0].reason


def test_infinite_numbers_are_set_aside() -> None:
    table, labels, _ = prices(*range(60), "1e400", float("inf"))
    assert len(labels["price"].values) == 60
    assert "expected a finite number, got '1e400'" in table.rejected[0].reason


def test_unknown_columns() -> None:
    table = read_table([{"price": 1}, {"price": 2}])
    schema = infer_schema(table)
    with pytest.raises(DataError, match="target 'prise' is not in the table. Did you mean 'price'"):
        read_labels(table, schema, [declared("prise")], {"prise": "number"}, None)
    with pytest.raises(DataError, match="weight 'w' is not in the table"):
        read_labels(table, schema, [declared("price")], {"price": "number"}, "w")


def test_classes_are_read_as_text() -> None:
    table, labels, _ = read(
        {"mood": ["sad", " glad ", 3.0, "3", "NA", None]}, declared("mood", "multiclass")
    )
    assert labels["mood"].values.tolist() == ["sad", "glad", "3", "3", "NA"]
    assert labels["mood"].names() == ["3", "NA", "glad", "sad"]
    assert [fault.row for fault in table.rejected] == [5]
    y_true = labels["mood"].y_true(["sad", "glad", "3"])
    assert y_true.dtype == np.int64 and y_true.tolist() == [0, 1, 2, 2, -1]


def test_truth_values_are_classes() -> None:
    _, labels, _ = read({"sold": [True, False, True]}, declared("sold", "binary"))
    assert labels["sold"].names() == ["False", "True"]


def test_declared_classes_fix_the_order_and_refuse_others() -> None:
    mood = declared("mood", "ordinal", classes=["low", "mid", "high"])
    table, labels, _ = read({"mood": ["high", "low", "huge", "low"]}, mood)
    assert labels["mood"].names() == ["low", "mid", "high"]
    assert labels["mood"].y_true(["low", "mid", "high"]).tolist() == [2, 0, 0]
    assert [fault.reason for fault in table.rejected] == [
        "column 'mood': expected one of low, mid, high, got 'huge'"
    ]
    tags = declared("tags", "multilabel", classes=["a", "b"])
    table, labels, _ = read({"tags": ["a|b", "a|c", "b"]}, tags)
    assert labels["tags"].y_true(["a", "b"]).tolist() == [[1, 1], [0, 1]]
    assert table.rejected[0].reason.endswith("expected one of a, b, got 'a|c'")


def test_labels_in_one_cell() -> None:
    cells = ["red|big", ["red"], [], "big", None]
    table, labels, _ = read({"tags": cells}, declared("tags", "multilabel"))
    assert labels["tags"].names() == ["big", "red"]
    assert labels["tags"].y_true(["big", "red"]).tolist() == [[1, 1], [0, 1], [0, 0], [1, 0]]
    assert table.rejected[0].row == 4


def test_labels_in_columns() -> None:
    columns = {"red": [1, 0, "yes", None, 1, None], "big": [True, 0, "no", None, 7, 1]}
    table, labels, _ = read(columns, declared(["red", "big"], "multilabel"))
    label = labels["multilabel"]
    assert label.names() == ["red", "big"]
    assert label.y_true(["red", "big"]).tolist() == [[1, 1], [0, 0], [1, 0]]
    assert [fault.reason for fault in table.rejected] == [
        "columns 'red', 'big': the target is missing",
        "column 'big': expected 0 or 1, got '7'",
        "column 'red': expected 0 or 1, got None",
    ]


def corners(*boxes: Any) -> dict[str, list[Any]]:
    return {name: list(each) for name, each in zip(BOX, zip(*boxes, strict=True), strict=True)}


def test_boxes_without_an_area_are_set_aside() -> None:
    sound = [(i, 2, 20, 30) for i in range(90)][:10] + [(1, 2, 20, 30)] * 80
    bad = [(5, 2, 5, 9), (5, 9, 8, 2), (1, None, 3, 4), (None, None, None, None)]
    table, labels, _ = read(corners(*sound, *bad), declared(BOX, "bounding_box"))
    assert labels["bounding_box"].values.tolist() == [list(map(float, box)) for box in sound]
    assert [fault.reason for fault in table.rejected] == [
        "columns xmin, ymin, xmax, ymax: expected a box with an area, got xmin 5 and xmax 5",
        "columns xmin, ymin, xmax, ymax: expected a box with an area, got ymin 9 and ymax 2",
        "column 'ymin': a corner of the box is missing",
        "columns 'xmin', 'ymin', 'xmax', 'ymax': the target is missing",
    ]


def test_placed_boxes_are_shares() -> None:
    label = Label("box", BOX, np.array([[1.0, 2, 3, 4], [0, 0, 9, 9], [np.nan] * 4]), [])
    found, faults = boxes_to_fractions(label, np.array([[4.0, 8.0], [4, 8], [4, 8]]))
    np.testing.assert_allclose(found.values[0], [0.25, 0.25, 0.75, 0.5])
    assert np.isnan(found.values[1:]).all() and list(faults) == [1]


AGE, MOOD = declared("age", partial=True), declared("mood", "multiclass", partial=True)


def test_a_partial_head_keeps_rows_without_its_label() -> None:
    columns = {
        "age": [30, None, 50, None, "x", *range(20)],
        "mood": ["a", "b", None, None, "a"] * 5,
    }
    table, labels, _ = read(columns, AGE, MOOD)
    assert [(fault.row, fault.reason) for fault in table.rejected] == [
        (3, "no label: age, mood are missing"),
        (4, "column 'age': expected a number, got 'x'"),
    ]
    assert labels["age"].known[:4].tolist() == [True, False, True, True]
    assert labels["mood"].values[:4].tolist() == ["a", "b", None, "a"]


def test_a_whole_head_beside_a_partial_one_needs_its_label() -> None:
    columns = {"age": [1, None, 3, 4], "mood": ["a", "b", None, "b"]}
    table, labels, _ = read(columns, AGE, declared("mood", "multiclass"))
    assert [fault.reason for fault in table.rejected] == ["column 'mood': the target is missing"]
    assert labels["age"].known.tolist() == [True, False, True]


def test_a_partial_head_without_any_label() -> None:
    with pytest.raises(DataError, match="head 'mood': target 'mood' is empty in every row; noth"):
        read({"age": [1, 2, 3], "mood": [None, "", None]}, AGE, MOOD)


def test_two_sources_need_partial_heads() -> None:
    columns = {"age": [1, 2, None, None, None], "mood": [None, None, "a", "b", "a"]}
    message = r"no row has the labels of all heads \(rows with a label: age 2, mood 3\). Set"
    with pytest.raises(DataError, match=message):
        read(columns, declared("age"), declared("mood", "multiclass"))
    table, labels, _ = read(columns, AGE, MOOD)
    assert not table.rejected and labels["mood"].known.sum() == 3


@pytest.mark.parametrize("transform", ["none", "standardise", "log1p"])
def test_fit_head(transform: str) -> None:
    values = np.array([0.0, 3, 8, 100])
    moved = np.log1p(values) if transform == "log1p" else values
    label = numbers([*values, np.nan, 1e9])
    fitted = fit_head(head(transform), "price", label, np.arange(6) < 5)
    np.testing.assert_allclose(
        [fitted.mean, fitted.scale, fitted.minimum, fitted.maximum],
        [moved.mean(), moved.std(), moved.min(), moved.max()],
    )
    assert (fitted.name, fitted.columns, fitted.kind) == ("price", ["price"], "number")


def test_fit_head_of_one_value() -> None:
    plain = Head(name="price", column="price")
    fitted = fit_head(plain, "price", numbers([4, 4]), np.ones(2, bool))
    assert (fitted.mean, fitted.scale) == (4.0, 1.0)


def test_fit_head_of_no_value() -> None:
    fitted = fit_head(head(), "price", numbers([1, np.nan]), np.array([False, True]))
    assert (fitted.mean, fitted.scale, fitted.maximum) == (0.0, 1.0, 0.0)


def test_fit_head_of_classes_counts_every_kept_row() -> None:
    label = Label("class", ["mood"], np.array(["b", None, "a", "c"], object), [])
    fitted = fit_head(
        declared("mood", "multiclass"), "m", label.take(np.arange(3)), np.zeros(3, bool)
    )
    assert fitted == FittedHead(name="m", columns=["mood"], kind="class", classes=["a", "b"])


def test_label_arrays_name_every_head() -> None:
    heads = [FittedHead(name=name, columns=[name]) for name in "abcd"]
    labels = {
        "a": np.array([1.5, np.nan]),
        "b": np.array([2, -1]),
        "c": np.array([[np.nan, np.nan], [0, 1]]),
        "d": np.array([[0.0, 0.25, 0.5, 1.0], [np.nan] * 4]),
    }
    targets, weights = label_arrays(heads, labels, np.array([2.0, 0.5]))
    assert targets.keys() == weights.keys() == set("abcd")
    assert targets["a"].tolist() == [[1.5], [0.0]] and weights["a"].tolist() == [2.0, 0.0]
    assert targets["b"].tolist() == [2, 0] and weights["b"].tolist() == [2.0, 0.0]
    assert targets["c"].tolist() == [[0, 0], [0, 1]] and weights["c"].tolist() == [0.0, 0.5]
    assert targets["d"].tolist() == [[0, 0.25, 0.5, 1], [0] * 4]
    assert [targets[name].dtype.name for name in "abcd"] == [
        "float32",
        "int32",
        "float32",
        "float32",
    ]
    assert all(array.dtype == np.float32 for array in weights.values())


@pytest.mark.parametrize(
    ("y_true", "known"),
    [
        (np.array([1.0, np.nan]), [True, False]),
        (np.array([0, -1]), [True, False]),
        (np.array([[1.0, 0], [1, np.nan]]), [True, False]),
        (np.array(["a", None], object), [True, False]),
        (np.array([(), None], object), [True, False]),
    ],
)
def test_known_rows(y_true: np.ndarray, known: list[bool]) -> None:
    assert known_rows(y_true).tolist() == known


def labels_of(fitted: FittedHead, rows: list[dict[str, Any]], **more: Any) -> tuple[Any, list[str]]:
    table = read_table(rows)
    schema = infer_schema(table, targets=fitted.columns)
    root = more.pop("root", Path())
    with news() as said:
        return read_y_true(table, schema, fitted, root, **more), said


def test_labels_of_new_rows() -> None:
    price = FittedHead(name="price", columns=["price"])
    found, said = labels_of(price, [{"price": 2}, {"price": None}, {"price": "dear"}])
    assert found.dtype == np.float64 and known_rows(found).tolist() == [True, False, False]
    assert said == [
        "price: labels that do not count, since unreadable: 1, the first in table, row 3"
    ]
    mood = FittedHead(name="mood", columns=["mood"], kind="class", classes=["sad", "glad"])
    found, said = labels_of(mood, [{"mood": each} for each in ("glad", "odd", None, "sad", "odd")])
    assert found.tolist() == [1, -1, -1, 0, -1]
    assert said == [
        "mood: labels that do not count, since of unknown class: 2, the first in table, row 2"
    ]
    tags = FittedHead(name="tags", columns=["tags"], kind="labels", classes=["a", "b"])
    found, said = labels_of(tags, [{"tags": each} for each in ("b|a", "a|z", None)])
    np.testing.assert_array_equal(found, [[1, 1], [np.nan, np.nan], [np.nan, np.nan]])
    assert len(said) == 1


def test_labels_of_boxes_in_new_photos(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    group = FittedGroup(name="p", modality="image", columns=["photo"], photos=1, image_size=8)
    box = FittedHead(name="box", columns=BOX, kind="box")
    rows = [
        {"photo": "a.png", **dict(zip(BOX, (4, 5, 20, 10), strict=True))},
        {"photo": "a.png", **dict(zip(BOX, (4, 5, 60, 10), strict=True))},
        {"photo": "gone.png", **dict(zip(BOX, (4, 5, 20, 10), strict=True))},
        {"photo": "a.png", **dict.fromkeys(BOX)},
    ]
    found, said = labels_of(box, rows, root=tmp_path, groups=[group])
    np.testing.assert_allclose(found[0], [0.1, 0.25, 0.5, 0.5])
    assert np.isnan(found[1:]).all()
    assert said == ["box: labels that do not count, since unreadable: 2, the first in table, row 2"]


def test_labels_of_a_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="target 'price' is not in the table"):
        table = read_table([{"size": 1}])
        fitted = FittedHead(name="price", columns=["price"])
        read_y_true(table, infer_schema(table), fitted, Path())


def test_fit_head_knows_what_a_class_was_unless_a_declared_one_is_none() -> None:
    label = Label("class", ["y"], np.array(["0", "1"], object), [], "integer")
    head = declared("y", "multiclass")
    assert fit_head(head, "y", label, np.ones(2, bool)).label_type == "integer"
    named = replace(label, classes=["0", "1", "other"])
    assert fit_head(head, "y", named, np.ones(2, bool)).label_type == "text"
