"""Cells of any type: whether they are missing, and their text.

Cells are judged one by one rather than by `isna` and `astype(str)` of pandas, for which blanks and
empty lists are values, and 85255.0 is another code than 85255.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from multimodal.core.arrays import Bools

Column: TypeAlias = "pd.Series[Any] | Sequence[Any]"
_INTEGER = re.compile(r"[+-]?\d+\.0", re.ASCII)


def is_missing(series: Column) -> Bools:
    """Return bool (N,): None, NaN, NaT, an empty list, "" or blanks only; the word "NA" is text.

    A plain list of cells is read as a series of them is.

    Example:
    >>> is_missing(pd.Series(["red", " ", None, "NA"], dtype=object)).tolist()
    [False, True, True, False]
    """
    dtype = getattr(series, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return np.asarray(pd.Series(series).isna(), dtype=np.bool_)
    found = [
        not value or value.isspace() if type(value) is str else is_blank(value) for value in series
    ]
    return np.array(found, dtype=np.bool_)


def as_text(series: Column) -> npt.NDArray[np.object_]:
    """Return object (N,): one spelling per value, None where missing.

    Blanks around go; whole floats lose the point (a column of codes beside a missing one), also
    where a text file has them as "85255.0"; dates are ISO, lists are joined by `|`. So a value
    from JSON equals the same one from CSV.

    Example:
    >>> as_text(pd.Series([85255.0, float("nan")])).tolist()
    ['85255', None]
    """
    found = np.empty(len(series), dtype=object)
    cells = series.tolist() if isinstance(series, pd.Series) and series.dtype == "O" else series
    known: dict[str, str | None] = {}  # texts repeat, and spelling one costs a search
    for place, value in enumerate(cells):
        if type(value) is not str:
            found[place] = None if is_blank(value) else _spell(value)
        elif value in known:
            found[place] = known[value]
        else:
            found[place] = known[value] = _spell(value) or None
    return found


def is_blank(value: Any) -> bool:
    """Whether one cell says nothing; see `is_missing`."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, list | tuple | np.ndarray | bytes):
        return len(value) == 0
    if isinstance(value, float):
        return value != value
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _spell(value: Any) -> str:
    if isinstance(value, str):
        text = value.strip()
        return text[:-2] if text.endswith(".0") and _INTEGER.fullmatch(text) else text
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, list | tuple | np.ndarray):
        return "|".join(_spell(item) if isinstance(item, bytes) else str(item) for item in value)
    if isinstance(value, bytes):  # a photo: its repr would be four times as long, in every cell
        return f"{len(value):,} bytes, {hashlib.blake2b(value, digest_size=8).hexdigest()}"
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def is_record(cell: Any) -> bool:
    """Whether a cell is an object with fields, or a list of such objects."""
    if isinstance(cell, list | tuple):
        return bool(cell) and isinstance(cell[0], dict)
    return isinstance(cell, dict)
