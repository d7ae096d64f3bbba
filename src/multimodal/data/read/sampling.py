"""Random samples of the rows of a table too large for memory, and duplicates found in blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from multimodal.core.arrays import Ints
from multimodal.data.columns.schema import Schema
from multimodal.data.read.lazy_text import DiskText, in_memory, on_disk
from multimodal.data.read.table import Table
from multimodal.data.split.duplicates import content_keys

SAMPLE_ROWS = 100_000
SAMPLE_BYTES = 2**27
_FIRST = 10_000  # rows from which it shows that a column counts them
_BLOCK = 2**14  # rows whose texts are in memory at a time
_KEY = 16  # bytes of a key


def sample_rows(frame: pd.DataFrame, rows: Ints | None = None) -> Ints:
    """Return positions to look at in place of `rows`, ascending; all where memory holds them.

    Of a frame with texts on disk these are at most 100,000 rows and 128 MB of texts, drawn at
    random with a fixed seed.

    Args:
        frame: the rows.
        rows: positions to draw from; None stands for all.
    """
    rows = np.arange(len(frame)) if rows is None else rows
    columns = on_disk(frame)
    if not columns:
        return rows
    content = sum(
        array.content_bytes for name in columns if isinstance(array := frame[name].array, DiskText)
    )
    most = min(SAMPLE_ROWS, int(SAMPLE_BYTES * len(frame) / max(content, 1)) + 1)
    if len(rows) <= most:
        return rows
    # A fixed seed, not the run's: whatever the run, a table has the same kinds and scales.
    chosen = np.random.default_rng(0).choice(len(rows), most, replace=False)
    return np.asarray(rows[np.sort(chosen)], np.int64)


def sampled(table: Table, rows: Ints) -> Table:
    """Return a table of some of its rows, with their texts in memory and no rejected rows."""
    frame = in_memory(table.frame.iloc[rows].reset_index(drop=True))
    return replace(table, frame=frame, rows=table.rows[rows], lines=table.lines[rows], rejected=[])


def sampled_schema(table: Table, infer: Callable[[Table], Schema]) -> Schema:
    """Return what `infer` makes of a sample of the table, or of all of it where memory holds it.

    A number that counts the first rows is an identifier, which a sample does not show.
    """
    if not on_disk(table.frame):
        return infer(table)
    found = infer(sampled(table, sample_rows(table.frame)))
    first = infer(sampled(table, np.arange(min(len(table.frame), _FIRST))))
    counting = {c.name for c in first.columns if c.kind == "identifier"}
    return Schema(
        columns=[
            first.column(c.name) if c.kind == "number" and c.name in counting else c
            for c in found.columns
        ]
    )


def repeated_content(frame: pd.DataFrame, schema: Schema) -> list[str | None]:
    """Return `content_keys`, found some rows at a time where texts stay on disk.

    There, a key that only one row has is None: it ties nothing, and a table has many.
    """
    if not on_disk(frame):
        return content_keys(frame, schema)
    # 16 bytes a row, where the keys as strings would take five times as much
    digests = np.zeros((len(frame), _KEY), np.uint8)
    known = np.zeros(len(frame), bool)
    for start in range(0, len(frame), _BLOCK):
        keys = content_keys(in_memory(frame.iloc[start : start + _BLOCK]), schema)
        for i, key in enumerate(keys, start):
            if key is not None:
                digests[i], known[i] = np.frombuffer(bytes.fromhex(key), np.uint8), True
    _, where, counts = np.unique(
        digests.view(f"V{_KEY}").ravel(), return_inverse=True, return_counts=True
    )
    again = known & (counts[where] > 1)
    return [f"content {where[i]}" if there else None for i, there in enumerate(again)]
