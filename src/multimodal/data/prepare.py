"""Data preparation: from a file to checked rows, schema, splits, fitted spec, arrays and photos."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from multimodal.core.arrays import Floats, Ints
from multimodal.core.config import Config, Group, Kind, LabelKind
from multimodal.core.errors import ConfigError
from multimodal.core.presets import ConfigLike, as_config, as_names
from multimodal.core.spec import FittedSpec, unique_slugs
from multimodal.data.batches import Source
from multimodal.data.columns.schema import Schema, infer_schema
from multimodal.data.defaults import complete, resolve_auto, uses_k_fold
from multimodal.data.features.fit import (
    capped_columns,
    fit_rows,
    fitted_labels,
    with_sparse_features,
)
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.features.pretrained import (
    Extractors,
    FrozenFeatures,
    with_pretrained,
)
from multimodal.data.features.text import cut_note
from multimodal.data.labels.boxes import photo_sizes
from multimodal.data.labels.cells import Label
from multimodal.data.labels.checks import check_splits, check_transform, rare_class_notes
from multimodal.data.labels.fit import LABEL_KINDS, complete_heads, label_kind
from multimodal.data.labels.read import boxes_to_fractions, label_arrays, read_labels
from multimodal.data.photos import checks
from multimodal.data.photos.checks import Digests, PhotoColumn
from multimodal.data.photos.locate import Images, PhotoRoot, as_configured
from multimodal.data.prepared import Base, Labels, Prepared
from multimodal.data.prepared_sets import set_bytes, stored_inputs
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.readers import Source as Rows
from multimodal.data.read.readers import open_table
from multimodal.data.read.sampling import SAMPLE_ROWS, sample_rows, sampled_schema
from multimodal.data.read.table import Dialect, Table
from multimodal.data.shards import ALONE, ShardedArray, Worker, fingerprint
from multimodal.data.split.folds import split_targets, training_folds
from multimodal.data.split.groups import RowGroups, row_groups
from multimodal.data.split.leakage import leakage_notes
from multimodal.data.split.splits import Splits, leaking_rows, split_rows

__all__ = ["Prepared", "Rows", "prepare"]

FEATURE_KINDS: tuple[Kind, ...] = ("number", "category", "date", "text", "image")


def prepare(
    data: Rows,
    targets: str | int | Sequence[str | int],
    config: ConfigLike = None,
    *,
    weight: str | None = None,
    images: Images = None,
    base: Base | None = None,
    label_kinds: Mapping[str, LabelKind | None] = LABEL_KINDS,
    worker: Worker = ALONE,
    extractor_of: Callable[[Group], FrozenFeatures | None] = lambda group: None,
) -> Prepared:
    """Read, check, split and preprocess a table.

    Args:
        data: A CSV, Excel, Parquet or JSON Lines file, a DataFrame, a list of dicts, or a table.
        targets: Column or columns to predict; none stands for those of the config's heads.
        config: What the user wants, as a Config, a dict or the path of a file; groups and heads
            left open are inferred.
        weight: Column of row weights.
        images: Folder that photo paths are relative to; the file's own folder by default.
        base: Schema and spec whose kinds, scales, words and categories are kept and added to.
        label_kinds: What each registered head learns from, by its name.
        worker: Which share of the prepared data this process writes to disk, where they are; its
            source has no inputs as long as other processes have not written theirs.
        extractor_of: The pretrained model of a group that is read as frozen features, None of any
            other one.

    Raises:
        DataError, ConfigError: What is wrong, where, and how to mend it.

    Example:
    >>> rows = [{"size": i / 7, "colour": "rg"[i % 2], "price": i * i} for i in range(60)]
    >>> prepared = prepare(rows, "price")
    >>> [group.name for group in prepared.spec.groups], len(prepared.rows("train"))
    (['table'], 45)
    """
    config = as_config(config)
    table, root = open_table(data, images, Dialect.of(config.data))
    root = as_configured(root, config.data)
    named = as_names(targets)
    config, schema, rows = _read_rows(config, table, root, named, weight, base, label_kinds)
    groups, splits = _split(config, schema, rows)
    boxes = rows.photo_sizes is not None
    config = resolve_auto(config, rows.table, splits, boxes=boxes)
    found = unique_slugs([group.name for group in config.groups]), map(extractor_of, config.groups)
    extractors = {name: each for name, each in zip(*found, strict=True) if each is not None}
    return _fit(config, schema, rows, groups, splits, root, base, worker, extractors)


class _Rows(NamedTuple):
    """The rows that can be learned from; see `Prepared` for what each is."""

    table: Table
    labels: dict[str, Label]
    weights: Floats
    digests: Digests
    photos: list[PhotoColumn]
    photo_sizes: Floats | None


def _read_rows(
    config: Config,
    table: Table,
    root: PhotoRoot,
    targets: list[str],
    weight: str | None,
    base: Base | None,
    label_kinds: Mapping[str, LabelKind | None],
) -> tuple[Config, Schema, _Rows]:
    """Say what the columns are, complete the config by them, and leave unusable rows out."""
    targets = targets or learned_columns(config)
    learned = list(dict.fromkeys([*targets, *learned_columns(config)]))
    schema = inferred_schema(config, table, learned, weight, base, root)
    config = complete_heads(config, table, schema, targets, label_kinds)
    kinds = {head.name: label_kind(head, label_kinds) for head in config.heads}
    labelled = read_labels(table, schema, config.heads, kinds, weight)
    boxes = "box" in kinds.values()
    config = complete(config, schema, learned, adapt=base is not None, boxes=boxes)
    rows = _usable_rows(config, table.rows_read, _used(config, schema), root, *labelled)
    return config, schema, rows


def _fit(
    config: Config,
    schema: Schema,
    rows: _Rows,
    groups: RowGroups,
    splits: Splits,
    root: PhotoRoot,
    base: Base | None,
    worker: Worker,
    extractors: Extractors,
) -> Prepared:
    """Learn the spec from the training rows, and make the arrays of all rows by it."""
    table, raw_labels = rows.table, rows.labels
    k_fold = uses_k_fold(config, table)
    folds = training_folds(config, groups.together, splits, raw_labels, k_fold)
    spec = fit_rows(config, schema, table, raw_labels, rows.weights, splits == "train", base)
    spec = with_pretrained(spec, extractors)
    labels = fitted_labels(config, spec, raw_labels)
    preprocessor = Preprocessor(spec, schema, extractors)
    inputs, caches, stored = stored_inputs(config, preprocessor, table, root, rows.digests, worker)
    source = Source.of(spec, inputs, caches, *label_arrays(spec.heads, labels, rows.weights))
    leaks = leakage_notes(table, raw_labels, _used(config, schema))
    notes = [
        *leaks,
        *_used(config, schema).doubts(),
        *_row_notes(rows, spec, schema, groups, splits),
        *_photo_notes(config, rows.photos),
    ]
    notes += cut_texts(spec, source, config.data.max_words) + large_notes(table, stored)
    # Both would hold all texts in memory at once.
    if on_disk(table.frame):
        config = config.merge(training={"baselines": False, "linear": False})
    if config.training.linear:
        spec = with_sparse_features(config, spec, schema, table, splits, labels)
    return Prepared(
        config=config,
        schema=schema,
        spec=spec,
        table=table,
        photo_root=root,
        splits=splits,
        source=source,
        labels=labels,
        warnings=notes,
        folds=folds,
        photo_sizes=rows.photo_sizes,
        duplicates=groups.duplicates,
        groups=groups.together,
        raw_labels=raw_labels,
        photos=rows.photos,
        leaks=leaks,
        stored=stored,
        photo_digest=fingerprint(json.dumps(rows.digests)),
        k_fold=k_fold,
        extractors=extractors,
    )


def _row_notes(
    rows: _Rows, spec: FittedSpec, schema: Schema, groups: RowGroups, splits: Splits
) -> list[str]:
    """Say which rows, categories and classes are left out or rare, and which duplicates part."""
    notes = [*checks.notes(rows.table), *capped_columns(spec, schema)]
    notes += [*rare_class_notes(rows.labels, groups.together), *groups.notes]
    copied = leaking_rows(splits, groups.duplicates)
    if len(copied):
        notes.append(f"{len(copied):,} rows have a duplicate in another of the given splits.")
    if apart := len(np.setdiff1d(leaking_rows(splits, groups.together), copied)):
        notes.append(
            f"{apart:,} rows have another of their group, or a near duplicate, in another of the "
            "given splits."
        )
    return notes


def _photo_notes(config: Config, photos: Sequence[PhotoColumn]) -> list[str]:
    """Say which photos are not read, and why."""
    drop = config.data.missing_photo == "drop"
    return [said for column in photos for said in checks.left_out(column, drop=drop)]


def inferred_schema(
    config: Config,
    table: Table,
    learned: Sequence[str],
    weight: str | None,
    base: Base | None,
    root: PhotoRoot,
) -> Schema:
    """Infer the kinds of columns, but for those that the config, its groups or a base tell."""
    split = config.data.split
    infer = partial(
        infer_schema,
        targets=learned,
        weight=weight,
        split=split.column if split.method == "column" else None,
        overrides=_overrides(config, table, base, learned),
        photo_root=root,
        data=config.data,
    )
    return sampled_schema(table, infer)


def _usable_rows(
    config: Config,
    read: int,
    used: Schema,
    root: PhotoRoot,
    table: Table,
    labels: Mapping[str, Label],
    weights: Floats,
) -> _Rows:
    """Leave out rows whose photo or box cannot be used, and check what is left of `read` rows."""
    # Labels come first, photos after them: nothing is opened for a row without a label.
    slots = checks.photo_slots(config.groups, config.data.max_photos)
    drop = config.data.missing_photo == "drop"
    table, digests, kept, photos = checks.screen_photos(
        table, slots, root, others=[name for name in used.names() if name not in slots], drop=drop
    )
    labels, weights = {name: label.take(kept) for name, label in labels.items()}, weights[kept]
    sizes = None
    if any(label.kind == "box" for label in labels.values()):
        sizes = photo_sizes(table.frame, config.groups, root)
        table, labels, kept = _with_box_fractions(config, table, labels, sizes)
        sizes, weights, digests = sizes[kept], weights[kept], [digests[row] for row in kept]
    checks.check_row_count(table, read)
    checks.check_any_photo(table, photos)
    checks.check_rejected_fraction(table, config.data.max_quarantine)
    for head in config.heads:
        check_transform(table, head, labels[head.name].values)
    return _Rows(table, labels, weights, digests, photos, sizes)


def _split(config: Config, schema: Schema, rows: _Rows) -> tuple[RowGroups, Splits]:
    """Return what belongs together, and the split of each row (N,)."""
    table = rows.table
    groups = row_groups(config.data.split, table, schema, rows.digests)
    splits = split_rows(
        config.data.split,
        table.frame,
        groups=groups.together,
        targets=[each for label in rows.labels.values() for each in split_targets(label)],
        seed=config.training.seed,
        source=table.name,
        place=table.place,
    )
    check_splits(table, config.heads, rows.labels, splits)
    return groups, splits


def learned_columns(config: Config) -> list[str]:
    """Return the columns that declared heads learn, each once."""
    return list(dict.fromkeys(column for head in config.heads for column in head.columns))


def _with_box_fractions(
    config: Config, table: Table, found: Labels, sizes: Floats
) -> tuple[Table, dict[str, Label], Ints]:
    """Turn boxes into fractions of their photos; reject rows whose box does not fit."""
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


def _used(config: Config, schema: Schema) -> Schema:
    """Return the columns that the model reads."""
    names = {column for group in config.groups for column in group.columns}
    return Schema(columns=[column for column in schema.columns if column.name in names])


def cut_texts(spec: FittedSpec, source: Source, limit: int) -> list[str]:
    """Say for each group of texts how many are longer than is read of them."""
    found = []
    for group in (group for group in spec.groups if group.token_lengths):
        none = np.zeros((0, group.lengths[-1]), np.int32)  # as long as other workers write them
        words = source.inputs.get(f"{group.name}_tokens", none)
        seen = words[:SAMPLE_ROWS] if isinstance(words, ShardedArray) else words
        found.append(cut_note(group.name, seen, group.lengths[-1], limit))
    return [note for note in found if note]


def large_notes(table: Table, stored: Sequence[Path]) -> list[str]:
    """Say what is not done with all rows of a table too large for memory, and what lies on disk."""
    notes = [f"prepared data: {set_bytes(path) / 1e6:,.0f} MB in {path}" for path in stored]
    if not on_disk(table.frame):
        return notes
    return [
        f"{table.name} is larger than memory should hold: kinds of columns, scales, categories and "
        f"words are learned from a random sample of {len(sample_rows(table.frame)):,} rows; "
        "baselines are left out, and near duplicates not looked for.",
        *notes,
    ]
