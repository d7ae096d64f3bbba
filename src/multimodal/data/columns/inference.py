"""Inference of column kinds from their cells: the rules behind `infer_schema`.

The thresholds are those that `infer_schema` documents. They leave room for a few faulty cells in a
column of numbers or dates, and decide between category and text by repetition and length.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from enum import Enum
from functools import cached_property
from numbers import Number
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.core.config import Data, Kind
from multimodal.core.errors import DataError
from multimodal.core.formatting import joined
from multimodal.core.spec import DATE_PARTS, HAS
from multimodal.data.columns.cells import as_text, is_missing, is_record
from multimodal.data.columns.date_format import (
    DateFormat,
    are_figures,
    are_serials,
    date_format,
)
from multimodal.data.columns.dates import Dates, date_parts, parse_dates
from multimodal.data.columns.markup import is_html
from multimodal.data.columns.number_format import MOST, NumberFormat, number_format
from multimodal.data.columns.numbers import Numbers, parse_numbers
from multimodal.data.columns.reading import PLAIN, Reading
from multimodal.data.columns.sets import set_format
from multimodal.data.photos.locate import PhotoRoot, locate
from multimodal.data.photos.names import OTHER_SUFFIXES, Photo, cell_photos, is_address, is_photo

LONG = 40  # characters on average from which a cell is a sentence
_PHOTOS = 0.8  # least fraction of cells that must name photos
_UNIQUE = 0.99  # fraction of different values from which they are names of rows
_FEW, _FEW_FRACTION, _MANY = 50, 0.05, 1000
_WORDS = 4
_INDEX = re.compile(r"Unnamed: \d+")  # what pandas calls a column that has no name in a file
_ENOUGH = 20  # rows from which distinct values are no accident
_LISTS = (list, tuple, np.ndarray)
_VALUES = (
    *(str, bool, int, float, np.generic, Number, date, time, pd.Period, pd.Interval, UUID, Enum),
    *(os.PathLike, *_LISTS),
)
_SAMPLE, _HALF = 2000, 0.5
_CODE_DIGITS = 9
_GROUPS = re.compile(r"\d[ .]\d{3}[ .]\d{3}")
_CODE_WORDS = frozenset(
    "id ids uuid guid sku ean isbn asin gtin upc zip plz postal pin code url uri hash".split()
)
# Thai, Japanese and Chinese, which put no blanks between words.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")


class InferredKind(NamedTuple):
    """A kind with its reason, how its values are read, and what is in doubt about that."""

    kind: Kind
    note: str = ""
    reading: Reading = PLAIN
    parts: tuple[str, ...] = ()
    doubt: str = ""


@dataclass(frozen=True)
class Cells:
    """One column and what the rules ask of it, computed once and when it is asked for.

    Args:
        name: the column's name, of which a word such as `id` tells codes from amounts.
        series: its cells.
        root: folder that photo paths start from.
        data: what is told of all columns: the decimal mark, words for missing.
    """

    name: str
    series: pd.Series[Any]
    root: PhotoRoot
    data: Data = Data()

    @cached_property
    def missing(self) -> Bools:
        """bool (N,): the cell says nothing."""
        return is_missing(self.series)

    @cached_property
    def present(self) -> pd.Series[Any]:
        """The cells that say something."""
        return self.series[~self.missing]

    @cached_property
    def texts(self) -> NDArray[np.object_]:
        """object (M,): the spelling of each present cell."""
        return as_text(self.present)

    @cached_property
    def distinct(self) -> int:
        """Number of different present values."""
        return len(set(self.texts.tolist()))

    @cached_property
    def sample(self) -> pd.Series[Any]:
        """At most 2,000 present cells, evenly spread."""
        step = max(1, len(self.present) // _SAMPLE)
        return self.present.iloc[::step]

    @cached_property
    def words(self) -> float:
        """Mean number of words a cell; two letters of a script without blanks count as one."""
        texts = as_text(self.sample)
        return float(np.mean([len(t.split()) + len(_UNSPACED.findall(t)) / 2 for t in texts]))

    @cached_property
    def length(self) -> float:
        """Mean number of characters a cell."""
        return float(np.mean([len(text) for text in as_text(self.sample)]))

    @cached_property
    def named_like_code(self) -> bool:
        """Whether a word of the column's name says that it holds codes or addresses."""
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", self.name)
        return any(
            word in _CODE_WORDS or word.endswith("code") or word.startswith("zip")
            for word in map(str.lower, words)
        )

    @cached_property
    def numbers(self) -> NumberFormat:
        """How its cells are read as numbers."""
        return self._number_format(guess=True)

    @cached_property
    def labels(self) -> NumberFormat:
        """How its cells are read as numbers to learn, where an unknown word is a fault."""
        return self._number_format(guess=False)

    def _number_format(self, *, guess: bool) -> NumberFormat:
        told, decimal = Reading(missing_words=self.data.missing), self.data.decimal
        if not len(self.present) or self.length > LONG:  # the numbers in sentences are not theirs
            return number_format(Counter(), told)
        found = number_format(_texts(self.sample), told, decimal, guess=guess)
        # What a sample leaves open, other cells may tell.
        if len(self.sample) < len(self.present) and (found.doubt or found.read >= _HALF):
            found = number_format(_texts(self.present), told, decimal, guess=guess)
        return found

    @cached_property
    def date_format(self) -> DateFormat:
        """How its cells are read as dates."""
        told = Reading(missing_words=self.data.missing, day_first=self.data.day_first)
        if are_serials(self.name, self.present):
            return DateFormat(told.model_copy(update={"wide": True, "serial": True}))
        return date_format(self.present, told)

    @cached_property
    def dates(self) -> DateFormat | None:
        """How its cells are read as dates, or None if they are none, as plain years are not."""
        orders = [Reading(wide=True, day_first=first) for first in (True, False)]
        read = [~pd.isna(parse_dates(self.sample, order).values) for order in orders]
        figures = fraction_read(parse_numbers(self.sample)) >= MOST
        if figures and not self.named_like_code:
            counted = are_serials(self.name, self.present) or are_figures(self.present)
            return self.date_format if counted else None
        return self.date_format if not figures and (read[0] | read[1]).mean() >= MOST else None


def _texts(cells: pd.Series[Any]) -> Counter[str]:
    return Counter(cell for cell in cells if type(cell) is str)


def infer_kind(cells: Cells) -> InferredKind:
    """Return the kind of a column that nobody declared; the first rule that holds decides."""
    if not len(cells.present):
        return InferredKind("ignored", "all missing")
    if np.mean([is_record(cell) for cell in cells.sample]) > 0.5:
        return InferredKind("ignored", "records are not read")
    if cells.distinct == 1:
        if cells.missing.any():
            return InferredKind("category", "one value, or missing")
        return InferredKind("ignored", "constant")
    # The order is part of the rules: 2016-03-10 would be a category, a file name an identifier.
    rules = (_photos, _objects, _date, _number, _set, _identifier, _category)
    found = next(filter(None, (rule(cells) for rule in rules)), None) or _text(cells)
    # Dates that may be read two ways are not read, and are told to be dates.
    unread = cells.dates.doubt if found.kind not in ("date", "image") and cells.dates else ""
    return found._replace(doubt=found.doubt or unread)


def declared_kind(cells: Cells, kind: Kind) -> InferredKind:
    """Return the kind that the user declared; the note says what is lost."""
    if not len(cells.present):
        return InferredKind(kind, "as told; all missing")
    if kind == "date":
        dates = parse_dates(cells.series, cells.date_format.reading)
        return _as_dates(cells, dates, cells.date_format, "as told")
    if kind in ("number", "target", "weight"):
        found = cells.numbers if kind == "number" else cells.labels
        numbers = parse_numbers(cells.series, found.reading)
        lost = "" if kind == "target" else _bad_note(numbers, "numbers")
        notes = _joined("as told", *_number_notes(found), lost)
        return InferredKind(kind, notes, found.reading, doubt=found.doubt)
    if kind == "text":
        return _text(cells, "as told")
    return InferredKind(kind, "as told")


def fraction_read(parsed: Numbers | Dates) -> float:
    """Return the fraction of cells that were read, of those that are not missing."""
    read = int((~pd.isna(parsed.values)).sum())
    return read / max(1, read + int(parsed.bad.sum()))


def _photos(cells: Cells) -> InferredKind | None:
    """Most cells name or hold photos; addresses are photos only where they may be opened."""
    photos = [cell_photos(cell) for cell in cells.sample]

    def most(holds: Callable[[Photo], bool]) -> bool:
        return bool(np.mean([bool(p) and all(map(holds, p)) for p in photos]) >= _PHOTOS)

    if most(is_address) and getattr(cells.root, "downloads", None) is None:
        return InferredKind("ignored", "addresses are not opened; --download DIR fetches photos")
    if most(is_photo):
        longest = max(map(len, photos))
        note = "one photo a row" if longest == 1 else f"up to {longest} photos a row"
        first = [photo for each in photos[:50] for photo in each]
        return InferredKind("image", note + _absent_note(cells.root, first))
    if most(lambda photo: is_photo(photo, OTHER_SUFFIXES)):
        return InferredKind("ignored", "photos in a format that is not read; save them as JPEG")
    if most(lambda photo: isinstance(photo, bytes)):
        return InferredKind("ignored", "bytes that are no photos")
    return None


def _absent_note(root: PhotoRoot, photos: Sequence[Photo]) -> str:
    """Say so if none of the paths is under `root`, and which folder below has the first one."""
    paths = [p for p in photos if isinstance(p, str) and not is_address(p)]
    if not paths or any(_is_there(path, root) for path in paths):
        return ""
    folder = Path(root)
    inside = folder.iterdir() if folder.is_dir() else ()
    folders = sorted(entry for entry in inside if entry.is_dir())
    found = [each.name for each in folders if _is_there(paths[0], each)][:1]
    hint = f"; they are in '{found[0]}', name that folder" if found else ""
    return f"; none of the first {len(paths)} is in the photo folder{hint}"


def _is_there(path: str, root: PhotoRoot) -> bool:
    try:
        # os.path.exists is False for a name that is too long; Path.exists raises
        return os.path.exists(locate(path, root))
    except DataError:
        return False


def _objects(cells: Cells) -> InferredKind | None:
    """Cells that are no values, of which a text would be an address in memory."""
    strange = [cell for cell in cells.sample if not isinstance(cell, _VALUES)]
    if not strange:
        return None
    names = sorted({type(cell).__name__ for cell in strange})
    return InferredKind("ignored", f"holds {joined(names, 3)} objects, which are not read")


def _date(cells: Cells) -> InferredKind | None:
    found = cells.dates
    if found is None:
        return None
    dates = parse_dates(cells.present, found.reading)
    return _as_dates(cells, dates, found) if fraction_read(dates) >= MOST else None


def _as_dates(cells: Cells, dates: Dates, found: DateFormat, told: str = "") -> InferredKind:
    """Return the kind date with the parts that vary, which alone can be learned from."""
    known = dates.values[~np.isnat(dates.values)]
    varying = [part for part in DATE_PARTS if len(np.unique(date_parts(known, part))) > 1]
    # The first of each month falls on all weekdays, which says nothing.
    parts = tuple(part for part in varying if part != "weekday" or "day" in varying)
    note = f"its parts become columns: {', '.join(parts) or 'none, they do not vary'}"
    notes = _joined(told, *_date_notes(found), note, told and _bad_note(dates, "dates"))
    return InferredKind("date", notes, found.reading, parts, found.doubt)


def _date_notes(found: DateFormat) -> list[str]:
    first = {True: "day first", False: "month first", None: ""}[found.reading.day_first]
    return [first, "days counted as spreadsheets do" if found.reading.serial else ""]


def _number(cells: Cells) -> InferredKind | None:
    """A number, unless it only looks like one: a code, a flag, a row count."""
    if cells.series.dtype == bool:
        return InferredKind("category", "yes or no")
    found = cells.numbers
    numbers = parse_numbers(cells.present, found.reading)
    if fraction_read(numbers) < MOST or _grouped_codes(cells, numbers.values):
        return None
    code = _code(cells, numbers.values[~np.isnan(numbers.values)])
    if code:
        return code
    notes = _joined(*_number_notes(found), _bad_note(numbers, "numbers"))
    return InferredKind("number", notes, found.reading, doubt=found.doubt)


def _grouped_codes(cells: Cells, values: Floats) -> bool:
    """Whether digits in groups are codes, such as telephones: all of one length, and long."""
    lengths = {len(f"{value:.0f}") for value in values[~np.isnan(values)]}
    return (
        len(lengths) == 1
        and lengths.pop() >= _CODE_DIGITS
        and all(_GROUPS.search(text) for text in cells.texts[:_SAMPLE])
    )


def _code(cells: Cells, values: Floats) -> InferredKind | None:
    """Return category or identifier if whole numbers are names rather than amounts."""
    if not len(values) or not np.all(values == np.floor(values)):
        return None
    if _zero_padded(cells.texts):
        return _few_or_unique(cells, "codes with leading zeros")
    if cells.distinct <= 2:
        return InferredKind("category", "two values")
    if _INDEX.fullmatch(cells.name) and cells.distinct == len(cells.present):
        return InferredKind("identifier", "the index that pandas wrote; excluded")
    if (len(values) >= _ENOUGH or cells.named_like_code) and _counts_rows(values):
        return InferredKind("identifier", "counts the rows; excluded")
    return _few_or_unique(cells, "codes, by the name") if cells.named_like_code else None


def _few_or_unique(cells: Cells, what: str) -> InferredKind:
    if cells.distinct >= _UNIQUE * len(cells.present):
        return InferredKind("identifier", f"{what}, one per row; excluded")
    return InferredKind("category", _joined(what, _many_note(cells)))


def _zero_padded(texts: NDArray[np.object_]) -> bool:
    """Whether leading zeros are no accident: in 1 % of the cells, or in codes of one length."""
    padded = np.mean([len(t) > 1 and t[0] == "0" and t.isdigit() for t in texts])
    return bool(padded > 0.01 or (padded > 0 and len({len(t) for t in texts}) == 1))


def _counts_rows(values: Floats) -> bool:
    """Whether whole numbers run 1, 2, 3 … in some order, or rise with a few left out."""
    span = values.max() - values.min() + 1
    if len(np.unique(values)) < len(values):
        return False
    rising = bool(np.all(np.diff(values) > 0))
    return bool(span == len(values) or (rising and span <= 1.1 * len(values)))


def _set(cells: Cells) -> InferredKind | None:
    """Several values of a small vocabulary in a cell, unless they are a text."""
    lists = np.mean([isinstance(cell, _LISTS) for cell in cells.sample]) > _HALF
    if not lists and not (_identifier(cells) or _category(cells)):
        return None
    found = set_format(cells.present)
    if found is None:
        return _list(cells) if lists else None
    parts = tuple(HAS + member for member in found.members)
    note = f"sets, of which the members become flags: {joined(found.members, 5)}"
    return InferredKind("category", note, Reading(separator=found.separator), parts)


def _list(cells: Cells) -> InferredKind:
    """Lists that are no sets: sentences are one text, numbers are not read."""
    items = [item for cell in cells.sample if isinstance(cell, _LISTS) for item in cell]
    if items and all(isinstance(item, str) for item in items):
        return _text(cells)
    return InferredKind("ignored", "lists are not read")


def _identifier(cells: Cells) -> InferredKind | None:
    """Names of rows: nearly every cell another one, in one token."""
    texts = cells.texts
    unique = cells.distinct >= _UNIQUE * len(texts)
    if not unique or np.mean([len(text.split()) == 1 for text in texts]) < _UNIQUE:
        return None
    if cells.words > 1.5 or (len(texts) < _ENOUGH and not cells.named_like_code):
        return None
    return InferredKind("identifier", "another value in each row; excluded")


def _category(cells: Cells) -> InferredKind | None:
    """Values that come again, or short ones."""
    rows, distinct = len(cells.present), cells.distinct
    long = cells.words >= _WORDS or cells.length >= LONG
    if distinct <= max(_FEW, _FEW_FRACTION * rows) and (not long or distinct <= rows / 2):
        return InferredKind("category", _almost_numbers(cells))
    if not long and (distinct < 0.9 * rows or cells.words < 1.5):
        return InferredKind("category", _many_note(cells))
    return None


def _text(cells: Cells, told: str = "") -> InferredKind:
    html = is_html(as_text(cells.sample).tolist())
    notes = told or f"{cells.words:.0f} words on average", "HTML, read as its text" if html else ""
    return InferredKind("text", _joined(*notes), Reading(html=html))


def _almost_numbers(cells: Cells) -> str:
    """Say so if a word or two keep a column of few values from being numbers."""
    values = pd.Series(sorted(set(cells.texts.tolist())), dtype=object)
    bad = values[parse_numbers(values, cells.numbers.reading).bad].tolist()
    if len(bad) > 2 or len(values) < len(bad) + 3:
        return ""
    return f"numbers apart from {' and '.join(map(repr, bad))}; say number to read them so"


def _many_note(cells: Cells) -> str:
    return f"{cells.distinct:,} values; the rare ones share one" if cells.distinct > _MANY else ""


def _number_notes(found: NumberFormat) -> list[str]:
    reading = found.reading
    return [
        f"number in {reading.unit!r}" if reading.unit else "",
        "decimal comma" if reading.decimal == "," else "",
        "K, M and the like multiply" if reading.factors else "",
        "brackets are a minus" if reading.brackets else "",
        f"{' and '.join(map(repr, found.words))} count as missing" if found.words else "",
    ]


def _bad_note(parsed: Numbers | Dates, plural: str) -> str:
    bad = int(parsed.bad.sum())
    return f"{bad:,} cells are no {plural} and count as missing" if bad else ""


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))
