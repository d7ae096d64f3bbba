"""The schema a person sees, overrides and saves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal.core.errors import DataError
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.reading import Reading
from multimodal.data.columns.schema import Column, Schema, infer_schema
from multimodal.data.read.readers import read_table
from multimodal.data.read.table import Table

KINDS = {
    "flipkart/products.csv": {
        "id": "identifier",
        "product_name": "text",
        "category": "category",
        "brand": "category",
        "advantage": "category",
        "description": "text",
        "specifications": "text",
        "image": "image",
        "price": "target",
    },
    "houses/houses.csv": {
        "id": "identifier",
        "bedrooms": "number",
        "bathrooms": "number",
        "area": "number",
        "zipcode": "category",
        "frontal": "image",
        "bedroom": "image",
        "bathroom": "image",
        "kitchen": "image",
        "price": "target",
    },
    "books/books.csv": {
        "title": "text",
        "author": "category",
        "edition": "text",
        "reviews": "number",
        "ratings": "number",
        "synopsis": "text",
        "genre": "category",
        "book_category": "category",
        "price": "target",
    },
    "reviews/reviews.csv": {"id": "identifier", "sentiment": "category", "text": "text"},
}


@pytest.fixture
def table() -> Table:
    return read_table(
        [
            {"name": f"row{i} x", "size": i * 1.5, "part": "train", "w": 1, "price": i}
            for i in range(4)
        ]
        + [{"name": None, "size": "NA", "part": "test", "w": 2, "price": 9}]
    )


def test_roles_are_as_told(table: Table) -> None:
    schema = infer_schema(table, targets=["price"], weight="w", split="part")
    kinds = {column.name: column.kind for column in schema.columns}
    assert kinds["price"] == "target" and kinds["w"] == "weight" and kinds["part"] == "split"
    assert schema.names("target") == ["price"]
    assert schema.column("price").note == "as told"


def test_overrides_win_over_rules_and_roles_over_overrides(table: Table) -> None:
    schema = infer_schema(table, targets=["price"], overrides={"size": "ignored", "price": "text"})
    assert schema.column("size").kind == "ignored"
    assert schema.column("price").kind == "target"


def test_facts_are_counted(table: Table) -> None:
    schema = infer_schema(table)
    assert schema.column("name").missing == pytest.approx(0.2)
    assert schema.column("name").distinct == 4
    assert schema.column("size").kind == "number"
    assert schema.column("size").missing == pytest.approx(0.2)  # "NA" is missing for a number


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"targets": ["prise"]}, ["table: column 'prise' is not in the table", "mean 'price'"]),
        ({"weight": "weight"}, ["'weight'", "Valid: name, part, price, size, w"]),
        ({"split": "parts"}, ["mean 'part'"]),
        ({"overrides": {"sizes": "number"}}, ["mean 'size'"]),
        ({"overrides": {"size": "numeric"}}, ["unknown kind 'numeric'", "number"]),
        ({"targets": ["w"], "weight": "w"}, ["'w' cannot be both"]),
    ],
)
def test_wrong_names(table: Table, options: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        infer_schema(table, **options)
    for part in parts:
        assert part in str(caught.value)


def test_rows_are_for_printing() -> None:
    rows = [{"t": "one\n two " * 30 + str(i), "n": i + 0.5} for i in range(300)]
    rows[0]["n"] = None
    shown = infer_schema(read_table(rows)).rows()
    assert all(len(row) == 6 and all(isinstance(cell, str) for cell in row) for row in shown)
    (name, kind, missing, distinct, example, note), number = shown
    assert (name, kind, missing, distinct) == ("t", "text", "0 %", "300")
    assert len(example) == 40 and example.endswith("…") and "\n" not in example
    assert note == "61 words on average"
    assert number[2] == "< 1 %"


def test_saved_and_loaded_alike(table: Table, tmp_path: Path) -> None:
    schema = infer_schema(table, targets=["price"])
    schema.save(tmp_path / "schema.json")
    assert Schema.load(tmp_path / "schema.json") == schema


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the file.*Invalid JSON"),
        ('{"columns": [{"name": "a"}]}', "columns.0.kind"),
        ('{"columns": [], "more": 1}', "more"),
    ],
)
def test_a_damaged_schema_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "schema.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"schema.json: .*{message}"):
        Schema.load(path)
    with pytest.raises(DataError, match="gone.json: cannot be read"):
        Schema.load(tmp_path / "gone.json")


def test_unknown_column_of_a_schema() -> None:
    column = Column(name="price", kind="target", missing=0, distinct=2, example="1")
    with pytest.raises(DataError, match="'prices' is not in the schema.*mean 'price'"):
        Schema(columns=[column]).column("prices")


def test_no_rows() -> None:
    empty = infer_schema(read_table([{"a": 1}]).drop({0: "bad"}))
    assert empty.column("a").kind == "ignored"


@pytest.mark.real_data
@pytest.mark.parametrize("file", KINDS)
def test_real_files(file: str) -> None:
    folder = os.environ.get("MULTIMODAL_DATA")
    if not folder:
        pytest.skip("MULTIMODAL_DATA names no folder")
    targets = [name for name, kind in KINDS[file].items() if kind == "target"]
    table = read_table(Path(folder) / file)
    schema = infer_schema(table, targets=targets)
    for column in schema.columns:  # what a plain reading reads, the column's own reads alike
        plain = parse_numbers(table.frame[column.name], Reading(unit=column.unit)).values
        if column.kind in ("number", "target") and column.decimal == ".":
            own = parse_numbers(table.frame[column.name], column).values
            np.testing.assert_array_equal(own[~np.isnan(plain)], plain[~np.isnan(plain)])
            assert column.doubt == ""
    assert {column.name: column.kind for column in schema.columns} == KINDS[file]
    if file.startswith("books"):
        assert schema.column("reviews").unit == "# out of 5 stars"
        assert schema.column("ratings").unit == "# customer reviews"
