"""Build Keras models: a network from config and fitted spec, a run's model from its networks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal import encoders, fusion, heads
from multimodal.core.arrays import Floats
from multimodal.core.config import Component, Config, Group, Head
from multimodal.core.errors import ConfigError
from multimodal.core.spec import SPARSE_KEYS, FittedGroup, FittedHead, FittedSpec, unique_slugs
from multimodal.layers import registry
from multimodal.layers.backbones import MOST_PARAMETERS, check_parameters
from multimodal.layers.base import Tensor
from multimodal.layers.stacking import Blend
from multimodal.models.branches import branch

PARTS = (encoders, fusion, heads)  # importing them registers what a config may name
PREFIX = "member_"  # of the names of fold models in saved runs
# Heads that a sparse linear model is blended into, and what it predicts.
LINEAR_KINDS = {
    "regression": "number",
    "binary": "binary",
    "multiclass": "class",
    "multilabel": "labels",
}
Weights = list[NDArray[Any]]


def build(
    config: Config, spec: FittedSpec, *, precision: str = "float32", most: int = MOST_PARAMETERS
) -> keras.Model:
    """Return the model that `config` declares, for data that looks like `spec`.

    Inputs and outputs are dicts; the input keys are exactly `spec.input_keys`, the outputs are
    named after the heads and hold raw values in each head's transformed space. Encoders, poolings,
    the fusion and heads are layers of the outer graph, named `<group>_encoder`, `<group>_pooling`,
    `fusion` and `<head>`. A fusion that takes tokens gets them with their masks, without poolings.

    Args:
        config: What the user wants, with groups and heads.
        spec: What preprocessing learned.
        precision: Dtype policy of the encoders that gain from a lower one (`gains_from_bfloat16`).
        most: Parameters that the model may have at most; 500 million are 2 GB.

    Raises:
        ConfigError: A part or option is unknown, config and spec do not belong together, or the
            model would be too large.
    """
    _check_names(config, spec)
    try:
        # Composed twice: first without values, so that a model too large never takes its memory.
        check_parameters(lambda: _compose(config, spec, precision), most)
        return _compose(config, spec, precision)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"the parts do not fit together: {error}") from error


def assemble(
    config: Config,
    spec: FittedSpec,
    networks: Sequence[keras.Model] = (),
    *,
    most: int = MOST_PARAMETERS,
) -> keras.Model:
    """Return the model of a run: its fold models averaged, with the linear model blended in.

    With one network and no linear model that is the network itself. Otherwise the networks are the
    layers `member_0`, `member_1`, ..., and each head's output is their mean, or a `Blend` layer of
    them and the sparse features.

    Args:
        config: What the user wants; `training.fold_models` is a number.
        spec: What preprocessing learned.
        networks: As many as `training.fold_models`, in float32; new ones by default.
        most: Parameters that the model may have at most.

    Raises:
        ConfigError: As `build`.
    """
    count = _fold_count(config)
    if not networks:
        networks = [build(config, spec, most=most // count) for _ in range(count)]
    return average(networks, new_blends(config, spec, networks[0]))


def new_blends(config: Config, spec: FittedSpec, network: keras.Model) -> dict[str, Blend]:
    """Return the layers, by head, that join networks and what is fitted beside them, untrained.

    Args:
        config: What the user wants.
        spec: What preprocessing learned.
        network: One of the networks.
    """
    kinds = dict(blended(config, spec))
    heads = {name: network.get_layer(name) for name in kinds}
    return {
        name: Blend(
            network.output[name].shape[-1],
            0 if spec.terms is None or kinds[name] == "box" else spec.terms.num_terms,
            keras.saving.serialize_keras_object(head),
            features=spec.frozen_inputs,
            landmarks=max(spec.landmarks, 1),
            maps=kinds[name] == "box",
            name=name,
        )
        for name, head in heads.items()
    }


def untrained_parts(config: Config, spec: FittedSpec, *, most: int = MOST_PARAMETERS) -> ModelParts:
    """Return the parts of what `assemble` returns, of which one network is built for all.

    Args:
        config: What the user wants; `training.fold_models` is a number.
        spec: What preprocessing learned.
        most: Parameters that the model may have at most.

    Raises:
        ConfigError: As `build`.
    """
    count = _fold_count(config)
    network = build(config, spec, most=most // count)
    blends = new_blends(config, spec, network)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.input.items()}
    for name, blend in blends.items():
        networks = [tuple(network.output[name].shape)] * count
        keys = blend.input_keys
        blend.build([*networks, *(shapes.get(key, (None, None)) for key in keys)])
    return ModelParts(network, [network.get_weights()] * count, blends)


def _fold_count(config: Config) -> int:
    count = config.training.fold_models
    if count == "auto":
        raise ConfigError("`training.fold_models` must be a number here, as a run's config has it.")
    return count


def blended(config: Config, spec: FittedSpec) -> list[tuple[str, str]]:
    """Return the heads that other base models are blended into, each with what it predicts.

    That is `number`, `binary`, `class` or `labels`, or `box`, of frozen features alone. A head with
    a learned weight has none.
    """
    kinds = dict(LINEAR_KINDS) if spec.terms is not None or spec.frozen_inputs else {}
    if spec.frozen_inputs:
        kinds["bounding_box"] = "box"
    return [
        (fitted.name, kinds[head.head.name])
        for head, fitted in zip(config.heads, spec.heads, strict=True)
        if head.head.name in kinds and head.weight != "learned"
    ]


def average(
    models: Sequence[keras.Model], blends: Mapping[str, Blend] | None = None
) -> keras.Model:
    """Return one model with the mean of the raw outputs of `models`; one model as it is.

    The models have the same inputs and outputs. They are the layers `member_0`, `member_1`, ... of
    the result, whose outputs are their mean in each head's transformed space. As nested models they
    share nothing but the inputs.

    Args:
        models: The networks.
        blends: By head, a layer `Blend` that takes the place of the mean; the result then has the
            inputs `terms_ids` and `terms_weights`, too, if they have a linear model.

    Example:
    >>> inputs = {"x": keras.Input((1,), name="x")}
    >>> starts = {"kernel_initializer": "zeros"}, {"kernel_initializer": "ones"}
    >>> layers = [keras.layers.Dense(1, **start, name="y") for start in starts]
    >>> both = average([keras.Model(inputs, {"y": layer(inputs["x"])}) for layer in layers])
    >>> float(both.predict({"x": keras.ops.ones((1, 1))}, verbose=0)["y"][0, 0])
    0.5
    """
    if len(models) == 1 and not blends:
        return models[0]
    first, blends = models[0], blends or {}
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in first.input.items()
    }
    linear = any(blend.num_terms for blend in blends.values())
    types = zip(SPARSE_KEYS, ("int32", "float32"), strict=True) if linear else ()
    sparse = {key: keras.Input((None,), dtype=dtype, name=key) for key, dtype in types}
    for i, model in enumerate(models):
        model.name = f"{PREFIX}{i}"
    found = [model(inputs) for model in models]
    outputs = {}
    for name in first.output_names:
        raw = [output[name] for output in found]
        if name in blends:
            known = inputs | sparse
            outputs[name] = blends[name]([*raw, *(known[key] for key in blends[name].input_keys)])
        elif len(raw) > 1:
            outputs[name] = keras.layers.Average(name=name, dtype="float32")(raw)
        else:
            outputs[name] = keras.layers.Identity(name=name, dtype="float32")(raw[0])
    return keras.Model(inputs | sparse, outputs, name="multimodal")


@dataclass(frozen=True)
class ModelParts:
    """What the model of a run consists of: networks of one structure, and the heads' last layers.

    Attributes:
        network: The first fold model; the others differ from it by their weights only.
        weights: Those of each fold model, in the order of `network.weights`.
        blends: By head, the layer that joins the networks and the sparse linear model, if any.
    """

    network: keras.Model
    weights: Sequence[Weights]
    blends: Mapping[str, Blend]

    @classmethod
    def of(cls, model: keras.Model) -> Self:
        """Return the parts of what `assemble` or `build` returned."""
        networks = fold_models(model)
        last = {name: model.get_layer(name) for name in model.output_names}
        return cls(
            networks[0],
            [network.get_weights() for network in networks],
            {name: layer for name, layer in last.items() if isinstance(layer, Blend)},
        )

    @property
    def idle_networks(self) -> bool:
        """Whether the stacking weight of the networks is 0 in every head."""
        names = self.network.output_names
        return all(
            name in self.blends
            and not keras.ops.convert_to_numpy(self.blends[name].shares)[0].any()
            for name in names
        )

    def linear_model(self, head: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return kernel and bias of the sparse linear model of a head that has one."""
        blend = self.blends[head]
        kernel, bias = (keras.ops.convert_to_numpy(each) for each in (blend.kernel, blend.bias))
        return kernel, bias

    def assembled(self, config: Config, spec: FittedSpec) -> keras.Model:
        """Return the Keras model that the parts make, as `assemble` does."""
        networks = [self.network]
        for weights in self.weights[1:]:
            networks.append(build(config, spec))
            networks[-1].set_weights(weights)
        model = assemble(config, spec, networks)
        for name, blend in self.blends.items():
            model.get_layer(name).set_weights(blend.get_weights())
        return model


def fold_models(model: keras.Model) -> list[keras.Model]:
    """Return the networks that `average` joined; one that it did not join is its own only one."""
    found = [layer for layer in model.layers if layer.name.startswith(PREFIX)]
    return found or [model]


def head_layer(model: keras.Model, name: str) -> Any:
    """Return the head of that name, which knows its loss, metrics and how to decode raw outputs."""
    return fold_models(model)[0].get_layer(name)


def decoded(model: keras.Model, name: str, raw: Any) -> Floats:
    """Return raw outputs (rows, outputs) of a head decoded, as a float64 array."""
    tensor = keras.ops.convert_to_tensor(raw, dtype="float32")
    found = keras.ops.convert_to_numpy(head_layer(model, name).decode(tensor))
    return np.asarray(found, np.float64)


def check_parts(config: Config) -> None:
    """Raise ConfigError for an unknown part or option, before any data is read."""
    takes_tokens = registry.check("fusion", config.fusion).takes_tokens
    for group in config.groups:
        if not takes_tokens:
            registry.check("pooling", group.pooling)
        blank = FittedGroup(name="", modality=group.modality, columns=[])
        given = _given_group(group, blank, "float32")
        registry.check(registry.encoder_kind(group), group.encoder, given)
    for head in config.heads:
        registry.check("head", head.head, _given_head(head, FittedHead(name="", columns=[])))


def compile_model(
    model: keras.Model, config: Config, optimizer: keras.optimizers.Optimizer, **options: Any
) -> None:
    """Compile `model` with the losses, metrics and weights of the heads it holds."""
    layers = {name: model.get_layer(name) for name in model.output_names}
    groups = [group.name for group in config.groups]
    # Groups and heads share one set of names, groups first, as `data.features.fit` numbers them.
    slugs = unique_slugs([*groups, *(head.name for head in config.heads)])[len(groups) :]
    weights = {
        # a learned weight is part of the head's own loss
        name: 1.0 if head.weight == "learned" else head.weight
        for name, head in zip(slugs, config.heads, strict=True)
    }
    model.compile(
        optimizer=optimizer,
        loss={name: layer.make_loss() for name, layer in layers.items()},
        loss_weights={name: weights[name] for name in layers},
        weighted_metrics={name: layer.make_metrics() for name, layer in layers.items()},
        **options,
    )


def _compose(config: Config, spec: FittedSpec, precision: str) -> keras.Model:
    inputs: dict[str, Tensor] = {}
    features: dict[str, Tensor] = {}
    presence: dict[str, Tensor] = {}
    layer = registry.create("fusion", config.fusion, name="fusion")
    for group, fitted in zip(config.groups, spec.groups, strict=True):
        encoder = registry.create(
            registry.encoder_kind(group),
            _encoder(group, fitted),
            name=f"{fitted.name}_encoder",
            **_given_group(group, fitted, precision),
        )
        pool = None
        if not layer.takes_tokens:
            pool = registry.create("pooling", group.pooling, name=f"{fitted.name}_pooling")
        keys, feature, present = branch(fitted, encoder, pool)
        inputs |= keys
        features[fitted.name] = feature
        if fitted.optional:
            presence[fitted.name] = present
    fused = layer(features, presence=presence)
    _check_heads(spec, keras.Model(inputs, fused))
    outputs = {}
    for head, fitted_head in zip(config.heads, spec.heads, strict=True):
        name, given = fitted_head.name, _given_head(head, fitted_head)
        outputs[name] = registry.create("head", head.head, name=name, **given)(fused)
    return keras.Model(inputs, outputs, name="multimodal")


def _check_names(config: Config, spec: FittedSpec) -> None:
    fitted = [group.name for group in spec.groups] + [head.name for head in spec.heads]
    wanted = [group.name for group in config.groups] + [head.name for head in config.heads]
    if unique_slugs(wanted) != fitted:
        raise ConfigError(f"config and spec do not belong together: {wanted} against {fitted}.")


def _check_heads(spec: FittedSpec, trunk: keras.Model) -> None:
    # Keras refuses a second operation of a name, too, but does not say that it is a head's, which a
    # user can change.
    taken = {operation.name for operation in trunk.operations}
    for head in spec.heads:
        if head.name in taken:
            raise ConfigError(
                f"head '{head.name}' has the name of a layer of the model; give it another name. "
                f"Taken: {', '.join(sorted(taken))}."
            )


def _given_group(group: Group, fitted: FittedGroup, precision: str) -> dict[str, Any]:
    """Return the encoder's arguments that a config cannot set."""
    cls = registry.get(registry.encoder_kind(group), group.encoder.name)
    given = {**cls.from_group(fitted), "pooling": None}
    if cls.gains_from_bfloat16:
        given["dtype"] = precision
    if _has_architecture(group, fitted):
        given["backbone"] = json.loads(fitted.backbone)
    return given


def _encoder(group: Group, fitted: FittedGroup) -> Component:
    """Return the encoder a config asks for, without files whose content the run holds."""
    encoder = group.encoder
    if not _has_architecture(group, fitted):
        return encoder
    kept = {k: v for k, v in encoder.options.items() if k not in ("backbone", "weights")}
    return encoder.model_copy(update={"options": kept})


def _has_architecture(group: Group, fitted: FittedGroup) -> bool:
    return bool(fitted.backbone) and "backbone" in group.encoder.options


def _given_head(head: Head, fitted: FittedHead) -> dict[str, Any]:
    """Return the head's arguments that a config cannot set."""
    cls = registry.get("head", head.head.name)
    if cls.label_kind is None:
        raise ConfigError(
            f"head '{head.head.name}' learns from no column of a table; "
            "use it in a model of your own."
        )
    return {**cls.from_head(fitted), "learned_weight": head.weight == "learned"}
