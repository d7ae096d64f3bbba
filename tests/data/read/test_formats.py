"""Frames, Parquet and JSON Lines keep their types and lose nothing on the way."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multimodal.core.errors import DataError
from multimodal.data.read import parquet
from multimodal.data.read.formats import from_frame, from_records, read_json_lines
from multimodal.data.read.packed import content_of
from multimodal.data.read.parquet import read_parquet


@pytest.mark.parametrize(
    ("series", "dtype", "values"),
    [
        (pd.Series([1, 2], dtype="int32"), "int64", [1, 2]),
        (pd.Series([1, 2**53 + 1, None], dtype="Int64"), "object", [1, 2**53 + 1, None]),
        (pd.Series([1, 2], dtype="Int64"), "int64", [1, 2]),
        (pd.Series([0.5, 1.5], dtype="Float64"), "float64", [0.5, 1.5]),
        (pd.Series([True, None], dtype="boolean"), "object", [True, None]),
        (pd.Series([True, False]), "bool", [True, False]),
        (pd.Series(["x", None], dtype="string"), "object", ["x", None]),
        (pd.Series(["x", "y"], dtype="category"), "object", ["x", "y"]),
        (pd.Series([Decimal("1.25"), Decimal("2")], dtype=object), "float64", [1.25, 2.0]),
        (pd.Series([["a.jpg"], None], dtype=object), "object", [["a.jpg"], None]),
        (pd.Series([1, "x"], dtype=object), "object", [1, "x"]),
        (pd.Series([2**70, 1], dtype=object), "object", [2**70, 1]),
        (pd.Series(pd.to_timedelta([1, 90], "s")), "float64", [1.0, 90.0]),
        (pd.Series([pd.Timedelta("1min"), pd.Timedelta(0)], dtype=object), "float64", [60.0, 0.0]),
    ],
)
def test_columns_become_plain(series: pd.Series, dtype: str, values: list[Any]) -> None:
    column = from_frame(pd.DataFrame({"c": series})).frame["c"]
    assert str(column.dtype) == dtype
    assert column.tolist() == values


def test_missing_decimal_is_nan() -> None:
    column = from_frame(pd.DataFrame({"c": pd.Series([Decimal(1), None], dtype=object)})).frame["c"]
    assert column[0] == 1.0 and math.isnan(column[1])


def test_index_goes_and_order_stays() -> None:
    frame = pd.DataFrame({"c": [3, 1, 2], 7: [0, 0, 0]}, index=[5, 5, 0])
    parsed = from_frame(frame)
    assert parsed.frame["c"].tolist() == [3, 1, 2]
    assert list(parsed.frame.index) == [0, 1, 2]
    assert list(parsed.frame.columns) == ["c", "7"]
    assert parsed.lines.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"c": [1j]}), "column 'c': holds complex"),
        (pd.DataFrame([[1, 2]], columns=["c", "c"]), "'c' occurs 2 times"),
        (pd.DataFrame([[1]], columns=[" "]), "column 1 of 1 has no name"),
        (pd.DataFrame({("a", "b"): [1]}), "one header row, got 2 levels"),
    ],
)
def test_unusable_frames(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_frame(frame)


def test_records_may_lack_keys() -> None:
    frame = from_records([{"a": 1, "b": "x"}, {"c": 2.5}]).frame
    assert list(frame.columns) == ["a", "b", "c"]
    assert frame["a"].tolist() == [1, None] and frame["b"].tolist() == ["x", None]


def test_records_must_be_mappings() -> None:
    with pytest.raises(DataError, match=r"row 2: expected a mapping, got \[1\]"):
        from_records([{"a": 1}, [1]])  # type: ignore[list-item]


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"a": 1, "p": ["x.jpg", "y.jpg"], "z": "00501"}\n\n{"a": 2,\n[1]\n{"a": 1, "a": 2}\n'
        + "[" * 100_000
        + '\n{"a": 3, "b": true}\n',
        encoding="utf-8",
    )
    parsed = read_json_lines(content_of(path))
    assert parsed.frame["a"].tolist() == [1, 3]
    assert parsed.frame["p"].tolist() == [["x.jpg", "y.jpg"], None]
    assert parsed.frame["z"].tolist() == ["00501", None]
    assert (parsed.rows.tolist(), parsed.lines.tolist()) == ([0, 5], [1, 7])
    assert [(fault.row, fault.line) for fault in parsed.rejected] == [
        (1, 3),
        (2, 4),
        (3, 5),
        (4, 6),
    ]
    reasons = [fault.reason for fault in parsed.rejected]
    assert "got '[1]'" in reasons[1] and "twice" in reasons[2] and "deep" in reasons[3]


def test_no_json_line_readable(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: expected a JSON object.*No line"):
        read_json_lines(content_of(path))


def test_parquet_keeps_types(tmp_path: Path) -> None:
    path = tmp_path / "year=2016.parquet"
    columns = {
        "id": pa.array([2**53 + 1, None], pa.int64()),
        "name": pa.array(["NA", None]),
        "cost": pa.array([Decimal("1.50"), None], pa.decimal128(8, 2)),
        "photos": pa.array([["a.jpg", "b.jpg"], []], pa.list_(pa.string())),
        "seen": pa.array([datetime(2016, 3, 10), None], pa.timestamp("us")),
    }
    pq.write_table(pa.table(columns), path)
    frame = read_parquet(content_of(path)).frame
    assert list(frame.columns) == list(columns)
    assert frame["id"].tolist() == [2**53 + 1, None]
    assert frame["name"].tolist() == ["NA", None]
    assert frame["cost"][0] == 1.5 and frame["cost"].dtype == "float64"
    assert frame["photos"].tolist() == [["a.jpg", "b.jpg"], []]
    assert frame["seen"].dtype.kind == "M"


def test_truncated_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": range(100)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="t.parquet: damaged, or not a complete Parquet file"):
        read_parquet(content_of(path))


RECORDS = {
    "record": pa.array([{"k": 1}, None]),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "list of records": pa.array([[{"k": 1}], []]),
}


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("large", [False, True])
def test_a_parquet_column_of_records_is_not_read(
    tmp_path: Path, kind: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(parquet, "LARGE", 0)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"odd": RECORDS[kind], "good": ["x", "y"]}), path)
    parsed = read_parquet(content_of(path))
    assert list(parsed.frame) == ["odd", "good"] and list(parsed.frame["good"]) == ["x", "y"]
    assert parsed.notes == ["column 'odd' holds records: it is not read"]


def test_a_record_among_values_sets_its_row_aside(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1.5, "d": {"x": 1}}\n\n{"a": {"v": 1}, "d": {}}\n{"a": 3, "d": null}\n')
    parsed = read_json_lines(content_of(path))
    assert parsed.faults == {1: "column 'a': expected a value, got an object: {'v': 1}"}
    assert parsed.notes == ["column 'd' holds records: it is not read"]
    assert parsed.lines.tolist() == [1, 3, 4]


def test_the_name_of_an_index_makes_it_a_column() -> None:
    frame = pd.DataFrame({"a": [3, 1]}, index=pd.Index([7, 5], name="when"))
    assert from_frame(frame).frame.to_dict("list") == {"when": [7, 5], "a": [3, 1]}
    levels = pd.MultiIndex.from_tuples([(1, 2, 3), (4, 5, 6)], names=["x", None, "a"])
    found = from_frame(pd.DataFrame({"a": [0, 1]}, index=levels)).frame
    assert found.to_dict("list") == {"x": [1, 4], "a": [0, 1]}


def test_a_flipped_bit_in_parquet_is_found(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    sizes = np.arange(3000) + 0.5
    table = pa.table({"size": sizes})
    options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(table, path, **options)
    data = bytearray(path.read_bytes())
    data[bytes(data).index(np.float64(2000.5).tobytes()) + 6] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(DataError, match="t.parquet: damaged"):
        read_parquet(content_of(path))


PHOTOS = {
    "bytes": pa.array([b"GIF89a", None]),
    "fixed": pa.array([b"GIF89a", None], pa.binary(6)),
    "record": pa.array([{"bytes": b"GIF89a", "path": "a.gif"}, None]),
    "list of records": pa.array([[{"bytes": b"GIF89a", "path": None}], []]),
    "list of bytes": pa.array([[b"GIF89a"], []]),
}


@pytest.mark.parametrize("kind", PHOTOS)
def test_photos_in_parquet_become_their_bytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"good": [1, 2], "photo": PHOTOS[kind]}), path)
    parsed = read_parquet(content_of(path))
    assert parsed.frame["photo"][0] == ([b"GIF89a"] if "list" in kind else b"GIF89a")
    assert not parsed.frame["photo"][1] and not parsed.notes


@pytest.mark.parametrize("large", [False, True])
def test_the_index_of_a_frame_is_a_column_if_it_has_a_name(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(parquet, "LARGE", 0)
    frame = pd.DataFrame({"a": ["one", "two", "three"], "b": [0, 7, 3]})
    frame[frame["b"] > 1].to_parquet(tmp_path / "filtered.parquet")
    found = read_parquet(content_of(tmp_path / "filtered.parquet")).frame
    assert {name: list(found[name]) for name in found} == {"a": ["two", "three"], "b": [7, 3]}
    counted = frame.set_index(pd.RangeIndex(3, 9, 2, name="n"))
    counted.to_parquet(tmp_path / "counted.parquet")
    found = read_parquet(content_of(tmp_path / "counted.parquet")).frame
    assert list(found) == ["n", "a", "b"] and found["n"].tolist() == [3, 5, 7]
    frame.set_index("b").to_parquet(tmp_path / "named.parquet")
    found = read_parquet(content_of(tmp_path / "named.parquet")).frame
    assert sorted(found) == ["a", "b"] and list(found["b"]) == [0, 7, 3]


def test_half_a_character_is_none(tmp_path: Path) -> None:
    """JSON and Python can write what no file can hold."""
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": "\\ud83d\\ude00"}\n{"a": "x\\uD800"}\n{"\\udfff": 1}\n')
    parsed = read_json_lines(content_of(path))
    assert parsed.frame["a"].tolist() == ["\U0001f600"]
    assert [fault.line for fault in parsed.rejected] == [2, 3]
    assert all("surrogate" in fault.reason for fault in parsed.rejected)
    faults = from_records([{"a": "é"}, {"a": "\ud800"}]).faults
    assert list(faults) == [1] and "column 'a': holds half of a surrogate pair" in faults[1]


def test_lists_of_dates_may_lie_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "LARGE", 0)
    days = pa.array([[datetime(2020, 1, 2).date()], None])
    pq.write_table(pa.table({"days": days}), tmp_path / "t.parquet")
    assert list(read_parquet(content_of(tmp_path / "t.parquet")).frame["days"]) == [
        ["2020-01-02"],
        None,
    ]
