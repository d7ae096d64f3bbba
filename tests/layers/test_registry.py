"""Registering, looking up and creating parts, and the messages for what is unknown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import keras
import pytest

from multimodal import encoders, fusion, heads, layers
from multimodal.core.config import Component
from multimodal.core.errors import ConfigError
from multimodal.heads import losses, metrics
from multimodal.layers import registry

PUBLIC = (encoders, fusion, heads, layers, losses, metrics)  # importing them registers their parts
BASES = {
    encoders: "Encoder",
    fusion: "Fusion TokenFusion",
    heads: "HeadLayer",
    layers: "Encoder HeadLayer MapPooling Pooling",
    losses: "HeadLoss",
    metrics: "HeadMetric",
}


def classes_of(package: Any) -> set[type]:
    """Return the classes saved under the project's name that `package` defines, but for a base."""
    known = keras.saving.get_custom_objects()
    name = package.__name__
    return {
        cls
        for key, cls in known.items()
        if key.startswith("multimodal>")
        and (cls.__module__ == name or cls.__module__.startswith(f"{name}."))
        and not (package is heads and cls.__module__ in (losses.__name__, metrics.__name__))
    }


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_a_package_exports_its_parts_and_base_classes(package: Any) -> None:
    assert package.__all__ == sorted(package.__all__)
    exported = {name: getattr(package, name) for name in package.__all__}
    assert set(BASES[package].split()) <= set(exported)
    assert classes_of(package), "the package registers nothing"
    assert classes_of(package) <= set(exported.values())


@pytest.fixture
def own_pooling() -> Iterator[type]:
    """Register a part of one's own, and forget it afterwards."""

    class OwnPooling(keras.layers.Layer):
        def __init__(self, *, offset: int = 0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.offset = offset

    yield registry.register("pooling", "own")(OwnPooling)
    del registry._PARTS["pooling"]["own"]
    del keras.saving.get_custom_objects()["multimodal>OwnPooling"]


def test_kinds_and_names() -> None:
    assert set(registry.kinds()) >= {
        "fusion",
        "head",
        "image_encoder",
        "pooling",
        "tabular_encoder",
        "text_encoder",
    }
    assert registry.names("pooling") == [
        "attention",
        "grid",
        "last",
        "max",
        "mean",
        "spatial_softmax",
    ]
    assert registry.names("nothing") == []


def test_own_part_can_be_named_created_and_saved(own_pooling: type) -> None:
    assert registry.get("pooling", "own") is own_pooling
    part = registry.create("pooling", Component(name="own", options={"offset": 2}), name="p")
    assert (part.name, part.offset) == ("p", 2)
    assert keras.saving.get_registered_object("multimodal>OwnPooling") is own_pooling


def test_a_name_belongs_to_one_class(own_pooling: type) -> None:
    class Other(keras.layers.Layer):
        pass

    with pytest.raises(ConfigError, match="pooling 'own' is already registered as .*OwnPooling"):
        registry.register("pooling", "own")(Other)
    assert registry.register("pooling", "own")(own_pooling) is own_pooling


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("pooling", "mean", []),
        ("pooling", "attention", ["num_heads"]),
        ("layer", "fold_photos", []),
        ("layer", "transformer_block", ["num_heads", "mlp_dim", "dropout", "rotary"]),
    ],
)
def test_options_are_the_constructor_arguments(kind: str, name: str, expected: list[str]) -> None:
    assert registry.options(registry.get(kind, name)) == expected


def test_given_arguments_reach_the_part() -> None:
    part = Component(name="recurrent", options={"hidden_dim": 4})
    made = registry.create("text_encoder", part, name="t", vocabulary_size=9)
    assert (made.vocabulary_size, made.hidden_dim, made.name) == (9, 4, "t")


@pytest.mark.parametrize(
    ("kind", "component", "message"),
    [
        ("pooling", Component(name="mena"), "unknown pooling 'mena'. Did you mean 'mean'? Valid:"),
        ("poling", Component(name="mean"), "unknown poling 'mean'. Valid: (none)."),
        (
            "text_encoder",
            Component(name="recurrent", options={"hiden_dim": 3}),
            "text_encoder 'recurrent' has no option 'hiden_dim'. Did you mean 'hidden_dim'?",
        ),
        (
            "text_encoder",
            Component(name="recurrent", options={"vocabulary_size": 3}),
            "has no option 'vocabulary_size'",
        ),
        (
            "text_encoder",
            Component(name="recurrent", options={"dropout": 3}),
            "text_encoder 'recurrent': `dropout` must be in [0, 1). Received: dropout=3",
        ),
        (
            "text_encoder",
            Component(name="recurrent", options={"hidden_dim": "many"}),
            "text_encoder 'recurrent': `hidden_dim` must be an integer of at least 1",
        ),
    ],
)
def test_messages(kind: str, component: Component, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        registry.create(kind, component, name="part", vocabulary_size=9)
