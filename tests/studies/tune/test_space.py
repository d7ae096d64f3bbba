"""The space of a search: the start is in it, every value makes a model that can be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import PHOTOS, TABLE, WORDS, tiny_config

from multimodal.core.config import Config
from multimodal.data.defaults import encoder_named
from multimodal.data.prepare import Prepared, prepare
from multimodal.models.build import build
from multimodal.studies.tune.space import (
    AS_IT_IS,
    Hyperparameter,
    apply_hyperparameters,
    hyperparameters,
)


@pytest.fixture(scope="module")
def prepared(catalogue_folder: Path) -> Prepared:
    config = tiny_config(TABLE, WORDS, PHOTOS)
    return prepare(catalogue_folder / "catalogue.csv", ["price"], config)


def values(space: list[Hyperparameter], **changed: Any) -> dict[str, Any]:
    return {each.name: each.start for each in space} | changed


def test_the_start_is_the_config_itself(prepared: Prepared) -> None:
    space = hyperparameters(prepared.config)
    assert apply_hyperparameters(prepared.config, space, values(space)) == prepared.config
    for hyperparameter in space:
        assert (
            hyperparameter.start == hyperparameter.choices[0]
            if hyperparameter.choices
            else hyperparameter.low <= hyperparameter.start <= hyperparameter.high
        )
    assert {
        "learning_rate",
        "weight_decay",
        "dropout",
        "batch_size",
        "width",
        "fusion",
        "text_encoder",
        "image_encoder",
        "tabular_encoder",
        "numeric_embedding",
    } <= {hyperparameter.name for hyperparameter in space}


def test_odd_starts_lie_in_the_space(prepared: Prepared) -> None:
    config = prepared.config.merge(
        training={"learning_rate": 0.5, "weight_decay": 0.0, "batch_size": 7}
    )
    space = {each.name: each for each in hyperparameters(config)}
    assert space["learning_rate"].high == 0.5
    assert 0.0 in space["weight_decay"].choices and 7 in space["batch_size"].choices


def test_every_value_of_every_hyperparameter_can_be_built(prepared: Prepared) -> None:
    space = hyperparameters(prepared.config)
    for hyperparameter in space:
        for value in hyperparameter.choices[1:] or (hyperparameter.low, hyperparameter.high):
            config = apply_hyperparameters(
                prepared.config, space, values(space, **{hyperparameter.name: value})
            )
            assert config != prepared.config or value == hyperparameter.start, (
                hyperparameter.name,
                value,
            )
            if (config.groups, config.fusion) != (prepared.config.groups, prepared.config.fusion):
                build(config, prepared.spec)


def test_random_values_can_be_built(prepared: Prepared) -> None:
    space, random = hyperparameters(prepared.config), np.random.default_rng(0)
    for _ in range(4):
        drawn = {
            hyperparameter.name: hyperparameter.choices[
                random.integers(len(hyperparameter.choices))
            ]
            if hyperparameter.choices
            else hyperparameter.low
            for hyperparameter in space
        }
        build(apply_hyperparameters(prepared.config, space, drawn), prepared.spec)


def test_hyperparameters_do_what_they_say(prepared: Prepared) -> None:
    space = hyperparameters(prepared.config)
    config = apply_hyperparameters(
        prepared.config,
        space,
        values(
            space,
            width=2.0,
            dropout=0.35,
            fusion="gated",
            modality_dropout=0.15,
            text_encoder="convolutional",
            augment=False,
            numeric_embedding="periodic",
            ema_momentum=0.99,
        ),
    )
    table, words, photos = config.groups
    assert table.encoder.options["hidden_dims"] == [16]
    assert table.encoder.options["numeric_embedding"] == "periodic"
    assert words.encoder.name == "convolutional" and words.encoder.options["dropout"] == 0.35
    assert photos.encoder.options["filters"] == [8, 16]
    assert config.fusion.name == "gated" and config.fusion.options["modality_dropout"] == 0.15
    assert config.fusion.options["hidden_dim"] % 8 == 0
    assert not config.data.augment and config.training.ema_momentum == 0.99


def test_the_default_fusion_has_its_ensemble_there_too() -> None:
    config = Config.parse({"groups": [TABLE, WORDS], "fusion": "gated"})
    space = hyperparameters(config)
    found = apply_hyperparameters(config, space, values(space, fusion="concat")).fusion
    assert found.name == "concat" and found.options["num_members"] == 8


def test_an_encoder_of_the_defaults_has_their_options_and_is_no_change_to_them() -> None:
    words = {**WORDS, "encoder": "recurrent"}
    config = Config.parse({"groups": [TABLE, words]})
    space = hyperparameters(config)
    usual = encoder_named("text", "convolutional")
    found = apply_hyperparameters(config, space, values(space, text_encoder="convolutional"))
    assert usual.options and found.groups[1].encoder == usual
    (hyperparameter,) = [
        hyperparameter
        for hyperparameter in hyperparameters(found)
        if hyperparameter.name == "text_encoder"
    ]
    assert "convolutional" not in hyperparameter.choices and "recurrent" in hyperparameter.choices


def test_groups_with_word_vectors_keep_encoder_and_dimension() -> None:
    words = {**WORDS, "vectors": "glove.txt", "encoder": "recurrent"}
    config = Config.parse({"groups": [TABLE, words]})
    space = hyperparameters(config)
    assert "text_encoder" not in {hyperparameter.name for hyperparameter in space}
    wide = apply_hyperparameters(config, space, values(space, width=2.0)).groups[1]
    assert "embedding_dim" not in wide.encoder.options and wide.encoder.options["hidden_dim"]


def test_one_group_has_no_fusion_to_choose() -> None:
    names = {
        hyperparameter.name for hyperparameter in hyperparameters(Config.parse({"groups": [TABLE]}))
    }
    assert not names & {"fusion", "modality_dropout", "augment"}
    assert AS_IT_IS
