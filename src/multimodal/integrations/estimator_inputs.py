"""Rows, targets and weights as scikit-learn hands them over: checked, and named as in a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import column_or_1d

from multimodal.core.arrays import Floats

# Of a class that is named in the run as it is: what readers of tables take for nothing else.
_PLAIN = re.compile(r"[^\W_][\w-]*( [\w-]+)*")
_MISSING = {"na", "nan", "none", "null", "nat", "n-a"}


def free_name(name: str, frame: pd.DataFrame, *others: str) -> str:
    """Return a name that no column has: the one given, with `_` behind it where it is taken."""
    taken = {str(column).strip() for column in frame} | {*others}
    while name.strip() in taken:
        name = f"{name.strip()}_"
    return name.strip()


def checked_target(y: Any, rows: int) -> NDArray[Any]:
    """Return a target as an array (rows,) of finite values; raise ValueError of what is wrong."""
    if hasattr(y, "to_numpy") and not isinstance(y, pd.DataFrame):
        y = y.to_numpy()  # an extension array, such as Int64, would not be one of NumPy
    y = column_or_1d(y, warn=True)
    if len(y) != rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {[rows, len(y)]}"
        )
    if pd.isna(y).any():
        raise ValueError("Input y contains NaN.")
    return np.asarray(y)


def checked_weights(weights: ArrayLike, rows: int) -> Floats:
    """Return weights (rows,); raise ValueError unless they are finite and at least 0."""
    found = np.asarray(weights, np.float64)
    if found.shape != (rows,):
        raise ValueError(
            f"sample_weight must have one number per row: expected shape ({rows},), got "
            f"{found.shape}."
        )
    if not np.isfinite(found).all() or (found < 0).any():
        raise ValueError("sample_weight must hold finite numbers of at least 0.")
    return found


def check_infinite(frame: pd.DataFrame) -> None:
    """Raise ValueError where a column of numbers holds an infinity, as scikit-learn does of arrays.

    Example:
    >>> check_infinite(pd.DataFrame({"a": [1.0, float("nan")]}))
    """
    for number, kind in enumerate(frame.dtypes):
        column = frame.iloc[:, number]
        floating = pd.api.types.is_float_dtype(kind)
        if floating and np.isinf(column.to_numpy(np.float64, na_value=np.nan)).any():
            raise ValueError(
                f"Input X contains infinity in column {column.name!r}; expected finite numbers, or "
                "NaN where one is missing."
            )


def class_names(classes: Sequence[Any] | NDArray[Any]) -> list[str]:
    """Return what the classes are named in the run: as they are, where a table can say so.

    Example:
    >>> class_names(["cat", "dog"]), class_names([0.5, 1.5])
    (['cat', 'dog'], ['class 0', 'class 1'])
    """
    names = [str(each) for each in classes]
    plain = all(_PLAIN.fullmatch(name) and name.lower() not in _MISSING for name in names)
    different = len({name.lower() for name in names}) == len(names)
    return names if plain and different else [f"class {code}" for code in range(len(names))]
