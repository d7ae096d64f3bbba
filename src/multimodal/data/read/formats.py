"""Data frames, Parquet and JSON Lines, brought to a few plain column types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal.core.errors import DataError, first_line
from multimodal.data.columns.cells import is_record
from multimodal.data.photos.embedded import PHOTO_FIELDS, embedded_photo
from multimodal.data.read.encodings import find_encoding, mended, spoiled, text_lines
from multimodal.data.read.header import check_names
from multimodal.data.read.lazy_text import DiskText, TextFile
from multimodal.data.read.packed import DAMAGED, Content, whole
from multimodal.data.read.table import AUTO, Dialect, Parsed, RejectedRow

NOT_READ = {"record": "not read"}  # a cell of a Parquet column of records
LARGE = 2**29  # bytes in memory above which a file's texts stay on disk
_INDEX = re.compile(r"__index_level_\d+__")  # pandas' name in Parquet for an index without one
_SURROGATE = re.compile("[\ud800-\udfff]")
_CELL = 50  # bytes of a text in memory beside its characters
_BATCH = 4096


def from_frame(frame: pd.DataFrame, place: str = "table") -> Parsed:
    """Take a frame's rows in their order; column names become strings.

    An index with a name is a column, as in the files that pandas writes; one without goes. Columns
    end up int64, float64 (seconds, of durations), bool, datetime64, or object holding str, bool,
    int, lists, dates, records and the bytes of photos, with None where a value is missing. A row is
    set aside where a record stands among plain values.

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
        if _holds_mostly_records(series):
            notes.append(f"column '{name}' holds records: it is not read")
        else:
            faults |= {row: f"column '{name}': {why}" for row, why in _misplaced(series).items()}
    return _numbered(columns, len(frame))._replace(notes=notes, faults=faults)


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
    return 2 * sum(map(is_record, series)) > sum(cell is not None for cell in series)


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


def from_records(records: Iterable[Mapping[str, Any]], place: str = "table") -> Parsed:
    """Take rows as mappings; columns are the union of their keys, absent ones None.

    Example:
    >>> list(from_records([{"a": 1}, {"b": "x"}]).frame.columns)
    ['a', 'b']
    """
    rows = list(records)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"{place}, row {number}: expected a mapping, got {row!r:.60}.")
    # In the order in which they first occur, the same every time, unlike a set.
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    series = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names}
    return from_frame(pd.DataFrame(series, index=pd.RangeIndex(len(rows))), place)


def read_json_lines(content: Content, asked: Dialect = AUTO) -> Parsed:
    """Read one JSON object per line; a malformed line is rejected, a blank one is no row."""
    records: list[Mapping[str, Any]] = []
    rows, lines, rejected = [], [], []
    row = 0
    encoding = find_encoding(content, asked.encoding)
    for line, text in enumerate(text_lines(content, encoding.codec), start=1):
        if not text.strip():
            continue
        try:
            records.append(_json_object(text, encoding.codec))
            rows.append(row)
            lines.append(line)
        except ValueError as error:
            reason = f"expected a JSON object: {error}"
            rejected.append(RejectedRow(row, line, reason, raw=mended(text).rstrip("\r\n")))
        row += 1
    if rejected and not rows:
        raise DataError(
            f"{content.path}, line {rejected[0].line}: {rejected[0].reason}. No line of the file "
            "can be read; JSON Lines holds one object in braces per line."
        )
    found = from_records(records, str(content.path))
    written = f"encoding {encoding.codec} {encoding.note}".strip()
    notes = [*([] if encoding.codec == "utf-8-sig" else [written]), *found.notes]
    places = np.array(rows, np.int64), np.array(lines, np.int64)
    return Parsed(found.frame, *places, rejected, notes=notes, faults=found.faults)


def read_parquet(content: Content) -> Parsed:
    """Read a Parquet file; integers beside missing values stay exact.

    Where its content would take more than half a gigabyte of memory, texts and lists stay on disk,
    see `lazy_text`. A column of records is not read: each of its cells is `NOT_READ`.

    Raises:
        DataError: the file is damaged or no Parquet file.
    """
    path = content.path
    try:
        # Column chunks are read in pieces: pre-buffering would hold whole row groups in memory.
        file = pq.ParquetFile(
            path if content.suffix == path.suffix.lower() else whole(content),
            pre_buffer=False,
            buffer_size=2**20,
            page_checksum_verification=True,  # of the pages that have one
        )
        fields = [each for each in file.schema_arrow if not _INDEX.fullmatch(each.name)]
        names = check_names([each.name for each in fields], str(path))
        records = [each.name for each in fields if _holds_records(each.type)]
        texts = [each.name for each in fields if _is_text(each.type) and each.name not in records]
        stored = _on_disk(file, texts) if _memory(file, len(texts)) > LARGE else {}
        # Without integer_object_nulls a null makes int64 float64, which loses digits above 2**53;
        # the metadata of pandas would turn a column into the index.
        frame = file.read(
            [name for name in names if name not in stored and name not in records]
        ).to_pandas(integer_object_nulls=True, ignore_metadata=True)
    except (pa.ArrowException, *DAMAGED, OSError) as error:
        raise DataError(
            f"{path}: damaged, or not a complete Parquet file ({first_line(error)}). Copy or write "
            "it again."
        ) from None
    ranges = _named_ranges(file, names)
    for name, steps in ranges.items():
        frame.insert(0, name, steps)
    parsed = from_frame(frame, str(path))
    number = file.metadata.num_rows
    unread = {name: pd.Series([NOT_READ] * number, dtype=object) for name in records}
    notes = [f"column '{name}' holds records: it is not read" for name in records]
    names = [*ranges, *names]
    columns = {name.strip(): {**stored, **unread}.get(name) for name in names}
    complete = {name: parsed.frame[name] if c is None else c for name, c in columns.items()}
    return _numbered(complete, number)._replace(notes=[*notes, *parsed.notes], faults=parsed.faults)


def _named_ranges(file: pq.ParquetFile, names: Sequence[str]) -> dict[str, range]:
    """Return the numbers of an index with a name, of which pandas writes only start and end."""
    try:
        index = (file.schema_arrow.pandas_metadata or {})["index_columns"]
        found = [each for each in index if isinstance(each, dict) and each["kind"] == "range"]
        ranges = {
            str(each["name"]): range(each["start"], each["stop"], each["step"])
            for each in found
            if each["name"] and each["name"] not in names
        }
    except (KeyError, TypeError, ValueError):  # of another version
        return {}
    return {name: r for name, r in ranges.items() if len(r) == file.metadata.num_rows}


def _numbered(columns: Mapping[str, Any], rows: int) -> Parsed:
    """Return columns as a table of which every row is kept and counted from 1."""
    places = np.arange(rows, dtype=np.int64)
    return Parsed(pd.DataFrame(columns, index=pd.RangeIndex(rows)), places, places + 1, [])


def _memory(file: pq.ParquetFile, texts: int) -> int:
    """Return about how many bytes the file's cells would take in memory, `texts` columns of it."""
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    return int(size + _CELL * texts * file.metadata.num_rows)


def _on_disk(file: pq.ParquetFile, names: Sequence[str]) -> dict[str, DiskText]:
    """Copy the columns `names` to files of their own, some rows at a time."""
    kinds = {name: file.schema_arrow.field(name).type for name in names}
    files = {name: TextFile(lists=_is_list(kind)) for name, kind in kinds.items()}
    for batch in file.iter_batches(_BATCH, columns=list(names)) if names else ():
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            files[name].append(column)
    rows = np.arange(file.metadata.num_rows, dtype=np.int64)
    return {name: DiskText(file, rows) for name, file in files.items()}


def _is_text(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or _is_list(kind))


def _holds_records(kind: Any) -> bool:
    """Whether a type is one of records or maps, or of lists of them; photos are no records."""
    while _is_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind) and {each.name for each in kind} <= PHOTO_FIELDS:
        return False
    return bool(pa.types.is_struct(kind) or pa.types.is_map(kind) or pa.types.is_union(kind))


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


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
    values[:] = [_cell(value) for value in series]  # np.array would stack lists of equal length
    return _typed(values, place)


def _cell(value: Any) -> Any:
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
