"""One door for rows: every source gives the same table, every wrong source a clear message."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from multimodal.core.errors import DataError
from multimodal.data.read.readers import read_table
from multimodal.data.read.table import Table

ROWS = [{"name": "oak", "size": 1.5}, {"name": "NA", "size": 2.5}]


def sources(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame(ROWS)
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "t.TSV", index=False, sep="\t")
    frame.to_parquet(folder / "t.parquet")
    frame.to_json(folder / "t.jsonl", orient="records", lines=True)
    files = {path.suffix: path for path in folder.iterdir()}
    return {**files, "text": str(folder / "t.csv"), "frame": frame, "list": ROWS}


@pytest.mark.parametrize("kind", [".csv", ".TSV", ".parquet", ".jsonl", "text", "frame", "list"])
def test_every_source_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    table = read_table(sources(tmp_path)[kind])
    assert table.frame["name"].tolist() == ["oak", "NA"]
    assert [float(size) for size in table.frame["size"]] == [1.5, 2.5]
    assert table.rows.tolist() == [0, 1] and table.rejected == []
    in_memory = kind in ("frame", "list")
    assert table.root == (Path.cwd() if in_memory else tmp_path)
    assert (table.source is None) == in_memory


@pytest.mark.parametrize(
    ("kind", "lines"), [(".csv", [2, 3]), (".jsonl", [1, 2]), ("list", [1, 2])]
)
def test_lines_are_those_of_the_file(tmp_path: Path, kind: str, lines: list[int]) -> None:
    assert read_table(sources(tmp_path)[kind]).lines.tolist() == lines


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_table("~/t.csv").root == tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.cvs", "no such file. Did you mean 't.csv'"),
        ("gone/t.csv", "no such file. The folder .*gone does not exist"),
        (".", "expected a file, got a folder. It holds pipe.csv, t.csv"),
        ("t.xyz", "cannot tell the format from '.xyz'.*Valid: .csv"),
        ("t.xls", "cannot tell the format from '.xls'. Save it as .xlsx"),
        ("pipe.csv", "expected a regular file, got a pipe"),
    ],
)
def test_wrong_paths(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")
    (tmp_path / "t.xyz").touch()
    (tmp_path / "t.xls").touch()
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


@pytest.mark.parametrize("source", ["https://host/t.csv", "gs://bucket/t.csv", "file:///t.csv"])
def test_addresses_are_not_opened(source: str) -> None:
    with pytest.raises(DataError, match="addresses are not opened"):
        read_table(source)


@pytest.mark.parametrize("source", [7, {"a": 1}, [[1, 2]], b"t.csv"])
def test_other_objects_are_refused(source: Any) -> None:
    with pytest.raises(DataError, match="expected a"):
        read_table(source)


@pytest.mark.parametrize("source", [[], pd.DataFrame({"a": []}), "header"])
def test_no_rows_only_where_allowed(tmp_path: Path, source: Any) -> None:
    if isinstance(source, str):
        source = tmp_path / "t.csv"
        source.write_text("a,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="no data rows"):
        read_table(source)
    assert len(read_table(source, allow_empty=True).frame) == 0


def test_options_reach_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("größe;b\n1;2\n".encode("cp1252"))
    table = read_table(path, encoding="cp1252", separator=";")
    assert list(table.frame.columns) == ["größe", "b"]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "rows"),
    [
        ("flipkart/products.csv", 1046),
        ("flipkart/products_raw.csv", 1050),
        ("houses/houses.csv", 535),
        ("books/books.csv", 6237),
        ("reviews/reviews.csv", 2000),
    ],
)
def test_real_files_lose_no_row(file: str, rows: int) -> None:
    folder = os.environ.get("MULTIMODAL_DATA")
    if not folder:
        pytest.skip("MULTIMODAL_DATA names no folder")
    table: Table = read_table(Path(folder) / file)
    assert len(table.frame) == table.rows_read == rows
