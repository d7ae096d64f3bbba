"""Targets and weights: what is read, set aside, refused and summed up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal.config import Component, Head
from multimodal.data.labels import check_transform, fit_head, label_arrays, read_labels
from multimodal.data.readers import read_table
from multimodal.data.schema import infer_schema
from multimodal.data.table import Table
from multimodal.errors import DataError
from multimodal.spec import FittedHead


def read(
    prices: list[Any], weights: list[Any] | None = None, *, rents: list[Any] | None = None
) -> tuple[Table, dict[str, np.ndarray], np.ndarray]:
    """Read a target, and a weight and a second target where they are given."""
    columns = {"price": prices, "w": weights, "rent": rents}
    given = {name: cells for name, cells in columns.items() if cells is not None}
    rows = zip(*given.values(), strict=True)
    table = read_table([dict(zip(given, row, strict=True)) for row in rows])
    targets = [name for name in ("price", "rent") if name in given]
    weight = "w" if weights else None
    schema = infer_schema(table, targets=targets, weight=weight)
    return read_labels(table, schema, targets, weight)


def head(transform: str = "log1p") -> Head:
    component = Component(name="regression", options={"transform": transform})
    return Head(name="price", column="price", head=component)


def test_rows_without_a_label_are_set_aside() -> None:
    prices = [*range(40), None, "free"]
    table, labels, weights = read(prices)
    assert labels["price"].tolist() == list(range(40)) and weights.tolist() == [1.0] * 40
    assert table.frame["price"].tolist() == list(range(40))
    assert [(f.row, f.reason) for f in table.quarantine] == [
        (40, "column 'price': the target is missing"),
        (41, "column 'price': expected a number, got 'free'"),
    ]


def test_everything_stays_aligned() -> None:
    prices = [None, *range(1, 60)]
    rents = [float(i) if i != 30 else "?" for i in range(60)]
    weights = [2 * i if i != 50 else -1 for i in range(60)]
    table, labels, found = read(prices, weights, rents=rents)
    kept = [i for i in range(60) if i not in (0, 30, 50)]
    assert table.rows.tolist() == kept and len(table.frame) == 57
    assert labels["price"].tolist() == labels["rent"].tolist() == kept
    assert found.tolist() == [2 * i for i in kept]
    assert [fault.row for fault in table.quarantine] == [0, 30, 50]
    assert table.quarantine[1].reason.startswith("column 'rent': expected a number, got '?'")


@pytest.mark.parametrize("bad", [-1, "heavy", None, float("inf"), 1e300])
def test_bad_weights_are_set_aside(bad: Any) -> None:
    table, _, weights = read([1, 2, 3], [1, bad, 0.5])
    assert weights.tolist() == [1, 0.5]
    (fault,) = table.quarantine
    assert fault.reason.startswith("column 'w': expected a weight of at least 0, got ")


def test_all_weights_zero() -> None:
    with pytest.raises(DataError, match="weight 'w' is 0 in every row; expected some above 0"):
        read([1, 2, 3], [0, 0, 0.0])


def test_the_phrase_around_a_target_is_read() -> None:
    _, labels, _ = read(["$1,234.50", "$9.99", "$3"])
    assert labels["price"].tolist() == [1234.5, 9.99, 3]


def test_text_in_the_price_names_line_and_cell(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("price,a\n1,x\n2,y\nabout 5,z\n3,u\n")
    table = read_table(path)
    schema = infer_schema(table, targets=["price"])
    with pytest.raises(DataError) as caught:
        read_labels(table, schema, ["price"], None)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 4: column 'price': expected a number, got 'about 5'.")
    assert "1 of 4 rows of the target 'price' are not numbers" in message
    assert "Remove currency signs" in message


def test_the_word_missing_in_a_cell_is_text() -> None:
    with pytest.raises(DataError, match="got 'missing'"):
        read([1, 2, "missing"])


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ([5, 5, 5], "target 'price' is 5 in every row; expected values that differ"),
        ([5, 5, None], "target 'price' is 5 in every row"),
        ([None, "", "NA"], "target 'price' is empty in every row; nothing to learn"),
    ],
)
def test_targets_that_teach_nothing(prices: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(prices)


def test_numbers_too_large_to_learn_are_set_aside() -> None:
    table, labels, _ = read([*range(60), 1e300, -1e39])
    assert labels["price"].tolist() == list(range(60))
    assert "at most 1e+38, got 1e+300" in table.quarantine[0].reason


def test_unknown_columns() -> None:
    table = read_table([{"price": 1}, {"price": 2}])
    schema = infer_schema(table)
    with pytest.raises(DataError, match="target 'prise' is not in the table. Did you mean 'price'"):
        read_labels(table, schema, ["prise"], None)
    with pytest.raises(DataError, match="weight 'w' is not in the table"):
        read_labels(table, schema, ["price"], "w")


def test_negative_under_log1p() -> None:
    table = read_table([{"price": p} for p in (3, 1, -2.5)])
    values = np.array([3, 1, -2.5])
    with pytest.raises(DataError, match="table, row 3: column 'price' holds -2.5; .*'log1p'"):
        check_transform(table, head(), values)
    check_transform(table, head("standardise"), values)
    check_transform(table, head(), np.abs(values))


@pytest.mark.parametrize("transform", ["none", "standardise", "log1p"])
def test_fit_head(transform: str) -> None:
    values = np.array([0.0, 3, 8, 100])
    moved = np.log1p(values) if transform == "log1p" else values
    fitted = fit_head(head(transform), "price", values)
    np.testing.assert_allclose(
        [fitted.mean, fitted.scale, fitted.minimum, fitted.maximum],
        [moved.mean(), moved.std(), moved.min(), moved.max()],
    )
    assert (fitted.name, fitted.column) == ("price", "price")


def test_fit_head_of_one_value() -> None:
    plain = Head(name="price", column="price")
    fitted = fit_head(plain, "price", np.array([4.0, 4.0]))
    assert (fitted.mean, fitted.scale) == (4.0, 1.0)


def test_label_arrays_name_every_head() -> None:
    heads = [FittedHead(name="a", column="x"), FittedHead(name="b", column="y")]
    labels = {"x": np.array([1.5, np.nan]), "y": np.array([np.nan, 2.0])}
    targets, weights = label_arrays(heads, labels, np.array([2.0, 0.5]))
    assert targets.keys() == weights.keys() == {"a", "b"}
    assert targets["a"].tolist() == [[1.5], [0.0]] and weights["a"].tolist() == [2.0, 0.0]
    assert targets["b"].tolist() == [[0.0], [2.0]] and weights["b"].tolist() == [0.0, 0.5]
    assert all(array.dtype == np.float32 for array in (*targets.values(), *weights.values()))
