"""Cells to arrays: the numbers, category codes, texts and photo names of a feature group.

Rows are a DataFrame, or a dict of lists, which is quicker to make of a single row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.spec import MISSING, OUT_OF_VOCABULARY, NumericColumn
from multimodal.data.columns.cells import Column, as_text, photo_paths
from multimodal.data.columns.dates import Dates, date_parts, parse_dates
from multimodal.data.columns.numbers import parse_numbers

CLIP = 3.0
Frame = pd.DataFrame | Mapping[str, Sequence[Any]]
Units = Mapping[str, str | None]


def row_count(frame: Frame) -> int:
    """Return the number of rows."""
    return len(frame) if isinstance(frame, pd.DataFrame) else len(next(iter(frame.values()), ()))


class Read(NamedTuple):
    """Numbers float64 (rows, N), NaN where missing or unreadable; unreadable cells by column."""

    values: Floats
    unreadable: dict[str, int]


def numbers(columns: Sequence[NumericColumn], units: Units, frame: Frame) -> Read:
    """Return the numbers as they stand in the rows.

    Args:
        columns: N numbers, or parts of dates.
        units: Phrase around the number by source column, where there is one.
        frame: The rows.
    """
    dates: dict[str, Dates] = {}
    bad: dict[str, int] = {}
    found = np.empty((row_count(frame), len(columns)))
    for i, column in enumerate(columns):
        cells = frame[column.source]
        if column.part is None:
            parsed = parse_numbers(cells, units.get(column.source))
            found[:, i], bad[column.source] = parsed.values, int(parsed.bad.sum())
            continue
        if column.source not in dates:
            dates[column.source] = parse_dates(cells)
            bad[column.source] = int(dates[column.source].bad.sum())
        found[:, i] = date_parts(dates[column.source].values, column.part)
    return Read(found, {source: count for source, count in bad.items() if count})


def scaled(found: Floats, columns: Sequence[NumericColumn]) -> NDArray[np.float32]:
    """Return numbers (rows, N) centred, scaled and softly clipped, NaN where missing.

    The clip follows RealMLP (Holzmüller et al., 2024): `x / sqrt(1 + (x / 3)^2)` lies in (-3, 3),
    so that an outlier stays an outlier but does no harm.

    Example:
    >>> scaled(np.array([[5.0], [1e300]]), [NumericColumn(name="n", source="n", centre=5.0)])
    array([[0.],
           [3.]], dtype=float32)
    """
    centres = np.array([column.centre for column in columns])
    scales = np.array([column.scale for column in columns])
    with np.errstate(over="ignore"):
        moved = ((found - centres) / scales).clip(-1e9, 1e9)
    clipped = moved / np.sqrt(1 + (moved / CLIP) ** 2)
    return np.asarray(clipped, np.float32)


def codes(ids: Mapping[str, int], cells: Column) -> NDArray[np.int32]:
    """Return int32 (rows,): the id of each cell's name, 0 if missing, 1 if it has none."""
    names = as_text(cells)
    return np.fromiter(
        (MISSING if name is None else ids.get(name, OUT_OF_VOCABULARY) for name in names),
        np.int32,
        count=len(names),
    )


def texts(names: Sequence[str], frame: Frame) -> list[str]:
    """Return one text per row: those of the columns one below the other, missing ones left out.

    Example:
    >>> texts(["title", "size"], {"title": ["Red shoe", None], "size": [42, 43]})
    ['Red shoe\\n42', '43']
    """
    columns = [as_text(frame[name]) for name in names]
    return ["\n".join(filter(None, row)) for row in zip(*columns, strict=True)]


def photo_names(names: Sequence[str], frame: Frame) -> list[list[str | None]]:
    """Return the photos of each row: a slot a column, or all photos in the cell of a single one.

    Example:
    >>> photo_names(["photos"], {"photos": ["a.jpg|b.jpg", None]})
    [['a.jpg', 'b.jpg'], []]
    >>> photo_names(["front", "back"], {"front": ["a.jpg"], "back": [None]})
    [['a.jpg', None]]
    """
    columns = [[photo_paths(cell) for cell in frame[name]] for name in names]
    if len(columns) == 1:
        return [list(paths) for paths in columns[0]]
    return [[paths[0] if paths else None for paths in row] for row in zip(*columns, strict=True)]
