"""Data frames and JSON Lines, brought to a few plain column types."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.errors import DataError
from multimodal.data.columns.cells import is_record
from multimodal.data.photos.embedded import embedded_photo
from multimodal.data.read.encodings import Encoding, find_encoding, mended, spoiled, text_lines
from multimodal.data.read.header import check_names
from multimodal.data.read.packed import Content
from multimodal.data.read.table import AUTO, Dialect, Parsed, RejectedRow

_SURROGATE = re.compile("[\ud800-\udfff]")


def from_frame(
    frame: pd.DataFrame, place: str = "table", *, records: Collection[str] | None = None
) -> Parsed:
    """Take a frame's rows in their order; column names become strings.

    An index with a name is a column, as in the files that pandas writes; one without goes. Columns
    end up int64, float64 (seconds, of durations), bool, datetime64, or object holding str, bool,
    int, lists, dates, records and the bytes of photos, with None where a value is missing. A row is
    set aside where a record stands among plain values.

    Args:
        frame: the rows.
        place: what messages start with.
        records: the columns that hold mostly records; by default, those of which these rows do.

    Raises:
        DataError: an empty or repeated column name, or a column of complex numbers; the message
            names it.
    """
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(f"{place}: expected one header row, got {frame.columns.nlevels} levels.")
    names = check_names([str(name).strip() for name in frame.columns], place)
    # by position: in the frame itself a column may be named by a number or a tuple
    found = _named_levels(frame.index, names)
    found |= {name: frame.iloc[:, number] for number, name in enumerate(names)}
    columns = {
        name: _plain(series.reset_index(drop=True), f"{place}, column '{name}'")
        for name, series in found.items()
    }
    faults: dict[int, str] = {}
    notes = []
    for name, series in columns.items():
        if _holds_mostly_records(series) if records is None else name in records:
            notes.append(f"column '{name}' holds records: it is not read")
        else:
            faults |= {row: f"column '{name}': {why}" for row, why in _misplaced(series).items()}
    return numbered(columns, len(frame))._replace(notes=notes, faults=faults)


def _named_levels(index: pd.Index[Any], names: Sequence[str]) -> dict[str, pd.Series[Any]]:
    """Return the levels of an index that have a name which no column has."""
    levels = [(level, str(name).strip()) for level, name in enumerate(index.names) if name]
    return {
        name: index.get_level_values(level).to_series()
        for level, name in levels
        if name and name not in names
    }


def _holds_mostly_records(series: pd.Series[Any]) -> bool:
    if series.dtype != object or not {dict, list, tuple} & set(map(type, series)):
        return False
    return mostly_records(sum(map(is_record, series)), sum(cell is not None for cell in series))


def mostly_records(records: int, present: int) -> bool:
    """Whether a column is one of records, by how many of its cells are and how many are there."""
    return 2 * records > present


def _misplaced(series: pd.Series[Any]) -> dict[int, str]:
    """Return the rows of a column of values whose cell is none, and why."""
    if series.dtype != object:
        return {}
    faults = {}
    for row, cell in enumerate(series):
        if isinstance(cell, str):
            if not cell.isascii() and _SURROGATE.search(cell):
                faults[row] = f"holds half of a surrogate pair: {cell!r:.60}"
        elif is_record(cell):
            faults[row] = f"expected a value, got an object: {cell!r:.60}"
    return faults


def from_records(
    records: Iterable[Mapping[str, Any]],
    place: str = "table",
    *,
    names: Sequence[str] = (),
    nested: Collection[str] | None = None,
) -> Parsed:
    """Take rows as mappings; columns are the union of their keys, absent ones None.

    Args:
        records: the rows.
        place: what messages start with.
        names: the columns, where other rows have further ones.
        nested: as `records` of `from_frame`.

    Example:
    >>> list(from_records([{"a": 1}, {"b": "x"}]).frame.columns)
    ['a', 'b']
    """
    rows = list(records)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"{place}, row {number}: expected a mapping, got {row!r:.60}.")
    # In the order in which they first occur, the same every time, unlike a set.
    names = names or list(dict.fromkeys(str(name) for row in rows for name in row))
    series = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names}
    frame = pd.DataFrame(series, index=pd.RangeIndex(len(rows)))
    return from_frame(frame, place, records=nested)


class JsonRow(NamedTuple):
    """A line of JSON Lines that is not blank: its number, what it holds, or why it cannot be read.

    Args:
        row: counted from 0, without blank lines.
        line: counted from 1.
        record: the object, None where there is a fault.
        fault: why there is none.
        raw: the line, where there is none.
    """

    row: int
    line: int
    record: Mapping[str, Any] | None
    fault: str = ""
    raw: str = ""

    @property
    def rejected(self) -> RejectedRow:
        """The row as one that is set aside."""
        reason = f"expected a JSON object: {self.fault}"
        return RejectedRow(self.row, self.line, reason, raw=self.raw)


def json_rows(content: Content, codec: str) -> Iterator[JsonRow]:
    """Yield the rows of a file of JSON Lines as they are read; a blank line is none."""
    row = 0
    for line, text in enumerate(text_lines(content, codec), start=1):
        if not text.strip():
            continue
        try:
            yield JsonRow(row, line, _json_object(text, codec))
        except ValueError as error:
            yield JsonRow(row, line, None, str(error), mended(text).rstrip("\r\n"))
        row += 1


def parsed_json(
    rows: Sequence[JsonRow],
    path: Path,
    *,
    names: Sequence[str] = (),
    nested: Collection[str] | None = None,
) -> Parsed:
    """Return rows of JSON Lines as columns; `names` and `nested` as for `from_records`."""
    kept = [(each.row, each.line, each.record) for each in rows if each.record is not None]
    records = [record for _, _, record in kept]
    found = from_records(records, str(path), names=names, nested=nested)
    places, lines = (np.array([each[at] for each in kept], np.int64) for at in (0, 1))
    rejected = [each.rejected for each in rows if each.record is None]
    return found._replace(rows=places, lines=lines, rejected=rejected)


def check_any_object(path: Path, kept: int, rejected: Sequence[RejectedRow]) -> None:
    """Raise DataError where there are lines, and none holds an object."""
    if rejected and not kept:
        raise DataError(
            f"{path}, line {rejected[0].line}: {rejected[0].reason}. No line of the file "
            "can be read; JSON Lines holds one object in braces per line."
        )


def json_notes(encoding: Encoding) -> list[str]:
    """Say in what encoding a file is, where it is not in the usual one."""
    written = f"encoding {encoding.codec} {encoding.note}".strip()
    return [] if encoding.codec == "utf-8-sig" else [written]


def read_json_lines(content: Content, asked: Dialect = AUTO) -> Parsed:
    """Read one JSON object per line; a malformed line is rejected, a blank one is no row."""
    encoding = find_encoding(content, asked.encoding)
    found = parsed_json(list(json_rows(content, encoding.codec)), content.path)
    check_any_object(content.path, len(found.rows), found.rejected)
    return found._replace(notes=[*json_notes(encoding), *found.notes])


def numbered(columns: Mapping[str, Any], rows: int) -> Parsed:
    """Return columns as a table of which every row is kept and counted from 1."""
    places = np.arange(rows, dtype=np.int64)
    return Parsed(pd.DataFrame(columns, index=pd.RangeIndex(rows)), places, places + 1, [])


def _json_object(text: str, codec: str) -> Mapping[str, Any]:
    if reason := spoiled(text, codec):
        raise ValueError(reason)
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"got {text.strip()[:40]!r}")
    # json.loads lets "\ud83d" alone pass as a string that no file can be written with.
    if "\\ud" in text.lower() and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _plain(series: pd.Series[Any], place: str) -> pd.Series[Any]:
    """Bring one column to int64, float64, bool, datetime64 or object with None."""
    kind = series.dtype.kind if isinstance(series.dtype, np.dtype) else "O"
    if kind == "c":
        raise DataError(_unusable(place, str(series.dtype)))
    if kind == "m":
        return pd.Series(series.dt.total_seconds(), dtype=np.float64)
    if kind in "if":
        return series.astype("int64" if kind == "i" else "float64")
    if kind in "ubM" or isinstance(series.dtype, pd.DatetimeTZDtype):
        return series
    values = np.empty(len(series), dtype=object)
    values[:] = [
        plain_cell(value) for value in series
    ]  # np.array would stack lists of equal length
    return _typed(values, place)


def plain_cell(value: Any) -> Any:
    """Return a cell as tables hold it: a photo as bytes, an array as a list, None if missing."""
    if isinstance(value, str):
        return value
    photo = embedded_photo(value)
    if photo is not None:
        return photo or None
    if isinstance(value, list | tuple | np.ndarray):
        items = value.tolist() if isinstance(value, np.ndarray) else value
        if not len(items) or isinstance(items[0], str | int | float):
            return items
        photos = [embedded_photo(item) for item in items]
        return [item if photo is None else photo for item, photo in zip(items, photos, strict=True)]
    if isinstance(value, dict):
        return value
    return None if value is None or pd.isna(value) else value


def _typed(values: Any, place: str) -> pd.Series[Any]:
    """Choose the dtype of an object column from what it holds."""
    content = pd.api.types.infer_dtype(values, skipna=True)
    complete = not any(value is None for value in values)
    if content in ("timedelta", "timedelta64"):
        seconds = [np.nan if v is None else pd.Timedelta(v).total_seconds() for v in values]
        return pd.Series(seconds, dtype=np.float64)
    if content == "complex":
        holds = next(type(value).__name__ for value in values if value is not None)
        raise DataError(_unusable(place, holds))
    if content in ("decimal", "floating", "mixed-integer-float"):
        return pd.Series([np.nan if value is None else float(value) for value in values])
    # Integers beside None stay objects: as float64, 9007199254740993 would be …992.
    if content == "integer" and complete and all(abs(int(value)) < 2**63 for value in values):
        return pd.Series(values.astype(np.int64))
    if content == "boolean" and complete:
        return pd.Series(values.astype(bool))
    return pd.Series(values, dtype=object)


def _unusable(place: str, kind: str) -> str:
    return (
        f"{place}: holds {kind} values. Expected numbers, texts, dates, or lists of photo paths; "
        "convert the column or leave it out."
    )
