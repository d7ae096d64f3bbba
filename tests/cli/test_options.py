"""What commands share: a config from a file or a preset, a run that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from multimodal.cli.options import config_of, load_run
from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, RunError
from multimodal.core.presets import preset


def test_a_config_is_that_of_the_file_or_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("training: {epochs: 3}")
    assert config_of(path) == Config.from_yaml(path)
    assert config_of(None) == preset("balanced")
    assert config_of(None, "fast") == preset("fast")
    with pytest.raises(ConfigError, match="both --config and --preset are given"):
        config_of(path, "fast")


def test_options_that_are_given_count(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("training: {epochs: 3, seed: 5}")
    found = config_of(path, epochs=7, seed=None)
    assert (found.training.epochs, found.training.seed) == (7, 5)


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        load_run(tmp_path / "absent")
