"""What a search may change in a config: a small, sensible space around where it starts.

Values are plain JSON. `as it is` leaves what the config says; the values of the start are the
config itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from multimodal.core.config import Config, Group, Modality, fusion_named
from multimodal.data.defaults import encoder_named
from multimodal.layers import registry

Value = str | float | int | bool | None
AS_IT_IS = "as it is"
FUSIONS = ("concat", "late", "gated", "low_rank", "cross_attention")
ENCODERS: dict[Modality, tuple[str, ...]] = {
    "tabular": ("dense", "cross", "ft_transformer"),
    "text": ("embedding_bag", "recurrent", "convolutional", "transformer"),
    "image": ("convolutional", "residual"),
    "series": ("recurrent", "convolutional"),
}
SIZES = ("hidden_dim", "hidden_dims", "filters", "embedding_dim")
_STEP = 8  # sizes are multiples of it, as attention heads want


@dataclass(frozen=True)
class Hyperparameter:
    """One thing to change.

    `choices` are its values, that of the start first; a knob without choices is a number between
    `low` and `high`, searched on a logarithmic scale. `apply` changes a config.
    """

    name: str
    start: Value
    apply: Callable[[Config, Any], Config]
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0


def hyperparameters(config: Config) -> list[Hyperparameter]:
    """Return what a search over a config with groups may change; nothing that needs other data.

    Example:
    >>> group = {"name": "t", "modality": "tabular", "columns": ["a"], "encoder": "dense"}
    >>> [hyperparameter.name for hyperparameter in hyperparameters(Config(groups=[group]))][:3]
    ['learning_rate', 'weight_decay', 'batch_size']
    """
    training, rate = config.training, config.training.learning_rate
    found = [
        Hyperparameter(
            "learning_rate",
            rate,
            partial(_train, "learning_rate"),
            (),
            min(3e-4, rate),
            max(1e-2, rate),
        ),
        _choice("weight_decay", training.weight_decay, (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), _train),
        _choice("batch_size", training.batch_size, (32, 64, 128), _train),
        _choice("ema_momentum", training.ema_momentum, (None, 0.99), _train),
        Hyperparameter("dropout", AS_IT_IS, _drop, (AS_IT_IS, 0.0, 0.1, 0.2, 0.35, 0.5)),
        Hyperparameter("width", 1.0, _widen, (1.0, 0.5, 2.0)),
    ]
    modalities = list(dict.fromkeys(group.modality for group in config.groups))
    for modality in modalities:
        found.append(_encoder_hyperparameter(config, modality))
    if "tabular" in modalities:
        kinds = (AS_IT_IS, "linear", "piecewise_linear", "periodic")
        found.append(Hyperparameter("numeric_embedding", AS_IT_IS, _embed, kinds))
    if "image" in modalities:
        found.append(_choice("augment", config.data.augment, (True, False), _feed))
    if len(config.groups) > 1:
        names = (AS_IT_IS, *(name for name in FUSIONS if name != config.fusion.name))
        found.append(Hyperparameter("fusion", AS_IT_IS, _fuse, names))
        shares = (AS_IT_IS, 0.0, 0.05, 0.15, 0.3)
        found.append(Hyperparameter("modality_dropout", AS_IT_IS, _ablate, shares))
    return [hyperparameter for hyperparameter in found if len(hyperparameter.choices) != 1]


def apply_hyperparameters(
    config: Config, space: Sequence[Hyperparameter], values: Mapping[str, Any]
) -> Config:
    """Return the config with all knobs turned to `values`; with those of the start, itself.

    Parts are chosen first, then what applies to any part.

    Raises:
        ConfigError: The values are those of no valid config.
    """
    last = ("dropout", "width", "modality_dropout", "numeric_embedding")
    for hyperparameter in sorted(space, key=lambda hyperparameter: hyperparameter.name in last):
        if values[hyperparameter.name] != hyperparameter.start:
            config = hyperparameter.apply(config, values[hyperparameter.name])
    return Config.parse(config.model_dump())


def _choice(
    name: str, start: Value, others: Sequence[Value], apply: Callable[[str, Config, Any], Config]
) -> Hyperparameter:
    choices = (start, *(each for each in others if each != start))
    return Hyperparameter(name, start, partial(apply, name), choices)


def _encoder_hyperparameter(config: Config, modality: Modality) -> Hyperparameter:
    """Choose the encoder of all groups of a modality; those with word vectors keep theirs."""
    groups = [g for g in config.groups if g.modality == modality and g.vectors is None]
    names = [
        name
        for name in ENCODERS[modality]
        if any(group.encoder != encoder_named(modality, name) for group in groups)
    ]
    return Hyperparameter(
        f"{modality}_encoder", AS_IT_IS, partial(_encode, modality), (AS_IT_IS, *names)
    )


def _train(key: str, config: Config, value: Any) -> Config:
    training = config.training.model_copy(update={key: value})
    return config.model_copy(update={"training": training})


def _feed(key: str, config: Config, value: Any) -> Config:
    return config.model_copy(update={"data": config.data.model_copy(update={key: value})})


def _encode(modality: str, config: Config, name: str) -> Config:
    encoder = encoder_named(modality, name).model_dump()

    def change(group: Group) -> Group:
        free = group.modality == modality and group.vectors is None
        return _with_encoder(group, encoder) if free else group

    return _each_group(config, change)


def _fuse(config: Config, name: str) -> Config:
    return _with_fusion(config, fusion_named(config, name).model_dump())


def _ablate(config: Config, value: float) -> Config:
    options = {**config.fusion.options, "modality_dropout": value}
    return _with_fusion(config, {"name": config.fusion.name, "options": options})


def _embed(config: Config, kind: str) -> Config:
    return _set_option(config, "numeric_embedding", kind, fusion=False)


def _drop(config: Config, value: float) -> Config:
    return _set_option(config, "dropout", value)


def _set_option(config: Config, option: str, value: Any, *, fusion: bool = True) -> Config:
    """Give an option to every encoder that has it, and to the fusion."""

    def change(group: Group) -> Group:
        kind, part = f"{group.modality}_encoder", group.encoder
        if option not in registry.options(registry.get(kind, part.name)):
            return group
        return _with_encoder(group, {"name": part.name, "options": {**part.options, option: value}})

    config = _each_group(config, change)
    part = config.fusion
    if not fusion or option not in registry.options(registry.get("fusion", part.name)):
        return config
    return _with_fusion(config, {"name": part.name, "options": {**part.options, option: value}})


def _widen(config: Config, factor: float) -> Config:
    """Multiply the sizes of encoders and fusion; word vectors keep theirs."""

    def change(group: Group) -> Group:
        kept = ("embedding_dim",) if group.vectors is not None else ()
        kind, part = f"{group.modality}_encoder", group.encoder
        sizes = _sizes(registry.get(kind, part.name), part.options, factor, kept)
        return _with_encoder(group, {"name": part.name, "options": {**part.options, **sizes}})

    config = _each_group(config, change)
    part = config.fusion
    sizes = _sizes(registry.get("fusion", part.name), part.options, factor)
    return _with_fusion(config, {"name": part.name, "options": {**part.options, **sizes}})


def _sizes(
    cls: type, options: Mapping[str, Any], factor: float, kept: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the sizes of a part times a factor: those of its options, or its constructor's own."""
    parameters = inspect.signature(cls).parameters
    found: dict[str, Any] = {}
    for name in (name for name in SIZES if name in parameters and name not in kept):
        size = options.get(name, parameters[name].default)
        if isinstance(size, int):
            found[name] = _scaled(size, factor)
        elif isinstance(size, list | tuple):
            found[name] = [_scaled(each, factor) for each in size]
    return found


def _scaled(size: int, factor: float) -> int:
    return max(_STEP, round(size * factor / _STEP) * _STEP)


def _each_group(config: Config, change: Callable[[Group], Group]) -> Config:
    return config.model_copy(update={"groups": [change(group) for group in config.groups]})


def _with_encoder(group: Group, encoder: Mapping[str, Any]) -> Group:
    return Group.model_validate({**group.model_dump(), "encoder": encoder})


def _with_fusion(config: Config, fusion: Mapping[str, Any]) -> Config:
    return Config.model_validate({**config.model_dump(), "fusion": fusion})
