"""Checks of labels before training: of the wrong kind, constant, or absent from a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.config import Head
from multimodal.core.errors import DataError
from multimodal.core.formatting import joined
from multimodal.data.labels.cells import Faults, Label
from multimodal.data.read.table import Table
from multimodal.data.split.splits import SPLITS, rare_classes

_SEVERAL = 20  # labelled rows from which classes must come again


def columns_phrase(head: Head) -> str:
    """Return the head's columns for a message: "column 'price'"."""
    return f"{'column' if len(head.columns) == 1 else 'columns'} {_names(head)}"


def _names(head: Head) -> str:
    return ", ".join(f"'{column}'" for column in head.columns)


def check_label(table: Table, head: Head, label: Label, faults: Mapping[int, str]) -> None:
    """Raise DataError for a column that is no such label at all."""
    rows, known = len(label.values), int(label.known.sum())
    if label.kind == "number" and faults and len(faults) >= 0.05 * max(rows, 1):
        first = min(faults)
        raise DataError(
            f"{table.place(first)}: {faults[first]}. {len(faults):,} of {rows:,} rows of the "
            f"target '{head.columns[0]}' are not numbers; expected plain numbers such as 1234.50. "
            "Remove currency signs and units, or name another --target."
        )
    if not known and not faults:
        raise DataError(
            f"{table.name}: head '{head.name}': target {_names(head)} is empty "
            "in every row; nothing to learn."
        )
    names = label.names() if label.kind == "class" and not head.classes else []
    if known >= _SEVERAL and len(names) > known / 2:
        raise DataError(
            f"{table.name}: target '{head.columns[0]}' holds {len(names):,} different classes in "
            f"{known:,} rows, such as {names[0][:40]!r}; expected classes that come again. Name "
            "another --target, or another head."
        )


def check_common_rows(
    table: Table, heads: Sequence[Head], found: Mapping[str, tuple[Label, Faults]]
) -> None:
    """Raise DataError where every head has labels, but no row has those of all heads."""
    counts = {head.name: int(found[head.name][0].known.sum()) for head in heads}
    if len(heads) > 1 and all(counts.values()):
        said = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise DataError(
            f"{table.name}: no row has the labels of all heads (rows with a label: {said}). Set "
            "`partial: true` on the heads whose label a row may lack."
        )


def check_varies(table: Table, head: Head, label: Label) -> None:
    """Raise DataError where all kept rows have one and the same label."""
    there = label.values[label.known]
    first = there[0] if len(there) else None
    if first is None or any(np.any(each != first) for each in there):
        return
    said = f"{first:g}" if label.kind == "number" else repr(first)
    if label.kind in ("labels", "box"):
        said = "one and the same"
    raise DataError(
        f"{table.name}: target {_names(head)} is {said} in every row; expected values that differ. "
        "There is nothing to learn; name another --target."
    )


def check_transform(table: Table, head: Head, values: NDArray[Any]) -> None:
    """Raise DataError where the head's transform is not defined for a target."""
    negative = head.head.options.get("transform") == "log1p" and np.less(values, 0).any()
    if negative:
        row = int(np.nanargmin(values))
        raise DataError(
            f"{table.place(row)}: column '{head.columns[0]}' holds {values[row]:g}; transform "
            "'log1p' needs values of at least 0. Mend the row, or set the head's transform to "
            "'standardise'."
        )


def check_splits(
    table: Table, heads: Sequence[Head], found: Mapping[str, Label], splits: NDArray[Any]
) -> None:
    """Raise DataError where no row of a split has the label of a head."""
    for head in heads:
        for split in SPLITS:
            here = splits == split
            if here.any() and not found[head.name].known[here].any():
                raise DataError(
                    f"{table.name}: head '{head.name}' (column '{head.columns[0]}'): none of the "
                    f"{int(here.sum()):,} {split} rows has its label. Use more rows with this "
                    "label, or another split."
                )


def rare_class_notes(found: Mapping[str, Label], groups: Ints) -> list[str]:
    """Say which classes have too few rows to be in every split."""
    notes = []
    for name, label in found.items():
        rare = rare_classes(label.values, groups) if label.kind == "class" else []
        if rare:
            said = joined([f"'{each}'" for each in rare], 5)
            notes.append(
                f"head '{name}': {len(rare):,} of {len(label.names()):,} classes have fewer than "
                f"{len(SPLITS)} rows ({said}). A random split keeps those rows in training, so "
                "these classes are not tested."
            )
    return notes
