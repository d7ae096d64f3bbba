"""Files as `torch.save` writes them, without PyTorch: a dict of tensors in both of its formats."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

STORAGES = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage"}


class Storage:
    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, np.ascontiguousarray(values).ravel()


class Rebuilt:
    """Pickled as the call that PyTorch makes a tensor with."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


@contextmanager
def names_of_torch() -> Iterator[ModuleType]:
    """Let pickle find the names that a file of PyTorch refers to."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")

    def _rebuild_tensor_v2(*arguments: Any) -> None: ...

    for module, name, value in [
        *((torch, name, type(name, (), {})) for name in STORAGES.values()),
        (utils, "_rebuild_tensor_v2", _rebuild_tensor_v2),
    ]:
        value.__module__, value.__qualname__ = module.__name__, name
        setattr(module, name, value)
    with patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield torch


def pickled(value: Any) -> bytes:
    """Return a pickle of `value` in which storages are references; inside `names_of_torch`."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, found: Any) -> Any:
            if not isinstance(found, Storage):
                return None
            kind = getattr(sys.modules["torch"], STORAGES[found.values.dtype.name])
            return ("storage", kind, found.key, "cpu", len(found.values))

    file = io.BytesIO()
    Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def state_of(tensors: Mapping[str, np.ndarray]) -> tuple[OrderedDict[str, Rebuilt], list[Storage]]:
    """Return a state and its storages."""
    storages = [Storage(str(i), values) for i, values in enumerate(tensors.values())]
    state = OrderedDict(
        (name, Rebuilt(storage, 0, values.shape, steps_of(values), False, OrderedDict()))
        for (name, values), storage in zip(tensors.items(), storages, strict=True)
    )
    return state, storages


def steps_of(values: np.ndarray) -> tuple[int, ...]:
    contiguous = np.ascontiguousarray(values).reshape(values.shape)
    return tuple(step // values.itemsize for step in contiguous.strides)


def torch_file(tensors: Mapping[str, np.ndarray], *, legacy: bool = False) -> bytes:
    """Return the bytes that `torch.save(tensors, path)` writes."""
    with names_of_torch():
        state, storages = state_of(tensors)
        return legacy_of(state, storages) if legacy else archive_of(state, storages)


def archive_of(state: Any, storages: list[Storage]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("state/data.pkl", pickled(state))
        for storage in storages:
            archive.writestr(f"state/data/{storage.key}", storage.values.tobytes())
    return file.getvalue()


def legacy_of(state: Any, storages: list[Storage]) -> bytes:
    keys = [storage.key for storage in storages]
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state, keys]
    return b"".join(
        [
            *map(pickled, parts),
            *(len(s.values).to_bytes(8, "little") + s.values.tobytes() for s in storages),
        ]
    )
