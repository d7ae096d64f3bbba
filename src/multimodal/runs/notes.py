"""Notes on rows to predict: cells and photos that are not what the model has learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats, Ints
from multimodal.core.errors import first_line
from multimodal.core.formatting import shortened
from multimodal.core.spec import MISSING, FittedGroup
from multimodal.data.columns.cells import is_missing
from multimodal.data.features.cell_arrays import Frame
from multimodal.data.features.preprocess import Arrays, Preprocessor

SELDOM = 0.01  # of the training rows: where no more lack a column, a row is told that it does
_SHOWN = 40  # letters of a cell
Notes = dict[int, str]


def joined_notes(*several: Mapping[int, str]) -> Notes:
    """Return all that is to be said of each row, in one line.

    Example:
    >>> joined_notes({1: "photo: gone"}, {0: "size: odd", 1: "size: odd"})
    {1: 'photo: gone; size: odd', 0: 'size: odd'}
    """
    found: Notes = {}
    for notes in several:
        for row, note in notes.items():
            found[row] = f"{found[row]}; {note}" if row in found else note
    return found


def cell_notes(
    preprocessor: Preprocessor, frame: Frame, arrays: Arrays, unusual: list[str] | None = None
) -> Notes:
    """Say of each row which cells cannot be read, which are unknown, and which are missing.

    Missing ones are told of columns that nearly every training row has, unknown categories where
    `unusual`, why a row is unlike the training rows, does not tell them.

    Args:
        preprocessor: Rows to arrays.
        frame: The rows, photos as they came.
        arrays: Their arrays.
        unusual: A text for each row, or None where nobody looked.
    """
    found: list[tuple[int, str]] = []
    for name, rows in arrays.unreadable.items():
        cells = _shown(frame, name, rows)
        found += [
            (row, f"'{name}': {cell} cannot be read, so it is missing") for row, cell in cells
        ]
    for name, rows in arrays.unseen.items():
        told = f"{name}: "
        cells = _shown(frame, name, [r for r in rows if not (unusual and told in unusual[r])])
        found += [(row, f"'{name}': {cell} is unknown") for row, cell in cells]
    for name, blank, rows in _blank_rows(preprocessor, frame):
        found += [(int(row), f"'{name}' is missing, and read as '{blank}'") for row in rows]
    for name, rows in missing_rows(preprocessor, frame, arrays).items():
        found += [(int(row), f"'{name}' is missing; training rows have it") for row in rows]
    return joined_notes(*({row: note} for row, note in found))


def _blank_rows(preprocessor: Preprocessor, frame: Frame) -> Iterator[tuple[str, str, Ints]]:
    """Yield columns whose missing cells are read as a category that tools take for missing."""
    for column in (each for group in preprocessor.spec.groups for each in group.categorical):
        if column.blank is not None:
            yield column.source, column.blank, np.flatnonzero(is_missing(frame[column.source]))


def missing_rows(preprocessor: Preprocessor, frame: Frame, arrays: Arrays) -> dict[str, Ints]:
    """Return the rows that lack a column which nearly every training row has, by column."""
    known = {c.name for c in preprocessor.schema.columns if c.missing <= SELDOM}
    found: dict[str, Ints] = {}
    for group in preprocessor.spec.groups:
        for name in group.columns:
            if name not in known or name in found:
                continue
            rows = _missing(group, name, frame, arrays)
            rows = np.setdiff1d(rows, arrays.unreadable.get(name, []))
            if len(rows):
                found[name] = rows
    return found


def _missing(group: FittedGroup, name: str, frame: Frame, arrays: Arrays) -> Ints:
    """Return the rows in which a column of a group is missing, as the model reads it."""
    numeric = [column.source for column in group.numeric]
    categorical = [column.source for column in group.categorical]
    if name in numeric:
        values = arrays.inputs[f"{group.name}_numeric"][:, numeric.index(name)]
        return np.flatnonzero(np.isnan(values))
    if name in categorical:
        codes = arrays.inputs[f"{group.name}_categorical"][:, categorical.index(name)]
        return np.flatnonzero(codes == MISSING)
    return np.flatnonzero(is_missing(frame[name]))


def _shown(frame: Frame, name: str, rows: Iterable[Any]) -> Iterator[tuple[int, str]]:
    """Yield each row with its cell in one line, control characters written out."""
    cells = frame[name]
    for row in map(int, rows):
        cell = cells.iloc[row] if isinstance(cells, pd.Series) else cells[row]
        yield row, shortened(repr(cell if isinstance(cell, str) else str(cell)), _SHOWN)


def prediction_notes(outputs: Mapping[str, Floats]) -> Notes:
    """Say of each row which heads gave it no number, and empty what they gave it.

    Args:
        outputs: Decoded outputs (rows, width) by head.

    Example:
    >>> prediction_notes({"price": np.array([[1.0], [np.inf]])})
    {1: 'price: the model gives no finite number'}
    """
    found = []
    for name, values in outputs.items():
        rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
        values[rows] = np.nan
        found.append(dict.fromkeys(rows.tolist(), f"{name}: the model gives no finite number"))
    return joined_notes(*found)


def failing_rows(make: Callable[[pd.DataFrame], Any], frame: pd.DataFrame) -> Notes:
    """Return the rows that `make` raises for, and why; it is asked of ever smaller halves.

    Example:
    >>> failing_rows(lambda rows: rows["a"].map(int), pd.DataFrame({"a": ["1", "x", "3"]}))
    {1: "invalid literal for int() with base 10: 'x'"}
    """
    found: Notes = {}
    todo = [(0, len(frame))] if len(frame) else []
    while todo:
        start, stop = todo.pop()
        try:
            make(frame.iloc[start:stop])
        except Exception as error:  # of a cell nobody has thought of
            if stop - start == 1:
                found[start] = first_line(error)
            else:
                middle = (start + stop) // 2
                todo += [(middle, stop), (start, middle)]
    return found
