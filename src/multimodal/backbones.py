"""Other people's Keras models inside our encoders: loading, saving and checking them."""

from __future__ import annotations

import copy
import importlib
import os
import zipfile
from collections.abc import Sequence
from typing import Any

import keras

from multimodal.contracts import Shape, Tensor

PACKAGES = ("keras_hub",)  # their classes register for loading only once they are imported


def load_backbone(backbone: keras.Model | str | os.PathLike[str] | dict[str, Any]) -> keras.Model:
    """Return the model that `backbone` is, or that a saved file or a serialized config holds.

    A file is read in Keras' safe mode, which refuses Lambda layers. That is no sandbox: load only
    files that you trust.

    Args:
        backbone: A Keras model; the path of a local `.keras` file; or what `serialize_backbone`
            returned, which gives the same model with new weights.

    Raises:
        TypeError: `backbone` is none of these.
        ValueError: The file is missing, of another format, or cannot be loaded.
    """
    if isinstance(backbone, keras.Model):
        return backbone
    if isinstance(backbone, dict):
        owner = str(backbone.get("registered_name")).partition(">")[0]
        if owner in PACKAGES:
            _try_import(owner)
        return keras.saving.deserialize_keras_object(copy.deepcopy(backbone))  # which empties it
    if isinstance(backbone, str | os.PathLike):
        return _load_file(os.fspath(backbone))
    raise TypeError(
        "`backbone` must be a Keras model or the path of a .keras file. "
        f"Received: {type(backbone).__name__}"
    )


def serialize_backbone(backbone: keras.Model) -> dict[str, Any]:
    """Return the config of a model as plain data, from which `load_backbone` makes it again."""
    config: dict[str, Any] = keras.saving.serialize_keras_object(backbone)
    return config


def output_spec(
    backbone: keras.Model, inputs: Any, wanted: str, keys: Sequence[str] = ()
) -> keras.KerasTensor:
    """Return shape and dtype of what `backbone` makes of `inputs`, without computing it.

    Args:
        backbone: The model; one that is not built yet is built.
        inputs: Symbolic inputs (`keras.Input` or `keras.KerasTensor`), nested as it takes them.
        wanted: The shape that is expected, such as `(batch, length, dim)`.
        keys: Names under which the tensor may stand where the model returns a dict.

    Raises:
        ValueError: The model refuses the inputs, or returns something else.
    """
    try:
        if not backbone.built:
            backbone(inputs)
        outputs = backbone.compute_output_spec(inputs)
    except Exception as error:
        raise ValueError(
            f"`backbone` '{backbone.name}' refuses the inputs {_describe(inputs)}: "
            f"{_first_line(error)}"
        ) from None
    output = pick_output(backbone, outputs, keys)
    rank, shape = wanted.count(",") + 1, tuple(output.shape)
    if len(shape) != rank or shape[-1] is None:
        raise ValueError(
            f"`backbone` must return a tensor of shape {wanted}. Received: '{backbone.name}' "
            f"returns shape={shape}"
        )
    return output


def pick_output(backbone: keras.Model, outputs: Any, keys: Sequence[str] = ()) -> Tensor:
    """Return the one tensor of a model's outputs: itself, or the first of `keys` in a dict.

    Raises:
        ValueError: The outputs are several tensors, or a dict without any of `keys`.
    """
    if isinstance(outputs, dict):
        for key in keys:
            if key in outputs:
                return outputs[key]
    elif hasattr(outputs, "shape"):
        return outputs
    wanted = " or ".join(["one tensor", *([f"a dict with {_listed(keys)}"] if keys else [])])
    raise ValueError(
        f"`backbone` must return {wanted}. Received: '{backbone.name}' returns {_kind(outputs)}"
    )


def _load_file(path: str) -> keras.Model:
    """Return the model of a local `.keras` file, or raise a ValueError of one line."""
    if "://" in path or not path.endswith(".keras"):
        raise ValueError(f"`backbone` must be the path of a .keras file. Received: {path!r}")
    if not os.path.isfile(path):
        raise ValueError(f"`backbone` names a file that does not exist. Received: {path!r}")
    try:
        _import_packages_of(path)
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ValueError(
            f"`backbone` cannot be loaded from {path!r}: {_first_line(error)}"
        ) from None
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`backbone` must be a model. Received: {path!r} holds a {type(model).__name__}"
        )
    return model


def _import_packages_of(path: str) -> None:
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json").decode()
    for package in PACKAGES:
        if f'"{package}>' in config:
            _try_import(package)


def _try_import(package: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError:  # Keras then says which class it does not know
        pass


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _describe(inputs: Any) -> str:
    if isinstance(inputs, dict):
        return "{" + ", ".join(f"{k}: {_describe(v)}" for k, v in inputs.items()) + "}"
    shape: Shape = tuple(inputs.shape)
    return f"shape={shape}"


def _listed(names: Sequence[str]) -> str:
    return " or ".join(f"'{name}'" for name in names)


def _kind(outputs: Any) -> str:
    if isinstance(outputs, dict):
        return f"a dict with {sorted(outputs)}"
    if isinstance(outputs, list | tuple):
        return f"{len(outputs)} outputs"
    return f"a {type(outputs).__name__}"
