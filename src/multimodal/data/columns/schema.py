"""The schema: what every column of a table is for, inferred or declared, shown and saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from multimodal.core.config import KINDS, Data, Kind
from multimodal.core.errors import DataError, choices
from multimodal.core.formatting import rough_percent, shortened
from multimodal.core.records import Record
from multimodal.data.columns.inference import Cells, InferredKind, declared_kind, infer_kind
from multimodal.data.columns.numbers import get_column, is_missing_word
from multimodal.data.columns.reading import Reading
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.read.table import Table

_EXAMPLE = 40


class Column(Reading):
    """One column: what it is for, why, and how it is read. The names of the fields are keys.

    `missing` is the fraction of rows without a value, `distinct` the number of different values,
    `parts` the numbers made of a date, `doubt` what the cells leave open of how they are read.
    """

    name: str
    kind: Kind
    missing: float
    distinct: int
    example: str
    note: str = ""
    parts: list[str] = []
    doubt: str = ""


class Schema(Record):
    """The columns of a table, in its order.

    Example:
    >>> schema = Schema(columns=[])
    >>> Schema.from_json(schema.to_json()) == schema
    True
    """

    columns: list[Column]

    def column(self, name: str) -> Column:
        """Return one column; raise DataError with the nearest spelling if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        known = [column.name for column in self.columns]
        raise DataError(f"column '{name}' is not in the schema. {choices(name, known)}")

    def names(self, kind: Kind | None = None) -> list[str]:
        """Return the names of the columns of one kind, or of all, in order."""
        return [column.name for column in self.columns if kind in (None, column.kind)]

    @property
    def readings(self) -> dict[str, Reading]:
        """How each column is read, by its name."""
        return {column.name: column for column in self.columns}

    def doubts(self) -> list[str]:
        """Return a sentence for every column, targets apart, whose cells may be read two ways."""
        return [
            f"column '{column.name}': {column.doubt}."
            for column in self.columns
            if column.doubt and column.kind != "target"
        ]

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """Return (name, kind, missing, distinct, example, note) per column, for printing."""
        return [
            (c.name, c.kind, rough_percent(c.missing), f"{c.distinct:,}", c.example, c.note)
            for c in self.columns
        ]

    def to_json(self) -> str:
        """Return the schema as indented JSON."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str, source: str = "schema") -> Schema:
        """Parse what `to_json` wrote; raise DataError that names the first wrong entry."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise DataError(f"{source}: `{where}`: {first['msg']}.") from None

    def save(self, path: str | Path) -> None:
        """Write the schema to a JSON file."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read what `save` wrote."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read ({error}).") from None


def infer_schema(
    table: Table,
    *,
    targets: Sequence[str] = (),
    weight: str | None = None,
    split: str | None = None,
    overrides: Mapping[str, Kind] | None = None,
    photo_root: PhotoRoot | None = None,
    data: Data | None = None,
) -> Schema:
    """Say what each column is for; `note` gives the reason.

    Targets, weight, split column and overrides are as declared. For others the first rule holds:

    1. ignored: all missing, or one value in every row.
    2. ignored: addresses (http…), which are not opened; image: 80 % of the cells name photo
       files by their suffix, alone or in a list.
    3. date: 95 % of the cells are dates and not plain numbers.
    4. number: 95 % of the cells are numbers, or share one phrase around a number. Whole numbers
       are a category if they have leading zeros, at most two values, or a name such as `zip`,
       `code` or `id`; an identifier if they count the rows or such codes are one per row.
    5. identifier: 99 % of the values differ, each one token.
    6. category: at most 50 values or 5 % of the rows, or short values that come again.
    7. text: the rest, four words and more or long strings.

    Args:
        table: the rows.
        targets: columns to learn.
        weight: column of row weights.
        split: column that a split goes by.
        overrides: column -> kind, where the user knows better.
        photo_root: folder of the photos; None is the table's.
        data: how cells are read where a column leaves it open: the decimal mark, the order of day
            and month; words for missing.

    Raises:
        DataError: a column that is not in the table, one with two roles, or an unknown kind.

    Example:
    >>> from multimodal.data.read.readers import read_table
    >>> table = read_table([{"price": p, "size": s} for p, s in [(1.5, 3), (2.5, 9), (9, 7)]])
    >>> [c.kind for c in infer_schema(table, targets=["price"]).columns]
    ['target', 'number']
    """
    declared = _declared(table, targets, weight, split, overrides or {})
    root = table.root if photo_root is None else photo_root
    told = _told(data or Data(), table)
    columns = []
    for name in map(str, table.frame.columns):
        cells = Cells(name, table.frame[name], root, told)
        kind = declared_kind(cells, declared[name]) if name in declared else infer_kind(cells)
        columns.append(_column(cells, kind))
    return Schema(columns=columns)


def _told(data: Data, table: Table) -> Data:
    """Return what is told of all columns, with the decimal comma that others of the file have.

    A decimal point of others tells nothing: programs write it beside thousands with dots.
    """
    comma = data.decimal == "auto" and table.dialect.decimal == ","
    return data.model_copy(update={"decimal": ","}) if comma else data


def _declared(
    table: Table,
    targets: Sequence[str],
    weight: str | None,
    split: str | None,
    overrides: Mapping[str, Kind],
) -> dict[str, Kind]:
    """Join roles and overrides, roles first; every name must be in the table."""
    roles: list[tuple[str, Kind]] = [(name, "target") for name in dict.fromkeys(targets)]
    roles += [(weight, "weight")] if weight is not None else []
    roles += [(split, "split")] if split is not None else []
    declared: dict[str, Kind] = dict(overrides)
    for name in [*(name for name, _ in roles), *overrides]:
        get_column(table, name)
    for name, kind in overrides.items():
        if kind not in KINDS:
            raise DataError(f"column '{name}': unknown kind '{kind}'. {choices(kind, KINDS)}")
    for name, role in roles:
        others = [other for same, other in roles if same == name and other != role]
        if others:
            raise DataError(f"column '{name}' cannot be both {role} and {others[0]}.")
        declared[name] = role
    return declared


def _column(cells: Cells, found: InferredKind) -> Column:
    missing = cells.missing
    if found.kind in ("number", "weight"):
        # elsewhere such a word is a value
        words = [is_missing_word(cell, found.reading) for cell in cells.series]
        missing = missing | np.array(words, np.bool_)
    example = str(cells.texts[0]) if len(cells.texts) else ""
    return Column(
        name=cells.name,
        kind=found.kind,
        missing=float(missing.mean()) if len(missing) else 0.0,
        distinct=cells.distinct,
        example=shortened(" ".join(example.split()), _EXAMPLE),
        note=found.note,
        parts=list(found.parts),
        doubt=found.doubt,
        **found.reading.model_dump(),
    )
