"""Compose a config and a fitted spec into a plain Functional `keras.Model`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from multimodal import encoders, fusion, heads, registry
from multimodal.config import Component, Config, Group
from multimodal.contracts import Tensor
from multimodal.errors import ConfigError
from multimodal.layers import AnyPhoto, FoldPhotos, MeanPooling, UnfoldPhotos
from multimodal.spec import FittedGroup, FittedHead, FittedSpec, unique_slugs

__all__ = ["build", "check_parts", "compile_model", "encoders", "fusion", "heads"]

Branch = tuple[dict[str, Tensor], Tensor, Tensor | None]


def build(config: Config, spec: FittedSpec, *, precision: str = "float32") -> keras.Model:
    """Return the model that `config` declares, for data that looks like `spec`.

    Inputs and outputs are dicts; the input keys are exactly `spec.input_keys`, the outputs are
    named after the heads and hold raw values in each head's transformed space. Encoders, poolings
    and heads are layers of the outer graph, named `<group>_encoder`, `<group>_pooling` and
    `<head>`.

    Args:
        config: What the user wants, with groups and heads.
        spec: What preprocessing learned.
        precision: Dtype policy of the encoders that gain from a lower one (`gains_from_bfloat16`).

    Raises:
        ConfigError: A part or option is unknown, or config and spec do not belong together.
    """
    _check_names(config, spec)
    try:
        return _compose(config, spec, precision)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"the parts do not fit together: {error}") from error


def _compose(config: Config, spec: FittedSpec, precision: str) -> keras.Model:
    inputs: dict[str, Tensor] = {}
    vectors: dict[str, Tensor] = {}
    presence: dict[str, Tensor] = {}
    for group, fitted in zip(config.groups, spec.groups, strict=True):
        encoder = _encoder(group, fitted, precision)
        keys, vector, present = _BRANCHES[group.modality](group, fitted, encoder)
        inputs |= keys
        vectors[fitted.name] = vector
        if fitted.optional:
            presence[fitted.name] = present
    fused = registry.create("fusion", config.fusion, name="fusion")(vectors, presence=presence)
    _check_heads(spec, keras.Model(inputs, fused))
    outputs = {}
    for head, fitted_head in zip(config.heads, spec.heads, strict=True):
        given = registry.get("head", head.head.name).from_head(fitted_head)
        layer = registry.create("head", head.head, name=fitted_head.name, **given)
        outputs[fitted_head.name] = layer(fused)
    return keras.Model(inputs, outputs, name="multimodal")


def check_parts(config: Config) -> None:
    """Raise ConfigError for an unknown part or option, before any data is read."""
    registry.check("fusion", config.fusion)
    for group in config.groups:
        registry.check("pooling", group.pooling)
        blank = FittedGroup(name="", modality=group.modality, columns=[])
        given = _given_group(group, blank, "float32")
        registry.check(f"{group.modality}_encoder", group.encoder, given)
    for head in config.heads:
        given = registry.get("head", head.head.name).from_head(FittedHead(name="", column=""))
        registry.check("head", head.head, given)


def compile_model(
    model: keras.Model, config: Config, optimizer: keras.optimizers.Optimizer, **options: Any
) -> None:
    """Compile `model` with the losses, metrics and weights of the heads it holds."""
    layers = [model.get_layer(name) for name in model.output_names]
    model.compile(
        optimizer=optimizer,
        loss={layer.name: layer.make_loss() for layer in layers},
        loss_weights={
            layer.name: head.weight for layer, head in zip(layers, config.heads, strict=True)
        },
        weighted_metrics={layer.name: layer.make_metrics() for layer in layers},
        **options,
    )


def _check_names(config: Config, spec: FittedSpec) -> None:
    fitted = [group.name for group in spec.groups] + [head.name for head in spec.heads]
    wanted = [group.name for group in config.groups] + [head.name for head in config.heads]
    if unique_slugs(wanted) != fitted:
        raise ConfigError(f"config and spec do not belong together: {wanted} against {fitted}.")


def _check_heads(spec: FittedSpec, trunk: keras.Model) -> None:
    taken = {operation.name for operation in trunk.operations}
    for head in spec.heads:
        if head.name in taken:
            raise ConfigError(
                f"head '{head.name}' has the name of a layer of the model; give it another name. "
                f"Taken: {', '.join(sorted(taken))}."
            )


def _given_group(group: Group, fitted: FittedGroup, precision: str) -> dict[str, Any]:
    """Return the encoder's arguments that a config cannot set."""
    cls = registry.get(f"{group.modality}_encoder", group.encoder.name)
    policy = {"dtype": precision} if cls.gains_from_bfloat16 else {}
    return {**cls.from_group(fitted), **policy, "pooling": None}


def _encoder(group: Group, fitted: FittedGroup, precision: str) -> Any:
    given = _given_group(group, fitted, precision)
    name = f"{fitted.name}_encoder"
    return registry.create(f"{group.modality}_encoder", group.encoder, name=name, **given)


def _pool(group: Group, fitted: FittedGroup, tokens: Tensor) -> Tensor:
    return registry.create("pooling", group.pooling, name=f"{fitted.name}_pooling")(tokens)


def _present(fitted: FittedGroup) -> dict[str, Tensor]:
    key = f"{fitted.name}_present"
    return {key: keras.Input((), dtype="bool", name=key)} if fitted.optional else {}


def _tabular_branch(group: Group, fitted: FittedGroup, encoder: Any) -> Branch:
    columns: dict[str, Tensor] = {}
    for kind, size, dtype in (
        ("numeric", len(fitted.numeric), "float32"),
        ("categorical", len(fitted.categorical), "int32"),
    ):
        if size:
            columns[kind] = keras.Input((size,), dtype=dtype, name=f"{fitted.name}_{kind}")
    vector = _pool(group, fitted, encoder(columns))
    present = _present(fitted)
    inputs = {f"{fitted.name}_{kind}": tensor for kind, tensor in columns.items()}
    return inputs | present, vector, next(iter(present.values()), None)


def _text_branch(group: Group, fitted: FittedGroup, encoder: Any) -> Branch:
    key = f"{fitted.name}_tokens"
    tokens = keras.Input((None,), dtype="int32", name=key)
    vector = _pool(group, fitted, encoder(tokens))
    present = _present(fitted)
    return {key: tokens} | present, vector, next(iter(present.values()), None)


def _image_branch(group: Group, fitted: FittedGroup, encoder: Any) -> Branch:
    name, side = fitted.name, fitted.image_size
    pixels = keras.Input((fitted.photos, side, side, 3), dtype="uint8", name=f"{name}_pixels")
    present = keras.Input((fitted.photos,), dtype="bool", name=f"{name}_present")
    flat = FoldPhotos(name=f"{name}_fold")(pixels)
    always = fitted.photos == 1 and not fitted.optional
    mask = None if always else FoldPhotos(name=f"{name}_fold_present")(present)
    each = _pool(group, fitted, encoder(flat, mask=mask))
    photos = UnfoldPhotos(photos=fitted.photos, name=f"{name}_unfold")(each)
    vector = MeanPooling(name=f"{name}_photos")(photos, mask=present)
    inputs = {f"{name}_pixels": pixels, f"{name}_present": present}
    return inputs, vector, AnyPhoto(name=f"{name}_any")(present)


_BRANCHES: dict[str, Callable[[Group, FittedGroup, Any], Branch]] = {
    "tabular": _tabular_branch,
    "text": _text_branch,
    "image": _image_branch,
}

DEFAULT_ENCODERS = {
    "tabular": Component(name="dense"),
    "text": Component(name="recurrent"),
    "image": Component(name="convolutional"),
}
