"""What is there of a table once it is ready to be trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
from multimodal.data.features.pretrained import Extractors
from multimodal.data.labels.cells import Label
from multimodal.data.photos import checks
from multimodal.data.photos.checks import PhotoColumn
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.read.table import Table
from multimodal.data.split.splits import SPLITS

Labels = Mapping[str, Label]
Base = tuple[Schema, FittedSpec]


@dataclass(frozen=True)
class Prepared:
    """A table made ready for training; every array has one entry per kept row.

    Attributes:
        config: The config, with what it left open resolved.
        schema, spec: Kinds of columns, and what preprocessing learned from the training rows.
        table: The kept rows, and those that were rejected.
        photo_root: Folder that photo paths start from.
        splits: "train", "validation" or "test", object (N,).
        source: The arrays that batches are cut from.
        labels: By fitted head: a number float64 (N,), a class int64 (N,), labels float64 (N, C), a
            box float64 (N, 4) in fractions of its photo; NaN, or -1 for a class, is missing.
        warnings: Sentences for the user.
        folds: Each row's fold int64 (N,), -1 for test rows.
        duplicates: Groups of duplicates, int64 (N,).
        groups: What no split made here and no fold parts, int64 (N,): duplicates, near duplicates,
            rows of one value of the column `data.split.group`.
        photo_sizes: Width and height of the photos of boxes, float64 (N, 2); None without a box.
        raw_labels: The labels as they were read.
        photos, leaks: For the audit, what photos are like, and which columns tell the target.
        stored: The folders of prepared data on disk.
        photo_digest: Digest of all photos' bytes.
        k_fold: Whether each network of an ensemble leaves out one fold, which stops it.
        extractors: The pretrained models, by group, of groups that are read as frozen features.
    """

    config: Config
    schema: Schema
    spec: FittedSpec
    table: Table
    photo_root: PhotoRoot
    splits: NDArray[Any]
    source: Source
    labels: Mapping[str, NDArray[Any]]
    warnings: list[str]
    folds: Ints
    duplicates: Ints
    groups: Ints
    photo_sizes: Floats | None = None
    raw_labels: Labels = field(default_factory=dict)
    photos: list[PhotoColumn] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    stored: list[Path] = field(default_factory=list)
    photo_digest: str = ""
    k_fold: bool = False
    extractors: Extractors = field(default_factory=dict)

    def rows(self, split: str) -> Ints:
        """Return the positions of the rows of one split."""
        return np.flatnonzero(self.splits == split)

    def fold_rows(self, fold: int) -> tuple[Ints, Ints]:
        """Return the rows that the network of a fold learns from, and those that stop it."""
        if not self.k_fold:
            # Networks that share the validation rows differ by their seeds alone.
            return self.rows("train"), self.rows("validation")
        own = self.folds == fold
        return np.flatnonzero((self.splits != "test") & ~own), np.flatnonzero(own)

    def only(self, modalities: Collection[str]) -> Prepared:
        """Return the same rows with the groups of some modalities, without sparse features."""
        config, spec = self.config, self.spec
        fitted = [group for group in spec.groups if group.modality in modalities]
        # By their slugs: without a group of like name, another would get its slug.
        slugs = {
            "groups": [
                group.model_copy(update={"name": known.name})
                for group, known in zip(config.groups, spec.groups, strict=True)
                if group.modality in modalities
            ],
            "heads": [
                head.model_copy(update={"name": known.name})
                for head, known in zip(config.heads, spec.heads, strict=True)
            ],
        }
        return replace(
            self,
            config=config.model_copy(update=slugs),
            spec=spec.model_copy(update={"groups": fitted, "terms": None}),
            source=self.source.only(modalities, spec),
        )

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
