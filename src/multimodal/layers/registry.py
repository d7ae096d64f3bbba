"""One registry of all parts: register, look up, create from a config.

Registering a class also registers it for Keras saving, so a part that a config can name is a part
that a `.keras` file can hold.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import keras

from multimodal.core.config import PRETRAINED_ENCODER, Component, Group
from multimodal.core.errors import ConfigError, choices

T = TypeVar("T", bound=type)
_PARTS: dict[str, dict[str, type]] = {}
# Arguments of every Keras layer, such as `dtype`, are the builder's to set, not a config's.
_BASE_OPTIONS = {"kwargs", *inspect.signature(keras.layers.Layer.__init__).parameters}


def register(kind: str, name: str) -> Callable[[T], T]:
    """Return a class decorator that makes the class available as `name` among the `kind`s.

    Args:
        kind: `tabular_encoder`, `text_encoder`, `image_encoder`, `series_encoder`,
            `features_encoder`, `pooling`, `fusion`, `head`, or `layer` for what no config names.
        name: The name a config uses, in lower case.

    Raises:
        ConfigError: `name` is taken by another class of this kind.
    """

    def decorate(cls: T) -> T:
        known = _PARTS.setdefault(kind, {})
        # by name, not identity: a notebook cell that is run again defines its class anew
        if name in known and known[name].__qualname__ != cls.__qualname__:
            raise ConfigError(
                f"{kind} '{name}' is already registered as {known[name].__qualname__}."
            )
        known[name] = keras.saving.register_keras_serializable(package="multimodal")(cls)
        return known[name]  # type: ignore[return-value]

    return decorate


def names(kind: str) -> list[str]:
    """Return the registered names of `kind`, sorted."""
    return sorted(_PARTS.get(kind, {}))


def kinds() -> list[str]:
    """Return the kinds that have registered parts, sorted."""
    return sorted(_PARTS)


def list_parts() -> dict[str, list[str]]:
    """Return the names that a config may use, by kind: every registered part, own ones included.

    Example:
    >>> list_parts()["fusion"]
    ['concat', 'cross_attention', 'gated', 'late', 'low_rank', 'transformer']
    """
    for package in ("encoders", "fusion", "heads"):  # importing them registers what they hold
        importlib.import_module(f"multimodal.{package}")
    return {kind: names(kind) for kind in kinds()}


def get(kind: str, name: str) -> Any:
    """Return the class registered as `name`; raise ConfigError with the nearest spelling."""
    try:
        return _PARTS[kind][name]
    except KeyError:
        raise ConfigError(f"unknown {kind} '{name}'. {choices(name, names(kind))}") from None


def encoder_kind(group: Group) -> str:
    """Return what kind of part a group's encoder is: of its modality, or of frozen features."""
    frozen = group.encoder.name == PRETRAINED_ENCODER
    return "features_encoder" if frozen else f"{group.modality}_encoder"


def options(cls: type) -> list[str]:
    """Return the constructor arguments of `cls` that a config may set."""
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return [name for name in parameters if name not in _BASE_OPTIONS]


def check(kind: str, component: Component, given: Collection[str] = ()) -> Any:
    """Return the class that `component` names, or raise ConfigError for an unknown name or option.

    Args:
        kind: Kind of the part.
        component: Name and options from the config.
        given: Constructor arguments that a config cannot set.
    """
    cls = get(kind, component.name)
    valid = [option for option in options(cls) if option not in given]
    for option in component.options:
        if option not in valid:
            hint = choices(option, valid)
            raise ConfigError(f"{kind} '{component.name}' has no option '{option}'. {hint}")
    return cls


def create(kind: str, component: Component, *, name: str, **given: Any) -> Any:
    """Create the part that `component` names.

    Args:
        kind: Kind of the part.
        component: Name and options from the config.
        name: Layer name.
        **given: Arguments that come from the data; a config cannot set them.

    Raises:
        ConfigError: The name or an option is unknown, or the constructor refuses a value.
    """
    cls = check(kind, component, given)
    try:
        return cls(name=name, **given, **component.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{kind} '{component.name}': {error}") from None
