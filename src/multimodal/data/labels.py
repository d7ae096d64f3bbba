"""Targets and row weights: read, checked, and summed up for the heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.config import Head
from multimodal.data.columns import column_of, parse_numbers, parse_target
from multimodal.data.table import Table
from multimodal.errors import DataError
from multimodal.spec import FittedHead

Values = NDArray[np.float64]


def read_labels(
    table: Table, targets: Sequence[str], weight: str | None
) -> tuple[Table, dict[str, Values], Values]:
    """Return the table without rows that lack a label, the targets by column, the row weights.

    Raises:
        DataError: A column is unknown, holds no number at all, or is constant; a weight is
            negative.
    """
    read = {column: parse_target(table, column) for column in targets}
    for column, (values, faults) in read.items():
        _check_numeric(table, column, values, faults)
    faults = {row: why for _, found in reversed(read.values()) for row, why in found.items()}
    weights = np.ones(len(table.frame))
    if weight is not None:
        weights, bad = parse_numbers(column_of(table, weight, "weight"))
        bad = np.isnan(weights) | (np.nan_to_num(weights) < 0)
        faults |= {
            int(i): f"column '{weight}': expected a weight of at least 0"
            for i in np.flatnonzero(bad)
        }
    keep = np.setdiff1d(np.arange(len(table.frame)), list(faults))
    labels = {column: values[keep] for column, (values, _) in read.items()}
    for column, values in labels.items():
        if len(values) and np.ptp(values) == 0:
            raise DataError(
                f"{table.name}: target '{column}' is {values[0]:g} in every row; expected values that "
                "differ. There is nothing to learn."
            )
    return table.drop(faults), labels, weights[keep]


def _check_numeric(table: Table, column: str, values: Values, faults: Mapping[int, str]) -> None:
    text = [row for row, why in faults.items() if "missing" not in why]
    if text and len(text) >= 0.05 * max(len(values), 1):
        first = text[0]
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
            f"{table.place(row)}: column '{head.column}' holds {values[row]:g}; transform 'log1p' "
            "needs values of at least 0. Mend the row, or set the head's transform to 'standardise'."
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
