"""The search space of a tuning: hyperparameters of a config, around the values it starts with.

Values are plain JSON. `as it is` leaves what the config says; the starting values give the config
itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from multimodal.core.config import Component, Config, Group, Modality, fusion_named
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
_STEP = 8  # attention needs widths that its number of heads divides


@dataclass(frozen=True)
class Hyperparameter:
    """One value that a search may change.

    Attributes:
        name: Its name in `tuning.json` and `trials.csv`.
        start: The value that stands for the config as it is.
        apply: Returns a config with another value.
        choices: All values, the starting one first; none for a number.
        low: The least number, which is searched on a logarithmic scale.
        high: The greatest number.
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
    >>> [each.name for each in hyperparameters(Config(groups=[group]))][:3]
    ['learning_rate', 'weight_decay', 'batch_size']
    """
    training, rate = config.training, config.training.learning_rate
    decays, dropouts = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), (AS_IT_IS, 0.0, 0.1, 0.2, 0.35, 0.5)
    found = [
        Hyperparameter(
            "learning_rate",
            rate,
            partial(_set_training, "learning_rate"),
            low=min(3e-4, rate),
            high=max(1e-2, rate),
        ),
        _choice("weight_decay", training.weight_decay, decays, _set_training),
        _choice("batch_size", training.batch_size, (32, 64, 128), _set_training),
        _choice("ema_momentum", training.ema_momentum, (None, 0.99), _set_training),
        Hyperparameter("dropout", AS_IT_IS, partial(_set_option, "dropout"), dropouts),
        Hyperparameter("width", 1.0, _scale_sizes, (1.0, 0.5, 2.0)),
    ]
    modalities = list(dict.fromkeys(group.modality for group in config.groups))
    for modality in modalities:
        found.append(_encoder_choice(config, modality))
    if "tabular" in modalities:
        embed = partial(_set_option, "numeric_embedding")
        kinds = (AS_IT_IS, "linear", "piecewise_linear", "periodic")
        found.append(Hyperparameter("numeric_embedding", AS_IT_IS, embed, kinds))
    if "image" in modalities:
        found.append(_choice("augment", config.data.augment, (True, False), _set_data))
    if len(config.groups) > 1:
        names = (AS_IT_IS, *(name for name in FUSIONS if name != config.fusion.name))
        found.append(Hyperparameter("fusion", AS_IT_IS, _set_fusion, names))
        shares = (AS_IT_IS, 0.0, 0.05, 0.15, 0.3)
        found.append(Hyperparameter("modality_dropout", AS_IT_IS, _set_modality_dropout, shares))
    return [each for each in found if len(each.choices) != 1]


def apply_hyperparameters(
    config: Config, space: Sequence[Hyperparameter], values: Mapping[str, Any]
) -> Config:
    """Return the config with these values of its hyperparameters; with the starting ones, itself.

    Parts are chosen first, then what applies to any part.

    Raises:
        ConfigError: The values are those of no valid config.
    """
    last = ("dropout", "width", "modality_dropout", "numeric_embedding")
    for each in sorted(space, key=lambda each: each.name in last):
        if values[each.name] != each.start:
            config = each.apply(config, values[each.name])
    return Config.parse(config.model_dump())  # model_copy has validated nothing


def _choice(
    name: str, start: Value, others: Sequence[Value], apply: Callable[[str, Config, Any], Config]
) -> Hyperparameter:
    choices = (start, *(each for each in others if each != start))
    return Hyperparameter(name, start, partial(apply, name), choices)


def _encoder_choice(config: Config, modality: Modality) -> Hyperparameter:
    """Choose the encoder of all groups of a modality; those with word vectors keep theirs."""
    groups = [g for g in config.groups if g.modality == modality and g.vectors is None]
    names = [
        name
        for name in ENCODERS[modality]
        if any(group.encoder != encoder_named(modality, name) for group in groups)
    ]
    return Hyperparameter(
        f"{modality}_encoder", AS_IT_IS, partial(_set_encoder, modality), (AS_IT_IS, *names)
    )


def _set_training(key: str, config: Config, value: Any) -> Config:
    training = config.training.model_copy(update={key: value})
    return config.model_copy(update={"training": training})


def _set_data(key: str, config: Config, value: Any) -> Config:
    return config.model_copy(update={"data": config.data.model_copy(update={key: value})})


def _set_encoder(modality: str, config: Config, name: str) -> Config:
    encoder = encoder_named(modality, name)

    def change(group: Group) -> Group:
        free = group.modality == modality and group.vectors is None
        return group.model_copy(update={"encoder": encoder}) if free else group

    return config.model_copy(update={"groups": [change(group) for group in config.groups]})


def _set_fusion(config: Config, name: str) -> Config:
    return config.model_copy(update={"fusion": fusion_named(config, name)})


def _set_modality_dropout(config: Config, value: float) -> Config:
    fusion = _extended(config.fusion, {"modality_dropout": value})
    return config.model_copy(update={"fusion": fusion})


def _set_option(option: str, config: Config, value: Any) -> Config:
    """Give an option to every encoder that has it, and to the fusion."""
    return _set_options(
        config, lambda cls, *_: {option: value} if option in registry.options(cls) else {}
    )


def _scale_sizes(config: Config, factor: float) -> Config:
    """Multiply the sizes of encoders and fusion; word vectors keep theirs."""

    def sizes(cls: type, part: Component, group: Group | None) -> dict[str, Any]:
        kept = ("embedding_dim",) if group is not None and group.vectors is not None else ()
        return _sizes(cls, part.options, factor, kept)

    return _set_options(config, sizes)


def _set_options(
    config: Config, options: Callable[[type, Component, Group | None], dict[str, Any]]
) -> Config:
    """Give encoders and fusion the further options of a class, its part and its group."""

    def changed(group: Group) -> Group:
        cls = registry.get(registry.encoder_kind(group), group.encoder.name)
        encoder = _extended(group.encoder, options(cls, group.encoder, group))
        return group.model_copy(update={"encoder": encoder})

    fusion, cls = config.fusion, registry.get("fusion", config.fusion.name)
    update = {
        "groups": [changed(group) for group in config.groups],
        "fusion": _extended(fusion, options(cls, fusion, None)),
    }
    return config.model_copy(update=update)


def _extended(part: Component, options: Mapping[str, Any]) -> Component:
    return part.model_copy(update={"options": {**part.options, **options}})


def _sizes(
    cls: type, options: Mapping[str, Any], factor: float, kept: Sequence[str]
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
