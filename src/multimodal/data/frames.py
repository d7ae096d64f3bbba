"""Typed sources: data frames, Parquet and JSON Lines, brought to a few plain column types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal.data.delimited import Parsed, check_names
from multimodal.data.table import IntArray, Quarantined
from multimodal.data.textfiles import text_lines
from multimodal.errors import DataError


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
    series = {
        name: _plain(frame.iloc[:, number].reset_index(drop=True), f"{place}, column '{name}'")
        for number, name in enumerate(names)
    }
    rows = np.arange(len(frame), dtype=np.int64)
    return Parsed(pd.DataFrame(series, index=pd.RangeIndex(len(frame))), rows, rows + 1, [])


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
    """Read one JSON object per line; a malformed line is quarantined, a blank one is no row."""
    records: list[Mapping[str, Any]] = []
    rows, lines, quarantine = [], [], []
    row = 0
    for line, text in enumerate(text_lines(path, encoding), start=1):
        if not text.strip():
            continue
        try:
            records.append(_json_object(text))
            rows.append(row)
            lines.append(line)
        except ValueError as error:
            quarantine.append(Quarantined(row, line, f"expected a JSON object: {error}"))
        row += 1
    if quarantine and not rows:
        raise DataError(
            f"{path}, line {quarantine[0].line}: {quarantine[0].reason}. No line of the file can "
            "be read; JSON Lines holds one object in braces per line."
        )
    frame = from_records(records, str(path)).frame
    return Parsed(frame, _ints(rows), _ints(lines), quarantine)


def read_parquet(path: Path) -> Parsed:
    """Read a Parquet file; integers beside missing values stay exact.

    Raises:
        DataError: the file is truncated or no Parquet file, or a column holds bytes or records.
    """
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        names = check_names([str(name) for name in schema.names], str(path))
        for name, kind in zip(names, schema.types, strict=True):
            if _is_binary(kind) or pa.types.is_nested(kind) and not _is_list(kind):
                raise DataError(_unusable(f"{path}, column '{name}'", str(kind)))
        frame = file.read().to_pandas(integer_object_nulls=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path}: not a complete Parquet file ({reason}). Copy or write it again."
        ) from None
    return from_frame(frame, str(path))


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"got {text.strip()[:40]!r}")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _is_binary(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _ints(values: Sequence[int]) -> IntArray:
    return np.array(values, np.int64)


def _plain(series: pd.Series[Any], place: str) -> pd.Series[Any]:
    """Bring one column to int64, float64, bool, datetime64 or object with None."""
    kind = series.dtype.kind if isinstance(series.dtype, np.dtype) else "O"
    if kind in "mc":
        raise DataError(_unusable(place, str(series.dtype)))
    if kind in "iu":
        return series.astype("int64") if kind == "i" else series
    if kind in "fbM" or isinstance(series.dtype, pd.DatetimeTZDtype):
        return series.astype("float64") if kind == "f" else series
    values = np.empty(len(series), dtype=object)
    values[:] = [_cell(value) for value in series]
    return _typed(values, place)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | dict):
        return value
    return None if value is None or pd.isna(value) else value


def _typed(values: Any, place: str) -> pd.Series[Any]:
    """Choose the dtype of an object column from what it holds."""
    content = pd.api.types.infer_dtype(values, skipna=True)
    whole = not any(value is None for value in values)
    if content in ("bytes", "timedelta", "timedelta64", "complex") or any(
        isinstance(value, bytes | dict) for value in values
    ):
        holds = next(type(value).__name__ for value in values if value is not None)
        raise DataError(_unusable(place, holds))
    if content in ("decimal", "floating", "mixed-integer-float"):
        return pd.Series([np.nan if value is None else float(value) for value in values])
    if content == "integer" and whole and all(abs(int(value)) < 2**63 for value in values):
        return pd.Series(values.astype(np.int64))
    if content == "boolean" and whole:
        return pd.Series(values.astype(bool))
    return pd.Series(values, dtype=object)


def _unusable(place: str, kind: str) -> str:
    return (
        f"{place}: holds {kind} values. Expected numbers, texts, dates, or lists of photo paths; "
        "convert the column or leave it out."
    )
