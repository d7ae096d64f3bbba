"""Groups that nobody declared, those that do not fit the table, and what `auto` resolves to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, DataError
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.defaults import complete, resolve_auto, uses_k_fold
from multimodal.data.read.readers import read_table
from multimodal.encoders import ConvolutionalEncoder, ConvolutionalTextEncoder, DenseEncoder

KINDS = {
    "size": "number",
    "colour": "category",
    "sold": "date",
    "title": "text",
    "Über uns": "text",
    "front": "image",
    "back": "image",
    "id": "identifier",
    "empty": "ignored",
    "price": "target",
}
TARGETS = ["price"]


def schema(kinds: dict[str, Any]) -> Schema:
    columns = [
        Column(name=name, kind=kind, missing=0, distinct=9, example="")
        for name, kind in kinds.items()
    ]
    return Schema(columns=columns)


def group(name: str, modality: str, columns: list[str]) -> dict[str, Any]:
    encoder = {"tabular": "dense", "text": "recurrent", "image": "convolutional"}[modality]
    return {"name": name, "modality": modality, "columns": columns, "encoder": encoder}


def test_groups_by_kind() -> None:
    config = complete(Config(), schema(KINDS), TARGETS)
    assert [(g.name, g.modality, g.columns) for g in config.groups] == [
        ("table", "tabular", ["size", "colour", "sold"]),
        ("title", "text", ["title"]),
        ("ber_uns", "text", ["Über uns"]),
        ("photos", "image", ["front", "back"]),
    ]
    assert [(g.encoder.name, g.pooling.name) for g in config.groups] == [
        ("dense", "mean"),
        ("convolutional", "max"),
        ("convolutional", "max"),
        ("convolutional", "mean"),
    ]
    assert config.heads == []
    assert Config.from_json(config.to_json()) == config
    assert complete(config, schema(KINDS), TARGETS) == config


def test_the_parts_take_the_options_they_get() -> None:
    table, text, _, photos = complete(Config(), schema(KINDS), TARGETS).groups
    assert DenseEncoder([9], **table.encoder.options).num_members == 8
    assert ConvolutionalTextEncoder(9, **text.encoder.options).num_layers == 2
    encoder = ConvolutionalEncoder(**photos.encoder.options)
    assert (encoder.pool_sizes, encoder.normalization) == ([2, 2, 1], "batch")


def test_parts_that_a_run_was_trained_with_stay() -> None:
    columns = {"title": ["title"], "ber_uns": ["Über uns"], "table": ["size", "colour", "sold"]}
    kinds = {"title": "text", "ber_uns": "text", "table": "tabular", "photos": "image"}
    columns["photos"] = ["front", "back"]
    given = [group(name, kinds[name], columns[name]) for name in columns]  # texts: recurrent
    config = Config.parse({"groups": given})
    again = complete(config, schema(KINDS), TARGETS, adapt=True)
    assert again.groups == config.groups


def test_group_names_are_unique() -> None:
    found = complete(Config(), schema({"n": "number", "table": "text", "Table!": "text"}), [])
    assert [g.name for g in found.groups] == ["table", "table_2", "table_3"]


def test_nothing_to_predict_from() -> None:
    with pytest.raises(DataError, match="no feature column is left besides the target"):
        complete(Config(), schema({"id": "identifier", "price": "target"}), TARGETS)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"groups": [group("g", "tabular", ["sise"])]}, "no column 'sise'. Did you mean 'size'"),
        (
            {"groups": [group("g", "tabular", ["price"])]},
            "group 'g' reads the target column 'price'",
        ),
    ],
)
def test_what_does_not_fit(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        complete(Config.parse(config), schema(KINDS), TARGETS)


def adapted(groups: list[dict[str, Any]], kinds: dict[str, Any]) -> list[tuple[str, list[str]]]:
    config = Config.parse({"groups": groups})
    found = complete(config, schema(kinds), [], adapt=True).groups
    return [(g.name, g.columns) for g in found]


def test_adapt_drops_what_is_gone_and_adds_what_is_new() -> None:
    groups = [
        group("t", "tabular", ["size", "weight"]),
        group("words", "text", ["title", "story"]),
        group("p", "image", ["front"]),
    ]
    assert adapted(groups, KINDS) == [
        ("t", ["size", "colour", "sold"]),
        ("words", ["title"]),
        ("p", ["front", "back"]),
        ("ber_uns", ["Über uns"]),
    ]


def test_adapt_drops_groups_without_a_column() -> None:
    groups = [group("t", "tabular", ["size"]), group("words", "text", ["title"])]
    assert adapted(groups, {"size": "number"}) == [("t", ["size"])]
    assert adapted(groups, {"front": "image"}) == [("photos", ["front"])]


def test_without_adapt_given_groups_stay() -> None:
    config = Config.parse({"groups": [group("t", "tabular", ["size"])]})
    assert complete(config, schema(KINDS), []).groups == config.groups


def splits_of(train: int, validation: int = 0, test: int = 0) -> np.ndarray:
    return np.repeat(np.array(["train", "validation", "test"], object), [train, validation, test])


def resolved(train: int, validation: int = 0, split: dict[str, str] | None = None) -> Any:
    splits = splits_of(train, validation, 9)
    table = read_table(pd.DataFrame({"y": np.arange(len(splits) + 0.0), "part": "validation"}))
    config = Config.parse({"data": {"split": split}} if split else {})
    found = resolve_auto(config, table, splits)
    assert uses_k_fold(found, table) == (found.training.fold_models > 1 and split is None)
    return found.training


@pytest.mark.parametrize(("rows", "fold_models"), [(199, 1), (200, 5), (8_000, 5), (8_001, 1)])
def test_few_rows_have_a_k_fold_ensemble_and_very_few_one_network(
    rows: int, fold_models: int
) -> None:
    assert resolved(rows).fold_models == fold_models


CHOSEN = [{"method": "time", "column": "y"}, {"method": "column", "column": "part"}]


@pytest.mark.parametrize("split", CHOSEN)
@pytest.mark.parametrize(
    ("rows", "fold_models"), [(191, 1), (192, 5), (2_000, 5), (3_333, 3), (5_000, 2), (5_001, 1)]
)
def test_networks_share_chosen_validation_rows_as_often_as_rows_may_be_read(
    split: dict[str, str], rows: int, fold_models: int
) -> None:
    assert resolved(rows, 8, split).fold_models == fold_models


@pytest.mark.parametrize(
    ("rows", "epochs"), [(0, 25), (8_000, 25), (50_000, 12), (100_000, 6), (5_000_000, 5)]
)
def test_many_rows_are_read_less_often(rows: int, epochs: int) -> None:
    table = read_table([{"y": 1.0}])
    assert resolve_auto(Config(), table, splits_of(rows, 0, 9)).training.epochs == epochs


@pytest.mark.parametrize(("rows", "batch"), [(0, 32), (2_000, 32), (2_001, 64)])
def test_few_rows_are_read_in_small_batches(rows: int, batch: int) -> None:
    assert resolved(rows).batch_size == batch


def test_what_is_asked_for_stays() -> None:
    table = read_table(pd.DataFrame({"y": np.arange(500.0), "part": ["validation"] * 500}))
    numbers = {"epochs": 3, "batch_size": 5, "fold_models": 2, "patience": 4}
    asked = Config.parse({"training": numbers})
    assert resolve_auto(asked, table, splits_of(500)) is asked
    half = resolve_auto(Config.parse({"training": {"epochs": 3}}), table, splits_of(500)).training
    assert (half.epochs, half.batch_size, half.fold_models) == (3, 32, 5)
    assert uses_k_fold(asked, table)
    assert not uses_k_fold(asked.merge(training={"fold_models": 1}), table)
    assert not uses_k_fold(asked.merge(data={"split": CHOSEN[1]}), table)


def test_photos_of_a_box_have_a_pooling_that_keeps_places() -> None:
    config = complete(Config(), schema(KINDS), TARGETS, boxes=True)
    assert [each.pooling.name for each in config.groups] == ["mean", "max", "max", "grid"]
    for merged in (Config(), Config().merge(training={"seed": 3})):
        groups = [group("shots", "image", ["front"])]
        again = complete(merged.merge(groups=groups), schema(KINDS), TARGETS, boxes=True)
        assert again.groups[0].pooling.name == "grid"
    asked = Config.parse({"groups": [{**groups[0], "pooling": "mean"}]}).merge(data={"num_bins": 4})
    found = complete(asked, schema(KINDS), TARGETS, boxes=True)
    assert found.groups[0].pooling.name == "mean"


@pytest.mark.parametrize(("rows", "epochs", "networks"), [(40, 80, 1), (160, 80, 5), (2000, 25, 5)])
def test_few_photos_with_boxes_are_read_often_by_several_networks(rows, epochs, networks) -> None:
    table = read_table(pd.DataFrame({"y": np.arange(float(rows))}))
    found = resolve_auto(Config(), table, splits_of(rows), boxes=True).training
    assert (found.epochs, found.fold_models) == (epochs, networks)
    assert found.patience == max(6, epochs // 3)
    assert resolve_auto(Config(), table, splits_of(rows)).training.patience == 6
