"""From a file to everything training needs: checked rows, schema, splits, spec, arrays, photos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.config import Config, Kind, LabelKind
from multimodal.data import labels, screening
from multimodal.data.boxes import photo_sizes
from multimodal.data.cache import PhotoCache
from multimodal.data.defaults import complete
from multimodal.data.disk_text import in_memory, on_disk
from multimodal.data.duplicates import duplicate_groups, photo_keys
from multimodal.data.fitting import capped_columns, fit_spec
from multimodal.data.label_checks import check_sides, check_transform, rare_notes
from multimodal.data.leakage import leakage_warnings
from multimodal.data.photo_facts import PhotoColumn
from multimodal.data.pipeline import Array, Source
from multimodal.data.prepared_sets import default_folder, set_bytes, store_photos, store_rows
from multimodal.data.preprocessing import Preprocessor
from multimodal.data.readers import Source as Rows
from multimodal.data.readers import open_table
from multimodal.data.sampling import (
    SAMPLE_ROWS,
    repeated_content,
    sample_rows,
    sampled,
    sampled_schema,
)
from multimodal.data.schema import Schema, infer_schema
from multimodal.data.shards import ALONE, ShardedArray, Worker, fingerprint
from multimodal.data.splits import (
    SIDES,
    deal,
    leaking_rows,
    names_validation,
    split_rows,
)
from multimodal.data.table import Table
from multimodal.data.targets import LABEL_KINDS, complete_heads, label_kind
from multimodal.data.terms import fit_terms
from multimodal.data.text import cut_note
from multimodal.errors import ConfigError
from multimodal.spec import FittedSpec, unique_slugs

__all__ = [
    "FEATURE_KINDS",
    "SIDES",
    "Prepared",
    "Rows",
    "fit_rows",
    "member_folds",
    "prepare",
    "split_targets",
]

FEATURE_KINDS: tuple[Kind, ...] = ("number", "category", "date", "text", "image")
MEMBERS = ((3_000, 5), (7_500, 3))  # networks, by the rows up to which there are as many
LEAST = 200  # rows, below which a part would be too small to stop a network
FOLDS = 5  # parts for the linear model, where one network has none
Floats = NDArray[np.float64]
Labels = Mapping[str, labels.Label]
Base = tuple[Schema, FittedSpec]


@dataclass(frozen=True)
class Prepared:
    """A table made ready: one entry per kept row everywhere; `sides` says which split it is in.

    `truths` holds the labels by fitted head: a number float64 (N,), a class int64 (N,), labels
    float64 (N, C), a box float64 (N, 4) in shares of its photo; NaN, or -1 for a class, is missing.
    `photo_sizes` float64 (N, 2) are width and height of those photos, None without a box. `folds`
    int64 (N,) say which part of the rows but the test rows each of them is in, -1 for none. For the
    audit: `groups` of duplicates int64 (N,), `labels` as they were read, what the photos are like,
    what gives a label away. `stored` are the folders of prepared data on disk, `photo_digest` is
    that of all photos' bytes.
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
    folds: NDArray[np.int64]
    photo_sizes: Floats | None = None
    groups: NDArray[np.int64] | None = None
    labels: Labels = field(default_factory=dict)
    photos: list[PhotoColumn] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    stored: list[Path] = field(default_factory=list)
    photo_digest: str = ""

    def rows(self, side: str) -> NDArray[np.int64]:
        """Return the positions of the rows on one side of the split."""
        return np.flatnonzero(self.sides == side)

    def member_rows(self, member: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows that a network learns from, and those that stop it."""
        if self.config.training.members == 1:
            return self.rows("train"), self.rows("validation")
        own = self.folds == member
        return np.flatnonzero((self.sides != "test") & ~own), np.flatnonzero(own)

    def looked_at(self) -> Prepared:
        """Return a sample of the rows where texts stay on disk, else itself.

        Sides, groups and labels are those of its rows; source, truths and quarantine stay.
        """
        if not on_disk(self.table.frame):
            return self
        rows = sample_rows(self.table.frame)
        table = replace(sampled(self.table, rows), quarantine=self.table.quarantine)
        groups = None if self.groups is None else self.groups[rows]
        found = {name: label.take(rows) for name, label in self.labels.items()}
        return replace(self, table=table, sides=self.sides[rows], groups=groups, labels=found)

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
    worker: Worker = ALONE,
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
        worker: Which share of the prepared data this process writes to disk, where they are; its
            source has no inputs as long as other processes have not written theirs.

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
    infer = partial(
        infer_schema, targets=learned, weight=weight, split=_split_column(config),
        overrides=_overrides(config, table, base, learned), photo_root=root,
    )  # fmt: skip
    schema = sampled_schema(table, infer)
    config = complete_heads(config, table, schema, targets, label_kinds)
    kinds = {head.name: label_kind(head, label_kinds) for head in config.heads}
    table, found, weights = labels.read_labels(table, schema, config.heads, kinds, weight)
    config = complete(config, schema, learned, adapt=base is not None)
    used = _used(config, schema)
    table, digests, kept, photos = screening.without_bad_photos(table, used.names("image"), root)
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
        [photo_keys(digests), repeated_content(table.frame, schema)],
        len(table.frame),
        always=(0, 1),
    )
    sides = split_rows(
        config.data.split, table.frame, groups=groups,
        targets=[each for label in found.values() for each in split_targets(label)],
        seed=config.training.seed, source=table.name, place=table.place,
    )  # fmt: skip
    check_sides(table, config.heads, found, sides)
    config = _with_members(config, table, sides)
    folds = member_folds(config, groups, sides, found)
    spec = fit_rows(config, schema, table, found, weights, sides == "train", base)
    truths = {
        fitted.name: found[head.name].truth(fitted.classes)
        for fitted, head in zip(spec.heads, config.heads, strict=True)
    }
    leaks = _leaks(*_looked_at(table, found), used)
    notes = [*leaks, *screening.notes(table), *capped_columns(spec, schema)]
    notes += [*rare_notes(found, groups), *_split_notes(len(leaking_rows(sides, groups)))]
    preprocessor = Preprocessor(spec, schema)
    inputs, caches, stored = _stored(config, preprocessor, table, root, digests, worker)
    source = Source.of(spec, inputs, caches, *labels.label_arrays(spec.heads, truths, weights))
    notes += _cut_texts(spec, source, config.data.max_words) + _large_notes(table, stored)
    if on_disk(table.frame):
        config = config.merge(training={"baselines": False, "linear": False})
    if config.training.linear:
        spec = with_terms(spec, schema, table, sides)
    return Prepared(
        config, schema, spec, table, root, sides, source, truths, notes, folds, sizes, groups,
        found, photos, leaks, stored, fingerprint(json.dumps(digests)),
    )  # fmt: skip


def _with_members(config: Config, table: Table, sides: NDArray[Any]) -> Config:
    """Return the config with a number of networks.

    Without one, validation rows that somebody chose stay validation rows, as do the latest ones.
    """
    if config.training.members != "auto":
        return config
    split, rows = config.data.split, int((sides != "test").sum())
    chosen = split.method == "time" or (
        split.method == "column" and names_validation(table.frame[str(split.column)])
    )
    if chosen or on_disk(table.frame):
        return config.merge(training={"members": 1})
    members = next((count for most, count in MEMBERS if LEAST <= rows <= most), 1)
    return config.merge(training={"members": members})


def member_folds(
    config: Config, groups: NDArray[np.int64], sides: NDArray[Any], found: Labels
) -> NDArray[np.int64]:
    """Return the part of the rows, but the test rows, that each is in, -1 for none.

    Raises:
        ConfigError: There are too few rows for `training.members` parts.
    """
    rows = np.flatnonzero(sides != "test")
    targets = [each[rows] for label in found.values() for each in split_targets(label)]
    members = int(config.training.members)
    count, folds = members if members > 1 else FOLDS, np.full(len(sides), -1)
    folds[rows] = deal([1 / count] * count, groups[rows], targets, config.training.seed, rare=-1)
    if members > 1 and len(np.unique(folds[folds >= 0])) < members:
        raise ConfigError(
            f"`training.members` is {members}, but the rows that are no test rows do not make as "
            f"many parts: there are {len(rows):,}, and duplicates stay together. Set it to 1."
        )
    return folds


def with_terms(spec: FittedSpec, schema: Schema, table: Table, sides: NDArray[Any]) -> FittedSpec:
    """Return the spec with the terms that all rows but the test rows hold."""
    units = {column.name: column.unit for column in schema.columns}
    terms = fit_terms(spec, units, table.frame.iloc[np.flatnonzero(sides != "test")])
    return spec.model_copy(update={"terms": terms})


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


def split_targets(label: labels.Label) -> list[NDArray[Any]]:
    """Return what a split should share out evenly: numbers, classes, or a box's size."""
    if label.kind == "labels":
        each = label.truth(label.names()).astype(object)
        each[~label.known] = None
        return list(each.T)
    if label.kind == "box":
        return [np.asarray(np.prod(label.values[:, 2:] - label.values[:, :2], axis=1))]
    return [label.values]


def fit_rows(
    config: Config, schema: Schema, table: Table, found: Labels, weights: Floats,
    train: NDArray[np.bool_], base: Base | None,
) -> FittedSpec:  # fmt: skip
    """Fit groups on the rows `train` bool (N,), heads on those of them that weigh anything."""
    names = unique_slugs([g.name for g in config.groups] + [h.name for h in config.heads])
    heads = [
        labels.fit_head(head, name, found[head.name], train & (weights > 0))
        for head, name in zip(config.heads, names[len(config.groups) :], strict=True)
    ]
    rows = sample_rows(table.frame, np.flatnonzero(train))
    target = found[config.heads[0].name].truth(heads[0].classes)[rows]
    frame = in_memory(table.frame.iloc[rows])
    spec = fit_spec(config, schema, frame, base[1] if base else None, target)
    groups = spec.groups
    if len(rows) < train.sum():  # a group may be absent in a row that was not looked at
        groups = [group.model_copy(update={"optional": True}) for group in groups]
    return spec.model_copy(update={"groups": groups, "heads": heads})


def _looked_at(table: Table, found: Labels) -> tuple[Table, Labels]:
    """Return a sample of the rows where the table is larger than memory."""
    if not on_disk(table.frame):
        return table, found
    rows = sample_rows(table.frame)
    return sampled(table, rows), {name: label.take(rows) for name, label in found.items()}


def _leaks(table: Table, found: Labels, used: Schema) -> list[str]:
    """Return the sentences about each number or class that is learned, once for each column."""
    kinds = ("number", "class")
    truths = {label.columns[0]: label.values for label in found.values() if label.kind in kinds}
    return [
        sentence
        for column, values in truths.items()
        for sentence in leakage_warnings(table.frame, used, column, values)
    ]


def _cut_texts(spec: FittedSpec, source: Source, limit: int) -> list[str]:
    found = []
    for group in (group for group in spec.groups if group.lengths):
        words = source.inputs.get(
            f"{group.name}_tokens", np.zeros((0, group.lengths[-1]), np.int32)
        )
        looked_at = words[:SAMPLE_ROWS] if isinstance(words, ShardedArray) else words
        found.append(cut_note(group.name, looked_at, group.lengths[-1], limit))
    return [note for note in found if note]


def _split_notes(leaking: int) -> list[str]:
    if not leaking:
        return []
    return [f"{leaking:,} rows have a duplicate on another side of the given split."]


def _stored(
    config: Config, preprocessor: Preprocessor, table: Table, root: Path,
    digests: screening.Digests, worker: Worker,
) -> tuple[dict[str, Array], dict[str, PhotoCache], list[Path]]:  # fmt: skip
    """Return inputs and photos, from disk where they are prepared there, and those folders."""
    large, named = bool(on_disk(table.frame)), config.data.prepared
    folder = Path(named).expanduser() if named else default_folder() if large else None
    inputs: dict[str, Array] = {}
    folders = []
    if folder is None or table.source is None:
        inputs |= preprocessor.arrays(table.frame, root).inputs
    else:
        where, shards = store_rows(folder, table.source, preprocessor, table, root, worker)
        folders.append(where)
        for key, array in (shards or {}).items():
            inputs[key] = array if large else np.asarray(array)
    budget, caches = config.data.cache_mb * 2**20, {}
    columns = {group.name: group.columns for group in preprocessor.spec.groups}
    for name, photos in preprocessor.photos(table.frame, root).items():
        found = None
        if folder is not None and any(path for row in photos.paths for path in row):
            where, found = store_photos(folder, columns[name], photos, digests, worker)
            folders.append(where)
        caches[name] = PhotoCache(photos, budget=budget, shards=found)
        budget -= caches[name].nbytes if caches[name].in_memory else 0
    return inputs, caches, folders


def _large_notes(table: Table, stored: Sequence[Path]) -> list[str]:
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
