"""Pretrained backbones: loading other Keras models safely, saving them, bounding their size.

A model file can hold code (`Lambda`), and its config can declare more parameters than memory holds.
Both are looked for in the file's JSON before Keras makes anything of it: Keras' `safe_mode` is no
sandbox.
"""

from __future__ import annotations

import copy
import importlib
import json
import math
import os
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import Any

import keras

from multimodal.layers.base import Shape, Tensor

PACKAGES = ("keras_hub",)  # their classes register for loading only once they are imported
KNOWN = ("builtins", "keras", "multimodal", *PACKAGES)
CODE = ("Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
WEIGHTS = "model.weights.h5"
MOST_CONFIG = 1 << 26  # bytes of JSON
MOST_PARAMETERS = 500_000_000  # 2 GB of float32, three times that with Adam


def load_backbone(backbone: keras.Model | str | os.PathLike[str] | dict[str, Any]) -> keras.Model:
    """Return the model that `backbone` is, or that a saved file or a serialized config holds.

    Refused, before anything of it is made: layers that hold code or call another program (`Lambda`,
    `TFSMLayer`, wrapped PyTorch or JAX modules), classes of packages other than Keras, KerasHub and
    this one unless they are registered, more parameters than the file has bytes of weights, and
    archives that unpack to far more than their size. What is left is read in Keras' safe mode. That
    is no sandbox: load only files that you trust.

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
        _check_config(backbone)
        check_parameters(lambda: _deserialize(backbone))
        return _deserialize(backbone)
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
        config, stored = read_archive(path)
        _check_config(config)
        count = count_parameters(lambda: _deserialize(config))
        if count is not None and count > stored:
            raise ValueError(
                f"it declares {count:,} parameters, but holds {stored:,} bytes of them"
            )
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


def read_archive(path: str) -> tuple[dict[str, Any], int]:
    """Return the config in a `.keras` file and the size of its weights; nothing is unpacked."""
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            # weights compress little; a zip bomb unpacks to a thousand times its size
            if info.file_size > 10 * info.compress_size + MOST_CONFIG:
                raise ValueError(f"'{info.filename}' in it unpacks to {info.file_size:,} bytes")
        if (size := file.getinfo("config.json").file_size) > MOST_CONFIG:
            raise ValueError(f"its config has {size:,} bytes; at most {MOST_CONFIG:,} are read")
        config = json.loads(file.read("config.json"))
        if not isinstance(config, dict):
            raise ValueError("its config is no mapping")
        config.pop("compile_config", None)  # not read: the model is not compiled
        return config, file.getinfo(WEIGHTS).file_size


def _deserialize(config: dict[str, Any]) -> Any:
    """Return the object of a serialized config, which Keras would empty."""
    return keras.saving.deserialize_keras_object(copy.deepcopy(config))


def _check_config(config: dict[str, Any]) -> None:
    """Import what the objects of a serialized config need; raise ValueError for any that is code.

    Only classes of known packages, and what is registered by name, may be looked up.
    """
    objects = list(_objects(config))
    for package in PACKAGES:
        if any(package in _owners(found) for found in objects):
            _try_import(package)
    for found in objects:
        name, registered = str(found["class_name"]), found.get("registered_name")
        if name in CODE or str(registered).rpartition(">")[2] in CODE:
            raise ValueError(f"it holds a {name}, which is code; only layers of numbers are loaded")
        known = isinstance(registered, str) and keras.saving.get_registered_object(registered)
        if not known and (name == "function" or not _owners(found) <= set(KNOWN)):
            raise ValueError(
                f"it holds a {name} of '{found.get('module')}', which is neither of Keras nor "
                "registered (`keras.saving.register_keras_serializable`)"
            )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Return all serialized objects in a config."""
    todo = [config]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value


def layer_configs(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the configs of all layers in a serialized model, those of nested models too."""
    found = [each.get("config") for each in _objects(config)]
    return [each for each in found if isinstance(each, dict)]


def _owners(found: dict[str, Any]) -> set[str]:
    """Return the packages that a serialized object names; one that names none is of Keras."""
    names = [str(found.get("module") or "keras").partition(".")[0]]
    package, registered, _ = str(found.get("registered_name") or "").partition(">")
    return {*names, package} if registered else set(names)


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


def count_parameters(make: Callable[[], keras.Model]) -> int | None:
    """Return how many parameters the model has that `make` returns, without allocating them.

    `make` runs once in a scope where variables have a shape, but no values. The random numbers of
    the next call stay as they would be.

    Args:
        make: Makes a model.

    Returns:
        The number, or None where `make` raises; the next, real call says what is wrong.

    Example:
    >>> def wide(units):
    ...     row = keras.Input((10,))
    ...     return keras.Model(row, keras.layers.Dense(units)(row))
    >>> count_parameters(lambda: wide(300_000_000))
    3300000000
    """
    counts: list[int] = []

    def count() -> None:
        try:
            with keras.StatelessScope(initialize_variables=False):
                counts.append(sum(math.prod(weight.shape) for weight in make().weights))
        except Exception:
            pass

    state = random.getstate()  # Keras draws the seeds of initializers from it
    # in a thread: Keras keeps its state per thread, so a failed build leaves nothing behind here
    thread = Thread(target=count)
    thread.start()
    thread.join()
    random.setstate(state)
    return counts[0] if counts else None


def check_parameters(make: Callable[[], keras.Model], most: int = MOST_PARAMETERS) -> None:
    """Raise ValueError if the model that `make` returns has more than `most` parameters.

    Example:
    >>> check_parameters(lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))
    """
    count = count_parameters(make)
    if count is not None and count > most:
        raise ValueError(
            f"the model would have {_written(count)} parameters; at most {most:,} are allowed. "
            "Make its sizes (`hidden_dims`, `embedding_dim`, `filters` …) smaller"
        )


def _written(count: int) -> str:
    return f"{count:,}" if count < 10**18 else f"about 10^{len(str(count)) - 1}"
