"""Time series as arrays: one column per step, or cells that hold a list of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.spec import NumericColumn, slug
from multimodal.data.columns.cells import Column, is_missing
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.features import cell_arrays
from multimodal.data.features.cell_arrays import Frame, Readings

MAX_STEPS = 1024
_SAMPLE = 1000  # cells of a column that are looked at for a list


def holds_lists(names: Sequence[str], frame: Frame) -> bool:
    """Whether cells hold whole series, so that each column is a channel and not a step.

    So it is for a single column, and where one of the first cells of any column holds a list.

    Example:
    >>> holds_lists(["x", "y"], {"x": ["1 2 3"], "y": [None]})
    True
    >>> holds_lists(["jan", "feb"], {"jan": [1.5], "feb": [None]})
    False
    """
    cells = (cell for name in names for cell in list(frame[name][:_SAMPLE]))
    return len(names) == 1 or any(_is_list(cell) for cell in cells)


def drafts(names: Sequence[str], lists: bool) -> list[NumericColumn]:
    """Return a channel per column of lists; else the one that all columns are steps of."""
    channels = names if lists else names[:1]
    return [NumericColumn(name=slug(name), source=name) for name in channels]


def longest(names: Sequence[str], frame: Frame) -> int:
    """Return the length of the longest list in the rows, 1 to `MAX_STEPS`."""
    lengths = (len(_items(cell)) for name in names for cell in frame[name])
    return min(max([1, *lengths]), MAX_STEPS)


def read_series(
    names: Sequence[str], channels: int, steps: int, readings: Readings, frame: Frame
) -> cell_arrays.Read:
    """Return the windows float64 (rows, steps, channels), NaN where missing, and unreadable cells.

    Args:
        names: The columns: one per channel, or the steps of a single channel in order.
        channels: How many channels there are.
        steps: Length of the window. A longer list loses its first numbers; a shorter one has
            missing numbers before it.
        readings: How each column of steps is read.
        frame: The rows.

    Example:
    >>> read_series(["x"], 1, 3, {}, {"x": ["1 2", [3, 4, 5, 6]]})[0][:, :, 0].tolist()
    [[nan, 1.0, 2.0], [4.0, 5.0, 6.0]]
    """
    if channels < len(names):
        columns = [NumericColumn(name=name, source=name) for name in names]
        found, bad = cell_arrays.numbers(columns, readings, frame)
        return cell_arrays.Read(found[:, :, None], bad)
    read = {name: _windows(frame[name], steps) for name in names}
    bad = {name: rows for name, (_, rows) in read.items() if len(rows)}
    return cell_arrays.Read(np.stack([values for values, _ in read.values()], axis=2), bad)


def scaled(found: Floats, channels: Sequence[NumericColumn]) -> NDArray[np.float32]:
    """Return windows (rows, steps, channels) with each channel scaled as numbers are."""
    return cell_arrays.scaled(found.reshape(-1, len(channels)), channels).reshape(found.shape)


def _windows(cells: Column, steps: int) -> tuple[Floats, Ints]:
    """Return (rows, steps) and the rows whose cells hold something else than numbers."""
    result = np.full((len(cells), steps), np.nan)
    rows = [_items(cell)[-steps:] for cell in cells]
    lengths = np.array([len(row) for row in rows], np.int64)
    flat = parse_numbers([item for row in rows for item in row])
    kept = np.arange(steps) >= (steps - lengths)[:, None]
    result[kept] = flat.values
    return result, np.unique(np.repeat(np.arange(len(rows)), lengths)[flat.bad])


def _is_list(cell: Any) -> bool:
    return isinstance(cell, list | tuple | np.ndarray) or len(_items(cell)) > 1


def _items(cell: Any) -> list[Any]:
    """Return the numbers of a cell, still unread: of a list, of JSON, of "1 2 3", or a single one.

    Example:
    >>> _items("[1, null, 2.5]"), _items("1 2 3"), _items(None)
    ([1, None, 2.5], ['1', '2', '3'], [])
    """
    if isinstance(cell, str):
        return _listed(cell) if cell.lstrip().startswith("[") else list(cell.split())
    if isinstance(cell, Iterable):
        return list(cell)
    return [] if bool(is_missing([cell])[0]) else [cell]


def _listed(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    return value if isinstance(value, list) else [text]
