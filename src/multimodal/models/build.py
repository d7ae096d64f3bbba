"""Build Keras models: a network from config and fitted spec, a run's model from its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from multimodal import encoders, fusion, heads
from multimodal.core.arrays import Floats
from multimodal.core.config import Config, Group, Head
from multimodal.core.errors import ConfigError
from multimodal.core.spec import SPARSE_KEYS, FittedGroup, FittedHead, FittedSpec, unique_slugs
from multimodal.layers import registry
from multimodal.layers.backbones import MOST_PARAMETERS, check_parameters
from multimodal.layers.base import Tensor
from multimodal.layers.photos import AnyPhoto, FoldPhotos, JoinTokens, UnfoldPhotos
from multimodal.layers.pooling import MeanPooling
from multimodal.layers.stacking import Blend

PARTS = (encoders, fusion, heads)  # importing them registers what a config may name
PREFIX = "member_"  # of the names of fold models in saved runs
# Heads that a sparse linear model is blended into, and what it predicts.
LINEAR_KINDS = {
    "regression": "number",
    "binary": "binary",
    "multiclass": "class",
    "multilabel": "labels",
}
Branch = tuple[dict[str, Tensor], Tensor, Tensor | None]  # inputs, features, presence


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
    count = config.training.fold_models
    if count == "auto":
        raise ConfigError("`training.fold_models` must be a number here, as a run's config has it.")
    if not networks:
        networks = [build(config, spec, most=most // count) for _ in range(count)]
    blends = {
        name: Blend(networks[0].output[name].shape[-1], spec.terms.num_terms, name=name)
        for name, _ in blended(config, spec)
        if spec.terms is not None
    }
    return average(networks, blends)


def blended(config: Config, spec: FittedSpec) -> list[tuple[str, str]]:
    """Return the heads that a linear model is blended into, each with what it predicts.

    That is `number`, `binary`, `class` or `labels`. A head with a learned weight has none.
    """
    if spec.terms is None:
        return []
    return [
        (fitted.name, LINEAR_KINDS[head.head.name])
        for head, fitted in zip(config.heads, spec.heads, strict=True)
        if head.head.name in LINEAR_KINDS and head.weight != "learned"
    ]


def average(
    models: Sequence[keras.Model], blends: Mapping[str, keras.layers.Layer] | None = None
) -> keras.Model:
    """Return one model with the mean of the raw outputs of `models`; one model as it is.

    The models have the same inputs and outputs. They are the layers `member_0`, `member_1`, ... of
    the result, whose outputs are their mean in each head's transformed space. As nested models they
    share nothing but the inputs.

    Args:
        models: The networks.
        blends: By head, a layer `Blend` that takes the place of the mean; the result then has the
            inputs `terms_ids` and `terms_weights`, too.

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
    types = zip(SPARSE_KEYS, ("int32", "float32"), strict=True) if blends else ()
    sparse = {key: keras.Input((None,), dtype=dtype, name=key) for key, dtype in types}
    for i, model in enumerate(models):
        model.name = f"{PREFIX}{i}"
    found = [model(inputs) for model in models]
    outputs = {}
    for name in first.output_names:
        raw = [output[name] for output in found]
        if name in blends:
            outputs[name] = blends[name]([*raw, *sparse.values()])
        elif len(raw) > 1:
            outputs[name] = keras.layers.Average(name=name, dtype="float32")(raw)
        else:
            outputs[name] = keras.layers.Identity(name=name, dtype="float32")(raw[0])
    return keras.Model(inputs | sparse, outputs, name="multimodal")


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
        registry.check(f"{group.modality}_encoder", group.encoder, given)
    for head in config.heads:
        registry.check("head", head.head, _given_head(head, FittedHead(name="", columns=[])))


def compile_model(
    model: keras.Model, config: Config, optimizer: keras.optimizers.Optimizer, **options: Any
) -> None:
    """Compile `model` with the losses, metrics and weights of the heads it holds."""
    layers = {name: model.get_layer(name) for name in model.output_names}
    groups = [group.name for group in config.groups]
    slugs = unique_slugs([*groups, *(head.name for head in config.heads)])[len(groups) :]
    weights = {
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
            f"{group.modality}_encoder",
            group.encoder,
            name=f"{fitted.name}_encoder",
            **_given_group(group, fitted, precision),
        )
        pool = None
        if not layer.takes_tokens:
            pool = registry.create("pooling", group.pooling, name=f"{fitted.name}_pooling")
        keys, feature, present = _BRANCHES[group.modality](fitted, encoder, pool)
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


def _given_head(head: Head, fitted: FittedHead) -> dict[str, Any]:
    """Return the head's arguments that a config cannot set."""
    cls = registry.get("head", head.head.name)
    if cls.label_kind is None:
        raise ConfigError(
            f"head '{head.head.name}' learns from no column of a table; "
            "use it in a model of your own."
        )
    return {**cls.from_head(fitted), "learned_weight": head.weight == "learned"}


def _rows_branch(fitted: FittedGroup, keys: dict[str, Tensor], tokens: Tensor, pool: Any) -> Branch:
    """Return the branch of a group with one cell per row."""
    present = None
    if fitted.optional:
        key = f"{fitted.name}_present"
        present = keras.Input((), dtype="bool", name=key)
        keys = keys | {key: present}
    return keys, tokens if pool is None else pool(tokens), present


def _tabular_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    columns: dict[str, Tensor] = {}
    for kind, size, dtype in (
        ("numeric", len(fitted.numeric), "float32"),
        ("categorical", len(fitted.categorical), "int32"),
    ):
        if size:
            columns[kind] = keras.Input((size,), dtype=dtype, name=f"{fitted.name}_{kind}")
    inputs = {f"{fitted.name}_{kind}": tensor for kind, tensor in columns.items()}
    return _rows_branch(fitted, inputs, encoder(columns), pool)


def _text_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    key = f"{fitted.name}_tokens"
    tokens = keras.Input((None,), dtype="int32", name=key)
    return _rows_branch(fitted, {key: tokens}, encoder(tokens), pool)


def _series_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    key = f"{fitted.name}_series"
    series = keras.Input((fitted.steps, len(fitted.channels)), dtype="float32", name=key)
    return _rows_branch(fitted, {key: series}, encoder(series), pool)


def _image_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    name, size = fitted.name, fitted.image_size
    pixels = keras.Input((fitted.photos, size, size, 3), dtype="uint8", name=f"{name}_pixels")
    present = keras.Input((fitted.photos,), dtype="bool", name=f"{name}_present")
    folded = FoldPhotos(name=f"{name}_fold")(pixels)
    always = fitted.photos == 1 and not fitted.optional
    mask = None if always else FoldPhotos(name=f"{name}_fold_present")(present)
    each = encoder(folded, mask=mask)
    each = each if pool is None else pool(each)
    photos = UnfoldPhotos(photos=fitted.photos, name=f"{name}_unfold")(each)
    join = MeanPooling if pool is not None else JoinTokens
    feature = join(name=f"{name}_photos")(photos, mask=present)
    inputs = {f"{name}_pixels": pixels, f"{name}_present": present}
    return inputs, feature, AnyPhoto(name=f"{name}_any")(present)


_BRANCHES: dict[str, Callable[[FittedGroup, Any, Any], Branch]] = {
    "tabular": _tabular_branch,
    "text": _text_branch,
    "image": _image_branch,
    "series": _series_branch,
}
