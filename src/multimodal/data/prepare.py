"""From a file to everything training needs: checked rows, schema, splits, spec, arrays, photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.config import Config, Kind
from multimodal.data import labels
from multimodal.data.cache import PhotoCache
from multimodal.data.columns import photo_paths
from multimodal.data.defaults import complete
from multimodal.data.leakage import leakage_warnings
from multimodal.data.photos import PhotoFacts, examine, locate
from multimodal.data.pipeline import Source
from multimodal.data.preprocessing import Preprocessor, fit_spec
from multimodal.data.readers import read_table
from multimodal.data.schema import Schema, infer_schema
from multimodal.data.duplicates import content_keys, duplicate_groups
from multimodal.data.splits import leaking_rows, split_rows
from multimodal.data.table import Table
from multimodal.errors import DataError
from multimodal.spec import FittedSpec, unique_slugs

FEATURE_KINDS = ("number", "category", "date", "text", "image")
SIDES = ("train", "validation", "test")
Rows = str | Path | pd.DataFrame | Sequence[Mapping[str, Any]]


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
    truths: Mapping[str, NDArray[np.float64]]
    warnings: list[str]

    def rows(self, side: str) -> NDArray[np.int64]:
        """Return the positions of the rows on one side of the split."""
        return np.flatnonzero(self.sides == side)

    def summary(self) -> dict[str, Any]:
        """Return the counts that the report shows."""
        reasons = Counter(_kind_of(fault.reason) for fault in self.table.quarantine)
        return {
            "source": self.table.name,
            "read": self.table.rows_read,
            "kept": len(self.table.frame),
            "quarantined": len(self.table.quarantine),
            "reasons": dict(reasons.most_common(20)),
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
    base: tuple[Schema, FittedSpec] | None = None,
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
    """
    table, root = open_table(data, images)
    schema = infer_schema(
        table, targets=targets, weight=weight, split=_split_column(config),
        overrides=_overrides(config, table, base, targets), photo_root=root,
    )  # fmt: skip
    table, truths, weights = labels.read_labels(table, targets, weight)
    config = complete(config, schema, truths, adapt=base is not None)
    table, facts, kept = _without_bad_photos(table, schema, root)
    truths, weights = {name: values[kept] for name, values in truths.items()}, weights[kept]
    _check_quarantine(table, config)
    for head in config.heads:
        labels.check_transform(table, head, truths[head.column])
    sides, notes = _divide(table, schema, config, facts, truths[targets[0]])
    for name, values in truths.items():
        notes += leakage_warnings(table.frame, schema, name, values)
    notes += [f"{count} {reason}" for reason, count in _quarantine_notes(table)]
    train = sides == "train"
    spec = fit_spec(config, schema, table.frame[train], base[1] if base else None)
    names = unique_slugs([g.name for g in config.groups] + [h.name for h in config.heads])
    heads = [
        labels.fit_head(head, name, truths[head.column][train])
        for head, name in zip(config.heads, names[len(config.groups) :], strict=True)
    ]
    spec = spec.model_copy(update={"heads": heads})
    source = _source(config, schema, spec, table, root, truths, weights)
    return Prepared(config, schema, spec, table, root, sides, source, truths, notes)


def open_table(data: Rows, images: str | Path | None, **options: Any) -> tuple[Table, Path]:
    """Read a table and find the folder its photos lie in."""
    table = read_table(data, **options)
    root = Path(images) if images is not None else table.root
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected the folder that photo paths start from.")
    return table, root


def _overrides(
    config: Config,
    table: Table,
    base: tuple[Schema, FittedSpec] | None,
    targets: Sequence[str],
) -> dict[str, Kind]:
    """Return the kinds a person chose, and those of the columns that the base knows."""
    known = {
        column.name: column.kind
        for column in (base[0].columns if base else [])
        if column.name in table.frame
        and column.name not in targets
        and column.kind in FEATURE_KINDS
    }
    return {**known, **config.data.columns}


def _split_column(config: Config) -> str | None:
    return config.data.split.column if config.data.split.method == "column" else None


def _kind_of(reason: str) -> str:
    """Fold the particulars of a reason away, so that alike reasons count together."""
    return (
        reason.split(": ", 1)[0] + ": " + reason.rsplit(": ", 1)[-1] if ": " in reason else reason
    )


def _without_bad_photos(
    table: Table, schema: Schema, root: Path
) -> tuple[Table, list[list[PhotoFacts]], NDArray[np.int64]]:
    """Examine every photo; set rows aside that name one that is absent or unreadable."""
    columns = schema.names("image")
    cells = [
        [path for c in columns for path in photo_paths(table.frame[c].iloc[i])]
        for i in range(len(table.frame))
    ]
    paths = [[locate(name, root) for name in row] for row in cells]
    with ThreadPoolExecutor(4) as pool:
        facts = list(pool.map(lambda row: [examine(path) for path in row], paths))
    faults = {
        i: f"photo: {next(fact.fault for fact in row if fact.fault)}"
        for i, row in enumerate(facts)
        if any(fact.fault for fact in row)
    }
    kept = np.setdiff1d(np.arange(len(facts)), list(faults))
    return table.drop(faults), [facts[i] for i in kept], kept


def _check_quarantine(table: Table, config: Config) -> None:
    bad, limit = len(table.quarantine), config.data.max_quarantine
    if not len(table.frame) or bad > limit * table.rows_read:
        first = table.quarantine[0]
        raise DataError(
            f"{table.name}: {bad:,} of {table.rows_read:,} rows cannot be used (at most {limit:.0%} "
            f"may be set aside). First: line {first.line}: {first.reason}. Mend the rows, or raise "
            "`data.max_quarantine`."
        )


def _divide(
    table: Table, schema: Schema, config: Config, facts: list[list[PhotoFacts]], target: Any
) -> tuple[NDArray[Any], list[str]]:
    slots = max((len(row) for row in facts), default=0)
    digests = [[row[k].digest if k < len(row) else None for row in facts] for k in range(slots)]
    keys = [*digests, content_keys(table.frame, schema)]
    groups = duplicate_groups(keys, len(table.frame))
    sides = split_rows(
        config.data.split, table.frame, groups=groups, target=target,
        seed=config.training.seed, source=table.name,
    )  # fmt: skip
    leaking = leaking_rows(sides, groups)
    if not len(leaking):
        return sides, []
    return sides, [f"{len(leaking):,} rows have a duplicate on another side of the given split."]


def _quarantine_notes(table: Table) -> list[tuple[str, int]]:
    kinds = Counter(_kind_of(fault.reason) for fault in table.quarantine)
    return [(f"rows set aside: {kind}", count) for kind, count in kinds.most_common(5)]


def _source(
    config: Config, schema: Schema, spec: FittedSpec, table: Table, root: Path,
    truths: Mapping[str, Any], weights: Any,
) -> Source:  # fmt: skip
    arrays = Preprocessor(spec, schema).arrays(table.frame, root)
    budget = config.data.cache_mb * 2**20
    caches = {}
    for name, photos in arrays.photos.items():
        caches[name] = PhotoCache(photos, budget=budget)
        budget -= photos.nbytes if caches[name].in_memory else 0
    targets, row_weights = labels.label_arrays(spec.heads, truths, weights)
    return Source.of(spec, arrays.inputs, caches, targets, row_weights)
