"""Inference of column kinds from their cells: the rules behind `infer_schema`.

The thresholds are those that `infer_schema` documents. They leave room for a few faulty cells in a
column of numbers or dates, and decide between category and text by repetition and length.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.core.config import Kind
from multimodal.data.columns.cells import as_text, is_missing, photo_paths
from multimodal.data.columns.dates import DATE_PARTS, Dates, date_parts, parse_dates
from multimodal.data.columns.numbers import Numbers, find_unit, is_missing_word, parse_numbers

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
MOST = 0.95  # least fraction of cells that must be numbers, or dates
LONG = 40  # characters on average from which a cell is a sentence
_PHOTOS = 0.8  # least fraction of cells that must name photos
_UNIQUE = 0.99  # fraction of different values from which they are names of rows
_FEW, _FEW_FRACTION, _MANY = 50, 0.05, 1000
_WORDS = 4
_ENOUGH = 20  # rows from which distinct values are no accident
_SAMPLE = 2000
_ADDRESS = re.compile(r"(?:https?|ftp|gs|s3|hdfs|file)://", re.IGNORECASE)
_CODE_WORDS = frozenset(
    "id ids uuid guid sku ean isbn asin gtin upc zip plz postal pin code url uri hash".split()
)
# Thai, Japanese and Chinese, which put no blanks between words.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")


class InferredKind(NamedTuple):
    """A kind with its reason, and how its values are read."""

    kind: Kind
    note: str = ""
    unit: str | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cells:
    """One column and what the rules ask of it, computed once and when it is asked for.

    Args:
        name: the column's name, of which a word such as `id` tells codes from amounts.
        series: its cells.
        root: folder that photo paths start from.
    """

    name: str
    series: pd.Series[Any]
    root: Path

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
    def unit(self) -> str | None:
        """The phrase around the number, if the cells are not plain numbers."""
        if fraction_read(parse_numbers(self.sample)) >= MOST or self.length > LONG:
            return None
        return find_unit(
            cell for cell in self.sample if isinstance(cell, str) and not is_missing_word(cell)
        )


def infer_kind(cells: Cells) -> InferredKind:
    """Return the kind of a column that nobody declared; the first rule that holds decides."""
    if not len(cells.present):
        return InferredKind("ignored", "all missing")
    if cells.distinct == 1:
        if cells.missing.any():
            return InferredKind("category", "one value, or missing")
        return InferredKind("ignored", "constant")
    for rule in (_photos, _date, _number, _identifier, _category):
        found = rule(cells)
        if found:
            return found
    return InferredKind("text", f"{cells.words:.0f} words on average")


def declared_kind(cells: Cells, kind: Kind) -> InferredKind:
    """Return the kind that the user declared; the note says what is lost."""
    if not len(cells.present):
        return InferredKind(kind, "as told; all missing")
    if kind == "date":
        return _as_dates(cells, parse_dates(cells.series), "as told")
    if kind in ("number", "target", "weight"):
        numbers = parse_numbers(cells.series, cells.unit)
        lost = "" if kind == "target" else _bad_note(numbers, "numbers")
        notes = _joined("as told", _unit_note(cells.unit), lost)
        return InferredKind(kind, notes, cells.unit)
    return InferredKind(kind, "as told")


def fraction_read(parsed: Numbers | Dates) -> float:
    """Return the fraction of cells that were read, of those that are not missing."""
    read = int((~pd.isna(parsed.values)).sum())
    return read / max(1, read + int(parsed.bad.sum()))


def _photos(cells: Cells) -> InferredKind | None:
    """Most cells name photo files, or addresses, which are not opened."""
    paths = [photo_paths(cell) for cell in cells.sample]
    if np.mean([bool(p) and bool(_ADDRESS.match(p[0])) for p in paths]) >= _PHOTOS:
        return InferredKind("ignored", "addresses are not opened; download the files")
    named = [bool(p) and all(x.lower().endswith(PHOTO_SUFFIXES) for x in p) for p in paths]
    if np.mean(named) < _PHOTOS:
        lists = np.mean([isinstance(cell, list | tuple | dict) for cell in cells.sample]) > 0.5
        return InferredKind("ignored", "lists are not read") if lists else None
    most = max(len(p) for p in paths)
    note = "one photo a row" if most == 1 else f"up to {most} photos a row"
    first = [path for names in paths[:50] for path in names]
    return InferredKind("image", note + _absent_note(cells.root, first))


def _absent_note(root: Path, paths: list[str]) -> str:
    """Say so if none of `paths` is under `root`, and which folder below has the first one."""
    # os.path.exists is False for a name that is too long; Path.exists raises.
    if any(os.path.exists(root / path) for path in paths):
        return ""
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []
    found = [folder.name for folder in folders if os.path.exists(folder / paths[0])][:1]
    hint = f"; they are in '{found[0]}', name that folder" if found else ""
    return f"; none of the first {len(paths)} is in the photo folder{hint}"


def _date(cells: Cells) -> InferredKind | None:
    if fraction_read(parse_dates(cells.sample)) < MOST:
        return None
    if fraction_read(parse_numbers(cells.sample)) >= MOST:  # plain years stay numbers
        return None
    dates = parse_dates(cells.present)
    return _as_dates(cells, dates) if fraction_read(dates) >= MOST else None


def _as_dates(cells: Cells, dates: Dates, told: str = "") -> InferredKind:
    """Return the kind date with the parts that vary, which alone can be learned from."""
    known = dates.values[~np.isnat(dates.values)]
    varying = [part for part in DATE_PARTS if len(np.unique(date_parts(known, part))) > 1]
    # The first of each month falls on all weekdays, which says nothing.
    parts = tuple(part for part in varying if part != "weekday" or "day" in varying)
    note = f"its parts become columns: {', '.join(parts) or 'none, they do not vary'}"
    return InferredKind(
        "date", _joined(told, note, told and _bad_note(dates, "dates")), parts=parts
    )


def _number(cells: Cells) -> InferredKind | None:
    """A number, unless it only looks like one: a code, a flag, a row count."""
    if cells.series.dtype == bool:
        return InferredKind("category", "yes or no")
    unit = cells.unit
    if unit is None and fraction_read(parse_numbers(cells.sample)) < 0.5:
        return None
    numbers = parse_numbers(cells.present, unit)
    if fraction_read(numbers) < MOST:
        return None
    code = _code(cells, numbers.values[~np.isnan(numbers.values)])
    if code:
        return code
    return InferredKind("number", _joined(_unit_note(unit), _bad_note(numbers, "numbers")), unit)


def _code(cells: Cells, values: Floats) -> InferredKind | None:
    """Return category or identifier if whole numbers are names rather than amounts."""
    if not len(values) or not np.all(values == np.floor(values)):
        return None
    if _zero_padded(cells.texts):
        return _few_or_unique(cells, "codes with leading zeros")
    if cells.distinct <= 2:
        return InferredKind("category", "two values")
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


def _almost_numbers(cells: Cells) -> str:
    """Say so if a word or two keep a column of few values from being numbers."""
    values = pd.Series(sorted(set(cells.texts.tolist())), dtype=object)
    bad = values[parse_numbers(values).bad].tolist()
    if len(bad) > 2 or len(values) < len(bad) + 3:
        return ""
    return f"numbers apart from {' and '.join(map(repr, bad))}; say number to read them so"


def _many_note(cells: Cells) -> str:
    return f"{cells.distinct:,} values; the rare ones share one" if cells.distinct > _MANY else ""


def _unit_note(unit: str | None) -> str:
    return f"number in {unit!r}" if unit else ""


def _bad_note(parsed: Numbers | Dates, plural: str) -> str:
    bad = int(parsed.bad.sum())
    return f"{bad:,} cells are no {plural} and count as missing" if bad else ""


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))
