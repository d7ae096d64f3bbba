"""Heads that nobody declared, and declared ones that do not fit."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from multimodal.core.config import Config, Head
from multimodal.core.errors import ConfigError, DataError
from multimodal.data.columns.schema import infer_schema
from multimodal.data.labels.fit import LABEL_KINDS, complete_heads, label_kind
from multimodal.data.read.readers import read_table
from multimodal.layers import registry

RNG = np.random.default_rng(0)
PRICES = np.exp(RNG.normal(5, 1, 500)).tolist()
BOX = ["xmin", "ymin", "xmax", "ymax"]


def heads(columns: dict[str, list[Any]], config: dict[str, Any] | None = None) -> list[Head]:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    table, targets = read_table(rows), list(columns)
    schema = infer_schema(table, targets=targets)
    return complete_heads(Config.parse(config or {}), table, schema, targets).heads


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        (PRICES, "regression"),
        ([f"${price:,.2f}" for price in PRICES], "regression"),
        ([1, 2, 3, 4, 5] * 20, "regression"),
        ([0, 1] * 20, "binary"),
        ([7.5, 9.0, None] * 20, "binary"),
        ([True, False, True] * 5, "binary"),
        (["neg", "pos"] * 9, "binary"),
        (["low", "mid", "high"] * 5, "multiclass"),
        (["0-9", "10-19", "20-29", "60+"] * 5, "multiclass"),
        (["Rs 1200", "1,50", "$ 3", "12 €", "4 kr"] * 5, "regression"),
        (["7", "8", "free", "9"] * 5, "regression"),
        (["a"] * 9, "multiclass"),
        ([None] * 9, "regression"),
    ],
)
def test_the_cells_decide(cells: list[Any], part: str) -> None:
    (head,) = heads({"The target": cells})
    assert (head.name, head.column, head.head.name) == ("the_target", "The target", part)
    assert not head.partial and head.weight == 1


@pytest.mark.parametrize(
    ("cells", "told", "part"),
    [
        ([1, 2, 3, 4, 5] * 20, "category", "multiclass"),
        ([1, 2] * 20, "category", "binary"),
        ([1, 2] * 20, "number", "regression"),
    ],
)
def test_the_user_decides(cells: list[Any], told: str, part: str) -> None:
    (head,) = heads({"t": cells}, {"data": {"columns": {"t": told}}})
    assert head.head.name == part


@pytest.mark.parametrize(
    ("values", "transform"),
    [
        (PRICES, "log1p"),
        ([*PRICES, None], "log1p"),
        ([*PRICES, 1e300], "log1p"),
        (RNG.normal(50, 5, 500).tolist(), "standardise"),
        ([*PRICES, -1.0], "standardise"),
        ([0.0] * 5, "standardise"),
    ],
)
def test_transform_by_skewness(values: list[Any], transform: str) -> None:
    (head,) = heads({"price": values}, {"data": {"columns": {"price": "number"}}})
    assert head.head.options == {"transform": transform}


def test_texts_that_do_not_come_again() -> None:
    names = [f"{first}{second}" for first in "abcdefghijklmno" for second in "abcdefghijklmno"]
    message = "target 'title' holds 40 different texts in 40 rows, such as 'aa'; expected numbers"
    with pytest.raises(DataError, match=message):
        heads({"title": names[:40]})
    with pytest.raises(DataError, match="or at most 200 classes"):
        heads({"title": names[:201] * 4})
    assert heads({"title": names[:200] * 2})[0].head.name == "multiclass"


def test_declared_heads_stay() -> None:
    declared = [
        {"name": "age", "column": "age", "partial": True},
        {"name": "where", "column": BOX, "head": "bounding_box"},
        {"name": "tags", "column": ["red", "big"], "head": "multilabel"},
    ]
    columns = {name: [1, 2, 3] for name in ["age", *BOX, "red", "big"]}
    found = heads(columns, {"heads": declared})
    assert found == [Head.model_validate(each) for each in declared]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"column": "prices"}, "learns column 'prices', which is not among .*mean 'price'"),
        ({"column": "price", "head": "ordnal"}, "unknown head 'ordnal'. Did you mean 'ordinal'"),
        ({"column": "price", "head": "embedding"}, "'embedding' learns from no column of a table"),
        (
            {"column": ["price", "rent"]},
            "`column` must be one column, since 'regression' learns "
            r"from a number. Received: column=\['price', 'rent'\]",
        ),
        ({"column": ["price", "rent"], "head": "binary"}, "must be one column, since 'binary'"),
        ({"column": ["price", "rent"], "head": "bounding_box"}, r"four columns: \[xmin, ymin"),
        ({"column": ["price"] * 4, "head": "bounding_box"}, "four columns"),
        ({"column": ["price"] * 2, "head": "multilabel"}, "one column, or one 0/1 column per lab"),
        (
            {"column": "price", "classes": ["a", "b"]},
            "`classes` names the classes of one column; 'regression' on .* has none to name",
        ),
        ({"column": ["price", "rent"], "head": "multilabel", "classes": ["a"]}, "has none to name"),
        ({"column": "price", "head": "ordinal", "classes": ["a", "a"]}, "`classes` must differ"),
    ],
)
def test_heads_that_do_not_fit(head: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"head 'h'.*{message}"):
        heads({"price": [1, 2, 3], "rent": [1, 2, 3]}, {"heads": [{"name": "h", **head}]})


def test_a_target_without_a_head() -> None:
    config = {"heads": [{"name": "h", "column": "price"}]}
    with pytest.raises(ConfigError, match="target 'rent' is learned by no head; .* learn price"):
        heads({"price": [1, 2, 3], "rent": [1, 2, 3]}, config)


def test_a_head_from_outside_the_package() -> None:
    head = Head.model_validate({"name": "h", "column": "price", "head": "tweedie"})
    with pytest.raises(ConfigError, match="unknown head 'tweedie'.* pass what it learns from as"):
        label_kind(head)
    assert label_kind(head, {**LABEL_KINDS, "tweedie": "number"}) == "number"


def test_label_kinds_are_those_of_the_registered_heads() -> None:
    importlib.import_module("multimodal.heads")
    registered = {name: registry.get("head", name) for name in registry.names("head")}
    own = {n: cls for n, cls in registered.items() if cls.__module__.startswith("multimodal.")}
    assert {name: cls.label_kind for name, cls in own.items()} == LABEL_KINDS
