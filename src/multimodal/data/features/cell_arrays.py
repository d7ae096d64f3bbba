"""Cells to arrays: the numbers, category codes, texts and photo names of a feature group.

Rows are a DataFrame, or a dict of lists, which is quicker to make of a single row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.spec import MISSING, OUT_OF_VOCABULARY, CategoricalColumn, NumericColumn
from multimodal.data.columns.cells import Column, as_text
from multimodal.data.columns.dates import Dates, date_parts, parse_dates
from multimodal.data.columns.markup import html_to_text
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.reading import PLAIN, Reading
from multimodal.data.columns.sets import flags
from multimodal.data.photos.names import Photo, cell_photos

CLIP = 3.0
Frame = pd.DataFrame | Mapping[str, Sequence[Any]]
Readings = Mapping[str, Reading]
NO_READINGS: Readings = MappingProxyType({})


def row_count(frame: Frame) -> int:
    """Return the number of rows."""
    return len(frame) if isinstance(frame, pd.DataFrame) else len(next(iter(frame.values()), ()))


def parts(frame: Frame, size: int) -> Iterator[Frame]:
    """Yield so many rows after the other; one part without rows of no rows."""
    if isinstance(frame, pd.DataFrame):
        yield from (frame.iloc[i : i + size] for i in range(0, max(len(frame), 1), size))
    else:
        starts = range(0, max(row_count(frame), 1), size)
        yield from ({name: cells[i : i + size] for name, cells in frame.items()} for i in starts)


class Read(NamedTuple):
    """Numbers float64 (rows, N), NaN where missing or unreadable; rows of the latter by column."""

    values: Floats
    unreadable: dict[str, Ints]


def numbers(columns: Sequence[NumericColumn], readings: Readings, frame: Frame) -> Read:
    """Return the numbers as they stand in the rows.

    Args:
        columns: N numbers, or parts of dates.
        readings: How each source column is read.
        frame: The rows.
    """
    dates: dict[str, Dates] = {}
    sets = _flags(columns, readings, frame)
    bad: dict[str, Bools] = {}
    found = np.empty((row_count(frame), len(columns)))
    for i, column in enumerate(columns):
        cells = frame[column.source]
        if column.part is None:
            parsed = parse_numbers(cells, readings.get(column.source, PLAIN))
            found[:, i], bad[column.source] = parsed.values, parsed.bad
            continue
        if column.member is not None:
            found[:, i] = sets[column.source, column.member]
            continue
        if column.source not in dates:
            dates[column.source] = parse_dates(cells, readings.get(column.source, PLAIN))
            bad[column.source] = dates[column.source].bad
        found[:, i] = date_parts(dates[column.source].values, column.part)
    return Read(found, {name: np.flatnonzero(cells) for name, cells in bad.items() if cells.any()})


def _flags(
    columns: Sequence[NumericColumn], readings: Readings, frame: Frame
) -> dict[tuple[str, str], Floats]:
    """Return which rows hold each member, by its column; the sets of a column are read once."""
    wanted: dict[str, list[str]] = {}
    for column in columns:
        if column.member is not None:
            wanted.setdefault(column.source, []).append(column.member)
    found: dict[tuple[str, str], Floats] = {}
    for source, names in wanted.items():
        read = flags(frame[source], readings.get(source, PLAIN).separator or "|", names)
        found |= {(source, name): read[:, i] for i, name in enumerate(names)}
    return found


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
        # Clipped first: an infinite quotient would come out of the next line as NaN, which is
        # missing.
        moved = ((found - centres) / scales).clip(-1e9, 1e9)
    clipped = moved / np.sqrt(1 + (moved / CLIP) ** 2)
    return np.asarray(clipped, np.float32)


def names(column: CategoricalColumn, cells: Column) -> NDArray[np.object_]:
    """Return object (rows,): the category of each cell, None where missing."""
    found = as_text(cells)
    if column.folded or column.blank is not None:
        found[:] = [column.known(name) for name in found]
    return found


def codes(column: CategoricalColumn, cells: Column) -> NDArray[np.int32]:
    """Return int32 (rows,): the code of each cell's category, 0 if missing, 1 if unknown."""
    found, known = names(column, cells), column.codes
    return np.fromiter(
        (MISSING if name is None else known.get(name, OUT_OF_VOCABULARY) for name in found),
        np.int32,
        count=len(found),
    )


def texts(names: Sequence[str], frame: Frame, readings: Readings = NO_READINGS) -> list[str]:
    """Return one text per row: those of the columns one below the other, missing ones left out.

    Args:
        names: The columns.
        frame: The rows.
        readings: How each column is read; HTML becomes its text.

    Example:
    >>> texts(["title", "size"], {"title": ["Red shoe", None], "size": [42, 43]})
    ['Red shoe\\n42', '43']
    """
    columns = [_column_texts(frame[name], readings.get(name, PLAIN)) for name in names]
    return ["\n".join(filter(None, row)) for row in zip(*columns, strict=True)]


def _column_texts(cells: Column, reading: Reading) -> NDArray[np.object_]:
    found = as_text(cells)
    if reading.html:
        found[:] = [text and html_to_text(text) for text in found]
    return found


def photo_names(names: Sequence[str], frame: Frame) -> list[list[Photo | None]]:
    """Return the photos of each row: a slot a column, or all photos in the cell of a single one.

    Example:
    >>> photo_names(["photos"], {"photos": ["a.jpg|b.jpg", None]})
    [['a.jpg', 'b.jpg'], []]
    >>> photo_names(["front", "back"], {"front": ["a.jpg"], "back": [None]})
    [['a.jpg', None]]
    """
    columns = [[cell_photos(cell) for cell in frame[name]] for name in names]
    if len(columns) == 1:
        return [list(paths) for paths in columns[0]]
    return [[paths[0] if paths else None for paths in row] for row in zip(*columns, strict=True)]
