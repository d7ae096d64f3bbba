"""Inference of the head that learns a target column, and checks of declared heads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from multimodal.core.arrays import Floats
from multimodal.core.config import Component, Config, Head, LabelKind
from multimodal.core.errors import ConfigError, DataError, choices
from multimodal.core.spec import slug
from multimodal.data.columns.inference import Cells
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.schema import Schema
from multimodal.data.labels.cells import LARGEST
from multimodal.data.read.table import Table

# Once more beside the heads' own `label_kind`: the data half loads no Keras. `runs.train` passes
# what is registered.
LABEL_KINDS: dict[str, LabelKind | None] = {
    "regression": "number",
    "quantile": "number",
    "binary": "class",
    "multiclass": "class",
    "ordinal": "class",
    "multilabel": "labels",
    "bounding_box": "box",
    "reconstruction": None,
    "embedding": None,
}
MOST_CLASSES = 200
# A number with a sign, a currency or a unit around it, in any country's spelling.
_AMOUNT = re.compile(r"\W{0,2}\d+(?:[.,' ]\d+)*\s?(?:\W{1,2}|[^\W\d_]{1,3}\.?)?")
_COLUMNS: dict[LabelKind, tuple[int, str, str]] = {
    "number": (1, "one column", "a number"),
    "class": (1, "one column", "a class"),
    "labels": (0, "one column, or one 0/1 column per label", "labels"),
    "box": (4, "four columns: [xmin, ymin, xmax, ymax]", "a box"),
}


def complete_heads(
    config: Config,
    table: Table,
    schema: Schema,
    targets: Sequence[str],
    kinds: Mapping[str, LabelKind | None] = LABEL_KINDS,
) -> Config:
    """Return `config` with a head for each target, checked against the targets.

    A head that nobody declared follows from the cells of its column; the first rule that holds
    decides:

    1. `data.columns` says `category` of the target: binary for two values, else multiclass;
       `number`: regression.
    2. Two different values: binary.
    3. At least half of the cells are numbers, or amounts such as "12,50" and "$5": regression.
       Whole numbers are no exception, however few there are. The transform is `log1p` where no
       number is negative and the logarithm is less skewed than the number itself.
    4. At most 200 different values, each twice on average: multiclass.

    Args:
        config: what the user wants.
        table: the rows.
        schema: tells the phrase around a target's numbers.
        targets: columns to learn; with declared heads, each must be learned by one.
        kinds: what each registered head learns from, by its name.

    Raises:
        ConfigError: a head learns another column than the targets, or columns that its kind of
            label does not have; a target has no head.
        DataError: a column of texts that do not come again.
    """
    heads = config.heads or [
        _infer_head(table, schema, column, config.data.columns.get(column)) for column in targets
    ]
    for head in heads:
        if not set(head.columns) & set(targets):
            raise ConfigError(
                f"head '{head.name}' learns column '{head.columns[0]}', which is not among the "
                f"targets. {choices(head.columns[0], targets)}"
            )
        _check_columns(head, label_kind(head, kinds))
    learned = {column for head in heads for column in head.columns}
    for column in targets:
        if column not in learned:
            raise ConfigError(
                f"target '{column}' is learned by no head; the heads learn "
                f"{', '.join(sorted(learned))}. Add a head for it, or leave the heads out."
            )
    return config.model_copy(update={"heads": heads})


def label_kind(head: Head, kinds: Mapping[str, LabelKind | None] = LABEL_KINDS) -> LabelKind:
    """Return what a declared head learns from.

    Raises:
        ConfigError: the head is not in `kinds`, or learns from no column.
    """
    name = head.head.name
    if name not in kinds:
        raise ConfigError(
            f"head '{head.name}': unknown head '{name}'. {choices(name, kinds)} Register it, and "
            "pass what it learns from as `label_kinds`."
        )
    kind = kinds[name]
    if kind is None:
        raise ConfigError(
            f"head '{head.name}': '{name}' learns from no column of a table; use it in a model "
            "of your own."
        )
    return kind


def _check_columns(head: Head, kind: LabelKind) -> None:
    """Raise ConfigError for a number of columns, or for `classes`, that the kind does not have."""
    columns = head.columns
    count, wanted, what = _COLUMNS[kind]
    if len(set(columns)) < len(columns) or len(columns) != (count or max(len(columns), 1)):
        raise ConfigError(
            f"head '{head.name}': `column` must be {wanted}, since '{head.head.name}' learns from "
            f"{what}. Received: column={head.column!r}"
        )
    several = kind == "labels" and len(columns) > 1
    if head.classes and (kind in ("number", "box") or several):
        raise ConfigError(
            f"head '{head.name}': `classes` names the classes of one column; '{head.head.name}' "
            f"on {columns} has none to name. Received: classes={head.classes}"
        )
    if len(set(head.classes)) < len(head.classes):
        raise ConfigError(
            f"head '{head.name}': `classes` must differ. Received: classes={head.classes}"
        )


def _infer_head(table: Table, schema: Schema, column: str, declared: str | None) -> Head:
    cells = Cells(column, table.frame[column], table.root)
    few = cells.distinct <= min(MOST_CLASSES, len(cells.present) / 2)
    if declared == "category" or (declared != "number" and cells.distinct == 2):
        part = Component(name="binary" if cells.distinct == 2 else "multiclass")
    elif declared == "number" or not len(cells.present) or _looks_numeric(cells, schema):
        part = _regression(table, schema, column)
    elif few or cells.distinct == 1:
        part = Component(name="multiclass")
    else:
        raise DataError(
            f"{table.name}: target '{column}' holds {cells.distinct:,} different texts in "
            f"{len(cells.present):,} rows, such as {str(cells.texts[0])[:40]!r}; expected numbers, "
            f"or at most {MOST_CLASSES} classes that come again. Name another --target."
        )
    return Head(name=slug(column), column=column, head=part)


def _looks_numeric(cells: Cells, schema: Schema) -> bool:
    """Whether half of the present cells are numbers, or would be if they were written plainly."""
    numbers = parse_numbers(cells.sample, schema.column(cells.name)).values
    texts = (str(cell).strip() for cell in cells.sample)
    amounts = np.array([bool(_AMOUNT.fullmatch(text)) for text in texts])
    return bool(np.mean(np.isfinite(numbers) | amounts) >= 0.5)


def _regression(table: Table, schema: Schema, column: str) -> Component:
    values = parse_numbers(table.frame[column], schema.column(column)).values
    transform = "log1p" if _prefers_log(values) else "standardise"
    return Component(name="regression", options={"transform": transform})


def _prefers_log(values: Floats) -> bool:
    """Whether the logarithm of the values is less skewed than they are."""
    known = values[np.isfinite(values) & (np.abs(values) <= LARGEST)]
    if not len(known) or known.min() < 0 or known.max() <= 0:
        return False
    return abs(_skewness(np.log1p(known))) < abs(_skewness(known))


def _skewness(values: Floats) -> float:
    # That of scipy.stats warns where values are nearly constant, and takes long to import.
    deviation = values.std()
    return float((((values - values.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0
