"""Samples of tables too large for memory; a table in memory is looked at as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from multimodal.data.columns.schema import infer_schema
from multimodal.data.read import parquet
from multimodal.data.read import sampling as module
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.readers import read_table
from multimodal.data.read.sampling import repeated_content, sample_rows, sampled, sampled_schema
from multimodal.data.read.table import Table
from multimodal.data.split.duplicates import content_keys, duplicate_groups

ROWS = 400


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Table, Table]:
    """One table twice: in memory, and with its texts on disk."""
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(["red", "tall", "old", "oak", "lamp"], 9)) for _ in range(ROWS)]
    frame = pd.DataFrame(
        {
            "number": np.arange(ROWS),
            "size": rng.random(ROWS),
            "text": words,
            "colour": rng.choice(["red", "blue"], ROWS),
        }
    )
    frame.loc[300:309] = frame.loc[100:109].to_numpy()
    frame.to_parquet(tmp_path / "t.parquet")
    here = read_table(tmp_path / "t.parquet")
    monkeypatch.setattr(parquet, "LARGE", 0)
    return here, read_table(tmp_path / "t.parquet")


def test_a_large_file_keeps_its_texts_on_disk(tables: tuple[Table, Table]) -> None:
    here, there = tables
    assert not on_disk(here.frame) and on_disk(there.frame) == ["text", "colour"]
    assert list(here.frame) == list(there.frame)
    for name in here.frame:
        assert here.frame[name].tolist() == there.frame[name].tolist()


def test_memory_holds_all_rows(tables: tuple[Table, Table]) -> None:
    assert sample_rows(tables[0].frame).tolist() == list(range(ROWS))
    assert sample_rows(tables[0].frame, np.array([4, 2])).tolist() == [4, 2]


def test_a_sample_is_bounded_in_rows_and_bytes(
    tables: tuple[Table, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = tables[1].frame
    assert sample_rows(frame).tolist() == list(range(ROWS))
    monkeypatch.setattr(module, "SAMPLE_ROWS", 50)
    rows = sample_rows(frame)
    assert len(rows) == 50 and (np.diff(rows) > 0).all() and rows[-1] > 300
    assert rows.tolist() == sample_rows(frame).tolist()
    assert set(sample_rows(frame, np.arange(0, ROWS, 2)) % 2) == {0}
    monkeypatch.setattr(module, "SAMPLE_BYTES", 1000)
    picked = sampled(tables[1], sample_rows(frame))
    assert 10 < len(picked.frame) < 50 and not on_disk(picked.frame)
    assert picked.frame["number"].tolist() == frame["number"][picked.rows].tolist()
    assert sum(map(len, picked.frame["text"])) < 2000


def test_a_sampled_schema_still_knows_what_counts_the_rows(
    tables: tuple[Table, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = (
        Table(t.frame.assign(number=np.arange(ROWS)), t.rows, t.lines, [], t.source, t.root)
        for t in tables
    )
    wanted = [(c.name, c.kind) for c in infer_schema(here).columns]
    assert dict(wanted)["number"] == "identifier"
    monkeypatch.setattr(module, "SAMPLE_ROWS", 100)
    for table in (here, there):
        found = [(c.name, c.kind) for c in sampled_schema(table, infer_schema).columns]
        assert found == wanted


@pytest.mark.parametrize("block", [7, 2**14])
def test_duplicates_are_the_same_whether_texts_lie_on_disk(
    tables: tuple[Table, Table], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tables
    monkeypatch.setattr(module, "_BLOCK", block)
    schema = infer_schema(here)
    wanted = duplicate_groups([content_keys(here.frame, schema)], ROWS, always=(0,))
    assert len(np.unique(wanted)) == ROWS - 10
    assert repeated_content(here.frame, schema) == content_keys(here.frame, schema)
    found = duplicate_groups([repeated_content(there.frame, schema)], ROWS, always=(0,))
    assert found.tolist() == wanted.tolist()


def test_lists_and_dictionaries_of_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {
        "photos": pa.array([["a.jpg", "b.jpg"], None, []]),
        "colour": pa.array(["red", None, "red"]).dictionary_encode(),
        "count": pa.array([1, None, 3]),
    }
    parquet.pq.write_table(pa.table(cells), tmp_path / "t.parquet")
    here = read_table(tmp_path / "t.parquet").frame
    monkeypatch.setattr(parquet, "LARGE", 0)
    there = read_table(tmp_path / "t.parquet").frame
    assert on_disk(there) == ["photos", "colour"]
    for name in cells:
        assert there[name].tolist() == here[name].tolist()
