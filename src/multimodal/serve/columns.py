"""What a served model reads and predicts, in words that clients and pages use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from multimodal.core.config import LabelKind
from multimodal.core.spec import FittedGroup, FittedHead, FittedSpec
from multimodal.data.columns.reading import PLAIN, Reading
from multimodal.data.columns.schema import Column, Schema

DATATYPES = {"number": "FP64"}  # of the Open Inference Protocol; all else is BYTES
_LABELS = {"text": "BYTES", "integer": "INT64", "float": "FP64", "flag": "BOOL"}
MOST_CATEGORIES = 500  # told of a column


@dataclass(frozen=True)
class Input:
    """A column that the model reads.

    Args:
        name: Its name.
        kind: `number`, `category`, `date`, `text`, `image` or `series`.
        reading: How its cells are read.
        several: Whether a cell may hold several values: photos, steps of a series.
        categories: What the model knows of a category, the first `MOST_CATEGORIES`.
        example: A cell of the training rows, of numbers and dates alone: others may tell of people.
    """

    name: str
    kind: str
    reading: Reading = PLAIN
    several: bool = False
    categories: tuple[str, ...] = ()
    example: str = ""

    @property
    def datatype(self) -> str:
        """Its type in the Open Inference Protocol."""
        return DATATYPES.get(self.kind, "BYTES")

    @property
    def unit(self) -> str:
        """The phrase around its numbers with `#` for the number, "" where there is none."""
        return self.reading.unit or ""

    def metadata(self) -> dict[str, Any]:
        """Return it as metadata of a tensor; what the protocol does not name is a parameter."""
        more: dict[str, Any] = {"kind": self.kind}
        more |= {"unit": self.unit} if self.unit else {}
        more |= {"content_type": "base64"} if self.kind == "image" else {}
        more |= {"categories": list(self.categories)} if self.categories else {}
        shape = [-1, -1] if self.kind == "series" and self.several else [-1]
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": shape,
            "parameters": more,
        }


@dataclass(frozen=True)
class Output:
    """A column of the predictions: its name, type in the protocol, kind and unit."""

    name: str
    datatype: str
    kind: str = ""
    unit: str = ""

    def metadata(self) -> dict[str, Any]:
        """Return it as metadata of a tensor."""
        more = {"kind": self.kind, "unit": self.unit}
        found: dict[str, Any] = {"name": self.name, "datatype": self.datatype, "shape": [-1]}
        told = {key: value for key, value in more.items() if value}
        return found | ({"parameters": told} if told else {})


def inputs_of(spec: FittedSpec, schema: Schema) -> list[Input]:
    """Return the columns that a model reads, in order, each once."""
    known = {column.name: column for column in schema.columns}
    found: dict[str, Input] = {}
    for group in spec.groups:
        for name in group.columns:
            found.setdefault(name, _input(name, group, known.get(name)))
    return list(found.values())


def _input(name: str, group: FittedGroup, column: Column | None) -> Input:
    kind = column.kind if column is not None else "text"
    lists = group.modality == "series" and len(group.channels) == len(group.columns)
    if group.modality in ("text", "image"):
        kind = group.modality
    shown = "series" if lists else str(kind)
    categories = [each for each in group.categorical if each.source == name]
    known = categories[0].categories[:MOST_CATEGORIES] if categories else []
    return Input(
        name,
        "category" if categories and shown not in ("category", "identifier") else shown,
        Reading.model_validate(column.model_dump(include=set(Reading.model_fields)))
        if column is not None
        else PLAIN,
        several=lists or (group.modality == "image" and group.photos > 1),
        categories=tuple(known),
        example=column.example if column is not None and shown in ("number", "date") else "",
    )


def outputs_of(frame: pd.DataFrame, spec: FittedSpec, schema: Schema) -> list[Output]:
    """Return the columns of predictions, told from those of one row.

    Args:
        frame: What `predict` returned for it.
        spec: Heads in the order of their columns.
        schema: Units of what they predict.
    """
    heads = iter([head for head in spec.heads if head.kind != "box"])
    known = {column.name: column for column in schema.columns}
    found: list[Output] = []
    latest = Output("", "")  # the prediction of the head whose other columns follow
    for name in map(str, frame.columns):
        if name in ("row", "id"):
            continue
        if name.endswith("_prediction") and (head := next(heads, None)) is not None:
            latest = _prediction(name, head, known)
            found.append(latest)
        elif name in ("note", "unusual"):
            found.append(Output(name, "BYTES", "remark"))
        elif not name.startswith(f"{latest.name.removesuffix('_prediction')}_"):
            found.append(Output(name, "FP64", "box"))
        elif latest.kind == "number":  # an end of its interval, or a quantile
            found.append(Output(name, "FP64", "number", latest.unit))
        else:
            found.append(Output(name, "FP64", "probability"))
    return found


def _prediction(name: str, head: FittedHead, known: dict[str, Column]) -> Output:
    kind: LabelKind = head.kind
    if kind == "number":
        column = known.get(head.columns[0])
        return Output(name, "FP64", kind, (column.unit or "") if column is not None else "")
    datatype = _LABELS[head.label_type] if kind == "class" else "BYTES"
    return Output(name, datatype, kind)
