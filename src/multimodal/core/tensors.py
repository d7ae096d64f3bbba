"""Tensors in files of PyTorch and safetensors, read without either and without running any code.

A PyTorch file is a pickle, which can call anything. This reader knows a dict, the functions that
put a tensor together, and nothing else; sizes are checked against the bytes that are there.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import DataError, first_line

Tensors = dict[str, NDArray[Any]]
MOST_BYTES = 1 << 31  # of a file of weights
MOST_DESCRIBED = 1 << 26  # of what a file says of its tensors
_BFLOAT16 = "bfloat16"  # which NumPy does not know: the upper half of a float32
_SAFETENSORS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": _BFLOAT16,
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_LEGACY = 0x1950A86A20F9469CFC6C  # what PyTorch's format before 1.6 begins with


def read_tensors(content: bytes, place: str | Path) -> Tensors:
    """Return the tensors of a file by name: safetensors, or a dict of tensors saved by PyTorch.

    Args:
        content: The bytes of the file.
        place: The name of the file, for errors.

    Returns:
        Arrays of the dtype in the file; bfloat16 becomes float32.

    Raises:
        DataError: The file is damaged, larger than its bytes, or holds anything but tensors.

    Example:
    >>> header = b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    >>> read_tensors(len(header).to_bytes(8, "little") + header + bytes(4), "one.safetensors")
    {'a': array([0.], dtype=float32)}
    """
    try:
        if content.startswith(b"PK"):
            return _read_archive(content)
        if content.startswith(b"\x80\x02"):
            return _read_legacy(content)
        return _read_safetensors(content)
    except Exception as error:  # readers met with damaged bytes raise anything
        reason = first_line(error)
        raise DataError(
            f"{place}: expected tensors saved by PyTorch or safetensors; it is damaged, or another "
            f"file ({reason}). Get it anew."
        ) from None


def read_file(path: Path, name: str = "") -> bytes:
    """Return the bytes of a file of weights, or of the file `name` in a zip archive.

    Raises:
        DataError: It is missing, no plain file, or larger than `MOST_BYTES`.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a file of pretrained weights; it is none.")
    try:
        if not name:
            _check_size(path.stat().st_size, MOST_BYTES)
            return path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            _check_size(archive.getinfo(name).file_size, MOST_BYTES)
            return archive.read(name)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read ({first_line(error)}). Get it anew.") from None


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"it has {size:,} bytes; at most {most:,} are read")


def _read_safetensors(content: bytes) -> Tensors:
    size = int.from_bytes(content[:8], "little")
    _check_size(size, min(MOST_DESCRIBED, len(content)))
    header, data = json.loads(content[8 : 8 + size]), memoryview(content)[8 + size :]
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values = _numbers(data[start:end], _SAFETENSORS[entry["dtype"]])
        tensors[name] = values.reshape([_natural(size) for size in entry["shape"]])
    return tensors


def _numbers(data: memoryview | bytes, dtype: str) -> NDArray[Any]:
    if dtype != _BFLOAT16:
        return np.frombuffer(data, dtype)
    return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.40} is no size")
    return value


class _StorageType(NamedTuple):
    dtype: str


class _Storage(NamedTuple):
    key: str
    dtype: str


class _Tensor(NamedTuple):
    """Where the numbers of a tensor lie: in which storage, from where, in which steps."""

    storage: _Storage
    start: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    @classmethod
    def rebuild(cls, storage: Any, start: Any, shape: Any, steps: Any, *others: Any) -> _Tensor:
        if not isinstance(storage, _Storage) or len(shape) != len(steps):
            raise ValueError("a tensor without its numbers")
        sizes, steps = tuple(map(_natural, shape)), tuple(map(_natural, steps))
        return cls(storage, _natural(start), sizes, steps)

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the tensor of a storage's numbers; raise ValueError where they do not suffice."""
        last = self.start + sum(
            (n - 1) * step for n, step in zip(self.shape, self.steps, strict=True)
        )
        if not math.prod(self.shape):
            return np.zeros(self.shape, values.dtype)
        if max(last + 1, math.prod(self.shape)) > len(values):
            raise ValueError("a tensor is larger than its numbers")
        steps = [step * values.itemsize for step in self.steps]
        view = np.lib.stride_tricks.as_strided(values[self.start :], self.shape, steps)
        return view.copy()


class _Unpickler(pickle.Unpickler):
    """Unpickles dicts of tensors; any other name in the pickle is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor.rebuild
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        raise ValueError(f"it names {module}.{name}, which is no tensor")

    def persistent_load(self, found: Any) -> _Storage:
        kind, storage, key = found[:3]
        if kind != "storage" or not isinstance(storage, _StorageType):
            raise ValueError("it refers to something that is no tensor")
        return _Storage(str(key), storage.dtype)


def _unpickled(file: io.BytesIO) -> Any:
    """Return what the next pickle in a file holds."""
    start = file.tell()
    for code, argument, _ in pickletools.genops(file):
        # What PyTorch writes is of protocol 2. A few bytes of a later one, or of a far place in the
        # memo, make Python reserve gigabytes.
        far = code.name.endswith("PUT") and int(argument or 0) > len(file.getbuffer())
        if code.proto > 2 or far:
            raise ValueError(f"a pickle that no tensor needs ({code.name})")
    file.seek(start)
    return _Unpickler(file).load()


def _read_archive(content: bytes) -> Tensors:
    """Read the format of PyTorch since 1.6: a zip archive of a pickle and one file per storage."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # stored, not compressed: what is there is no larger than the file
        _check_size(sum(each.file_size for each in archive.infolist()), len(content))
        pickled = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        _check_size(archive.getinfo(pickled).file_size, MOST_DESCRIBED)
        found = _tensors_of(_unpickled(io.BytesIO(archive.read(pickled))))
        storages = {tensor.storage for tensor in found.values()}
        values = {s: _numbers(archive.read(f"{folder}data/{s.key}"), s.dtype) for s in storages}
    return {name: tensor.of(values[tensor.storage]) for name, tensor in found.items()}


def _read_legacy(content: bytes) -> Tensors:
    """Read the format of PyTorch before 1.6: pickles, one after the other, then the storages."""
    file = io.BytesIO(content)
    magic, _protocol, _system, state, keys = (_unpickled(file) for _ in range(5))
    if magic != _LEGACY:
        raise ValueError("a pickle of something else")
    found = _tensors_of(state)
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in found.values()}
    values = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        dtype = dtypes[key]
        width = 2 if dtype == _BFLOAT16 else np.dtype(dtype).itemsize
        _check_size(count * width, len(content) - file.tell())
        values[key] = _numbers(file.read(count * width), dtype)
    return {name: tensor.of(values[tensor.storage.key]) for name, tensor in found.items()}


def _tensors_of(state: Any) -> dict[str, _Tensor]:
    """Return the tensors of what was unpickled: a dict of them."""
    if not isinstance(state, dict) or not all(isinstance(v, _Tensor) for v in state.values()):
        raise ValueError("it holds something else than a dict of tensors")
    return {str(name): tensor for name, tensor in state.items()}
