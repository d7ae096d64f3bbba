"""Labels of every kind and row weights: read, checked, and put in arrays for the heads.

A label can be missing, which is no fault where the head is declared `partial`; one that cannot be
read is a fault everywhere, and its row is rejected.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.core.config import Head, LabelKind
from multimodal.core.errors import DataError
from multimodal.core.spec import FittedGroup, FittedHead
from multimodal.data.columns.numbers import get_column, parse_numbers
from multimodal.data.columns.schema import Schema
from multimodal.data.labels.boxes import checked_fractions, photo_sizes
from multimodal.data.labels.cells import LARGEST, MISSING, Faults, Label, known_rows, read_label
from multimodal.data.labels.checks import (
    check_common_rows,
    check_label,
    check_varies,
    columns_phrase,
)
from multimodal.data.labels.classes import can_be
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.read.table import Table

logger = logging.getLogger(__name__)


def read_labels(
    table: Table,
    schema: Schema,
    heads: Sequence[Head],
    kinds: Mapping[str, LabelKind],
    weight: str | None,
) -> tuple[Table, dict[str, Label], Floats]:
    """Return the table without rows that cannot be learned from, the labels, the weights.

    A row is rejected if a label of it cannot be read, if it lacks one of a head that is not
    `partial`, if it has no label at all, or if its weight is not a number of at least 0.

    Args:
        table: the rows.
        schema: tells the phrase around a target's numbers, such as `$#`.
        heads: the declared heads.
        kinds: by head, what it learns from.
        weight: column of row weights of at least 0; None is 1 for every row.

    Returns:
        The table, which rejects the other rows; the labels of the kept rows by head;
        float64 (kept,) of weights.

    Raises:
        DataError: A column is unknown, empty or constant, a twentieth of a target's cells is text,
            classes do not come again, no row has all labels it needs, or all weights are 0.
    """
    found = {head.name: _read_head(table, schema, head, kinds[head.name]) for head in heads}
    for head in heads:
        # On all cells, before any row goes: a wrong column should be told as one, not row by row.
        check_label(table, head, *found[head.name])
    faults = _row_faults(heads, found)
    weights, bad = _read_weights(table, schema, weight)
    faults = bad | faults
    keep = np.setdiff1d(np.arange(len(table.frame)), list(faults))
    if not len(keep):
        check_common_rows(table, heads, found)
    labels = {name: label.take(keep) for name, (label, _) in found.items()}
    for head in heads:
        check_varies(table, head, labels[head.name])
    if len(keep) and not weights[keep].any():
        raise DataError(
            f"{table.name}: weight '{weight}' is 0 in every row; expected some above 0. Mend the "
            "column, or leave the weight out."
        )
    return table.drop(faults), labels, weights[keep]


def read_y_true(
    table: Table,
    schema: Schema,
    head: FittedHead,
    root: PhotoRoot,
    *,
    groups: Sequence[FittedGroup] = (),
) -> NDArray[Any]:
    """Return the labels of a new table's rows, as the fitted head counts them.

    Labels that cannot be used, such as classes never seen, are logged.

    Args:
        table: the rows.
        schema: the schema of training.
        head: the fitted head.
        root: folder that photo paths start from.
        groups: the fitted groups, to the first photo of which a box refers.

    Returns:
        A number float64 (N,); a class int64 (N,), its position in `head.classes`; labels float64
        (N, C) of 0 and 1; a box float64 (N, 4), fractions of the photo's width and height. NaN, or
        -1 for a class, where the label is missing, unreadable or of an unknown class.

    Raises:
        DataError: A column of the head is not in the table, or a photo path leads out of `root`.
    """
    label, faults = read_label(table, schema, head.kind, head.columns, head.classes)
    if head.kind == "box":
        label, wrong = boxes_to_fractions(label, photo_sizes(table.frame, groups, root))
        faults |= wrong
    y_true = label.y_true(head.classes)
    unseen = label.known & ~known_rows(y_true)
    bad = {"unreadable": sorted(faults), "of unknown class": np.flatnonzero(unseen).tolist()}
    for what, rows in bad.items():
        if rows:
            logger.info(
                f"{head.name}: labels that do not count, since {what}: {len(rows):,}, the first in "
                f"{table.place(rows[0])}"
            )
    return y_true


def fit_head(head: Head, name: str, label: Label, rows: Bools) -> FittedHead:
    """Return what the head's outputs stand for.

    Args:
        head: the declared head.
        name: its name in the model.
        label: the labels of all kept rows.
        rows: bool (N,), the rows that statistics of numbers are taken from; they lie in the head's
            transformed space.
    """
    classes = label.names()
    fitted = FittedHead(
        name=name,
        columns=head.columns,
        kind=label.kind,
        classes=classes,
        # a class that the config names may be no such value
        label_type=label.label_type if can_be(label.label_type, classes) else "text",
    )
    values = label.values[rows & label.known]
    if label.kind != "number" or not len(values):
        return fitted
    transform = head.head.options.get("transform", "standardise")
    moved = np.log1p(values) if transform == "log1p" else values
    statistics = {
        "mean": float(moved.mean()),
        "scale": float(moved.std()) or 1.0,
        "minimum": float(moved.min()),
        "maximum": float(moved.max()),
    }
    return fitted.model_copy(update=statistics)


def label_arrays(
    heads: Sequence[FittedHead], labels: Mapping[str, NDArray[Any]], weights: Floats
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return targets and weights by head, none left out.

    Targets are float32 (rows, 1) for numbers, int32 (rows,) for classes, float32 (rows, C) for
    labels, (rows, 4) for boxes; weights are float32 (rows,). A missing label is zero with weight 0:
    a NaN makes the loss NaN whatever its weight.
    """
    known = {head.name: known_rows(labels[head.name]) for head in heads}
    targets = {head.name: _target(labels[head.name], known[head.name]) for head in heads}
    return targets, {name: (weights * there).astype(np.float32) for name, there in known.items()}


def _target(y_true: NDArray[Any], known: Bools) -> NDArray[Any]:
    if y_true.dtype.kind == "i":
        return np.where(known, y_true, 0).astype(np.int32)
    columns = y_true[:, None] if y_true.ndim == 1 else y_true
    return np.where(known[:, None], columns, 0).astype(np.float32)


def boxes_to_fractions(label: Label, sizes: Floats) -> tuple[Label, Faults]:
    """Return a label of boxes as fractions of the photos' `sizes` (N, 2), and faults by row."""
    fractions, faults = checked_fractions(label.values, sizes, label.columns)
    return replace(label, values=fractions), faults


def _read_head(table: Table, schema: Schema, head: Head, kind: LabelKind) -> tuple[Label, Faults]:
    """Read a head's columns; classes that the head does not name are faults."""
    label, faults = read_label(table, schema, kind, head.columns, head.classes)
    unknown = label.known & ~known_rows(label.y_true(head.classes)) if head.classes else ()
    for row in np.flatnonzero(unknown):
        came = label.values[row]
        faults[int(row)] = (
            f"column '{head.columns[0]}': expected one of {', '.join(head.classes)}, got "
            f"{came if kind == 'class' else '|'.join(came)!r:.60}"
        )
        label.values[row] = None
    return label, faults


def _row_faults(heads: Sequence[Head], found: Mapping[str, tuple[Label, Faults]]) -> Faults:
    """Return why rows cannot be learned from; of several reasons, that of the first head."""
    result: Faults = {}
    if all(head.partial for head in heads):
        none = ~np.any([found[head.name][0].known for head in heads], axis=0)
        columns = ", ".join(column for head in heads for column in head.columns)
        result = {int(row): f"no label: {columns} are missing" for row in np.flatnonzero(none)}
    for head in reversed(heads):
        label, faults = found[head.name]
        gone = () if head.partial else np.flatnonzero(~label.known)
        result |= {int(row): f"{columns_phrase(head)}: {MISSING}" for row in gone} | faults
    return result


def _read_weights(table: Table, schema: Schema, weight: str | None) -> tuple[Floats, Faults]:
    if weight is None:
        return np.ones(len(table.frame)), {}
    cells = get_column(table, weight, "weight")
    weights = parse_numbers(cells, schema.column(weight)).values
    wrong = np.flatnonzero(~((weights >= 0) & (weights <= LARGEST)))
    return weights, {
        int(row): f"column '{weight}': expected a weight of at least 0, got {cells[row]!r:.60}"
        for row in wrong
    }
