"""Presets, and the config that a call names: as a Config, a dict, a file or a preset.

`fast`, `balanced` (the defaults) and `best` are YAML files beside this module, to read and edit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, choices

FOLDER = Path(__file__).parent / "configs"
NAMES = ("fast", "balanced", "best")
ConfigLike = Config | Mapping[str, Any] | str | os.PathLike[str] | None


def preset_text(name: str) -> str:
    """Return the YAML of a preset, to be kept and edited.

    Raises:
        ConfigError: There is no such preset.

    Example:
    >>> "fold_models: auto" in preset_text("balanced")
    True
    """
    return _file(name).read_text(encoding="utf-8")


def preset(name: str) -> Config:
    """Return the config of a preset.

    Raises:
        ConfigError: There is no such preset.

    Example:
    >>> preset("balanced") == Config()
    True
    """
    return Config.from_yaml(_file(name))


def _file(name: str) -> Path:
    if name not in NAMES:
        raise ConfigError(f"no preset '{name}'. {choices(name, list(NAMES))}")
    return FOLDER / f"{name}.yaml"


def as_names(targets: str | int | Sequence[str | int]) -> list[str]:
    """Return the names of the columns to predict, as a call gives them: one, or several.

    A column of a DataFrame may be named by a number; in a table it is named by its digits.

    Raises:
        ConfigError: Anything but names is given, such as the labels themselves.

    Example:
    >>> as_names("price"), as_names([3, "size"])
    (['price'], ['3', 'size'])
    """
    names = [targets] if isinstance(targets, str | int) else targets
    # a Series or an array holds labels, an Index of pandas names
    labels = hasattr(names, "iloc") or (hasattr(names, "dtype") and not hasattr(names, "names"))
    named = isinstance(names, Iterable) and all(type(name) in (str, int) for name in names)
    if labels or not named:
        raise ConfigError(
            f"targets: expected names of columns, got {type(targets).__name__}. Put the labels "
            "into the table as a column, such as data.assign(price=y), and name that column."
        )
    return [str(name) for name in names]


def as_config(
    config: ConfigLike = None,
    preset: str | None = None,
    *,
    data: Mapping[str, Any] | None = None,
    **training: Any,
) -> Config:
    """Return the config that the arguments of a training name.

    Args:
        config: A Config, its sections as a dict, or the path of a YAML or JSON file.
        preset: The name of a preset, in place of `config`. With neither, all is at its default.
        data: Keys of the section `data` that take the place of the config's; `columns` and `split`
            are added to those of the config.
        training: Keys of the section `training` that take the place of the config's; one that is
            None leaves what is there.

    Raises:
        ConfigError: Both a config and a preset are given, the file cannot be read, there is no such
            preset, or a key or value is none.

    Example:
    >>> as_config({"training": {"epochs": 3}}, seed=7).training.seed
    7
    """
    if config is not None and preset is not None:
        raise ConfigError(
            "both a config (--config) and a preset (--preset) are given; expected one. `multimodal "
            "preset NAME` prints a preset, to be kept as a config and edited."
        )
    found = _read(config if preset is None else _file(preset))
    given = {name: value for name, value in training.items() if value is not None}
    section = dict(data or {})
    for name in {"columns", "split"} & set(section):
        section[name] = {**found.data.model_dump()[name], **section[name]}
    return found.merge(training=given, data=section) if given or section else found


def _read(config: ConfigLike) -> Config:
    if config is None:
        return Config()
    if isinstance(config, Config):
        return config
    if isinstance(config, str | os.PathLike):
        return Config.from_yaml(Path(config))
    return Config.parse(dict(config) if isinstance(config, Mapping) else config)
