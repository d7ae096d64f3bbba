"""Arrays inside JSON: the base64 of little-endian numbers of four bytes each."""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

DType = Literal["<f4", "<u4"]


def encode(array: ArrayLike, dtype: DType) -> str:
    """Return the numbers of an array, in C order.

    Example:
    >>> encode([1.0, 2.0], "<f4")
    'AACAPwAAAEA='
    """
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
