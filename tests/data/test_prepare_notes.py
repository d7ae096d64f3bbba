"""What is said of a prepared table, and what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import plain_config, plain_rows

from multimodal.data.columns.schema import Schema
from multimodal.data.prepare import (
    cut_texts,
    large_notes,
    leaks_of,
    looked_at,
    prepare,
    split_notes,
)
from multimodal.data.prepared import Prepared


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    title = [" ".join(["word"] * (3 if i % 2 else 12)) for i in range(80)]
    frame = plain_rows().assign(title=title).drop(columns=["cost", "weight"])
    config = plain_config(linear=False).merge(data={"max_words": 8, "columns": {"title": "text"}})
    return prepare(frame.assign(copy=frame["price"] * 2), ["price"], config)


def test_a_column_that_follows_the_target_is_told(prepared: Prepared) -> None:
    table, labels = looked_at(prepared.table, prepared.raw_labels)
    assert table is prepared.table and labels is prepared.raw_labels
    used = Schema(columns=[prepared.schema.column("copy")])
    (said,) = leaks_of(table, labels, used)
    assert "column 'copy' follows the price closely" in said


def test_texts_that_are_cut_are_told(prepared: Prepared) -> None:
    (said,) = cut_texts(prepared.spec, prepared.source, 8)
    assert "40 of 80 rows hold 8 words or more" in said


def test_copies_across_a_split_are_told() -> None:
    assert split_notes(0) == []
    assert split_notes(1200)[0].startswith("1,200 rows have a duplicate in another")


def test_what_lies_on_disk_is_told_with_its_size(prepared: Prepared, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(500_000))
    (said,) = large_notes(prepared.table, [tmp_path])
    assert said == f"prepared data: 4 MB in {tmp_path}"
    assert large_notes(prepared.table, []) == []
    assert isinstance(prepared.table.frame, pd.DataFrame)
