"""Types of arrays, and arrays in files: `.npz` archives, and base64 inside JSON.

Archives come from disk and are read with care: no pickle is opened, and nothing is unpacked that is
larger than its reader expects.
"""

from __future__ import annotations

import base64
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multimodal.core.errors import RunError, first_line

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
DType = Literal["<f4", "<u4"]


def read_arrays(
    path: Path, *, total: float = math.inf, each: Callable[[str], float] = lambda name: math.inf
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an `.npz` file by name.

    Args:
        path: The file.
        total: Most bytes that all arrays may unpack to.
        each: Most bytes that the array of a name may unpack to, with its description.

    Raises:
        ValueError: An array is larger, or holds Python objects.
        OSError, zipfile.BadZipFile: The file cannot be read, or is no such file; damaged bytes may
            raise other errors, too.

    Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "arrays.npz")
    >>> np.savez(path, prices=np.ones(3))
    >>> read_arrays(path, total=1000)["prices"]
    array([1., 1., 1.])
    """
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    if sum(sizes.values()) > total:
        raise ValueError(f"it unpacks to {sum(sizes.values()):,} bytes; at most {total:,} are read")
    for file, size in sizes.items():
        if size > each(file.removesuffix(".npy")):
            raise ValueError(f"{file} has {size:,} bytes")
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


@contextmanager
def damage_told(path: Path, otherwise: str, again: str) -> Iterator[None]:
    """Raise RunError instead of whatever is raised inside, where bytes of `path` are read.

    Args:
        path: The file.
        otherwise: What the file may be if it is not damaged.
        again: How to mend it, in whole sentences.

    Example:
    >>> with damage_told(Path("fit.npz"), "of another run", "Train anew."):
    ...     raise ValueError("no zip file")
    Traceback (most recent call last):
    multimodal.core.errors.RunError: fit.npz: damaged, or of another run (no zip file). Train anew.
    """
    try:
        yield
    except Exception as error:  # a reader met with damaged bytes may raise anything
        reason = first_line(error)
        raise RunError(f"{path}: damaged, or {otherwise} ({reason}). {again}") from None


def encode(array: ArrayLike, dtype: DType) -> str:
    """Return the numbers of an array, in C order.

    Example:
    >>> encode([1.0, 2.0], "<f4")
    'AACAPwAAAEA='
    """
    # Little-endian, so that a run may be read on another machine.
    return base64.b64encode(np.asarray(array).astype(dtype).tobytes()).decode("ascii")


def decode(written: str, dtype: DType) -> NDArray[Any]:
    """Return the numbers (N,) that `encode` wrote.

    Raises:
        ValueError: The text is no base64, or no whole numbers of four bytes.

    Example:
    >>> decode("AACAPwAAAEA=", "<f4")
    array([1., 2.], dtype=float32)
    """
    return np.frombuffer(base64.b64decode(written, validate=True), dtype)
