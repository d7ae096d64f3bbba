"""What the cells of a label's columns say, kind by kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import LabelKind
from multimodal.core.errors import DataError
from multimodal.data.columns.schema import infer_schema
from multimodal.data.labels.cells import Faults, Label, known_rows, read_label
from multimodal.data.read.readers import read_table


def read(kind: LabelKind, columns: dict[str, list[Any]], classes: Any = ()) -> tuple[Label, Faults]:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    table = read_table(rows)
    schema = infer_schema(table, targets=list(columns))
    return read_label(table, schema, kind, list(columns), classes)


def test_a_number() -> None:
    label, faults = read("number", {"p": ["3", "4.50", None, "dear", "1e300"]})
    np.testing.assert_array_equal(label.values, [3, 4.5, np.nan, np.nan, np.nan])
    assert sorted(faults) == [3, 4] and label.names() == []
    assert label.y_true([]) is label.values


def test_a_class() -> None:
    label, faults = read("class", {"c": ["b", "a", None, "b"]})
    assert label.values.tolist() == ["b", "a", None, "b"] and not faults
    assert label.known.tolist() == [True, True, False, True]
    assert label.names() == ["a", "b"] and label.y_true(["b"]).tolist() == [0, -1, -1, 0]
    assert label.take(np.array([0, 3])).names() == ["b"]
    assert read("class", {"c": ["b", "a"]}, ["x", "b", "a"])[0].names() == ["x", "b", "a"]


@pytest.mark.parametrize(
    ("cells", "in_file", "in_memory"),
    [
        ([0, 1, None], "integer", "integer"),
        ([False, True, None], "flag", "flag"),
        ([0.5, 2.0, None], "text", "float"),
        (["0", "-12", None], "integer", "text"),
        (["007", "1"], "text", "text"),
        (["True", "False"], "flag", "text"),
        (["yes", "no", "1"], "text", "text"),
        ([10**19, 1], "text", "integer"),
    ],
)
def test_a_class_remembers_what_it_was(
    cells: list[Any], in_file: str, in_memory: str, tmp_path: Path
) -> None:
    frame = pd.DataFrame({"c": pd.Series(cells, dtype=object), "d": "x"})
    frame.to_csv(tmp_path / "t.csv", index=False)
    rows = [json.dumps(row) + "\n" for row in frame.to_dict("records")]
    (tmp_path / "t.jsonl").write_text("".join(rows))
    for source, label_type in [(frame, in_memory), ("t.jsonl", in_memory), ("t.csv", in_file)]:
        table = read_table(tmp_path / source if isinstance(source, str) else source)
        schema = infer_schema(table, targets=["c"])
        assert read_label(table, schema, "class", ["c"], ())[0].label_type == label_type


def test_labels_keep_the_order_of_their_columns() -> None:
    label, faults = read("labels", {"z": [1, 0, None], "a": [1, 1, None]})
    assert label.names() == ["z", "a"] == label.take(np.array([2])).names() and not faults
    np.testing.assert_array_equal(label.y_true(["z", "a"]), [[1, 1], [0, 1], [np.nan, np.nan]])


def test_a_box() -> None:
    columns = {
        "l": [1, 9, None, 1],
        "t": [1, 1, None, 1],
        "r": [2, 2, None, "x"],
        "b": [2, 2, None, 2],
    }
    label, faults = read("box", columns)
    assert label.values[0].tolist() == [1, 1, 2, 2] and np.isnan(label.values[1:]).all()
    assert sorted(faults) == [1, 3] and faults[3] == "column 'r': expected a number, got 'x'"


@pytest.mark.parametrize("kind", ["number", "class", "labels", "box"])
def test_a_column_that_is_not_there(kind: LabelKind) -> None:
    table = read_table([{"price": 1, "a": 2}])
    columns = ["prise"] if kind in ("number", "class") else ["price", "prise", "a", "a"]
    with pytest.raises(DataError, match="'prise' is not in the table. Did you mean 'price'"):
        read_label(table, infer_schema(table), kind, columns, [])


def test_no_rows() -> None:
    for y_true in (np.zeros(0), np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, object)):
        assert known_rows(y_true).shape == (0,)
