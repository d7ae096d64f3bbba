"""The weights in a `.keras` file, checked against a model before any is read."""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import keras

MEMBER = "model.weights.h5"
MEMBERS = {"metadata.json", "config.json", MEMBER}
OVERHEAD = 1 << 20, 4096  # bytes in the file besides the numbers: at all, and for each weight


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
