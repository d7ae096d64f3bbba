"""The audit of a table: rows read and rejected, and what to look into before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.config import Config, Split
from multimodal.core.errors import DataError
from multimodal.core.formatting import joined
from multimodal.core.presets import ConfigLike, as_config, as_names
from multimodal.data.audit.drift import drift
from multimodal.data.audit.findings import (
    FIRST,
    Audit,
    ColumnAudit,
    Finding,
    LabelIssueAudit,
    RejectedAudit,
    drift_findings,
    duplicate_findings,
    finding,
    label_findings,
    missing_word_findings,
    outlier_findings,
    outlier_messages,
    photo_findings,
    ranked,
    reading_findings,
    sample_findings,
    unused_column_findings,
)
from multimodal.data.audit.label_noise import find_label_issues
from multimodal.data.audit.outliers import outliers
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.schema import Schema
from multimodal.data.defaults import complete
from multimodal.data.labels.cells import Label
from multimodal.data.labels.checks import rare_class_notes
from multimodal.data.labels.fit import LABEL_KINDS, complete_heads, label_kind
from multimodal.data.labels.read import read_labels
from multimodal.data.photos import checks
from multimodal.data.photos.checks import PhotoColumn
from multimodal.data.photos.locate import Images, PhotoRoot, as_configured
from multimodal.data.prepare import FEATURE_KINDS, inferred_schema, learned_columns
from multimodal.data.prepared import Prepared
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.readers import Source, open_table
from multimodal.data.read.sampling import sample_rows, sampled
from multimodal.data.read.table import Dialect, Table
from multimodal.data.split.groups import RowGroups, row_groups
from multimodal.data.split.leakage import leakage_notes
from multimodal.data.split.splits import SPLITS, cells_without_split, split_rows

_KNOWN = ("number", "class")
_SPELLINGS = 20  # different cells of a column that may be a split
_TYPES = {
    "string": "text",
    "integer": "whole numbers",
    "floating": "numbers",
    "boolean": "yes or no",
    "mixed-integer-float": "numbers",
    "datetime64": "dates",
    "datetime": "dates",
    "date": "dates",
    "empty": "nothing",
    "mixed-integer": "text and numbers",
}


@dataclass
class _Rows:
    """The kept rows and what is known of them; positions are those of `table.frame`."""

    table: Table
    schema: Schema
    used: Schema
    photos: list[PhotoColumn]
    groups: RowGroups
    labels: Mapping[str, Label] = field(default_factory=dict)
    splits: NDArray[Any] | None = None
    leaks: Sequence[str] = ()
    errors: list[str] = field(default_factory=list)
    unsplit: Sequence[Finding] = ()
    drop: bool = False


def audit(
    data: Source,
    targets: str | int | Sequence[str | int] = (),
    *,
    config: ConfigLike = None,
    weight: str | None = None,
    group: str | None = None,
    images: Images = None,
) -> Audit:
    """Return what is wrong with a table, before anything is trained on it; nothing is changed.

    Args:
        data: A CSV, Excel, Parquet or JSON Lines file, a DataFrame, a list of dicts, or a table.
        targets: Column or columns to predict; leakage and labels are looked at for these. Those of
            the config's heads by default.
        config: What the training is to be told, as a Config, a dict or the path of a file.
        weight: Column of row weights.
        group: Column whose values each stay on one side of the split, as with
            `split: {group: COLUMN}`.
        images: Folder that photo paths are relative to; the file's own folder by default.

    Raises:
        DataError: The table as a whole cannot be read, or has no such column.
        ConfigError: The config says what cannot be.

    Example:
    >>> found = audit([{"size": i * i, "price": i / 3} for i in range(60)], "price")
    >>> found.read, [finding.message for finding in found.of_level("error")]
    (60, [])
    """
    columns = as_names(targets)
    return audit_table(data, columns, config=config, weight=weight, group=group, images=images)[0]


def audit_table(
    data: Source,
    targets: Sequence[str] = (),
    *,
    config: ConfigLike = None,
    weight: str | None = None,
    group: str | None = None,
    images: Images = None,
) -> tuple[Audit, Table]:
    """Read a table once; return its audit, and the table with its rejected rows.

    Arguments and errors are those of `audit`. A column of the words train, validation and test is
    taken for the split, unless the config names another. Where targets are named, what the training
    would refuse is a finding.
    """
    config = _grouped(as_config(config), group)
    table, root = open_table(data, images, Dialect.of(config.data))
    root = as_configured(root, config.data)
    read = table.rows_read
    targets = list(targets) or learned_columns(config)
    schema = inferred_schema(config, table, targets, weight, None, root)
    unsplit: list[Finding] = []
    if config.data.split.method == "random":
        schema, unsplit = _with_split(table, schema)
    used = _features(config, schema)
    errors: list[str] = []
    table, found = _labels(config, table, schema, targets, weight, errors)
    if found:
        _note(errors, lambda: complete(config, used, targets))
    table, found, digests, photos = _screened(config, table, used, found, root, errors)
    checks.check_row_count(table, read)
    _note(errors, lambda: checks.check_rejected_fraction(table, config.data.max_quarantine))
    groups = row_groups(config.data.split, table, schema, digests)
    rows = _Rows(
        table,
        schema,
        used,
        photos,
        groups,
        found,
        errors=errors,
        unsplit=unsplit,
        drop=config.data.missing_photo == "drop",
    )
    if len(table.frame):
        rows.leaks = leakage_notes(rows.table, rows.labels, used)
        _note(errors, lambda: _split(config, rows))
    return _audit(rows), table


def _screened(
    config: Config,
    table: Table,
    used: Schema,
    found: dict[str, Label],
    root: PhotoRoot,
    errors: list[str],
) -> tuple[Table, dict[str, Label], checks.Digests, list[PhotoColumn]]:
    """Look at the photos, and reject rows that cannot do without those that are not there."""
    learned = {column for label in found.values() for column in label.columns}
    names, most = used.names("image"), config.data.max_photos
    slots = dict.fromkeys(names, most if len(names) == 1 else 1)
    others = [name for name in used.names() if name not in slots and name not in learned]
    drop = config.data.missing_photo == "drop"
    try:
        screened = checks.screen_photos(table, slots, root, others=others, drop=drop)
    except DataError as error:
        errors.append(str(error))
        return table, found, [[] for _ in range(len(table.frame))], []
    found = {name: label.take(screened.kept) for name, label in found.items()}
    _note(errors, lambda: checks.check_any_photo(screened.table, screened.photos))
    return screened.table, found, screened.digests, screened.photos


def _grouped(config: Config, group: str | None) -> Config:
    if group is None:
        return config
    return as_config(config, data={"split": {"group": group}})


def _features(config: Config, schema: Schema) -> Schema:
    """Return the columns that a training would read."""
    named = {column for group in config.groups for column in group.columns}
    return Schema(
        columns=[
            column
            for column in schema.columns
            if column.kind in FEATURE_KINDS and (not named or column.name in named)
        ]
    )


def audit_prepared(prepared: Prepared) -> Audit:
    """Audit rows that `prepare` has read already, a sample of a table larger than memory."""
    columns = {column for group in prepared.config.groups for column in group.columns}
    used = Schema(columns=[each for each in prepared.schema.columns if each.name in columns])
    return _audit(
        _Rows(
            prepared.table,
            prepared.schema,
            used,
            prepared.photos,
            RowGroups(prepared.duplicates, prepared.groups, []),
            prepared.raw_labels,
            prepared.splits,
            prepared.leaks,
            unsplit=_with_split(prepared.table, used)[1],
            drop=prepared.config.data.missing_photo == "drop",
        )
    )


def _with_split(table: Table, schema: Schema) -> tuple[Schema, list[Finding]]:
    """Take a column whose cells are train, validation and test for the split.

    Of one with a few other cells, which stays a category, a finding says so.
    """
    splits, found = {}, []
    for column in schema.columns:
        if column.kind != "category" or column.distinct > _SPELLINGS:
            continue
        others = cells_without_split(table.frame[column.name])
        if others is not None and len(others):
            found.append(_unsplit(table, column.name, others))
        elif others is not None:
            note = "its words name the splits"
            splits[column.name] = column.model_copy(update={"kind": "split", "note": note})
    return Schema(columns=[splits.get(each.name, each) for each in schema.columns]), found


def _unsplit(table: Table, column: str, others: Ints) -> Finding:
    texts = as_text(table.frame[column].iloc[others]).tolist()
    cells = list(dict.fromkeys("nothing" if text is None else f"'{text}'" for text in texts))
    names = "names" if len(others) == 1 else "name"
    message = (
        f"column '{column}': {len(others):,} of {len(table.frame):,} cells {names} no "
        f"split: {joined(cells, 5)}. As it stands, the column "
        "is read as a category. Write train, validation or test in every row to split by it."
    )
    return finding("warning", "split", message, table.lines[others[:FIRST]].tolist())


def _labels(
    config: Config,
    table: Table,
    schema: Schema,
    targets: Sequence[str],
    weight: str | None,
    errors: list[str],
) -> tuple[Table, dict[str, Label]]:
    """Reject rows whose label cannot be learned, as training would."""
    if not targets:
        return table, {}
    try:
        config = complete_heads(config, table, schema, list(targets), LABEL_KINDS)
        kinds = {head.name: label_kind(head, LABEL_KINDS) for head in config.heads}
        table, found, _ = read_labels(table, schema, config.heads, kinds, weight)
        return table, found
    except DataError as error:
        errors.append(str(error))
        return table, {}


# An audit tells every error that there is, where a training ends at the first.
def _note(errors: list[str], check: Callable[[], object]) -> None:
    try:
        check()
    except DataError as error:
        errors.append(str(error))


def _split(config: Config, rows: _Rows) -> None:
    """Split by the column that names the splits, or see whether training could split as told."""
    table, names = rows.table, rows.schema.names("split")
    if not names and (rows.errors or not rows.labels):
        return
    splits = split_rows(
        Split(method="column", column=names[0]) if names else config.data.split,
        table.frame,
        groups=rows.groups.together,
        targets=[label.values for label in rows.labels.values()] or [np.zeros(len(table.frame))],
        seed=config.training.seed,
        source=table.name,
        place=table.place,
    )
    rows.splits = splits if names else None


def _looked_at(rows: _Rows) -> _Rows:
    """Return a sample of the rows where texts stay on disk, else all of them."""
    if not on_disk(rows.table.frame):
        return rows
    at = sample_rows(rows.table.frame)
    return replace(
        rows,
        table=sampled(rows.table, at),
        groups=rows.groups.of(at),
        labels={name: label.take(at) for name, label in rows.labels.items()},
        splits=None if rows.splits is None else rows.splits[at],
    )


def _audit(rows: _Rows) -> Audit:
    table, splits, groups = rows.table, rows.splits, rows.groups
    seen = _looked_at(rows)
    columns, cells = _columns(seen)
    moved = drift(seen.table.frame, rows.used, seen.splits) if seen.splits is not None else []
    issues = _label_issues(seen)
    counts = {} if splits is None else {split: int((splits == split).sum()) for split in SPLITS}
    findings = [
        *(finding("error", "rows", message) for message in rows.errors),
        *reading_findings(table.notes),
        *(finding("warning", "rows", said) for said in checks.notes(table, FIRST)),
        *(
            finding("warning", "rows", said)
            for said in rare_class_notes(rows.labels, rows.groups.together)
        ),
        *rows.unsplit,
        *(finding("warning", "column", said) for said in rows.schema.doubts()),
        *(finding("warning", "leakage", said) for said in rows.leaks),
        *duplicate_findings(groups.duplicates, splits, table.lines),
        *(finding("note", "duplicates", said) for said in groups.notes),
        *drift_findings(moved),
        *label_findings(issues),
        *outlier_findings(columns, cells),
        *missing_word_findings(seen.table.frame, rows.schema),
        *(each for photos in rows.photos for each in photo_findings(photos, drop=rows.drop)),
        *unused_column_findings(rows.schema),
        *sample_findings(len(seen.table.frame), len(table.frame)),
    ]
    return Audit(
        source=table.name,
        read=table.rows_read,
        kept=len(table.frame),
        quarantined=len(table.rejected),
        unit=table.unit,
        reasons=checks.reasons(table),
        set_aside=[RejectedAudit(line=f.line, reason=f.reason) for f in table.rejected[:FIRST]],
        sides=counts,
        columns=columns,
        photos=rows.photos,
        drift=moved,
        suspects=issues,
        findings=ranked(findings),
    )


def _columns(rows: _Rows) -> tuple[list[ColumnAudit], dict[str, int]]:
    """Return every column with its outliers, and how many cells each message on them is about."""
    columns: list[ColumnAudit] = []
    cells: dict[str, int] = {}
    names = {"name", "kind", "missing", "distinct", "example", "note"}
    for column in rows.schema.columns:
        series = rows.table.frame[column.name]
        odd = outliers(series, column, rows.table.lines)
        cells |= dict(zip(outlier_messages(column.name, odd), odd.values(), strict=True))
        fields = column.model_dump(include=names)
        columns.append(ColumnAudit(type=_type(series), odd=list(odd), **fields))
    return columns, cells


def _type(series: pd.Series[Any]) -> str:
    """Say in a word what the cells are: text as it was written, or typed values."""
    if not len(series):
        return ""
    content = pd.api.types.infer_dtype(series, skipna=True)
    lists = any(isinstance(cell, list) for cell in series.head(FIRST))
    return _TYPES.get(content, "lists" if lists else content)


def _label_issues(rows: _Rows) -> list[LabelIssueAudit]:
    return [
        LabelIssueAudit(
            line=int(rows.table.lines[found.row]),
            target=label.columns[0],
            label=found.label,
            expected=found.expected,
            strength=found.strength,
        )
        for label in rows.labels.values()
        if label.kind in _KNOWN
        for found in find_label_issues(
            rows.table.frame, rows.used, label.values, rows.groups.together
        )
    ]
