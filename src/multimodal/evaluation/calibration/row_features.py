"""Plain features of rows, straight from the arrays that a model reads: numbers and frequent names.

They may tell how large an error is; nothing is learned from labels here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from multimodal.core.spec import FittedSpec

MOST_FEATURES, MOST_NAMES = 48, 12
LEAST_SHARE = 0.03
"""A name counts where at least this share of the rows has it, and this share has it not."""

Inputs = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


class RowFeature(BaseModel):
    """A column of an input: its number, 0 where missing, or whether it is the name `code`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    column: int = Field(ge=0, lt=100_000)
    code: int | None = None


def choose_features(spec: FittedSpec, inputs: Inputs) -> list[RowFeature]:
    """Return the numbers and the frequent names of tabular groups, at most 48.

    Args:
        spec: The fitted spec.
        inputs: Arrays of rows, such as those to calibrate on.
    """
    found: list[RowFeature] = []
    for group in (group for group in spec.groups if group.modality == "tabular"):
        for i in range(len(group.numeric)):
            found.append(RowFeature(key=f"{group.name}_numeric", column=i))
        for i in range(len(group.categorical)):
            key = f"{group.name}_categorical"
            found += [RowFeature(key=key, column=i, code=c) for c in _frequent(inputs[key][:, i])]
    return found[:MOST_FEATURES]


def row_features(chosen: Sequence[RowFeature], inputs: Inputs) -> Floats:
    """Return the features (rows, F) as finite numbers.

    Example:
    >>> inputs = {"t_numeric": np.array([[1.5], [np.nan]]), "t_categorical": np.array([[2], [3]])}
    >>> name = RowFeature(key="t_categorical", column=0, code=3)
    >>> row_features([RowFeature(key="t_numeric", column=0), name], inputs).tolist()
    [[1.5, 0.0], [0.0, 1.0]]
    """
    rows = len(next(iter(inputs.values()))) if inputs else 0
    columns = [
        np.nan_to_num(np.asarray(inputs[each.key][:, each.column], np.float64))
        if each.code is None
        else (inputs[each.key][:, each.column] == each.code).astype(np.float64)
        for each in chosen
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0))


def fits(chosen: Sequence[RowFeature], spec: FittedSpec) -> bool:
    """Whether every feature is of a column that the spec knows."""
    widths = {f"{group.name}_numeric": len(group.numeric) for group in spec.groups}
    widths |= {f"{group.name}_categorical": len(group.categorical) for group in spec.groups}
    return all(each.column < widths.get(each.key, 0) for each in chosen)


def _frequent(codes: NDArray[Any]) -> list[int]:
    values, counts = np.unique(codes, return_counts=True)
    shares = counts / max(len(codes), 1)
    order = np.argsort(-counts, kind="stable")[:MOST_NAMES]
    return [int(values[i]) for i in order if LEAST_SHARE <= shares[i] <= 1 - LEAST_SHARE]
