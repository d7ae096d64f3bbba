"""The fitted spec: JSON, input keys, slugs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from multimodal.core.spec import (
    CategoricalColumn,
    FittedGroup,
    FittedHead,
    FittedSpec,
    NumericColumn,
    slug,
    unique_slugs,
)

NUMBER = NumericColumn(name="w", source="Weight", centre=1.5, scale=0.1)
CATEGORY = CategoricalColumn(name="b", source="Brand", categories=["acme", "zeta é"])
TABLE = FittedGroup(
    name="table", modality="tabular", columns=["Weight"], numeric=[NUMBER], categorical=[CATEGORY]
)
TITLE = FittedGroup(name="title", modality="text", columns=["Title"], vocabulary=["a"], lengths=[4])
PHOTO = FittedGroup(name="photo", modality="image", columns=["p"], photos=2, image_size=8)
SPEC = FittedSpec(
    groups=[TABLE, TITLE, PHOTO],
    heads=[FittedHead(name="price", columns=["Price"], mean=0.1 + 0.2, scale=1e-9)],
)


def test_json_round_trip_is_exact() -> None:
    assert FittedSpec.model_validate_json(SPEC.model_dump_json()) == SPEC


@pytest.mark.parametrize(
    ("group", "changes", "expected"),
    [
        (TABLE, {}, ["table_numeric", "table_categorical"]),
        (TABLE, {"numeric": []}, ["table_categorical"]),
        (TABLE, {"categorical": [], "optional": True}, ["table_numeric", "table_present"]),
        (TITLE, {}, ["title_tokens"]),
        (TITLE, {"optional": True}, ["title_tokens", "title_present"]),
        (PHOTO, {}, ["photo_pixels", "photo_present"]),
        (PHOTO, {"optional": True}, ["photo_pixels", "photo_present"]),
    ],
)
def test_input_keys(group: FittedGroup, changes: dict[str, Any], expected: list[str]) -> None:
    assert group.model_copy(update=changes).input_keys == expected


def test_input_keys_of_all_groups_in_order() -> None:
    assert SPEC.input_keys == TABLE.input_keys + TITLE.input_keys + PHOTO.input_keys
    assert SPEC.group("title") is SPEC.groups[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Preis €/kg", "preis_kg"),
        ("price", "price"),
        ("  A--B  ", "a_b"),
        ("2nd photo", "x_2nd_photo"),
        ("价格", "x"),
        ("", "x"),
        ("a/b\\c", "a_b_c"),
    ],
)
def test_slug(name: str, expected: str) -> None:
    assert slug(name) == expected
    assert slug(expected) == expected


@pytest.mark.parametrize(
    ("names", "taken", "expected"),
    [
        (["a", "A", "a!"], [], ["a", "a_2", "a_3"]),
        (["a", "b"], ["a"], ["a_2", "b"]),
        (["a", "a_2", "A"], [], ["a", "a_2", "a_3"]),
        (["a_2", "a", "A"], [], ["a_2", "a", "a_3"]),
        (["价", "格"], ["x"], ["x_2", "x_3"]),
        ([], [], []),
    ],
)
def test_unique_slugs(names: list[str], taken: list[str], expected: list[str]) -> None:
    assert unique_slugs(names, taken) == expected


def test_records_are_closed_and_frozen() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        FittedHead.model_validate({"name": "a", "column": "a", "median": 3})
    with pytest.raises(ValidationError, match="frozen"):
        SPEC.version = 1
    with pytest.raises(ValidationError, match="Input should be 1"):
        FittedSpec.model_validate({"version": 2, "groups": [], "heads": []})


@pytest.mark.parametrize(
    "values",
    [
        {"photos": 65},
        {"photos": -1},
        {"image_size": 1025},
        {"steps": 10**9},
        {"lengths": [0]},
        {"lengths": [10**9]},
        {"numeric": [{"name": "a", "source": "a", "scale": float("nan")}]},
    ],
)
def test_sizes_have_limits_and_numbers_are_finite(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Input should be"):
        FittedGroup.model_validate({"name": "a", "modality": "text", "columns": [], **values})
