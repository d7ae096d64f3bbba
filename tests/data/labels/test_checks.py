"""What labels are refused, and what is said of rare ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.core.config import Head
from multimodal.core.errors import DataError
from multimodal.data.labels.cells import Label
from multimodal.data.labels.checks import (
    check_common_rows,
    check_label,
    check_splits,
    check_transform,
    check_varies,
    columns_phrase,
    rare_class_notes,
)
from multimodal.data.read.readers import read_table

TABLE = read_table([{"price": p} for p in (3, 1, -2.5)])
BOX = ["xmin", "ymin", "xmax", "ymax"]


def head(part: str = "regression", column: Any = "price", **options: Any) -> Head:
    component = {"name": part, "options": options}
    return Head.model_validate({"name": "h", "column": column, "head": component})


def numbers(*values: float) -> Label:
    return Label("number", ["price"], np.array(values, float), [])


def classes(*names: str | None) -> Label:
    return Label("class", ["price"], np.array(names, object), [])


def sets(*each: Any) -> Label:
    values = np.empty(len(each), object)
    values[:] = each
    return Label("labels", ["price"], values, [])


def box(*each: Any) -> Label:
    return Label("box", BOX, np.array(each, float), [])


def test_columns_by_name() -> None:
    assert columns_phrase(head()) == "column 'price'"
    assert columns_phrase(head(column=["a", "b"])) == "columns 'a', 'b'"


def test_a_twentieth_of_the_cells_is_text() -> None:
    label = numbers(*[1.0] * 39, np.nan)
    check_label(TABLE, head(), label, {2: "column 'price': expected a number, got 'x'"})
    message = "table, row 3: column 'price': .* got 'x'. 2 of 40 rows of the target 'price' are not"
    with pytest.raises(DataError, match=message):
        fault = "column 'price': expected a number, got 'x'"
        check_label(TABLE, head(), label, {2: fault, 5: fault})


@pytest.mark.parametrize(
    "label", [numbers(np.nan), classes(None, None), sets(None), box([np.nan] * 4)]
)
def test_nothing_but_missing_labels(label: Label) -> None:
    column = label.columns if len(label.columns) > 1 else label.columns[0]
    names = ", ".join(f"'{name}'" for name in label.columns)
    with pytest.raises(DataError, match=f"head 'h': target {names} is empty in every row; nothing"):
        check_label(TABLE, head(column=column), label, {})


def test_classes_come_again() -> None:
    check_label(TABLE, head("multiclass"), classes(*"abcdefghij" * 2), {})
    check_label(TABLE, head("multiclass"), classes(*"abcdefg"), {})
    many = [f"t{i}" for i in range(11)] + ["t0"] * 9
    with pytest.raises(DataError, match="'price' holds 11 different classes in 20 rows, such as"):
        check_label(TABLE, head("multiclass"), classes(*many, None), {})
    fixed = head("multiclass").model_copy(update={"classes": many})
    check_label(TABLE, fixed, classes(*many), {})


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (numbers(5, 5), "target 'price' is 5 in every row; expected values that differ"),
        (numbers(5, np.nan), "target 'price' is 5 in every row"),
        (classes("a", "a", None), "target 'price' is 'a' in every row"),
        (sets(("a",), ("a",), None), "target 'price' is one and the same in every row"),
        (box([1, 2, 3, 4], [1, 2, 3, 4]), "target 'xmin', .* is one and the same in every row"),
    ],
)
def test_labels_that_do_not_differ(label: Label, message: str) -> None:
    column = label.columns if len(label.columns) > 1 else label.columns[0]
    with pytest.raises(DataError, match=message):
        check_varies(TABLE, head(column=column), label)


@pytest.mark.parametrize(
    "label",
    [
        numbers(5, 6),
        numbers(),
        classes("a", "b"),
        sets(("a",), ()),
        box([1, 2, 3, 4], [1, 2, 3, 5]),
    ],
)
def test_labels_that_differ(label: Label) -> None:
    check_varies(TABLE, head(), label)


def test_heads_without_a_row_in_common() -> None:
    one, two = head(), head("multiclass").model_copy(update={"name": "two"})
    found: Any = {"h": (numbers(1, np.nan, np.nan), {}), "two": (classes(None, "a", "b"), {})}
    with pytest.raises(
        DataError, match=r"no row has the labels of all heads .*: h 1, two 2\). Set"
    ):
        check_common_rows(TABLE, [one, two], found)
    check_common_rows(TABLE, [one], found)
    check_common_rows(TABLE, [one, two], found | {"h": (numbers(np.nan), {})})


def test_negative_under_log1p() -> None:
    values = np.array([3, 1, -2.5])
    with pytest.raises(DataError, match="table, row 3: column 'price' holds -2.5; .*'log1p'"):
        check_transform(TABLE, head(transform="log1p"), values)
    check_transform(TABLE, head(transform="standardise"), values)
    check_transform(TABLE, head(transform="log1p"), np.array([np.nan, 1, 2]))
    check_transform(TABLE, head("multiclass"), np.array(["a", None, "b"], object))


def test_every_side_has_labels_of_every_head() -> None:
    splits = np.array(["train", "validation", "test", "test"], object)
    check_splits(TABLE, [head()], {"h": numbers(1, 2, np.nan, 3)}, splits)
    message = r"head 'h' \(column 'price'\): none of the 2 test rows has its label. Use more rows"
    with pytest.raises(DataError, match=message):
        check_splits(TABLE, [head()], {"h": numbers(1, 2, np.nan, np.nan)}, splits)


def test_rare_classes_are_said() -> None:
    label = classes(*"aaabbb", "odd", "c", "c", None)
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 7, 8])
    (note,) = rare_class_notes({"h": label, "n": numbers(1, 2)}, groups)
    assert note.startswith("head 'h': 2 of 4 classes have fewer than 3 rows ('c', 'odd'). A random")
    assert rare_class_notes({"h": classes(*"aaabbb")}, np.arange(6)) == []
    many = classes(*"abcdefg")
    assert "('a', 'b', 'c', 'd', 'e', …)" in rare_class_notes({"h": many}, np.arange(7))[0]
