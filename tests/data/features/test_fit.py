"""What training rows teach, alone and on top of an earlier spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.config import Config
from multimodal.core.errors import DataError
from multimodal.core.spec import FittedGroup, FittedSpec
from multimodal.data.columns.schema import Schema, infer_schema
from multimodal.data.features import cell_arrays
from multimodal.data.features import fit as fitting
from multimodal.data.features.fit import capped_columns, fit_rows, fit_spec, with_sparse_features
from multimodal.data.prepare import prepare
from multimodal.data.prepared import Prepared
from multimodal.data.read.readers import read_table

ENCODERS = {"tabular": "dense", "text": "recurrent", "image": "convolutional"}


def prepared(
    cells: Mapping[str, Any], kinds: Mapping[str, Any], groups: Mapping[str, Any], **data: Any
) -> tuple[Config, Schema, pd.DataFrame]:
    """A config, a schema and a frame; `groups` maps (name, modality) to columns."""
    table = read_table(pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in cells.items()}))
    declared = [
        {"name": name, "modality": modality, "columns": columns, "encoder": ENCODERS[modality]}
        for (name, modality), columns in groups.items()
    ]
    config = Config.parse({"groups": declared, "data": data})
    return config, infer_schema(table, overrides=kinds), table.frame


def fit(
    cells: Mapping[str, Any],
    kind: Any,
    modality: str = "tabular",
    base: FittedGroup | None = None,
    **data: Any,
) -> FittedGroup:
    """Fit one group of all columns of one kind."""
    kinds = dict.fromkeys(cells, kind)
    parts = prepared(cells, kinds, {("g", modality): list(cells)}, **data)
    spec = None if base is None else FittedSpec(groups=[base], heads=[])
    return fit_spec(*parts, spec).groups[0]


@pytest.mark.parametrize(
    ("numbers", "centre", "scale"),
    [
        ([1, 2, 3, 4, 5], 3, 2 / 1.349),
        ([1, 2, 3, 4, 1e12], 3, 2 / 1.349),
        ([7, 7, 7, 7, 9], 7, 1),
        ([7, 7, 7], 7, 1),
        ([None, 4, None, 4.5, 5], 4.5, 0.5 / 1.349),
        ([None, None], 0, 1),
        (["free", 2, "3"], 2.5, 0.5 / 1.349),
        ([-1.7e308, 1.7e308, 0, 0], 0, 8.5e307 / 1.349),
    ],
)
def test_scale_is_robust(numbers: list[Any], centre: float, scale: float) -> None:
    (column,) = fit({"n": numbers}, "number").numeric
    assert column.source == "n" and column.part is None
    np.testing.assert_allclose([column.centre, column.scale], [centre, scale])


def test_numbers_in_a_phrase() -> None:
    cells = {"n": [f"{i} reviews" for i in (4, 8, 6)]}
    assert fit(cells, "number").numeric[0].centre == 6


def test_dates_become_their_varying_parts() -> None:
    config, schema, frame = prepared(
        {"d": ["2016-03-10", "2017-03-10", "2018-04-10", "2016-03-10"]},
        {"d": "date"},
        {("g", "tabular"): ["d"]},
    )
    group = fit_spec(config, schema, frame).groups[0]
    named = [(column.name, column.part) for column in group.numeric]
    assert named == [("d_year", "year"), ("d_month", "month"), ("d_days", "days")]
    only = fit_spec(config, schema, frame.iloc[[0, 1, 3]]).groups[0]  # one month in training
    assert "month" not in [column.part for column in only.numeric]
    assert "year" in [column.part for column in only.numeric]


def test_nothing_varies() -> None:
    with pytest.raises(DataError, match=r"group 'g': no column varies .*\(d\). Leave the group"):
        fit({"d": ["2016-03-10"] * 3}, "date")


def test_categories_by_frequency() -> None:
    cells = {"c": ["b", "a", "a", "b", "c", None, "b", " a"]}
    (column,) = fit(cells, "category").categorical
    assert column.categories == ["a", "b"] and column.source == "c"
    assert fit(cells, "category", min_count=1).categorical[0].categories == ["a", "b", "c"]


def test_categories_are_capped_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MAX_CATEGORIES", 3)
    cells = {"c": [f"name {i}" for i in range(5) for _ in range(9 - i)]}
    parts = prepared(cells, {"c": "category"}, {("g", "tabular"): ["c"]})
    spec = fit_spec(*parts)
    assert spec.groups[0].categorical[0].categories == ["name 0", "name 1", "name 2"]
    (sentence,) = capped_columns(spec, parts[1])
    assert sentence.startswith("column 'c': 5 different values; the 3 most frequent ones are kept")
    monkeypatch.setattr(fitting, "MAX_CATEGORIES", 5)
    assert capped_columns(fit_spec(*parts), parts[1]) == []


@pytest.mark.parametrize(
    ("cells", "optional"),
    [
        ({"a": ["1.5", "2", "3"], "b": ["7", "8", "9"]}, False),
        ({"a": ["1.5", None, "3"], "b": ["7", "8", None]}, False),
        ({"a": ["1.5", None, "3"], "b": ["7", None, "9"]}, True),
    ],
)
@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_group_is_optional_if_a_row_lacks_all_of_it(
    cells: Any, optional: bool, kind: str
) -> None:
    assert fit(cells, kind).optional == optional


def test_text_group() -> None:
    cells = {"t": ["red red shoe", "red 12 shoe", None], "u": ["a", None, None]}
    group = fit(cells, "text", "text")
    assert group.vocabulary == ["red", "shoe"] and group.lengths == [8] and group.optional
    assert not fit({"t": ["red", "blue"]}, "text", "text").optional
    assert fit(cells, "text", "text", min_count=1).vocabulary == ["red", "shoe", "12", "a"]


@pytest.mark.parametrize(
    ("cells", "photos", "optional"),
    [
        ({"p": ["a.jpg", "b.jpg"]}, 1, False),
        ({"p": ["a.jpg|b.jpg|c.jpg", None]}, 3, True),
        ({"p": ["|".join(f"{i}.jpg" for i in range(9)), "a.jpg"]}, 4, False),
        ({"p": [None, None]}, 1, True),
        ({"p": ["a.jpg", None], "q": [None, "b.jpg"]}, 2, False),
        ({"p": ["a.jpg", None], "q": ["b.jpg", None]}, 2, True),
        ({f"p{i}": ["a.jpg"] for i in range(6)}, 6, False),
    ],
)
def test_image_group(cells: Any, photos: int, optional: bool) -> None:
    group = fit(cells, "image", "image", image_size=32)
    assert (group.photos, group.optional, group.image_size) == (photos, optional, 32)


def test_base_keeps_places_and_scales() -> None:
    old = fit({"n": [1, 2, 3]}, "number")
    new = fit({"n": [100, 200, 300], "m": [5, 6, 7]}, "number", base=old)
    assert new.numeric[0] == old.numeric[0] and new.columns == ["n", "m"]
    assert [column.centre for column in new.numeric] == [2, 6]
    old = fit({"c": ["b", "b", "a", "a"]}, "category")
    new = fit({"c": ["c", "c", "b", "d", "a", "c"]}, "category", base=old)
    assert new.categorical[0].categories == ["a", "b", "c"]
    old = fit({"t": ["red shoe", "red shoe"]}, "text", "text")
    new = fit({"t": ["big red hat " * 30] * 3, "u": [None] * 3}, "text", "text", base=old)
    assert new.vocabulary == ["red", "shoe", "big", "hat"] and new.lengths == old.lengths
    old = fit({"p": ["a.jpg", None]}, "image", "image", image_size=16)
    new = fit({"p": ["a.jpg|b.jpg"]}, "image", "image", base=old)
    assert (new.image_size, new.photos, new.optional) == (16, 2, True)


def test_base_columns_that_are_gone() -> None:
    old = fit({"n": [1, 2, 3], "m": [4, 5, 6]}, "number")
    assert [column.source for column in fit({"m": [7, 8]}, "number", base=old).numeric] == ["m"]


def test_base_of_another_modality_is_no_base() -> None:
    old = fit({"n": [1, 2, 3]}, "number")
    assert fit({"n": ["1 red", "2 red"]}, "text", "text", base=old).numeric == []


def test_slugs_are_unique() -> None:
    parts = prepared(
        {"a": [1, 2, 3], "b": [3, 5, 9]},
        {"a": "number", "b": "number"},
        {("Preis €", "tabular"): ["a"], ("preis", "tabular"): ["b"]},
    )
    assert [group.name for group in fit_spec(*parts).groups] == ["preis", "preis_2"]


def test_bins_are_edges_of_the_scaled_numbers() -> None:
    cells = {"n": list(range(101)), "m": [None, *range(100)]}
    group = fit(cells, "number", num_bins=4)
    values = np.arange(101.0)[:, None]
    moved = cell_arrays.scaled(values, group.numeric[:1])[:, 0]
    np.testing.assert_allclose(
        group.numeric[0].bins, np.quantile(moved, np.arange(5) / 4), atol=1e-3
    )
    assert len(group.numeric[1].bins) == 5


def test_bins_follow_the_target_only_if_asked() -> None:
    cells = {"n": list(range(100))}
    kinds, groups = {"n": "number"}, {("g", "tabular"): ["n"]}
    target = np.where(np.arange(100) < 20, 1.0, 7.0)
    found = {}
    for bins in ("quantile", "target"):
        parts = prepared(cells, kinds, groups, bins=bins, num_bins=2)
        found[bins] = fit_spec(*parts, target=target).groups[0].numeric[0].bins
    (column,) = fit(cells, "number").numeric
    cut = float(cell_arrays.scaled(np.array([[19.5]]), [column])[0, 0])
    assert found["target"][1] == pytest.approx(cut, abs=1e-3)
    assert found["quantile"][1] == pytest.approx(0, abs=1e-3)


def test_base_keeps_bins_and_gets_those_it_lacks() -> None:
    old = fit({"n": [1, 2, 3], "m": [4, 5, 6]}, "number", num_bins=2)
    bare = old.numeric[0].model_copy(update={"bins": []})
    base = old.model_copy(update={"numeric": [bare, old.numeric[1]]})
    new = fit({"n": [10, 20, 30], "m": [1, 1, 9]}, "number", base=base, num_bins=3)
    assert [column.source for column in new.numeric] == ["n", "m"]
    assert new.numeric[1] == old.numeric[1]
    assert len(new.numeric[0].bins) > 1 and new.numeric[0].centre == old.numeric[0].centre


@pytest.fixture(scope="module")
def plain() -> Prepared:
    return prepare(plain_rows(), ["price"], plain_config())


def fitted(plain: Prepared, train: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return the largest price, and the centre of the sizes, that are learned."""
    spec = fit_rows(plain.config, plain.schema, plain.table, plain.raw_labels, weights, train, None)
    (size,) = (column for column in spec.groups[0].numeric if column.source == "size")
    return spec.heads[0].maximum, size.centre


def test_only_training_rows_count_and_for_heads_those_that_weigh(plain: Prepared) -> None:
    price = plain.table.frame["price"].to_numpy(float)
    train, weights = np.arange(80) < 40, np.ones(80)
    most, centre = fitted(plain, train, weights)
    assert most == price[:40].max()
    weights[np.argmax(price[:40])] = 0.0
    assert fitted(plain, train, weights) == (np.sort(price[:40])[-2], centre)
    assert fitted(plain, ~train, np.ones(80))[1] != centre


def test_terms_are_those_of_all_rows_but_the_test_rows(plain: Prepared) -> None:
    frame = plain.table.frame.assign(shop=["a"] * 40 + ["b"] * 40)
    table = type(plain.table)(**{**vars(plain.table), "frame": frame})
    counts = []
    for first in ("train", "validation", "test"):
        splits = np.array([first] * 40 + ["train"] * 40, object)
        found = with_sparse_features(
            plain.config, plain.spec, plain.schema, table, splits, plain.labels
        )
        assert found.terms is not None
        counts.append(found.terms.num_terms)
    assert counts[0] == counts[1] > counts[2]
