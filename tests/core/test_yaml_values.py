"""Values of a YAML file are what they look like, each key once, with its line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.core.yaml_values import load_yaml


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("FALSE", False),
        ("90", 90),
        ("-3", -3),
        ("1_000", 1000),
        ("0x1F", 31),
        ("010", "010"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("1e-3", 0.001),
        ("0.5", 0.5),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("~", None),
        ("'3'", "3"),
    ],
)
def test_a_value_is_what_it_looks_like(written: str, value: Any) -> None:
    found = load_yaml(f"a: {written}")[0]["a"]
    assert found == value and type(found) is type(value)


def test_country_codes_are_words() -> None:
    assert load_yaml("[no, de]")[0] == ["no", "de"] and load_yaml("no: 1")[0] == {"no": 1}


def test_lines_lead_to_each_key_and_entry() -> None:
    _, lines = load_yaml("# a note\na:\n  - b: 1\n    c: 2\n  - d: 3\n")
    assert lines == {
        ("a",): 2,
        ("a", 0): 3,
        ("a", 0, "b"): 3,
        ("a", 0, "c"): 4,
        ("a", 1): 5,
        ("a", 1, "d"): 5,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  epochs: 3\n  epochs: 7\n", "'epochs' stands in line 2 and again in line 3"),
        ("data: {}\ntraining: {}\ndata: {}\n", "'data' stands in line 1 and again in line 3"),
        ("training:\n  seed: 1\n  epochs: yes\n", "line 3: `training.epochs`.*Received: 'yes'"),
        ("training: {epochs: true}\n", "line 1: `training.epochs`.*Received: 'true'"),
        ("\ntraining:\n  batch_size: 1:30\n", "line 3: `training.batch_size`.*Received: '1:30'"),
        ("training:\n  epoch: 3\n", "line 2: unknown key 'training.epoch'. Did you mean"),
        ("heads:\n- name: p\n- {name: q, column: q}\n", "line 2: `heads.0.column`: Field req"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        Config.from_yaml(tmp_path / "c.yaml")


def test_truth_is_still_one_where_it_is_asked_for() -> None:
    assert Config.parse({"training": {"linear": False}}).training.linear is False
    with pytest.raises(ConfigError, match="Received: 'true'"):
        Config.parse({"training": {"epochs": True}})
