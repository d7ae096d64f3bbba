"""The config: JSON and YAML, its schema, and one message per mistake."""

from __future__ import annotations

import json
import os
import re
import resource
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from multimodal.core.config import KINDS, Component, Config, Training
from multimodal.core.errors import ConfigError

VALUES: dict[str, Any] = {
    "groups": [
        {"name": "table", "modality": "tabular", "columns": ["weight"], "encoder": "dense"},
        {
            "name": "photos",
            "modality": "image",
            "columns": ["front", "back"],
            "encoder": {"name": "convolutional", "options": {"filters": [8, 16], "dropout": 0.1}},
            "pooling": "attention",
        },
    ],
    "fusion": {"name": "concat", "options": {"hidden_dims": [32]}},
    "heads": [{"name": "price", "column": "Preis €", "weight": 2.5}],
    "data": {"columns": {"weight": "number"}, "split": {"method": "time", "column": "sold"}},
    "training": {"epochs": 3, "freeze": ["photos"], "precision": "float32"},
}


@pytest.mark.parametrize("values", [{}, VALUES])
def test_json_round_trip(values: dict[str, Any]) -> None:
    config = Config.parse(values)
    assert Config.from_json(config.to_json()) == config
    assert Config.from_json(config.to_json()).to_json() == config.to_json()


def test_tuples_in_options_round_trip_too() -> None:
    config = Config(fusion=Component(name="concat", options={"hidden_dims": (3, 4)}))
    assert Config.from_json(config.to_json()) == config


def test_options_are_plain_values() -> None:
    with pytest.raises(ConfigError, match="`fusion.options.seed`.*not a valid JSON value"):
        Config.parse({"fusion": {"name": "concat", "options": {"seed": object()}}})


def test_yaml_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(VALUES), encoding="utf-8")  # JSON is YAML
    assert Config.from_yaml(path) == Config.parse(VALUES)
    path.write_text("", encoding="utf-8")
    assert Config.from_yaml(str(path)) == Config()


def test_a_name_stands_for_a_part() -> None:
    config = Config.parse(VALUES)
    assert config.groups[0].encoder == Component(name="dense")
    assert config.groups[0].pooling == Component(name="mean")
    assert config.groups[1].pooling == Component(name="attention")


def test_schema_knows_every_key_and_takes_a_name_for_a_part() -> None:
    schema = json.loads(json.dumps(Config.model_json_schema()))
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["additionalProperties"] is False
    encoder = schema["$defs"]["Group"]["properties"]["encoder"]
    assert {"type": "string"} in encoder["anyOf"]
    assert {"$ref": "#/$defs/Component"} in encoder["anyOf"]
    assert {"Component", "Data", "Group", "Head", "Split", "Training"} <= set(schema["$defs"])


def test_merge_replaces_keys_and_sections() -> None:
    config = Config.parse(VALUES).merge(training={"epochs": 9}, fusion="gated")
    assert (config.training.epochs, config.training.freeze) == (9, ["photos"])
    assert config.fusion == Component(name="gated")
    assert config.data == Config.parse(VALUES).data


def test_merge_validates() -> None:
    with pytest.raises(ConfigError, match="unknown key 'training.epoch'"):
        Config().merge(training={"epoch": 3})


def test_records_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().training.epochs = 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainning": {}}, "unknown key 'trainning'. Did you mean 'training'? Valid: data, "),
        ({"training": {"epoch": 3}}, "unknown key 'training.epoch'. Did you mean 'epochs'?"),
        (
            {"data": {"split": {"methode": "time"}}},
            "unknown key 'data.split.methode'. Did you mean 'method'? Valid: column, group, ",
        ),
        (
            {"groups": [{**VALUES["groups"][0], "encodr": 1}]},
            "unknown key 'groups.0.encodr'. Did you mean 'encoder'?",
        ),
        (
            {"groups": [{**VALUES["groups"][0], "encoder": {"name": "dense", "option": {}}}]},
            "unknown key 'groups.0.encoder.option'. Did you mean 'options'? Valid: name, options.",
        ),
        (
            {"heads": [{"name": "p", "column": "p", "head": {"nam": "x", "name": "y"}}]},
            "unknown key 'heads.0.head.nam'. Did you mean 'name'?",
        ),
        (
            {"data": {"columns": {"price": "numbr"}}},
            "`data.columns.price` must be one of 'number', 'category'",
        ),
        (
            {"training": {"precision": "float16"}},
            "`training.precision` must be one of 'auto', 'float32' or 'mixed_bfloat16'. "
            "Received: 'float16'",
        ),
        ({"training": {"epochs": "many"}}, "`training.epochs`: Input should be a valid integer"),
        ({"training": {"epochs": 0}}, "`training.epochs`: Input should be greater than or equal"),
        ({"training": {"fold_models": 0}}, "equal to 1, or 'auto'. Received: 0"),
        ({"heads": [{"name": "y", "column": "y", "weight": 0}]}, "than 0, or 'learned'. Received"),
        ({"training": {"learning_rate": float("inf")}}, "finite number. Received: inf"),
        (
            {"groups": [{"name": "a", "modality": "text", "columns": [], "encoder": "x"}]},
            "`groups.0.columns`: List should have at least 1 item",
        ),
        ({"data": {"split": {"method": "group"}}}, "split method 'group' needs `column`"),
        ({"heads": [{"name": "p"}]}, "`heads.0.column`: Field required"),
        ({"groups": [VALUES["groups"][0]] * 129}, "`groups`: List should have at most 128 items"),
        (
            {"fusion": {"name": "concat", "options": {"hidden_dims": [8] * 129}}},
            "option 'hidden_dims' has 129 entries; at most 128",
        ),
        (
            {"fusion": {"name": "transformer", "options": {"num_layers": 129}}},
            "option 'num_layers' may be at most 128",
        ),
        (
            {"fusion": {"name": "concat", "options": {"activation": {"class_name": "Lambda"}}}},
            "option 'activation' must be a value or a list; no mapping is taken",
        ),
        ({"training": {"batch_size": 10**9}}, "should be less than or equal to 65536"),
        ({"training": {"seed": 2**31}}, "`training.seed`: Input should be less than 2147483648"),
        ({"training": {"epochs": 10**5000}}, "Received: int"),
        ({"data": {"max_words": 10**9}}, "should be less than or equal to 65536"),
        ({"data": {"separator": ";;"}}, "`data.separator`: Value error, must be one character"),
        ({"data": {"encoding": "ansi-ish"}}, "an encoding such as utf-8, utf-16, cp1252"),
        ({"data": {"decimal": "comma"}}, "`data.decimal` must be one of 'auto', '.' or ','"),
        ({"groups": ["x" * 10**6]}, "x…"),
        ([1], "expected a mapping of sections. Valid: data, fusion, groups, heads, training."),
    ],
)
def test_messages(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        Config.parse(values, "run.yaml")
    assert str(caught.value).startswith("run.yaml: ")


def test_two_mistakes_make_one_message() -> None:
    with pytest.raises(ConfigError, match="`data.max_photos`.*; unknown key 'trainig'"):
        Config.parse({"trainig": {}, "data": {"max_photos": 0}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"training: {epochs: 3", "not valid YAML"),
        (b"training:\n\tepochs: 3", "not valid YAML"),
        (b"\xff\xfe\xfa", "not valid YAML"),
        (b"!!python/object/apply:os.system [echo]", "not valid YAML"),
        (b"- a\n- b", "expected a mapping of sections"),
        (b"training: 3", "`training`: Input should be"),
        (b"[" * 100_000, "More than 20 lists and mappings within each other"),
        (b"a: " + b"{a: " * 30 + b"}" * 30, "More than 20 lists and mappings within each other"),
        (b"a: &a [*a]", "More than 20 lists and mappings within each other"),
        (b"training: {epochs: !!int }", "not valid YAML"),
        (b"training: {epochs: 2016-99-99}", "not valid YAML"),
        (b"#" * 2_000_000, "it has 2,000,000 bytes; at most 1,048,576 are read"),
        (b"x: [" + b"1," * 110_000 + b"]", "More than 100,000 values"),
        (b'groups: [{name: "\\uD800"}]', "Half of a surrogate pair"),
    ],
)
def test_broken_yaml(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        Config.from_yaml(path)
    assert "broken.yaml" in str(caught.value)


@pytest.mark.parametrize("line", ["{0}: &{0} [{1}]", "{0}: &{0} {{<<: [{1}], {0}: 1}}"])
def test_a_yaml_file_that_multiplies_itself_takes_no_memory(line: str, tmp_path: Path) -> None:
    first = "a: &a " + ("[x]" if "<<" not in line else "{x: 1}")
    bomb = [
        first,
        *(
            line.format(b, ", ".join([f"*{a}"] * 9))
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
    ]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(bomb))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigError, match="More than"):
        Config.from_yaml(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="cannot be read .not a plain file"):
        Config.from_yaml(tmp_path / "pipe.yaml")


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '{"training": {"seed": 1e400}}'])
def test_hostile_json(text: str) -> None:
    with pytest.raises(ConfigError, match="config: "):
        Config.from_json(text)


@pytest.mark.parametrize("written", ["tab", "\\t", "\t"])
def test_a_tabulator_can_be_written(written: str) -> None:
    assert Config.parse({"data": {"separator": written}}).data.separator == "\t"


def test_many_mistakes_make_a_short_message() -> None:
    with pytest.raises(ConfigError, match="and 95 more mistakes$") as caught:
        Config.parse({"heads": [{"name": "p", "column": 3}] * 50})
    assert len(str(caught.value)) < 1000


def test_absent_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none.yaml: cannot be read .No such file"):
        Config.from_yaml(tmp_path / "none.yaml")


def test_broken_json() -> None:
    with pytest.raises(ConfigError, match="config: not valid JSON"):
        Config.from_json("{")


def test_kinds_are_those_of_the_schema() -> None:
    assert {"number", "category", "text", "image", "date", "target", "ignored"} < set(KINDS)


def test_an_old_key_of_a_user_works_and_warns(tmp_path: Path) -> None:
    new = Config.parse({"training": {"fold_models": 3}})
    old: dict[str, Any] = {"training": {"members": 3}}
    path = tmp_path / "mine.yaml"
    path.write_text("training: {members: 3}")
    told = "`training.members` is the old name of `training.fold_models`"
    for make in (
        lambda: Config.parse(old),
        lambda: Config.model_validate(old),
        lambda: Config().merge(**old),
        lambda: Config(training=Training(**old["training"])),
    ):
        with pytest.warns(FutureWarning, match=f"config: {told}"):
            assert make() == new
    with pytest.warns(FutureWarning, match=f"mine.yaml: {told}"):
        assert Config.from_yaml(path) == new
    with pytest.warns(FutureWarning, match=told):
        assert new.training.members == 3
    with pytest.raises(ConfigError, match="write one of the two"):
        Config.parse({"training": {"members": 3, "fold_models": 3}})


def test_an_old_key_of_a_saved_run_is_read_in_silence() -> None:
    new = Config.parse({"training": {"fold_models": 3}})
    assert Config.from_json(new.to_json().replace("fold_models", "members")) == new
    assert '"members"' not in new.to_json()


def test_numbers_may_stand_for_missing() -> None:
    config = Config.parse({"data": {"missing": ["POA", -999]}})
    assert config.data.missing == ["POA", "-999"]
    assert Config.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="missing"):
        Config.parse({"data": {"missing": "POA"}})
