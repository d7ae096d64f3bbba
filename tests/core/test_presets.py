from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.core.presets import NAMES, as_config, as_names, preset, preset_text


def test_balanced_is_what_happens_anyway() -> None:
    assert preset("balanced") == Config()


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_everything_that_any_other_changes(name: str, tmp_path) -> None:
    keys = {key for each in NAMES for key in preset(each).training.model_fields_set}
    assert preset(name).training.model_fields_set == keys
    (tmp_path / "mine.yaml").write_text(preset_text(name))
    assert Config.from_yaml(tmp_path / "mine.yaml") == preset(name)


def test_presets_differ_and_a_wrong_name_is_told() -> None:
    assert len({preset(name).to_json() for name in NAMES}) == len(NAMES)
    with pytest.raises(ConfigError, match="no preset 'fats'. Did you mean 'fast'"):
        preset("fats")


def test_the_command_prints_one_and_trains_with_it(command, tmp_path) -> None:
    done = command("preset", "best")
    assert done.code == 0 and done.out == preset_text("best")
    done = command("preset", "bset")
    assert done.code == 2 and "Did you mean 'best'" in done.err
    done = command("train", "rows.csv", "--preset", "fast", "--config", "mine.yaml")
    assert done.code == 2 and "--preset" in done.err


def test_a_config_is_given_as_one_as_a_dict_as_a_file_or_by_a_preset(tmp_path) -> None:
    sections = {"training": {"epochs": 3, "freeze": ["table"]}}
    given = Config.parse(sections)
    (tmp_path / "mine.yaml").write_text("training: {epochs: 3, freeze: [table]}")
    (tmp_path / "mine.json").write_text(given.to_json())
    ways = (given, sections, tmp_path / "mine.yaml", str(tmp_path / "mine.json"))
    assert all(as_config(way) == given for way in ways) and as_config(given) is given
    assert as_config() == Config() and as_config(preset="fast") == preset("fast")


def test_training_options_override_what_a_config_says() -> None:
    given = {"training": {"epochs": 3, "freeze": ["table"]}}
    found = as_config(given, epochs=5, seed=None, freeze=[]).training
    assert (found.epochs, found.seed, found.freeze) == (5, 0, [])
    assert as_config(preset="fast", seed=7).training.seed == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config": Config(), "preset": "fast"}, "both a config .* and a preset .* are given"),
        ({"config": {"trainnig": {}}}, "Did you mean 'training'"),
        ({"config": [1]}, "config: expected a mapping of sections"),
        ({"config": "gone.yaml"}, "gone.yaml: cannot be read"),
        ({"preset": "fats"}, "Did you mean 'fast'"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_what_is_no_config_is_refused(given, message) -> None:
    with pytest.raises(ConfigError, match=message):
        as_config(**given)


def test_sections_of_the_data_are_merged() -> None:
    given = {"data": {"columns": {"a": "text", "b": "category"}, "encoding": "cp1252"}}
    found = as_config(given, data={"columns": {"a": "ignored"}, "separator": "tab"}).data
    assert found.columns == {"a": "ignored", "b": "category"}
    assert (found.encoding, found.separator) == ("cp1252", "\t")


@pytest.mark.parametrize(
    ("targets", "names"),
    [("a", ["a"]), (3, ["3"]), (["a", 4], ["a", "4"]), ((), []), (pd.Index(["a"]), ["a"])],
)
def test_targets_are_names(targets: Any, names: list[str]) -> None:
    assert as_names(targets) == names


@pytest.mark.parametrize(
    "targets", [pd.Series([1.5]), pd.Series(["a"]), np.array([1, 2]), [1.5], None, np.float64(2)]
)
def test_labels_are_no_names(targets: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected names of columns, got .*assign\(price=y\)"):
        as_names(targets)


def test_keys_of_the_split_are_added_to_those_of_the_config() -> None:
    config = {"data": {"split": {"method": "time", "column": "day", "test": 0.2}}}
    split = as_config(config, data={"split": {"group": "shop"}}).data.split
    assert (split.method, split.column, split.test, split.group) == ("time", "day", 0.2, "shop")
