"""From a file to everything training needs: checked rows, schema, splits, spec, arrays, photos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from multimodal.core.arrays import Floats, Ints
from multimodal.core.config import Config, Kind, LabelKind
from multimodal.core.errors import ConfigError
from multimodal.core.presets import ConfigLike, as_config
from multimodal.core.spec import FittedSpec
from multimodal.data.batches import Source
from multimodal.data.columns.schema import Schema, infer_schema
from multimodal.data.defaults import complete, resolve_auto, uses_k_fold
from multimodal.data.features.fit import capped_columns, fit_rows, with_sparse_features
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.features.text import cut_note
from multimodal.data.labels.boxes import photo_sizes
from multimodal.data.labels.cells import Label
from multimodal.data.labels.checks import check_splits, check_transform, rare_class_notes
from multimodal.data.labels.fit import LABEL_KINDS, complete_heads, label_kind
from multimodal.data.labels.read import boxes_to_fractions, label_arrays, read_labels
from multimodal.data.photos import checks
from multimodal.data.prepared import Base, Labels, Prepared
from multimodal.data.prepared_sets import set_bytes, stored_inputs
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.readers import Source as Rows
from multimodal.data.read.readers import open_table
from multimodal.data.read.sampling import (
    SAMPLE_ROWS,
    repeated_content,
    sample_rows,
    sampled,
    sampled_schema,
)
from multimodal.data.read.table import Table
from multimodal.data.shards import ALONE, ShardedArray, Worker, fingerprint
from multimodal.data.sparse.random_features import random_feature_targets
from multimodal.data.split.duplicates import duplicate_groups, photo_keys
from multimodal.data.split.folds import split_targets, training_folds
from multimodal.data.split.leakage import leakage_warnings
from multimodal.data.split.splits import leaking_rows, split_rows

__all__ = ["Prepared", "Rows", "prepare"]

FEATURE_KINDS: tuple[Kind, ...] = ("number", "category", "date", "text", "image")


def prepare(
    data: Rows,
    targets: str | Sequence[str],
    config: ConfigLike = None,
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
        targets: Column or columns to predict; none stands for those of the config's heads.
        config: What the user wants, as a Config, a dict or the path of a file; groups and heads
            left open are inferred.
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
    >>> prepared = prepare(rows, "price")
    >>> [group.name for group in prepared.spec.groups], len(prepared.rows("train"))
    (['table'], 45)
    """
    config = as_config(config)
    table, root = open_table(data, images)
    named = [targets] if isinstance(targets, str) else list(targets)
    read, targets = table.rows_read, named or _learned(config)
    learned = list(dict.fromkeys([*targets, *_learned(config)]))
    infer = partial(
        infer_schema,
        targets=learned,
        weight=weight,
        split=_split_column(config),
        overrides=_overrides(config, table, base, learned),
        photo_root=root,
    )
    schema = sampled_schema(table, infer)
    config = complete_heads(config, table, schema, targets, label_kinds)
    kinds = {head.name: label_kind(head, label_kinds) for head in config.heads}
    table, found, weights = read_labels(table, schema, config.heads, kinds, weight)
    config = complete(config, schema, learned, adapt=base is not None)
    used = _used(config, schema)
    table, digests, kept, photos = checks.reject_bad_photos(table, used.names("image"), root)
    found, weights = {name: label.take(kept) for name, label in found.items()}, weights[kept]
    sizes = None
    if "box" in kinds.values():
        sizes = photo_sizes(table.frame, config.groups, root)
        table, found, kept = _placed(config, table, found, sizes)
        sizes, weights, digests = sizes[kept], weights[kept], [digests[row] for row in kept]
    checks.check_row_count(table, read)
    checks.check_rejected_fraction(table, config.data.max_quarantine)
    for head in config.heads:
        check_transform(table, head, found[head.name].values)
    groups = duplicate_groups(
        [photo_keys(digests), repeated_content(table.frame, schema)],
        len(table.frame),
        always=(0, 1),
    )
    splits = split_rows(
        config.data.split,
        table.frame,
        groups=groups,
        targets=[each for label in found.values() for each in split_targets(label)],
        seed=config.training.seed,
        source=table.name,
        place=table.place,
    )
    check_splits(table, config.heads, found, splits)
    config = resolve_auto(config, table, splits)
    k_fold = uses_k_fold(config, table)
    folds = training_folds(config, groups, splits, found, k_fold)
    spec = fit_rows(config, schema, table, found, weights, splits == "train", base)
    labels = {
        fitted.name: found[head.name].y_true(fitted.classes)
        for fitted, head in zip(spec.heads, config.heads, strict=True)
    }
    leaks = leakage_notes(*looked_at(table, found), used)
    notes = [*leaks, *checks.notes(table), *capped_columns(spec, schema)]
    notes += [*rare_class_notes(found, groups), *split_notes(len(leaking_rows(splits, groups)))]
    preprocessor = Preprocessor(spec, schema)
    inputs, caches, stored = stored_inputs(config, preprocessor, table, root, digests, worker)
    source = Source.of(spec, inputs, caches, *label_arrays(spec.heads, labels, weights))
    notes += cut_texts(spec, source, config.data.max_words) + large_notes(table, stored)
    if on_disk(table.frame):
        config = config.merge(training={"baselines": False, "linear": False})
    if config.training.linear:
        measured = random_feature_targets(config.heads, spec.heads, labels)
        spec = with_sparse_features(spec, schema, table, splits, measured)
    return Prepared(
        config,
        schema,
        spec,
        table,
        root,
        splits,
        source,
        labels,
        notes,
        folds,
        sizes,
        groups,
        found,
        photos,
        leaks,
        stored,
        fingerprint(json.dumps(digests)),
        k_fold,
    )


def _learned(config: Config) -> list[str]:
    """Return the columns that declared heads learn, each once."""
    return list(dict.fromkeys(column for head in config.heads for column in head.columns))


def _placed(
    config: Config, table: Table, found: Labels, sizes: Floats
) -> tuple[Table, dict[str, Label], Ints]:
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
            result[name], wrong = boxes_to_fractions(label, sizes)
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


def leakage_notes(table: Table, found: Labels, used: Schema) -> list[str]:
    """Return the sentences about each number or class that is learned, once for each column."""
    kinds = ("number", "class")
    labels = {label.columns[0]: label.values for label in found.values() if label.kind in kinds}
    return [
        sentence
        for column, values in labels.items()
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
    return [f"{leaking:,} rows have a duplicate in another of the given splits."]


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
