"""Targets and row weights: read, checked, and summed up for the heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.config import Head
from multimodal.data.columns import column_of, parse_numbers, parse_target
from multimodal.data.schema import Schema
from multimodal.data.table import Table
from multimodal.errors import DataError
from multimodal.spec import FittedHead

Values = NDArray[np.float64]
_LARGEST = 1e38  # what float32 holds, in which the model learns


def read_labels(
    table: Table, schema: Schema, targets: Sequence[str], weight: str | None
) -> tuple[Table, dict[str, Values], Values]:
    """Return the table without rows that lack a label or a weight, the targets, the weights.

    Args:
        table: the rows.
        schema: tells the phrase around a target's numbers, such as `$#`.
        targets: columns to learn.
        weight: column of row weights of at least 0; None is 1 for every row.

    Returns:
        The table, with the other rows in its quarantine; float64 (kept,) by target; float64
        (kept,) of weights.

    Raises:
        DataError: A column is unknown, empty or constant, a twentieth of a target's cells is text,
            or all weights are 0.
    """
    read = {column: _read_target(table, schema, column) for column in targets}
    for column, (values, faults) in read.items():
        _check_numeric(table, column, values, faults)
    faults = {row: why for _, found in reversed(read.values()) for row, why in found.items()}
    weights, bad = _read_weights(table, schema, weight)
    faults = bad | faults
    keep = np.setdiff1d(np.arange(len(table.frame)), list(faults))
    labels = {column: values[keep] for column, (values, _) in read.items()}
    for column, values in labels.items():
        if len(values) and np.ptp(values) == 0:
            raise DataError(
                f"{table.name}: target '{column}' is {values[0]:g} in every row; expected values "
                "that differ. There is nothing to learn; name another --target."
            )
    if len(keep) and not weights[keep].any():
        raise DataError(
            f"{table.name}: weight '{weight}' is 0 in every row; expected some above 0. Mend the "
            "column, or leave the weight out."
        )
    return table.drop(faults), labels, weights[keep]


def _read_target(table: Table, schema: Schema, column: str) -> tuple[Values, dict[int, str]]:
    column_of(table, column, "target")
    values, faults = parse_target(table, column, schema.column(column).unit)
    for row in np.flatnonzero(np.abs(values) > _LARGEST):
        faults[int(row)] = (
            f"column '{column}': expected a number of at most {_LARGEST:g}, got {values[row]:g}"
        )
        values[row] = np.nan
    return values, faults


def _read_weights(
    table: Table, schema: Schema, weight: str | None
) -> tuple[Values, dict[int, str]]:
    if weight is None:
        return np.ones(len(table.frame)), {}
    cells = column_of(table, weight, "weight")
    weights = parse_numbers(cells, schema.column(weight).unit).values
    wrong = np.flatnonzero(~((weights >= 0) & (weights <= _LARGEST)))
    return weights, {
        int(row): f"column '{weight}': expected a weight of at least 0, got {cells[row]!r:.60}"
        for row in wrong
    }


def _check_numeric(table: Table, column: str, values: Values, faults: Mapping[int, str]) -> None:
    text = [row for row, why in faults.items() if not why.endswith(": the target is missing")]
    if text and len(text) >= 0.05 * max(len(values), 1):
        first = min(text)
        raise DataError(
            f"{table.place(first)}: {faults[first]}. {len(text):,} of {len(values):,} rows of the "
            f"target '{column}' are not numbers; expected plain numbers such as 1234.50. Remove "
            "currency signs and units, or name another --target."
        )
    if len(faults) == len(values):
        raise DataError(f"{table.name}: target '{column}' is empty in every row; nothing to learn.")


def check_transform(table: Table, head: Head, values: Values) -> None:
    """Raise DataError where the head's transform is not defined for a target."""
    if head.head.options.get("transform") == "log1p" and values.min() < 0:
        row = int(values.argmin())
        raise DataError(
            f"{table.place(row)}: column '{head.column}' holds {values[row]:g}; transform "
            "'log1p' needs values of at least 0. Mend the row, or set the head's transform to "
            "'standardise'."
        )


def fit_head(head: Head, name: str, values: Values) -> FittedHead:
    """Return the statistics of the training targets in the head's transformed space."""
    transform = head.head.options.get("transform", "standardise")
    moved = np.log1p(values) if transform == "log1p" else values
    scale = float(moved.std()) or 1.0
    return FittedHead(
        name=name, column=head.column, mean=float(moved.mean()), scale=scale,
        minimum=float(moved.min()), maximum=float(moved.max()),
    )  # fmt: skip


def label_arrays(
    heads: Sequence[FittedHead], labels: Mapping[str, Values], weights: Values
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return targets float32 (rows, 1) and weights float32 (rows,) by head, none left out.

    A missing label is zero and weighs nothing.
    """
    known = {head.name: np.isfinite(labels[head.column]) for head in heads}
    targets = {
        head.name: np.where(known[head.name], labels[head.column], 0).astype(np.float32)[:, None]
        for head in heads
    }
    return targets, {name: (weights * there).astype(np.float32) for name, there in known.items()}
