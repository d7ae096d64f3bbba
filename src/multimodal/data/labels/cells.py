"""Labels as their columns state them: a number, a class, several labels, a box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.core.config import LabelKind
from multimodal.core.errors import DataError
from multimodal.core.spec import LabelType
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.numbers import get_column, parse_target
from multimodal.data.columns.schema import Schema
from multimodal.data.labels.boxes import box_faults
from multimodal.data.labels.classes import (
    encode_classes,
    encode_labels,
    label_names,
    label_type,
    order_classes,
)
from multimodal.data.read.table import Table

Faults = dict[int, str]
LARGEST = 1e38  # the model learns in float32, which holds up to 3.4e38
MISSING = "the target is missing"
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True)
class Label:
    """The label of one head, by row.

    Args:
        kind: what the head learns from.
        columns: the head's columns.
        values: (N,) numbers; object (N,) of class names, or of tuples of names; (N, 4) boxes, in
            pixels as they are read. NaN or None where the label is missing.
        classes: names in the order of the outputs, where they are fixed.
        label_type: what a class is in the table.
    """

    kind: LabelKind
    columns: list[str]
    values: NDArray[Any]
    classes: list[str]
    label_type: LabelType = "text"

    @property
    def known(self) -> Bools:
        """bool (N,): the row has this label."""
        return known_rows(self.values)

    def take(self, rows: NDArray[np.integer]) -> Label:
        """Return the label of some rows; classes that nobody fixed are those that are left."""
        return replace(self, values=self.values[rows])

    def names(self) -> list[str]:
        """Return the classes, those of the rows where none are fixed."""
        if self.classes or self.kind not in ("class", "labels"):
            return self.classes
        there = self.values[self.known]
        each = there if self.kind == "class" else [name for names in there for name in names]
        return order_classes(each)

    def y_true(self, classes: Sequence[str]) -> NDArray[Any]:
        """Return the label as numbers; see `read_y_true`."""
        if self.kind == "class":
            return encode_classes(self.values, classes)
        return encode_labels(self.values, classes) if self.kind == "labels" else self.values


def known_rows(y_true: NDArray[Any]) -> Bools:
    """Return bool (N,): the row has a label; NaN, None and the class -1 are none."""
    if y_true.dtype == object:
        return np.array([each is not None for each in y_true], bool)
    there = y_true >= 0 if y_true.dtype.kind == "i" else np.isfinite(y_true)
    return np.asarray(there.all(axis=tuple(range(1, there.ndim))), bool)


def read_label(
    table: Table, schema: Schema, kind: LabelKind, columns: Sequence[str], classes: Sequence[str]
) -> tuple[Label, Faults]:
    """Read the columns of one head.

    Args:
        table: the rows.
        schema: tells the phrase around a number, such as `$#`.
        kind: what the head learns from.
        columns: the head's columns.
        classes: the names of the classes, where they are fixed.

    Returns:
        The label, missing where it cannot be read; by row, what is wrong with those. A label that
        is merely missing, or of a class not in `classes`, is no fault.

    Raises:
        DataError: A column is not in the table, or its numbers may be read two ways.
    """
    values, faults = _READERS[kind](table, schema, columns)
    several = kind == "labels" and len(columns) > 1
    names = list(columns if several else classes)
    if kind != "class":
        return Label(kind, list(columns), values, names), faults
    what = label_type(table.frame[columns[0]], written=table.holds_texts)
    return Label(kind, list(columns), values, names, what), faults


def _read_number(table: Table, schema: Schema, columns: Sequence[str]) -> tuple[Floats, Faults]:
    column = columns[0]
    get_column(table, column, "target")  # before the schema is asked for it, which may lack it, too
    if doubt := schema.column(column).doubt:
        raise DataError(f"{table.name}: target '{column}': {doubt}.")
    values, faults = parse_target(table, column, schema.column(column))
    for row in np.flatnonzero(np.abs(values) > LARGEST):
        faults[int(row)] = (
            f"column '{column}': expected a number of at most {LARGEST:g}, got {values[row]:g}"
        )
        values[row] = np.nan
    return values, faults


def _read_class(
    table: Table, schema: Schema, columns: Sequence[str]
) -> tuple[NDArray[np.object_], Faults]:
    return as_text(get_column(table, columns[0], "target")), {}


def _read_sets(
    table: Table, schema: Schema, columns: Sequence[str]
) -> tuple[NDArray[np.object_], Faults]:
    """Read labels: several in one cell, or one 0/1 column for each."""
    sets = np.empty(len(table.frame), object)
    if len(columns) == 1:
        sets[:] = [label_names(cell) for cell in get_column(table, columns[0], "target")]
        return sets, {}
    faults: Faults = {}
    cells = [as_text(get_column(table, column, "target")) for column in columns]
    for row, words in enumerate(zip(*cells, strict=True)):
        said = [None if word is None else word.lower() for word in words]
        wrong = next((i for i, word in enumerate(said) if word not in _TRUE + _FALSE), None)
        if wrong is None:
            sets[row] = tuple(c for c, word in zip(columns, said, strict=True) if word in _TRUE)
        elif any(word is not None for word in said):
            faults[row] = f"column '{columns[wrong]}': expected 0 or 1, got {words[wrong]!r:.60}"
    return sets, faults


def _read_box(table: Table, schema: Schema, columns: Sequence[str]) -> tuple[Floats, Faults]:
    read = [_read_number(table, schema, [column]) for column in columns]
    corners = np.stack([values for values, _ in read], axis=1)
    faults = {row: why for _, found in reversed(read) for row, why in found.items()}
    for row in np.flatnonzero(np.isnan(corners).any(axis=1) & ~np.isnan(corners).all(axis=1)):
        gone = columns[int(np.isnan(corners[row]).argmax())]
        faults.setdefault(int(row), f"column '{gone}': a corner of the box is missing")
    faults = box_faults(corners, columns) | faults
    corners[list(faults)] = np.nan
    return corners, faults


_Reader = Callable[[Table, Schema, Sequence[str]], tuple[NDArray[Any], Faults]]
_READERS: dict[LabelKind, _Reader] = {
    "number": _read_number,
    "class": _read_class,
    "labels": _read_sets,
    "box": _read_box,
}
