from __future__ import annotations

import pytest

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.core.presets import NAMES, preset, preset_text


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
