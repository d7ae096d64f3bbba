"""How a run was made, as the report and the model card show it: what differs from the defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.evaluation.records import RunMetrics

SECTIONS = ("data", "training")
Line = tuple[str, str]


def changes(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (key, value, default) of what a config says of data, training and fusion otherwise.

    Groups and heads have no defaults; they are in `groups_of` and `heads_of`.

    Example:
    >>> changes({"training": {"epochs": 3}})
    [('training.epochs', '3', 'auto')]
    """
    usual = json.loads(Config().to_json())
    found = []
    for section in SECTIONS:
        given = config.get(section)
        for key, value in given.items() if isinstance(given, dict) else ():
            default = usual[section].get(key)
            if value != default:
                found.append((f"{section}.{key}", _write(value), _write(default)))
    if "fusion" in config and config["fusion"] != usual["fusion"]:
        found.append(("fusion", _part(config["fusion"]), _part(usual["fusion"])))
    return found


def groups_of(config: Mapping[str, Any]) -> list[list[str]]:
    """Return name, modality, columns, encoder and pooling of each group; none if damaged."""
    whole = _whole(config)
    return [] if whole is None else [
        [group.name, group.modality, ", ".join(group.columns),
         _part(group.encoder.model_dump()), _part(group.pooling.model_dump())]
        for group in whole.groups
    ]  # fmt: skip


def heads_of(config: Mapping[str, Any]) -> list[list[str]]:
    """Return name, columns and layer of each head, and the weight of its loss; none if damaged."""
    whole = _whole(config)
    return [] if whole is None else [
        [head.name, ", ".join(head.columns), _part(head.head.model_dump()), str(head.weight)]
        for head in whole.heads
    ]  # fmt: skip


def facts(record: RunMetrics) -> list[Line]:
    """Return (what, value) for everything that must be the same to get the same numbers again."""
    data, training = record.data, record.training
    machine = record.machine
    cores = f"{machine['cores']} cores" if "cores" in machine else ""
    hardware = [machine.get("processor", ""), cores, machine.get("memory", ""),
                machine.get("accelerators", ""), machine.get("system", "")]  # fmt: skip
    found = {
        "data": data.source,
        "SHA-256 of the file": data.sha256,
        "fingerprint of the prepared rows": data.fingerprint,
        "seed": str(training.seed) if training.epochs or record.command else "",
        "precision": training.precision,
        "machine": ", ".join(filter(None, hardware)),
        "date": record.date,
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    return [(name, value) for name, value in found.items() if value]


def seconds(record: RunMetrics) -> tuple[float, float]:
    """Return the seconds that the model and that all the baselines took to fit."""
    scores = [score for several in record.comparison.values() for score in several]
    return record.training.seconds, sum(s.seconds for s in scores if s.kind != "fusion")


def _whole(config: Mapping[str, Any]) -> Config | None:
    try:
        return Config.parse(dict(config))
    except ConfigError:  # of another version; the page still shows it as it is
        return None


def _part(part: Any) -> str:
    """Write a registered part with its options."""
    if not isinstance(part, Mapping):
        return str(part)
    options: Any = part.get("options") or {}
    shown = ", ".join(f"{name}={_write(value)}" for name, value in options.items())
    return f"{part.get('name')}({shown})" if shown else str(part.get("name"))


def _write(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_write, value)) + "]"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key}: {_write(each)}" for key, each in value.items() if each is not None
        )
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)
