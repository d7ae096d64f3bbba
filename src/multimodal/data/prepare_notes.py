"""What is said of a table once it is prepared: leaks, texts that are cut, what lies on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from multimodal.core.spec import FittedSpec
from multimodal.data.batches import Source
from multimodal.data.columns.schema import Schema
from multimodal.data.features.text import cut_note
from multimodal.data.prepared import Labels
from multimodal.data.prepared_sets import set_bytes
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.sampling import SAMPLE_ROWS, sample_rows, sampled
from multimodal.data.read.table import Table
from multimodal.data.shards import ShardedArray
from multimodal.data.split.leakage import leakage_warnings


def leaks_of(table: Table, found: Labels, used: Schema) -> list[str]:
    """Return the sentences about each number or class that is learned, once for each column."""
    kinds = ("number", "class")
    truths = {label.columns[0]: label.values for label in found.values() if label.kind in kinds}
    return [
        sentence
        for column, values in truths.items()
        for sentence in leakage_warnings(table.frame, used, column, values)
    ]


def looked_at(table: Table, found: Labels) -> tuple[Table, Labels]:
    """Return a sample of the rows where the table is larger than memory."""
    if not on_disk(table.frame):
        return table, found
    rows = sample_rows(table.frame)
    return sampled(table, rows), {name: label.take(rows) for name, label in found.items()}


def cut_texts(spec: FittedSpec, source: Source, limit: int) -> list[str]:
    """Say for each group of texts how many are longer than is read of them."""
    found = []
    for group in (group for group in spec.groups if group.lengths):
        words = source.inputs.get(
            f"{group.name}_tokens", np.zeros((0, group.lengths[-1]), np.int32)
        )
        looked_at = words[:SAMPLE_ROWS] if isinstance(words, ShardedArray) else words
        found.append(cut_note(group.name, looked_at, group.lengths[-1], limit))
    return [note for note in found if note]


def split_notes(leaking: int) -> list[str]:
    """Say how many rows a given split parts from their duplicates."""
    if not leaking:
        return []
    return [f"{leaking:,} rows have a duplicate on another side of the given split."]


def large_notes(table: Table, stored: Sequence[Path]) -> list[str]:
    """Say what is not done with all rows of a table too large for memory, and what lies on disk."""
    notes = [f"prepared data: {set_bytes(path) / 1e6:,.0f} MB in {path}" for path in stored]
    if not on_disk(table.frame):
        return notes
    return [
        f"{table.name} is larger than memory should hold: kinds of columns, scales, categories and "
        f"words are learned from a random sample of {len(sample_rows(table.frame)):,} rows, and "
        "baselines are left out.",
        *notes,
    ]
