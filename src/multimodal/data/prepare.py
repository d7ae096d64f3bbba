"""From a file to everything training needs: checked rows, schema, splits, spec, arrays, photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.config import Config, Kind
from multimodal.data import labels, screening
from multimodal.data.cache import PhotoCache
from multimodal.data.defaults import complete
from multimodal.data.duplicates import content_keys, duplicate_groups, photo_keys
from multimodal.data.fitting import capped_columns, fit_spec
from multimodal.data.leakage import leakage_warnings
from multimodal.data.pipeline import Source
from multimodal.data.preprocessing import Preprocessor
from multimodal.data.readers import Source as Rows
from multimodal.data.readers import open_table
from multimodal.data.schema import Schema, infer_schema
from multimodal.data.splits import SIDES, leaking_rows, split_rows
from multimodal.data.table import Table
from multimodal.spec import FittedSpec, unique_slugs

__all__ = ["FEATURE_KINDS", "SIDES", "Prepared", "Rows", "prepare"]

FEATURE_KINDS: tuple[Kind, ...] = ("number", "category", "date", "text", "image")
Floats = NDArray[np.float64]
Base = tuple[Schema, FittedSpec]


@dataclass(frozen=True)
class Prepared:
    """A table made ready: one entry per kept row everywhere; `sides` says which split it is in."""

    config: Config
    schema: Schema
    spec: FittedSpec
    table: Table
    photo_root: Path
    sides: NDArray[Any]
    source: Source
    truths: Mapping[str, Floats]
    warnings: list[str]

    def rows(self, side: str) -> NDArray[np.int64]:
        """Return the positions of the rows on one side of the split."""
        return np.flatnonzero(self.sides == side)

    def summary(self) -> dict[str, Any]:
        """Return the counts that the report shows."""
        return {
            "source": self.table.name,
            "read": self.table.rows_read,
            "kept": len(self.table.frame),
            "quarantined": len(self.table.quarantine),
            "reasons": screening.reasons(self.table),
            **{side: int((self.sides == side).sum()) for side in SIDES},
            "warnings": self.warnings,
        }


def prepare(
    data: Rows,
    targets: Sequence[str],
    config: Config,
    *,
    weight: str | None = None,
    images: str | Path | None = None,
    base: Base | None = None,
) -> Prepared:
    """Read, check, split and preprocess a table.

    Args:
        data: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        targets: Columns to predict.
        config: What the user wants; groups and heads left open are inferred.
        weight: Column of row weights.
        images: Folder that photo paths are relative to; the file's own folder by default.
        base: Schema and spec whose kinds, scales, words and categories are kept and added to.

    Raises:
        DataError, ConfigError: What is wrong, where, and how to mend it.

    Example:
    >>> rows = [{"size": i / 7, "colour": "rg"[i % 2], "price": i * i} for i in range(60)]
    >>> prepared = prepare(rows, ["price"], Config())
    >>> [group.name for group in prepared.spec.groups], len(prepared.rows("train"))
    (['table'], 45)
    """
    table, root = open_table(data, images)
    read = table.rows_read
    schema = infer_schema(
        table, targets=targets, weight=weight, split=_split_column(config),
        overrides=_overrides(config, table, base, targets), photo_root=root,
    )  # fmt: skip
    table, truths, weights = labels.read_labels(table, schema, targets, weight)
    config = complete(config, schema, truths, adapt=base is not None)
    used = _used(config, schema)
    table, digests, kept = screening.without_bad_photos(table, used.names("image"), root)
    truths, weights = {name: values[kept] for name, values in truths.items()}, weights[kept]
    screening.check_count(table, read)
    screening.check_share(table, config.data.max_quarantine)
    for head in config.heads:
        labels.check_transform(table, head, truths[head.column])
    groups = duplicate_groups(
        [photo_keys(digests), content_keys(table.frame, schema)], len(kept), always=(0, 1)
    )
    sides = split_rows(
        config.data.split, table.frame, groups=groups, target=truths[targets[0]],
        seed=config.training.seed, source=table.name,
    )  # fmt: skip
    spec = _fit(config, schema, table, truths, weights, sides == "train", base)
    notes = [*_leaks(table, used, truths), *screening.notes(table), *capped_columns(spec, schema)]
    notes += _split_notes(len(leaking_rows(sides, groups)))
    source = _source(config, schema, spec, table, root, truths, weights)
    return Prepared(config, schema, spec, table, root, sides, source, truths, notes)


def _overrides(
    config: Config, table: Table, base: Base | None, targets: Sequence[str]
) -> dict[str, Kind]:
    """Return the kinds that the base knows, those that groups imply, and those a person chose."""
    free = {str(name) for name in table.frame} - set(targets)
    known = {c.name: c.kind for c in (base[0].columns if base else []) if c.kind in FEATURE_KINDS}
    kinds: dict[str, Kind] = {"text": "text", "image": "image"}
    told = {
        column: kinds[group.modality]
        for group in config.groups
        for column in group.columns
        if group.modality in kinds
    }
    implied = {name: kind for name, kind in {**known, **told}.items() if name in free}
    return {**implied, **config.data.columns}


def _split_column(config: Config) -> str | None:
    return config.data.split.column if config.data.split.method == "column" else None


def _used(config: Config, schema: Schema) -> Schema:
    """Return the columns that the model reads."""
    names = {column for group in config.groups for column in group.columns}
    return Schema(columns=[column for column in schema.columns if column.name in names])


def _fit(
    config: Config, schema: Schema, table: Table, truths: Mapping[str, Floats],
    weights: Floats, train: NDArray[np.bool_], base: Base | None,
) -> FittedSpec:  # fmt: skip
    """Fit groups on the training rows, heads on those of them that weigh anything."""
    spec = fit_spec(config, schema, table.frame[train], base[1] if base else None)
    names = unique_slugs([g.name for g in config.groups] + [h.name for h in config.heads])
    heads = [
        labels.fit_head(head, name, truths[head.column][train & (weights > 0)])
        for head, name in zip(config.heads, names[len(config.groups) :], strict=True)
    ]
    return spec.model_copy(update={"heads": heads})


def _leaks(table: Table, used: Schema, truths: Mapping[str, Floats]) -> list[str]:
    return [
        sentence
        for name, values in truths.items()
        for sentence in leakage_warnings(table.frame, used, name, values)
    ]


def _split_notes(leaking: int) -> list[str]:
    if not leaking:
        return []
    return [f"{leaking:,} rows have a duplicate on another side of the given split."]


def _source(
    config: Config, schema: Schema, spec: FittedSpec, table: Table, root: Path,
    truths: Mapping[str, Floats], weights: Floats,
) -> Source:  # fmt: skip
    arrays = Preprocessor(spec, schema).arrays(table.frame, root)
    budget = config.data.cache_mb * 2**20
    caches = {}
    for name, photos in arrays.photos.items():
        caches[name] = PhotoCache(photos, budget=budget)
        budget -= caches[name].nbytes if caches[name].in_memory else 0
    targets, row_weights = labels.label_arrays(spec.heads, truths, weights)
    return Source.of(spec, arrays.inputs, caches, targets, row_weights)
