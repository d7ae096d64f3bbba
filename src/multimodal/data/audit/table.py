"""The audit of a table: rows read and rejected, and what to look into before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.config import Config, Split
from multimodal.core.errors import DataError
from multimodal.core.formatting import joined
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
    outlier_findings,
    photo_findings,
    sample_findings,
    unused_column_findings,
)
from multimodal.data.audit.label_noise import find_label_issues
from multimodal.data.audit.outliers import outliers
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.schema import Column, Schema, infer_schema
from multimodal.data.defaults import complete
from multimodal.data.labels.cells import Label
from multimodal.data.labels.checks import rare_class_notes
from multimodal.data.labels.fit import LABEL_KINDS, complete_heads, label_kind
from multimodal.data.labels.read import read_labels
from multimodal.data.photos import checks
from multimodal.data.photos.checks import PhotoColumn
from multimodal.data.prepared import Prepared
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.readers import Source, open_table
from multimodal.data.read.sampling import repeated_content, sample_rows, sampled, sampled_schema
from multimodal.data.read.table import Table
from multimodal.data.split.duplicates import duplicate_groups, photo_keys
from multimodal.data.split.leakage import leakage_notes
from multimodal.data.split.splits import SPLITS, cells_without_split, split_rows

_FEATURES = ("number", "category", "date", "text", "image")
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
    groups: Ints
    labels: Mapping[str, Label] = field(default_factory=dict)
    splits: NDArray[Any] | None = None
    leaks: Sequence[str] = ()
    errors: list[str] = field(default_factory=list)
    unsplit: Sequence[Finding] = ()


def audit(
    data: Source, targets: str | Sequence[str] = (), *, images: str | Path | None = None
) -> Audit:
    """Return what is wrong with a table, before anything is trained on it; nothing is changed.

    Args:
        data: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        targets: Column or columns to predict; leakage and labels are looked at for these.
        images: Folder that photo paths are relative to; the file's own folder by default.

    Raises:
        DataError: The table as a whole cannot be read, or has no such target.

    Example:
    >>> found = audit([{"size": i * i, "price": i / 3} for i in range(60)], "price")
    >>> found.read, [finding.message for finding in found.of_level("error")]
    (60, [])
    """
    columns = [targets] if isinstance(targets, str) else targets
    return audit_table(data, columns, images=images)[0]


def audit_table(
    data: Source, targets: Sequence[str] = (), *, images: str | Path | None = None
) -> tuple[Audit, Table]:
    """Read a table once; return its audit, and the table with its rejected rows.

    Arguments and errors are those of `audit`. A column of the words train, validation and test is
    taken for the split. Where targets are named, what the default training would refuse is a
    finding.
    """
    table, root = open_table(data, images)
    read = table.rows_read
    infer = partial(infer_schema, targets=targets, photo_root=root)
    schema, unsplit = _with_split(table, sampled_schema(table, infer))
    used = Schema(columns=[column for column in schema.columns if column.kind in _FEATURES])
    errors: list[str] = []
    table, found = _labels(table, schema, targets, errors)
    if found:
        _note(errors, lambda: complete(Config(), used, targets))
    photos: list[PhotoColumn] = []
    digests: checks.Digests = [[] for _ in range(len(table.frame))]
    try:
        screened = checks.reject_bad_photos(table, used.names("image"), root)
        table, digests, photos = screened.table, screened.digests, screened.photos
        found = {name: label.take(screened.kept) for name, label in found.items()}
    except DataError as error:
        errors.append(str(error))
    checks.check_row_count(table, read)
    _note(errors, lambda: checks.check_rejected_fraction(table, Config().data.max_quarantine))
    keys = [photo_keys(digests), repeated_content(table.frame, schema)]
    groups = duplicate_groups(keys, len(table.frame), always=(0, 1))
    rows = _Rows(table, schema, used, photos, groups, found, errors=errors, unsplit=unsplit)
    if len(table.frame):
        rows.leaks = leakage_notes(rows.table, rows.labels, used)
        _note(errors, lambda: _split(rows))
    return _audit(rows), table


def audit_prepared(prepared: Prepared) -> Audit:
    """Audit rows that `prepare` has read already, a sample of a table larger than memory."""
    columns = {column for group in prepared.config.groups for column in group.columns}
    used = Schema(columns=[each for each in prepared.schema.columns if each.name in columns])
    rows = len(prepared.table.frame)
    return _audit(
        _Rows(
            prepared.table,
            prepared.schema,
            used,
            prepared.photos,
            np.arange(rows) if prepared.groups is None else prepared.groups,
            prepared.raw_labels,
            prepared.splits,
            prepared.leaks,
            unsplit=_with_split(prepared.table, used)[1],
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
    table: Table, schema: Schema, targets: Sequence[str], errors: list[str]
) -> tuple[Table, dict[str, Label]]:
    """Reject rows whose label cannot be learned, as training would."""
    if not targets:
        return table, {}
    try:
        config = complete_heads(Config(), table, schema, list(targets), LABEL_KINDS)
        kinds = {head.name: label_kind(head, LABEL_KINDS) for head in config.heads}
        table, found, _ = read_labels(table, schema, config.heads, kinds, None)
        return table, found
    except DataError as error:
        errors.append(str(error))
        return table, {}


def _note(errors: list[str], check: Callable[[], object]) -> None:
    try:
        check()
    except DataError as error:
        errors.append(str(error))


def _split(rows: _Rows) -> None:
    """Split by the column that names the splits, or see whether training could split at random."""
    table, names = rows.table, rows.schema.names("split")
    if not names and (rows.errors or not rows.labels):
        return
    splits = split_rows(
        Split(method="column", column=names[0]) if names else Split(),
        table.frame,
        groups=rows.groups,
        targets=[label.values for label in rows.labels.values()] or [np.zeros(len(table.frame))],
        seed=Config().training.seed,
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
        groups=rows.groups[at],
        labels={name: label.take(at) for name, label in rows.labels.items()},
        splits=None if rows.splits is None else rows.splits[at],
    )


def _audit(rows: _Rows) -> Audit:
    table, splits = rows.table, rows.splits
    seen = _looked_at(rows)
    columns = [_column(seen, column) for column in rows.schema.columns]
    moved = drift(seen.table.frame, rows.used, seen.splits) if seen.splits is not None else []
    issues = _label_issues(seen)
    counts = {} if splits is None else {split: int((splits == split).sum()) for split in SPLITS}
    findings = [
        *(finding("error", "rows", message) for message in rows.errors),
        *(finding("warning", "rows", said) for said in checks.notes(table, FIRST)),
        *(finding("warning", "rows", said) for said in rare_class_notes(rows.labels, rows.groups)),
        *rows.unsplit,
        *(finding("warning", "leakage", said) for said in rows.leaks),
        *duplicate_findings(rows.groups, splits, table.lines),
        *drift_findings(moved),
        *label_findings(issues),
        *outlier_findings(columns),
        *(each for photos in rows.photos for each in photo_findings(photos)),
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
        findings=findings,
    )


def _column(rows: _Rows, column: Column) -> ColumnAudit:
    series = rows.table.frame[column.name]
    fields = column.model_dump(include={"name", "kind", "missing", "distinct", "example", "note"})
    values = outliers(series, column, rows.table.lines)
    return ColumnAudit(type=_type(series), odd=values, **fields)


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
        for found in find_label_issues(rows.table.frame, rows.used, label.values, rows.groups)
    ]
