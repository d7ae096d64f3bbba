"""The files of a run: written whole, checked before any of them is read.

A run may be anybody's: sizes, contents and shapes are compared with what its config describes
before anything is unpacked or allocated, and nothing in it is executed; `keras.models.load_model`
would look classes up by the names in the file.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.config import Config
from multimodal.core.errors import RunError, first_line
from multimodal.core.files import replace_file, write_text
from multimodal.core.interrupted import MODEL
from multimodal.core.manifest import write_manifest
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import Schema
from multimodal.evaluation.calibration import CALIBRATION
from multimodal.layers.backbones import MOST_PARAMETERS, layer_configs, read_archive
from multimodal.models.build import ModelParts, assemble, average, untrained_parts
from multimodal.runs.declared import CONFIG, SCHEMA, SPEC
from multimodal.runtime.boosted_models import TREES, BoostedModels, write_boosted_models

MEMBER = "model.weights.h5"  # what the `.keras` archive holds
MEMBERS = {"metadata.json", "config.json", MEMBER}
FIRST_NETWORK = "layers/functional/"  # where Keras puts the first of several fold models
OTHER_NETWORK = re.compile(r"layers/functional_\d+(/|$)")
OVERHEAD = 1 << 20, 4096  # bytes in the file besides the numbers: at all, and for each weight


def with_architectures(folder: Path, config: Config, spec: FittedSpec) -> FittedSpec:
    """Return the spec with the architectures of pretrained encoders, as the saved model has them.

    The files that the config names are of the machine that trained, and of no manifest.

    Raises:
        RunError: The saved model has none of that name.
    """
    named = {
        fitted.name
        for group, fitted in zip(config.groups, spec.groups, strict=False)
        if "backbone" in group.encoder.options
    }
    if not named:
        return spec
    with _damaged(folder):
        saved, _ = read_archive(str(folder / MODEL))
        layers = {str(c.get("name")): c for c in layer_configs(saved) if "backbone" in c}
        found = {name: json.dumps(layers[f"{name}_encoder"]["backbone"]) for name in named}
    groups = [g.model_copy(update={"backbone": found.get(g.name, "")}) for g in spec.groups]
    return spec.model_copy(update={"groups": groups})


def read_parts(folder: Path, config: Config, spec: FittedSpec) -> ModelParts:
    """Return the parts of the model that config and spec describe, with the weights in the folder.

    One network is built for all, and the model is not assembled: that takes seconds, and
    predictions do without.

    Raises:
        RunError: The weights are damaged, or not those of such a model.
    """
    with _damaged(folder):
        most = stored_bytes(folder / MODEL)  # a weight takes four bytes
    try:
        parts = untrained_parts(config, spec, most=min(MOST_PARAMETERS, most))
    except Exception as error:
        raise RunError(f"{folder}: not a whole run. {first_line(error)}") from error
    with _damaged(folder):
        shapes = [tuple(each.shape) for weights in parts.weights for each in weights]
        shapes += [tuple(v.shape) for blend in parts.blends.values() for v in blend.weights]
        content = _checked_content(folder / MODEL, shapes)
        with h5py.File(io.BytesIO(content), "r") as file:
            return _filled(parts, file)


def _filled(parts: ModelParts, file: h5py.File) -> ModelParts:
    """Return parts with the weights in a file, the first network and the last layers filled.

    The file has the fold models one beside the other. Keras finds the places of the first; those of
    the others are the same but for its name.
    """
    whole = len(parts.weights) > 1 or bool(parts.blends)
    # With one network only, what lies beside it has the same name as beside several.
    model = average([parts.network], parts.blends) if parts.blends else parts.network
    inside = FIRST_NETWORK if whole and not parts.blends else ""
    places = _places(model, file, inside)
    found = []
    for i in range(len(parts.weights)):
        own = FIRST_NETWORK if i == 0 else f"{FIRST_NETWORK[:-1]}_{i}/"
        network = [places[id(each)] for each in parts.network.weights]
        found.append([_numbers(file, name.replace(FIRST_NETWORK, own, 1)) for name in network])
    parts.network.set_weights(found[0])
    for blend in parts.blends.values():
        blend.set_weights([_numbers(file, places[id(each)]) for each in blend.weights])
    return replace(parts, weights=found)


def _numbers(file: h5py.File, name: str) -> NDArray[Any]:
    """Return an array of a file; raise ValueError unless its numbers are finite."""
    values = np.asarray(file[name])
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"'{name}' in it holds numbers that are not finite")
    return values


def _places(model: keras.Model, file: h5py.File, inside: str) -> dict[int, str]:
    """Return where in a file each weight of a model lies, by its id.

    Args:
        model: The model; its weights are overwritten.
        file: The file, which may hold more fold models than `model` does.
        inside: The group that holds the model, with a slash behind; the file itself by default.
    """
    names: list[str] = []
    with TemporaryDirectory() as folder:
        path = Path(folder, "places.weights.h5")
        with h5py.File(path, "w") as marked:

            def mark(name: str, item: Any) -> None:
                if not name.startswith(inside) or OTHER_NETWORK.match(name):
                    return
                if isinstance(item, h5py.Group):
                    marked.require_group(name.removeprefix(inside))
                else:  # without data, so that it takes no room, but its number in each place
                    options = {"shape": item.shape, "dtype": item.dtype, "fillvalue": len(names)}
                    marked.create_dataset(name.removeprefix(inside), **options)
                    names.append(name)

            file.visititems(mark)
        model.load_weights(path)
    numbers = [int(each.flat[0]) for each in model.get_weights()]
    if sorted(numbers) != list(range(len(names))):
        raise ValueError("its weights lie in other places than those of the model")
    return {id(each): names[i] for each, i in zip(model.weights, numbers, strict=True)}


@contextmanager
def _damaged(folder: Path) -> Iterator[None]:
    """Tell what is wrong with the weights."""
    try:
        yield
    except Exception as error:
        raise RunError(
            f"{folder / MODEL}: damaged, or of another run than {CONFIG} and {SPEC} "
            f"({first_line(error)}). Copy the run directory again, or train anew."
        ) from error


def save_parts(
    folder: Path,
    config: Config,
    schema: Schema,
    spec: FittedSpec,
    model: keras.Model | None,
    boosted_models: BoostedModels | None = None,
) -> None:
    """Write the files that `load` reads, each whole or not at all, and with a model the manifest.

    The calibration of an earlier model goes.

    Raises:
        OSError: The disk is full or cannot be written; no file is left in part.
    """
    write_text(folder / CONFIG, config.to_json())
    write_text(folder / SCHEMA, schema.to_json())
    write_text(folder / SPEC, spec.model_dump_json(indent=2))
    if model is not None:
        plain = assemble(config, spec)  # without mixed precision, for any machine
        plain.set_weights(model.get_weights())
        with replace_file(folder / MODEL) as beside:
            plain.save(beside)
        for gone in (CALIBRATION, TREES):
            (folder / gone).unlink(missing_ok=True)
        if boosted_models is not None:
            write_boosted_models(folder / TREES, boosted_models)
        write_manifest(folder)


def stored_bytes(path: Path) -> int:
    """Return how many bytes the weights take in a `.keras` file.

    Raises:
        ValueError: It holds no weights.
        OSError, zipfile.BadZipFile: It cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        if MEMBER not in archive.namelist():
            raise ValueError(f"it holds no {MEMBER}")
        return archive.getinfo(MEMBER).compress_size


def check_weights(path: Path, model: keras.Model) -> None:
    """Raise ValueError unless a `.keras` file holds weights of just the shapes of `model`.

    The file is a zip archive. Its list of contents must declare no more bytes than such weights
    take, so that nothing larger is ever unpacked; then each array of the HDF5 file within must lie
    in it as plain numbers and have the shape of a weight.

    Raises:
        ValueError: It holds more, less or something else.
        OSError, zipfile.BadZipFile: It cannot be read.

    Example:
    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> path = Path(tempfile.mkdtemp(), "model.keras")
    >>> model.save(path)
    >>> check_weights(path, model)
    """
    _checked_content(path, [tuple(variable.shape) for variable in model.weights])


def _checked_content(path: Path, shapes: Sequence[tuple[int, ...]]) -> bytes:
    """Return the HDF5 file in a `.keras` file, checked as by `check_weights`."""
    at_all, each = OVERHEAD
    most = 8 * sum(map(math.prod, shapes)) + each * len(shapes) + at_all
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist()]
        if len(set(names)) < len(names) or not {MEMBER} <= set(names) <= MEMBERS:
            raise ValueError(f"it holds {', '.join(sorted(names)) or 'nothing'}"[:200])
        if (size := archive.getinfo(MEMBER).file_size) > most:
            raise ValueError(f"its weights take {size:,} bytes; at most {most:,} were expected")
        content = archive.read(MEMBER)  # compares the checksum, too
    with h5py.File(io.BytesIO(content), "r") as file:
        found = Counter(_shapes(file, len(shapes)))
    if found != Counter(shapes):
        raise ValueError("its weights have other shapes than those of the model")
    return content


def _shapes(file: h5py.File, most: int) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays of a file; raise ValueError for what is no plain array."""
    shapes: list[tuple[int, ...]] = []
    todo: list[tuple[h5py.Group, int]] = [(file, 0)]
    seen: set[int] = set()
    while todo:
        group, depth = todo.pop()
        for name in group:
            if group.get(name, getlink=True, getclass=True) is not h5py.HardLink:
                raise ValueError(f"'{name}' in it is a link to elsewhere")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            # Hard links may form a circle, in which a walk would never end.
            if address in seen or depth > 50 or len(seen) > 100 * (most + 10):
                raise ValueError(f"'{name}' in it is there twice, or too deep")
            seen.add(address)
            if isinstance(item, h5py.Group):
                todo.append((item, depth + 1))
            else:
                shapes.append(_shape(name, item))
    return shapes


def _shape(name: str, item: Any) -> tuple[int, ...]:
    # External and virtual arrays are read from other files; chunks may be packed, and unpack to
    # anything. Keras writes none of them.
    plain = isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub"
    if not plain or item.external or item.is_virtual or item.chunks is not None:
        raise ValueError(f"'{name}' in it is no plain array of numbers")
    return tuple(item.shape)
