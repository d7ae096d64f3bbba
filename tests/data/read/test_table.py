"""Kept and rejected rows always add up to the rows read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimodal.data.read.table import RejectedRow, Table


@pytest.fixture
def table() -> Table:
    """Rows 0, 2 and 3 of a file of four; row 1 on line 3 was short."""
    return Table(
        pd.DataFrame({"a": ["x", "y", "z"]}),
        np.array([0, 2, 3]),
        np.array([2, 5, 6]),
        [RejectedRow(1, 3, "short")],
        Path("rows.csv"),
        Path("."),
    )


def test_drop_moves_rows_to_rejected_in_source_order(table: Table) -> None:
    left = table.drop({2: "no photo", 0: "no price"})
    assert left.frame["a"].tolist() == ["y"]
    assert list(left.frame.index) == [0]
    assert (left.rows.tolist(), left.lines.tolist()) == ([2], [5])
    assert left.rejected == [
        RejectedRow(0, 2, "no price"),
        RejectedRow(1, 3, "short"),
        RejectedRow(3, 6, "no photo"),
    ]


@pytest.mark.parametrize("faults", [{}, {1: "a"}, {0: "a", 1: "b", 2: "c"}])
def test_nothing_is_lost(table: Table, faults: dict[int, str]) -> None:
    left = table.drop(faults)
    assert left.rows_read == table.rows_read == 4
    assert sorted([*left.rows, *(fault.row for fault in left.rejected)]) == [0, 1, 2, 3]


def test_drop_leaves_the_table_itself_alone(table: Table) -> None:
    table.drop({0: "gone"})
    assert len(table.frame) == 3 and len(table.rejected) == 1


def test_drop_twice_keeps_source_positions(table: Table) -> None:
    left = table.drop({0: "first"}).drop({0: "second"})
    assert [fault.row for fault in left.rejected] == [0, 1, 2]


@pytest.mark.parametrize(
    ("source", "suffix", "expected"),
    [
        (Path("rows.csv"), ".csv", "rows.csv, line 5"),
        (Path("rows.zip"), ".jsonl", "rows.zip, line 5"),
        (Path("rows.parquet"), ".parquet", "rows.parquet, row 5"),
        (Path("rows.xlsx"), ".xlsx", "rows.xlsx, row 5"),
        (None, "", "table, row 5"),
    ],
)
def test_place_names_line_or_row(
    table: Table, source: Path | None, suffix: str, expected: str
) -> None:
    other = replace(table, rejected=[], source=source, suffix=suffix)
    assert other.place(1) == expected
