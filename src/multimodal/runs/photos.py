"""Photos of rows to predict: those that can be read, and what is to be said of the others."""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.errors import first_line
from multimodal.core.spec import FittedSpec
from multimodal.data.photos.download import fetch_photos
from multimodal.data.photos.locate import PhotoRoot, locate
from multimodal.data.photos.names import Photo, cell_photos, shown
from multimodal.data.photos.read import why_absent
from multimodal.data.read.table import Table
from multimodal.runs.notes import Notes, joined_notes


class PhotoRows(NamedTuple):
    """Rows without the photos that cannot be opened, and what is to be said of those.

    `lost` says why rows name a photo that may not be opened at all; they have no photo, either.
    """

    frame: pd.DataFrame
    notes: Notes
    lost: Notes
    counts: dict[str, int]


def without_missing_photos(spec: FittedSpec, table: Table, root: PhotoRoot) -> PhotoRows:
    """Return the rows without photos that are not there, notes on those, and counts."""
    slots = {
        column: group.photos if len(group.columns) == 1 else 1
        for group in spec.groups
        if group.modality == "image"
        for column in group.columns
        if column in table.frame
    }
    fetch_photos(chain.from_iterable(table.frame[column] for column in slots), root)
    # Columns are replaced, no cell is written to: the caller's table stays as it is.
    frame = table.frame.copy(deep=False)
    notes: list[Notes] = []
    lost: list[Notes] = []
    absent, beyond, named = 0, 0, np.zeros(len(frame), np.int64)
    for column, most in slots.items():
        found = [_photos(cell, root) for cell in frame[column]]
        notes.append({row: f"photo: {each.gone[0]}" for row, each in enumerate(found) if each.gone})
        lost.append({row: f"photo: {each.fault}" for row, each in enumerate(found) if each.fault})
        over = {row: len(each.there) - most for row, each in enumerate(found)}
        over = {row: more for row, more in over.items() if more > 0}
        notes.append({row: _beyond(column, most, more) for row, more in over.items()})
        absent += sum(len(each.gone) for each in found)
        beyond += sum(over.values())
        named += np.array([len(each.there) for each in found], np.int64)
        frame[column] = pd.Series([each.there for each in found], dtype=object, index=frame.index)
    counts = {
        "photos not found": absent,
        "photos beyond those that the model reads": beyond,
        "rows without a photo": int((named == 0).sum()) if slots else 0,
    }
    return PhotoRows(frame, joined_notes(*notes), joined_notes(*lost), counts)


def _beyond(column: str, most: int, more: int) -> str:
    return f"'{column}': the model reads {most} of its {most + more} photos"


class _Photos(NamedTuple):
    """The photos of a cell that are there, what is said of the others, and why none is opened."""

    there: list[Photo]
    gone: list[str]
    fault: str = ""


def _photos(cell: Any, root: PhotoRoot) -> _Photos:
    there, gone = [], []
    try:
        for name in cell_photos(cell):
            photo = locate(name, root)
            why = why_absent(photo)
            if why:
                gone.append(f"{shown(photo):.200}: {why}")
            else:
                there.append(name)
    except (ValueError, OSError) as error:  # leads out of the folder, or is no path at all
        return _Photos([], [], first_line(error))
    return _Photos(there, gone)
