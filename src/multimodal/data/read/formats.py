"""Data frames, Parquet and JSON Lines, brought to a few plain column types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal.core.errors import DataError, first_line
from multimodal.data.read.delimited import Parsed, check_names
from multimodal.data.read.encodings import text_lines
from multimodal.data.read.lazy_text import DiskText, TextFile
from multimodal.data.read.table import RejectedRow

LARGE = 2**29  # bytes in memory above which a file's texts stay on disk
_INDEX = re.compile(r"__index_level_\d+__")  # pandas' name in Parquet for an index without one
_SURROGATE = re.compile("[\ud800-\udfff]")
_CELL = 50  # bytes of a text in memory beside its characters
_BATCH = 4096


def from_frame(frame: pd.DataFrame, place: str = "table") -> Parsed:
    """Take a frame's rows in their order; the index goes, column names become strings.

    Columns end up int64, float64, bool, datetime64, or object holding str, bool, int, lists and
    dates, with None where a value is missing.

    Raises:
        DataError: an empty or repeated column name, or a column of bytes, records, durations or
            complex numbers; the message names it.
    """
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(f"{place}: expected one header row, got {frame.columns.nlevels} levels.")
    names = check_names([str(name).strip() for name in frame.columns], place)
    return _numbered(
        {
            name: _plain(frame.iloc[:, number].reset_index(drop=True), f"{place}, column '{name}'")
            for number, name in enumerate(names)
        },
        len(frame),
    )


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
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    series = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names}
    return from_frame(pd.DataFrame(series, index=pd.RangeIndex(len(rows))), place)


def read_json_lines(path: Path, encoding: str = "utf-8") -> Parsed:
    """Read one JSON object per line; a malformed line is rejected, a blank one is no row."""
    records: list[Mapping[str, Any]] = []
    rows, lines, rejected = [], [], []
    row = 0
    for line, text in enumerate(text_lines(path, encoding), start=1):
        if not text.strip():
            continue
        try:
            records.append(_json_object(text))
            rows.append(row)
            lines.append(line)
        except ValueError as error:
            reason = f"expected a JSON object: {error}"
            rejected.append(RejectedRow(row, line, reason, raw=text.rstrip("\r\n")))
        row += 1
    if rejected and not rows:
        raise DataError(
            f"{path}, line {rejected[0].line}: {rejected[0].reason}. No line of the file can "
            "be read; JSON Lines holds one object in braces per line."
        )
    frame = from_records(records, str(path)).frame
    return Parsed(frame, np.array(rows, np.int64), np.array(lines, np.int64), rejected)


def read_parquet(path: Path) -> Parsed:
    """Read a Parquet file; integers beside missing values stay exact.

    Where its content would take more than half a gigabyte of memory, texts and lists stay on disk,
    see `lazy_text`.

    Raises:
        DataError: the file is truncated or no Parquet file, or a column holds bytes or records.
    """
    try:
        # Column chunks are read in pieces: pre-buffering would hold whole row groups in memory.
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20)
        fields = [each for each in file.schema_arrow if not _INDEX.fullmatch(each.name)]
        names = check_names([each.name for each in fields], str(path))
        for field in fields:
            kind = field.type
            if _is_binary(kind) or pa.types.is_nested(kind) and not _is_list(kind):
                raise DataError(_unusable(f"{path}, column '{field.name}'", str(kind)))
        texts = [each.name for each in fields if _is_text(each.type)]
        stored = _on_disk(file, texts) if _memory(file, len(texts)) > LARGE else {}
        # Without integer_object_nulls a null makes int64 float64, which loses digits above 2**53;
        # the metadata of pandas would turn a column into the index.
        frame = file.read([name for name in names if name not in stored]).to_pandas(
            integer_object_nulls=True, ignore_metadata=True
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: not a complete Parquet file ({first_line(error)}). Copy or write it again."
        ) from None
    parsed = from_frame(frame, str(path))
    if not stored:
        return parsed
    columns = {name.strip(): stored.get(name) for name in names}
    complete = {name: parsed.frame[name] if c is None else c for name, c in columns.items()}
    return _numbered(complete, file.metadata.num_rows)


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


def _is_binary(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _json_object(text: str) -> Mapping[str, Any]:
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
    if kind in "mc":
        raise DataError(_unusable(place, str(series.dtype)))
    if kind in "if":
        return series.astype("int64" if kind == "i" else "float64")
    if kind in "ubM" or isinstance(series.dtype, pd.DatetimeTZDtype):
        return series
    values = np.empty(len(series), dtype=object)
    values[:] = [_cell(value) for value in series]  # np.array would stack lists of equal length
    for row, value in enumerate(values, start=1):
        if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
            raise DataError(f"{place}, row {row}: holds half of a surrogate pair: {value!r:.60}.")
    return _typed(values, place)


def _cell(value: Any) -> Any:
    if isinstance(value, str | list | tuple | dict):
        return value
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if value is None or pd.isna(value) else value


def _typed(values: Any, place: str) -> pd.Series[Any]:
    """Choose the dtype of an object column from what it holds."""
    content = pd.api.types.infer_dtype(values, skipna=True)
    complete = not any(value is None for value in values)
    if content in ("bytes", "timedelta", "timedelta64", "complex") or any(
        isinstance(value, bytes | dict) for value in values
    ):
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
