"""Fitting of preprocessing on the training rows: scales, bins, categories, words, lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.core.config import Config, Group
from multimodal.core.errors import DataError
from multimodal.core.spec import (
    CategoricalColumn,
    FittedGroup,
    FittedSpec,
    NumericColumn,
    slug,
    unique_slugs,
)
from multimodal.core.spelling import PANDAS_MISSING, Spellings, one_spelling
from multimodal.data.columns.cells import as_text, is_missing
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.features import bins, cell_arrays, series, text
from multimodal.data.features.cell_arrays import Readings
from multimodal.data.features.pretrained import with_landmarks
from multimodal.data.labels import read
from multimodal.data.prepared import Base, Labels
from multimodal.data.read.lazy_text import in_memory
from multimodal.data.read.sampling import sample_rows
from multimodal.data.read.table import Table
from multimodal.data.sparse.fit import fit_sparse_features
from multimodal.data.sparse.random_features import random_feature_targets

MAX_CATEGORIES = 10_000
_NUMERIC = ("number", "date")


class _Rows(NamedTuple):
    """The training rows, and how to read them; `target` holds their labels for bins."""

    config: Config
    schema: Schema
    readings: Readings
    frame: pd.DataFrame
    target: NDArray[Any] | None


def fit_spec(
    config: Config,
    schema: Schema,
    frame: pd.DataFrame,
    base: FittedSpec | None = None,
    target: NDArray[Any] | None = None,
) -> FittedSpec:
    """Learn from the training rows `frame` what every group needs; heads are fitted apart.

    With a `base`, columns that it knows keep their scale and bins, and its words and categories
    keep their places; new ones are added behind them. `target` holds the labels of `frame` that
    bins are placed by under `data.bins: target`; see `bins.fit_bins`.

    Raises:
        DataError: Nothing varies in any column of a group of numbers and categories.

    Example:
    >>> from multimodal.data.read.readers import read_table
    >>> from multimodal.data.columns.schema import infer_schema
    >>> table = read_table([{"size": 1.5}, {"size": 2.5}, {"size": 7.0}])
    >>> group = {"name": "t", "modality": "tabular", "columns": ["size"], "encoder": "dense"}
    >>> spec = fit_spec(Config(groups=[group]), infer_schema(table), table.frame)
    >>> spec.groups[0].numeric[0].centre
    2.5
    """
    names = unique_slugs([group.name for group in config.groups] + [h.name for h in config.heads])
    known = {group.name: group for group in (base.groups if base else [])}
    rows = _Rows(config, schema, schema.readings, frame, target)
    groups = []
    # not strict: the names of the heads follow those of the groups
    for group, name in zip(config.groups, names, strict=False):
        start = known.get(name)
        if start is None or start.modality != group.modality:
            start = FittedGroup(name=name, modality=group.modality, columns=[])
        groups.append(_FITTERS[group.modality](rows, group, start))
    if len(groups) > 1:  # what no training row lacks may be missing tomorrow
        groups = [group.model_copy(update={"optional": True}) for group in groups]
    return FittedSpec(groups=groups, heads=[])


def capped_columns(spec: FittedSpec, schema: Schema) -> list[str]:
    """Return a sentence for every column with more categories than are kept."""
    columns = {c.source: len(c.categories) for group in spec.groups for c in group.categorical}
    return [
        f"column '{name}': {schema.column(name).distinct:,} different values; the {kept:,} most "
        "frequent ones are kept, the others count as one."
        for name, kept in columns.items()
        if kept >= MAX_CATEGORIES and schema.column(name).distinct > kept
    ]


def _fit_tabular(rows: _Rows, group: Group, base: FittedGroup) -> FittedGroup:
    columns = [rows.schema.column(name) for name in group.columns]
    numeric = _fit_numbers(rows, [c for c in columns if _is_numeric(c)], base)
    old = {column.source: column.categories for column in base.categorical}
    categorical = [
        _fit_categories(rows, c.name, old.get(c.name, [])) for c in columns if not _is_numeric(c)
    ]
    if not numeric and not categorical:
        raise DataError(
            f"group '{group.name}': no column varies over the training rows "
            f"({', '.join(group.columns)}). Leave the group out, or give it other columns."
        )
    there: list[Bools] = [~is_missing(rows.frame[column.source]) for column in categorical]
    if numeric:
        found = cell_arrays.numbers(numeric, rows.readings, rows.frame).values
        there.append(np.asarray(~np.isnan(found).all(axis=1)))
    absent = not bool(np.any(there, axis=0).all())
    return _learned(group, base, absent, numeric=numeric, categorical=categorical)


def _learned(group: Group, base: FittedGroup, absent: bool, **learned: Any) -> FittedGroup:
    """Return the group with what it learned; `absent` says that a row lacks it."""
    optional = base.optional or absent
    return base.model_copy(update={"columns": group.columns, "optional": optional, **learned})


def _fit_numbers(rows: _Rows, columns: Sequence[Column], base: FittedGroup) -> list[NumericColumn]:
    """Return the numbers that the base knows, then the new ones; constant parts are left out."""
    sources = {column.name for column in columns}
    known = [column for column in base.numeric if column.source in sources]
    sources -= {column.source for column in known}
    fresh = [n for column in columns if column.name in sources for n in _drafts(column)]
    found = cell_arrays.numbers(fresh, rows.readings, rows.frame).values
    fitted = [_fit_scale(column, found[:, i]) for i, column in enumerate(fresh)]
    vary = [i for i, column in enumerate(fitted) if column.scale > 0]
    fitted = _fit_bins(rows, [fitted[i] for i in vary], found[:, vary])
    if not all(column.bins for column in known):
        found = cell_arrays.numbers(known, rows.readings, rows.frame).values
        pairs = zip(known, _fit_bins(rows, known, found), strict=True)
        known = [old if old.bins else new for old, new in pairs]
    return [*known, *fitted]


def _fit_bins(rows: _Rows, columns: Sequence[NumericColumn], found: Floats) -> list[NumericColumn]:
    """Return the columns with bins; `found` holds their numbers as they stand in the rows."""
    moved, data = cell_arrays.scaled(found, columns), rows.config.data
    target = rows.target if data.bins == "target" else None
    return [
        column.model_copy(update={"bins": bins.fit_bins(moved[:, i], data.num_bins, target)})
        for i, column in enumerate(columns)
    ]


def _is_numeric(column: Column) -> bool:
    """Whether a column becomes numbers: those of its cells, parts of dates, or flags of sets."""
    return column.kind in _NUMERIC or bool(column.separator)


def _drafts(column: Column) -> list[NumericColumn]:
    """Return one numeric column, or one for each part of a date or member of sets."""
    if column.kind == "number":
        return [NumericColumn(name=slug(column.name), source=column.name)]
    return [
        NumericColumn.model_validate(
            {"name": slug(f"{column.name} {part}"), "source": column.name, "part": part}
        )
        for part in column.parts
    ]


def _fit_scale(column: NumericColumn, found: Floats) -> NumericColumn:
    """Centre on the median, scale by the quartiles' distance, or the range where that is zero.

    1.349 quartile distances are a standard deviation of normal numbers.
    """
    finite = found[np.isfinite(found)]
    if not len(finite):
        return column
    low, centre, high = np.quantile(finite, [0.25, 0.5, 0.75])
    # Divided first: the difference of two numbers near 1e308 overflows.
    scale = high / 1.349 - low / 1.349 or finite.max() / 2 - finite.min() / 2
    if column.part is None:
        scale = scale or 1.0  # a constant part of a date is dropped
    return column.model_copy(update={"centre": float(centre), "scale": float(scale)})


def _fit_categories(rows: _Rows, source: str, known: Sequence[str]) -> CategoricalColumn:
    """Keep categories seen often enough; rarer ones train the out-of-vocabulary row."""
    names, data = as_text(rows.frame[source]), rows.config.data
    counts = Counter(name for name in names if name is not None)
    if data.merge_spellings:
        spelled = {**one_spelling(counts), **_known_spellings(counts, known)}
        counts = _joined(counts, spelled)
    least, old = data.min_count, set(known)
    fresh = [(n, count) for n, count in counts.items() if count >= least and n not in old]
    # By name where counts are equal: a code must not depend on the order of the rows.
    fresh.sort(key=lambda item: (-item[1], item[0]))
    # Known ones first and all of them: trained weights stand at their places.
    kept = [*known, *(name for name, _ in fresh)][: max(MAX_CATEGORIES, len(known))]
    blanks = [name for name in kept if name in PANDAS_MISSING]
    complete = len(blanks) == 1 and all(name is not None for name in names)
    return CategoricalColumn(
        name=slug(source),
        source=source,
        categories=kept,
        folded=data.merge_spellings,
        blank=blanks[0] if complete else None,
    )


def _known_spellings(counts: Mapping[str, int], known: Sequence[str]) -> dict[str, str]:
    """Return the known category that each name is another spelling of."""
    spellings = Spellings(known)
    return {name: old for name in counts if (old := spellings.known(name)) is not None}


def _joined(counts: Counter[str], spelled: Mapping[str, str]) -> Counter[str]:
    """Return how often each name occurs in all its spellings."""
    found = Counter[str]()
    for name, count in counts.items():
        found[spelled[name]] += count
    return found


def _fit_text(rows: _Rows, group: Group, base: FittedGroup) -> FittedGroup:
    texts, data = cell_arrays.texts(group.columns, rows.frame, rows.readings), rows.config.data
    found = text.fit_vocabulary(texts, size=data.vocabulary_size, min_count=data.min_count)
    counts, old = np.array([len(text.words(each)) for each in texts]), set(base.vocabulary)
    return _learned(
        group,
        base,
        bool((counts == 0).any()),
        vocabulary=[*base.vocabulary, *(word for word in found if word not in old)],
        lengths=base.lengths or text.fit_lengths(counts, data.max_words),
    )


def _fit_image(rows: _Rows, group: Group, base: FittedGroup) -> FittedGroup:
    names, data = cell_arrays.photo_names(group.columns, rows.frame), rows.config.data
    most = max((len(row) for row in names), default=1)
    if len(group.columns) == 1:
        most = min(most, data.max_photos)
    absent, size = any(not any(row) for row in names), base.image_size or data.image_size
    return _learned(group, base, absent, photos=max(1, most), image_size=size)


def _fit_series(rows: _Rows, group: Group, base: FittedGroup) -> FittedGroup:
    lists = series.holds_lists(group.columns, rows.frame)
    channels = series.drafts(group.columns, lists)
    same = [c.source for c in base.channels] == [c.source for c in channels]
    same = same if lists else len(base.channels) == 1  # all steps are of one channel
    steps = series.longest(group.columns, rows.frame) if lists else len(group.columns)
    steps = base.steps or steps if lists else steps
    found, _ = series.read_series(group.columns, len(channels), steps, rows.readings, rows.frame)
    if np.isnan(found).all():
        raise DataError(
            f"group '{group.name}': no cell holds a number or a list of numbers "
            f"({', '.join(group.columns)}). Leave the group out, or give it other columns."
        )
    fitted = [_fit_scale(column, found[:, :, i]) for i, column in enumerate(channels)]
    absent = bool(np.isnan(found).all(axis=(1, 2)).any())
    return _learned(group, base, absent, steps=steps, channels=base.channels if same else fitted)


_FITTERS: dict[str, Callable[[_Rows, Group, FittedGroup], FittedGroup]] = {
    "tabular": _fit_tabular,
    "text": _fit_text,
    "image": _fit_image,
    "series": _fit_series,
}


def fit_rows(
    config: Config,
    schema: Schema,
    table: Table,
    found: Labels,
    weights: Floats,
    train: Bools,
    base: Base | None,
) -> FittedSpec:
    """Fit groups on the rows `train` bool (N,), heads on those of them that weigh anything."""
    names = unique_slugs([g.name for g in config.groups] + [h.name for h in config.heads])
    heads = [
        read.fit_head(head, name, found[head.name], train & (weights > 0))
        for head, name in zip(config.heads, names[len(config.groups) :], strict=True)
    ]
    rows = sample_rows(table.frame, np.flatnonzero(train))
    target = found[config.heads[0].name].y_true(heads[0].classes)[rows]
    frame = in_memory(table.frame.iloc[rows])
    spec = fit_spec(config, schema, frame, base[1] if base else None, target)
    groups = spec.groups
    if len(rows) < train.sum():  # a group may be absent in a row that was not looked at
        groups = [group.model_copy(update={"optional": True}) for group in groups]
    return spec.model_copy(update={"groups": groups, "heads": heads})


def fitted_labels(config: Config, spec: FittedSpec, raw_labels: Labels) -> dict[str, NDArray[Any]]:
    """Return the labels of all rows by fitted head, as `Prepared.labels` holds them."""
    return {
        fitted.name: raw_labels[head.name].y_true(fitted.classes)
        for fitted, head in zip(spec.heads, config.heads, strict=True)
    }


def with_sparse_features(
    config: Config,
    spec: FittedSpec,
    schema: Schema,
    table: Table,
    splits: NDArray[Any],
    labels: Mapping[str, NDArray[Any]],
) -> FittedSpec:
    """Return the spec with what is fitted beside networks, on all rows but the test rows.

    That are the sparse features that the rows hold, and the number of landmarks of kernel
    regressions on frozen features, where there are any.

    Args:
        config: Its heads say how labels are transformed.
        spec: The fitted groups and heads.
        schema: Kinds and readings of the columns.
        table: The rows.
        splits: Split of each row, object (N,).
        labels: Labels of all rows by fitted head, which categories are encoded by.
    """
    readings = schema.readings
    # Validation rows too, which the linear model learns from (see `models.stack.stack`).
    rows = np.flatnonzero(splits != "test")
    targets = random_feature_targets(config.heads, spec.heads, labels)[rows]
    features = fit_sparse_features(spec, readings, table.frame.iloc[rows], targets)
    return with_landmarks(spec.model_copy(update={"terms": features}), len(rows))
