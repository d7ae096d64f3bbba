"""From a file to everything training needs: checked rows, schema, splits, spec, arrays, photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.config import Config, Kind, LabelKind
from multimodal.data import labels, screening
from multimodal.data.boxes import photo_sizes
from multimodal.data.cache import PhotoCache
from multimodal.data.defaults import complete
from multimodal.data.duplicates import content_keys, duplicate_groups, photo_keys
from multimodal.data.fitting import capped_columns, fit_spec
from multimodal.data.label_checks import check_sides, check_transform, rare_notes
from multimodal.data.leakage import leakage_warnings
from multimodal.data.pipeline import Source
from multimodal.data.preprocessing import Preprocessor
from multimodal.data.readers import Source as Rows
from multimodal.data.readers import open_table
from multimodal.data.schema import Schema, infer_schema
from multimodal.data.splits import SIDES, leaking_rows, split_rows
from multimodal.data.table import Table
from multimodal.data.targets import LABEL_KINDS, complete_heads, label_kind
from multimodal.data.text import cut_note
from multimodal.errors import ConfigError
from multimodal.spec import FittedSpec, unique_slugs

__all__ = ["FEATURE_KINDS", "SIDES", "Prepared", "Rows", "prepare"]

FEATURE_KINDS: tuple[Kind, ...] = ("number", "category", "date", "text", "image")
Floats = NDArray[np.float64]
Labels = Mapping[str, labels.Label]
Base = tuple[Schema, FittedSpec]


@dataclass(frozen=True)
class Prepared:
    """A table made ready: one entry per kept row everywhere; `sides` says which split it is in.

    `truths` holds the labels by fitted head: a number float64 (N,), a class int64 (N,), labels
    float64 (N, C), a box float64 (N, 4) in shares of its photo; NaN, or -1 for a class, is missing.
    `photo_sizes` float64 (N, 2) are width and height of those photos, None without a box.
    """

    config: Config
    schema: Schema
    spec: FittedSpec
    table: Table
    photo_root: Path
    sides: NDArray[Any]
    source: Source
    truths: Mapping[str, NDArray[Any]]
    warnings: list[str]
    photo_sizes: Floats | None = None

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
    label_kinds: Mapping[str, LabelKind | None] = LABEL_KINDS,
) -> Prepared:
    """Read, check, split and preprocess a table.

    Args:
        data: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        targets: Columns to predict; none stands for those of the config's heads.
        config: What the user wants; groups and heads left open are inferred.
        weight: Column of row weights.
        images: Folder that photo paths are relative to; the file's own folder by default.
        base: Schema and spec whose kinds, scales, words and categories are kept and added to.
        label_kinds: What each registered head learns from, by its name.

    Raises:
        DataError, ConfigError: What is wrong, where, and how to mend it.

    Example:
    >>> rows = [{"size": i / 7, "colour": "rg"[i % 2], "price": i * i} for i in range(60)]
    >>> prepared = prepare(rows, ["price"], Config())
    >>> [group.name for group in prepared.spec.groups], len(prepared.rows("train"))
    (['table'], 45)
    """
    table, root = open_table(data, images)
    read, targets = table.rows_read, list(targets) or _learned(config)
    learned = list(dict.fromkeys([*targets, *_learned(config)]))
    schema = infer_schema(
        table, targets=learned, weight=weight, split=_split_column(config),
        overrides=_overrides(config, table, base, learned), photo_root=root,
    )  # fmt: skip
    config = complete_heads(config, table, schema, targets, label_kinds)
    kinds = {head.name: label_kind(head, label_kinds) for head in config.heads}
    table, found, weights = labels.read_labels(table, schema, config.heads, kinds, weight)
    config = complete(config, schema, learned, adapt=base is not None)
    used = _used(config, schema)
    table, digests, kept = screening.without_bad_photos(table, used.names("image"), root)
    found, weights = {name: label.take(kept) for name, label in found.items()}, weights[kept]
    sizes = None
    if "box" in kinds.values():
        sizes = photo_sizes(table.frame, config.groups, root)
        table, found, kept = _placed(config, table, found, sizes)
        sizes, weights, digests = sizes[kept], weights[kept], [digests[row] for row in kept]
    screening.check_count(table, read)
    screening.check_share(table, config.data.max_quarantine)
    for head in config.heads:
        check_transform(table, head, found[head.name].values)
    groups = duplicate_groups(
        [photo_keys(digests), content_keys(table.frame, schema)], len(table.frame), always=(0, 1)
    )
    sides = split_rows(
        config.data.split, table.frame, groups=groups,
        targets=[each for label in found.values() for each in _split_targets(label)],
        seed=config.training.seed, source=table.name,
    )  # fmt: skip
    check_sides(table, config.heads, found, sides)
    spec = _fit(config, schema, table, found, weights, sides == "train", base)
    truths = {
        fitted.name: found[head.name].truth(fitted.classes)
        for fitted, head in zip(spec.heads, config.heads, strict=True)
    }
    notes = [*_leaks(table, used, found), *screening.notes(table), *capped_columns(spec, schema)]
    notes += [*rare_notes(found, groups), *_split_notes(len(leaking_rows(sides, groups)))]
    source = _source(config, schema, spec, table, root, truths, weights)
    notes += _cut_texts(spec, source, config.data.max_words)
    return Prepared(config, schema, spec, table, root, sides, source, truths, notes, sizes)


def _learned(config: Config) -> list[str]:
    """Return the columns that declared heads learn, each once."""
    return list(dict.fromkeys(column for head in config.heads for column in head.columns))


def _placed(
    config: Config, table: Table, found: Labels, sizes: Floats
) -> tuple[Table, dict[str, labels.Label], NDArray[np.int64]]:
    """Turn boxes into shares of their photos; set rows aside whose box does not fit."""
    if not any(group.modality == "image" for group in config.groups):
        name = next(name for name, label in found.items() if label.kind == "box")
        raise ConfigError(
            f"head '{name}' learns a box in a photo, but the model reads no photo. Add a group of "
            "modality 'image', or a column of photo paths."
        )
    faults: dict[int, str] = {}
    result = dict(found)
    for name, label in found.items():
        if label.kind == "box":
            result[name], wrong = labels.placed(label, sizes)
            faults |= wrong
    kept = np.setdiff1d(np.arange(len(table.frame)), list(faults))
    return table.drop(faults), {n: label.take(kept) for n, label in result.items()}, kept


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


def _split_targets(label: labels.Label) -> list[NDArray[Any]]:
    """Return what a split should share out evenly: numbers, classes, or a box's size."""
    if label.kind == "labels":
        each = label.truth(label.names()).astype(object)
        each[~label.known] = None
        return list(each.T)
    if label.kind == "box":
        return [np.asarray(np.prod(label.values[:, 2:] - label.values[:, :2], axis=1))]
    return [label.values]


def _fit(
    config: Config, schema: Schema, table: Table, found: Labels, weights: Floats,
    train: NDArray[np.bool_], base: Base | None,
) -> FittedSpec:  # fmt: skip
    """Fit groups on the training rows, heads on those of them that weigh anything."""
    names = unique_slugs([g.name for g in config.groups] + [h.name for h in config.heads])
    heads = [
        labels.fit_head(head, name, found[head.name], train & (weights > 0))
        for head, name in zip(config.heads, names[len(config.groups) :], strict=True)
    ]
    target = found[config.heads[0].name].truth(heads[0].classes)[train]
    spec = fit_spec(config, schema, table.frame[train], base[1] if base else None, target)
    return spec.model_copy(update={"heads": heads})


def _leaks(table: Table, used: Schema, found: Labels) -> list[str]:
    """Return the sentences about each number that is learned, once for each column."""
    numbers = {label.columns[0]: label.values for label in found.values() if label.kind == "number"}
    return [
        sentence
        for column, values in numbers.items()
        for sentence in leakage_warnings(table.frame, used, column, values)
    ]


def _cut_texts(spec: FittedSpec, source: Source, limit: int) -> list[str]:
    groups = [group for group in spec.groups if group.lengths]
    found = (
        cut_note(g.name, source.inputs[f"{g.name}_tokens"], g.lengths[-1], limit) for g in groups
    )
    return [note for note in found if note]


def _split_notes(leaking: int) -> list[str]:
    if not leaking:
        return []
    return [f"{leaking:,} rows have a duplicate on another side of the given split."]


def _source(
    config: Config, schema: Schema, spec: FittedSpec, table: Table, root: Path,
    truths: Mapping[str, NDArray[Any]], weights: Floats,
) -> Source:  # fmt: skip
    arrays = Preprocessor(spec, schema).arrays(table.frame, root)
    budget = config.data.cache_mb * 2**20
    caches = {}
    for name, photos in arrays.photos.items():
        caches[name] = PhotoCache(photos, budget=budget)
        budget -= caches[name].nbytes if caches[name].in_memory else 0
    targets, row_weights = labels.label_arrays(spec.heads, truths, weights)
    return Source.of(spec, arrays.inputs, caches, targets, row_weights)
