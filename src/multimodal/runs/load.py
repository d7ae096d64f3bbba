"""The files of a run: written whole, checked before any of them is read.

A run may be anybody's: sizes, contents and shapes are compared with what its config describes
before anything is unpacked or allocated, and nothing in it is executed; `keras.models.load_model`
would look classes up by the names in the file.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
from pydantic import ValidationError

from multimodal.core.config import Config
from multimodal.core.errors import MultimodalError, RunError, first_line
from multimodal.core.files import read_text, replace_file, write_text
from multimodal.core.interrupted import MODEL, RECORD
from multimodal.core.manifest import MANIFEST, check_manifest, is_listed, write_manifest
from multimodal.core.spec import FittedGroup, FittedSpec
from multimodal.data.columns.schema import Schema
from multimodal.evaluation.calibration import CALIBRATION
from multimodal.layers.backbones import MOST_PARAMETERS
from multimodal.models.build import assemble
from multimodal.models.stack.boosted_models import TREES, BoostedModels, write_boosted_models

CONFIG, SCHEMA, SPEC = "config.json", "schema.json", "spec.json"
MOST_BYTES = 1 << 26  # of a JSON file
MEMBER = "model.weights.h5"  # what the `.keras` archive holds
MEMBERS = {"metadata.json", "config.json", MEMBER}
OVERHEAD = 1 << 20, 4096  # bytes in the file besides the numbers: at all, and for each weight


def check_folder(folder: Path, given: str) -> None:
    """Raise RunError unless `folder` is a whole run directory."""
    wanted = "Give the folder that training wrote."
    if folder.is_file():
        raise RunError(f"{folder}: a file, not a run directory. {wanted}")
    if not folder.is_dir():
        remote = ", and only local folders are read" if ":/" in given else ""  # s3://…
        raise RunError(f"{given}: no such run directory{remote}. {wanted}")
    whole = (folder / MODEL).exists() and (folder / MANIFEST).exists()
    if (folder / RECORD).exists() and not whole:
        raise RunError(
            f"{folder}: the training in it is unfinished. Give the command it was started with "
            "again; it goes on from there."
        )
    for name in (CONFIG, SCHEMA, SPEC):
        if not (folder / name).exists():
            raise RunError(f"{folder / name}: cannot be read (no such file); not a complete run.")
    if not (folder / MODEL).exists():
        raise RunError(
            f"{folder}: {MODEL} is missing; training did not get as far as saving a model."
        )
    names = [CONFIG, SCHEMA, SPEC, MODEL]
    if (folder / CALIBRATION).exists() or is_listed(folder, CALIBRATION):
        names.append(CALIBRATION)
    check_manifest(folder, names)


def read_declared(folder: Path) -> tuple[Config, Schema, FittedSpec]:
    """Return what a run directory says of its model: config, schema and fitted spec.

    Raises:
        RunError: A file cannot be read, or is damaged.
    """
    try:
        config = Config.from_json(_text(folder / CONFIG), str(folder / CONFIG))
        schema = Schema.from_json(_text(folder / SCHEMA), str(folder / SCHEMA))
        spec = FittedSpec.model_validate_json(_text(folder / SPEC))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{folder / SPEC}: damaged; `{where}`: {first['msg']}.") from None
    except MultimodalError as error:
        raise RunError(str(error)) from None
    for group in spec.groups:
        if not (group.columns and _is_whole(group)):
            raise RunError(f"{folder / SPEC}: damaged; group '{group.name:.60}' is not whole.")
    return config, schema, spec


def _is_whole(group: FittedGroup) -> bool:
    """Whether a group has what its modality needs, all of it from its own columns."""
    needs = {
        "tabular": bool(group.numeric or group.categorical),
        "text": bool(group.lengths),
        "image": group.photos * group.image_size > 0,
        "series": group.steps * len(group.channels) > 0,
    }
    sources = [*(each.source for each in group.numeric), *(c.source for c in group.categorical)]
    return needs[group.modality] and {*sources} <= {*group.columns}


def _text(path: Path) -> str:
    try:
        return read_text(path, most=MOST_BYTES)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); not a complete run.") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: damaged; not a text file ({error.reason}).") from None


def read_model(folder: Path, config: Config, spec: FittedSpec) -> keras.Model:
    """Return the model that config and spec describe, with the weights in the directory.

    Raises:
        RunError: The weights are damaged, or not those of such a model.
    """
    with _damaged(folder):
        most = stored_bytes(folder / MODEL)  # a weight takes four bytes
    try:
        model = assemble(config, spec, most=min(MOST_PARAMETERS, most))
    except Exception as error:
        raise RunError(f"{folder}: not a whole run. {first_line(error)}") from error
    with _damaged(folder):
        check_weights(folder / MODEL, model)
        model.load_weights(folder / MODEL)
    return model


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
    shapes = [tuple(variable.shape) for variable in model.weights]
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
            if address in seen or depth > 50 or len(seen) > 100 * (most + 10):
                raise ValueError(f"'{name}' in it is there twice, or too deep")
            seen.add(address)
            if isinstance(item, h5py.Group):
                todo.append((item, depth + 1))
            else:
                shapes.append(_shape(name, item))
    return shapes


def _shape(name: str, item: Any) -> tuple[int, ...]:
    plain = isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub"
    if not plain or item.external or item.is_virtual or item.chunks is not None:
        raise ValueError(f"'{name}' in it is no plain array of numbers")
    return tuple(item.shape)
