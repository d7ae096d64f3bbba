"""Configs to start from: `fast`, `balanced` (the defaults) and `best`, files to read and edit."""

from __future__ import annotations

from pathlib import Path

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, choices

FOLDER = Path(__file__).parent / "configs"
NAMES = ("fast", "balanced", "best")


def preset_text(name: str) -> str:
    """Return the YAML of a preset, to be kept and edited.

    Raises:
        ConfigError: There is no such preset.

    Example:
    >>> "members: auto" in preset_text("balanced")
    True
    """
    if name not in NAMES:
        raise ConfigError(f"no preset '{name}'. {choices(name, list(NAMES))}")
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def preset(name: str) -> Config:
    """Return the config of a preset.

    Raises:
        ConfigError: There is no such preset.

    Example:
    >>> preset("balanced") == Config()
    True
    """
    preset_text(name)
    return Config.from_yaml(FOLDER / f"{name}.yaml")
