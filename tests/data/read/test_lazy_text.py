"""Texts on disk: the same cells as in memory, read when their turn comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from multimodal.core.errors import DataError
from multimodal.data.columns.cells import as_text, is_missing
from multimodal.data.read import lazy_text as module
from multimodal.data.read.lazy_text import DiskText, TextFile, in_memory, on_disk

CELLS = ["red shoe", None, "", "Größe 42 €", "x" * 100_000, "blue", " ", "last"]


def stored(cells: list[Any], *, lists: bool = False, batch: int = 3) -> DiskText:
    file = TextFile(lists=lists)
    for start in range(0, len(cells), batch):
        file.append(pa.array(cells)[start : start + batch])  # a slice has an offset
    return DiskText(file, np.arange(len(cells)))


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_cells_come_back(batch: int) -> None:
    array = stored(CELLS, batch=batch)
    assert list(array) == CELLS and [array[i] for i in range(8)] == CELLS and array[-1] == "last"
    assert array.isna().tolist() == [cell is None for cell in CELLS]
    assert array.content_bytes == sum(len((cell or "").encode()) for cell in CELLS)


@pytest.mark.parametrize("rows", [[], [7, 0, 3, 3, 1], [4, 5], [0, 7]])
def test_rows_are_picked_in_any_order(rows: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"text": stored(CELLS), "number": np.arange(8)})
    taken = frame.iloc[rows].reset_index(drop=True)
    assert on_disk(taken) == ["text"]
    monkeypatch.setattr(module, "_BLOCK", 2)
    assert taken["text"].tolist() == [CELLS[row] for row in rows]
    assert taken["number"].tolist() == rows


def test_picking_rows_reads_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"text": stored(CELLS)})
    monkeypatch.setattr(TextFile, "read", lambda self, rows: pytest.fail("a text was read"))
    kept = frame[np.arange(8) % 2 == 0].reset_index(drop=True).iloc[1:].copy(deep=False)
    assert len(kept) == 3


def test_as_a_column_of_a_frame_it_reads_like_one_in_memory() -> None:
    frame, plain = pd.DataFrame({"text": stored(CELLS)}), pd.Series(CELLS, dtype=object)
    assert is_missing(frame["text"]).tolist() == is_missing(plain).tolist()
    assert as_text(frame["text"]).tolist() == as_text(plain).tolist()
    assert frame["text"][3] == frame["text"].iloc[3] == CELLS[3]
    assert frame["text"][~frame["text"].isna()].tolist() == [c for c in CELLS if c is not None]
    assert in_memory(frame)["text"].tolist() == CELLS and not on_disk(in_memory(frame))
    assert next(frame.itertuples(index=False, name=None)) == ("red shoe",)
    assert pd.concat([frame, frame])["text"].tolist() == CELLS * 2
    assert frame.reindex([7, 99])["text"].tolist() == ["last", None]


def test_lists_are_lists() -> None:
    cells = [["a.jpg", "b.jpg"], None, [], ["c.jpg", "d.jpg"]]
    array = stored(cells, lists=True)
    assert list(array) == cells and np.asarray(array)[0] == cells[0]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    file = TextFile()
    file.append(pa.array([b"ok", b"a\xff"]).view(pa.string()))
    assert file.read(np.arange(2)) == ["ok", "a\ufffd"]


def test_a_file_without_texts() -> None:
    assert list(stored([None, None])) == [None, None] and list(stored([], batch=1)) == []


def test_texts_of_different_files_are_not_joined() -> None:
    with pytest.raises(NotImplementedError, match="different files"):
        DiskText._concat_same_type([stored(CELLS), stored(CELLS)])


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, content: object) -> int:
            raise OSError(28, "No space left on device")

    file = TextFile()
    monkeypatch.setattr(file, "_file", Full())
    with pytest.raises(DataError, match=r"No space left on device.*TMPDIR"):
        file.append(pa.array(["red"]))
