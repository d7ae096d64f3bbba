"""Single rows on a page: small photos, shortened texts, and how far off a prediction is."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.errors import DataError
from multimodal.core.formatting import short_number
from multimodal.data.photos.names import Photo, file_name
from multimodal.data.photos.read import shrunk

THUMBNAIL = 160
SHORT_TEXT = 160
SHORT_VALUE = 80


@dataclass(frozen=True)
class Thumbnail:
    """A photo's file name and a data URI of a small JPEG, empty where it cannot be read."""

    name: str
    uri: str


@dataclass(frozen=True)
class Text:
    """A column's text: `short` is its beginning, `rest` what follows, empty for a short text."""

    name: str
    short: str
    rest: str


@dataclass(frozen=True)
class Cells:
    """One raw row, split into its texts and its other values (name, value as shown)."""

    texts: list[Text]
    values: list[tuple[str, str]]


def thumbnail(photo: Photo | Path) -> Thumbnail:
    """Shrink a photo to at most 160 x 160 pixels, upright, on white.

    A file that is absent, no picture, damaged, or large enough to be an attack gives an empty URI.

    Example:
    >>> thumbnail("absent.jpg")
    Thumbnail(name='absent.jpg', uri='')
    """
    buffer = io.BytesIO()
    try:
        shrunk(photo, THUMBNAIL).save(buffer, "JPEG", quality=82)
    except DataError:
        return Thumbnail(file_name(photo), "")
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(file_name(photo), f"data:image/jpeg;base64,{content}")


def cells(
    row: pd.Series[Any] | None, schema: Sequence[Mapping[str, Any]], *, photos_shown: bool
) -> Cells:
    """Split a raw row into texts and other values; targets, identifiers and shown photos go.

    A column is a text if `schema` says so, or if its value is long.

    Example:
    >>> cells(pd.Series({"brand": "Acme"}), [], photos_shown=False).values
    [('brand', 'Acme')]
    """
    result = Cells([], [])
    if row is None:
        return result
    kinds = {str(column.get("name")): str(column.get("kind")) for column in schema}
    for name, value in row.items():
        kind, shown = kinds.get(str(name), ""), cell_text(value)
        if kind in ("target", "identifier") or (kind == "image" and photos_shown):
            continue
        if kind == "text" or len(shown) > SHORT_VALUE:
            result.texts.append(_shorten(str(name), shown))
        else:
            result.values.append((str(name), shown))
    return result


def _shorten(name: str, text: str) -> Text:
    if len(text) <= SHORT_TEXT:
        return Text(name, text, "")
    cut = text.rfind(" ", SHORT_TEXT // 2, SHORT_TEXT)
    cut = SHORT_TEXT if cut < 0 else cut
    return Text(name, text[:cut], text[cut:])


def cell_text(value: Any) -> str:
    """Write a cell: nothing for a missing one, a list joined by commas.

    Example:
    >>> cell_text(["a.jpg", "b.jpg"]), cell_text(None), cell_text(449.0)
    ('a.jpg, b.jpg', '', '449')
    """
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(str(part) for part in value)
    if pd.isna(value):
        return ""
    return short_number(value) if isinstance(value, float) else str(value)


def describe_error(y_true: float, prediction: float) -> str:
    """Say how far a prediction is off: as a multiple or percentage of a positive truth.

    Example:
    >>> [describe_error(*pair) for pair in ((100, 310), (100, 20), (100, 112), (-1, 2))]
    ['3.1 times too high', '5 times too low', '12% too high', '3 too high']
    """
    way = "too high" if prediction > y_true else "too low"
    if prediction == y_true:
        return "exact"
    if y_true <= 0 or prediction <= 0:
        return f"{short_number(abs(prediction - y_true))} {way}"
    times = max(prediction / y_true, y_true / prediction)
    if times >= 1.5:
        return f"{short_number(times, 2)} times {way}"
    return f"{abs(prediction / y_true - 1):.0%} {way}"
