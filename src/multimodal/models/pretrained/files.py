"""The files of a pretrained model, from a folder, a single file or a zip archive."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from multimodal.core.pretrained import Pretrained
from multimodal.core.tensors import Tensors, read_file, read_tensors


class State(NamedTuple):
    """Tensors of a file of weights, the bytes of the files beside it, and the SHA-256 of all."""

    tensors: Tensors
    others: list[bytes]
    checksum: str
    place: str


def read_state(model: Pretrained, path: Path) -> State:
    """Return the files of a model whose weights are tensors.

    Raises:
        DataError: One is missing, damaged or too large.
    """
    several = len(model.files) > 1
    contents = [
        read_file(path / file.name) if path.is_dir() else read_file(path, file.name * several)
        for file in model.files
    ]
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    tensors = read_tensors(contents[0], path)
    return State(tensors, contents[1:], digest.hexdigest(), str(path))


def only_file(model: Pretrained, path: Path) -> Path:
    """Return the path of a model's one file, which a folder holds or `path` is."""
    return path / model.files[0].name if path.is_dir() else path
