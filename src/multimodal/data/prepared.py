"""What is there of a table once it is ready to be trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.config import Config
from multimodal.core.spec import FittedSpec
from multimodal.data.batches import Source
from multimodal.data.columns.schema import Schema
from multimodal.data.labels.cells import Label
from multimodal.data.photos import checks
from multimodal.data.photos.checks import PhotoColumn
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.sampling import sample_rows, sampled
from multimodal.data.read.table import Table
from multimodal.data.split.splits import SPLITS

Labels = Mapping[str, Label]
Base = tuple[Schema, FittedSpec]


@dataclass(frozen=True)
class Prepared:
    """A table made ready: one entry per kept row everywhere; `splits` says which split it is in.

    `labels` holds the labels by fitted head: a number float64 (N,), a class int64 (N,), labels
    float64 (N, C), a box float64 (N, 4) in shares of its photo; NaN, or -1 for a class, is missing.
    `photo_sizes` float64 (N, 2) are width and height of those photos, None without a box. `folds`
    int64 (N,) say which part of the rows but the test rows each of them is in, -1 for none; with
    `parts`, each network is without one of them. For the audit: `groups` of duplicates int64 (N,),
    `raw_labels` as they were read, what the photos are like, what gives a label away. `stored` are
    the folders of prepared data on disk, `photo_digest` is that of all photos' bytes.
    """

    config: Config
    schema: Schema
    spec: FittedSpec
    table: Table
    photo_root: Path
    splits: NDArray[Any]
    source: Source
    labels: Mapping[str, NDArray[Any]]
    warnings: list[str]
    folds: Ints
    photo_sizes: Floats | None = None
    groups: Ints | None = None
    raw_labels: Labels = field(default_factory=dict)
    photos: list[PhotoColumn] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    stored: list[Path] = field(default_factory=list)
    photo_digest: str = ""
    k_fold: bool = False

    def rows(self, split: str) -> Ints:
        """Return the positions of the rows of one split."""
        return np.flatnonzero(self.splits == split)

    def fold_rows(self, member: int) -> tuple[Ints, Ints]:
        """Return the rows that a network learns from, and those that stop it."""
        if not self.k_fold:
            return self.rows("train"), self.rows("validation")
        own = self.folds == member
        return np.flatnonzero((self.splits != "test") & ~own), np.flatnonzero(own)

    def looked_at(self) -> Prepared:
        """Return a sample of the rows where texts stay on disk, else itself.

        Sides, groups and raw labels are those of its rows; source, labels and rejected rows stay.
        """
        if not on_disk(self.table.frame):
            return self
        rows = sample_rows(self.table.frame)
        table = replace(sampled(self.table, rows), rejected=self.table.rejected)
        groups = None if self.groups is None else self.groups[rows]
        found = {name: label.take(rows) for name, label in self.raw_labels.items()}
        return replace(self, table=table, splits=self.splits[rows], groups=groups, raw_labels=found)

    def summary(self) -> dict[str, Any]:
        """Return the counts that the report shows."""
        return {
            "source": self.table.name,
            "read": self.table.rows_read,
            "kept": len(self.table.frame),
            "quarantined": len(self.table.rejected),
            "reasons": checks.reasons(self.table),
            **{split: int((self.splits == split).sum()) for split in SPLITS},
            "warnings": self.warnings,
        }
