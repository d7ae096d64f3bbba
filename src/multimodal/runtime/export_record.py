"""The file `export.json` of an export: its format, inputs and outputs, and how it was checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from multimodal.core.config import LabelKind
from multimodal.core.errors import RunError
from multimodal.core.records import Record, read_json
from multimodal.core.spec import FittedGroup, FittedSpec, LabelType
from multimodal.evaluation.task import Task

EXPORT = "export.json"
NETWORK, DECODER, LINEAR = "network.onnx", "decode.onnx", "linear.npz"
# outputs that are read in place of a head's own; no slug has a point in it
RAW, UNCALIBRATED = ".raw", ".uncalibrated"
FORMATS = ("onnx", "saved_model", "litert", "openvino")
MOST_BYTES = 1 << 24
_MEANINGS = {
    "numeric": "numbers as preprocessing scales them, NaN where one is missing: {numbers}",
    "categorical": "codes of categories, 0 where one is missing, 1 where it is unknown: {codes}",
    "tokens": "ids of words, 0 is padding",
    "pixels": "photos, 0 to 255, red, green, blue; black where one is absent",
    "present": "whether the group is there",
    "series": "numbers by step, the latest last, NaN where there is none",
    "features": "features of {model}, zeros where the group is absent",
}


class TensorRecord(Record):
    """An input or output of a network; None in a shape is open, the first is the rows."""

    name: str
    dtype: str
    shape: list[int | None]
    meaning: str


class HeadRecord(Record):
    """A head: the fields of `Task`, and the number of its outputs."""

    name: str
    kind: LabelKind
    classes: list[str]
    ordered: bool
    quantiles: list[float]
    label_type: LabelType
    transform: str
    width: int = Field(ge=1, le=1_000_000)

    @property
    def task(self) -> Task:
        """What the head is asked."""
        return Task(**{key: value for key, value in dict(self).items() if key != "width"})

    @classmethod
    def of(cls, task: Task, width: int) -> HeadRecord:
        """Return the record of a head."""
        return cls(**vars(task), width=width)


class Comparison(Record):
    """What an export was compared with the run on: how many rows, whose, the largest difference.

    The difference is relative to the size of a number, absolute for a probability.
    """

    rows: int
    source: str
    difference: float


class ExportRecord(Record):
    """The file `export.json`. `run` names the run it was made from, `checksum` is of its model."""

    version: Literal[1] = 1
    format: Literal["onnx", "saved_model", "litert", "openvino"]
    run: str
    checksum: str
    inputs: Annotated[list[TensorRecord], Field(max_length=1000)]
    outputs: Annotated[list[TensorRecord], Field(max_length=1000)]
    heads: Annotated[list[HeadRecord], Field(max_length=1000)]
    versions: dict[str, str] = {}
    comparison: Comparison | None = None


def read_export(folder: Path) -> ExportRecord:
    """Return the record of an export.

    Raises:
        RunError: It cannot be read, or is damaged.
    """
    return read_json(ExportRecord, folder / EXPORT, most=MOST_BYTES, mend="Export the run again.")


def meaning_of(spec: FittedSpec, name: str) -> str:
    """Say what an input of a network holds, by its name.

    Example:
    >>> meaning_of(FittedSpec(groups=[], heads=[]), "terms_ids")
    'ids of sparse features, 0 is padding'
    """
    if name == "terms_ids":
        return "ids of sparse features, 0 is padding"
    if name == "terms_weights":
        return "what each sparse feature weighs"
    group = next(group for group in spec.groups if name in group.input_keys)
    kind = name.removeprefix(f"{group.name}_")
    return _MEANINGS[kind].format(**_names(group))


def _names(group: FittedGroup) -> dict[str, str]:
    return {
        "numbers": ", ".join(column.name for column in group.numeric),
        "codes": ", ".join(column.source for column in group.categorical),
        "model": group.pretrained.model if group.pretrained else "",
    }


def output_meaning(task: Task) -> str:
    """Say what the columns of an output are.

    Example:
    >>> output_meaning(Task("price"))
    'the number, in the units of the table'
    """
    if task.kind == "number" and not task.quantiles:
        return "the number, in the units of the table"
    if task.kind == "number":
        return f"quantiles of the number: {', '.join(f'{q:g}' for q in task.quantiles)}"
    if task.kind == "box":
        return "a box: xmin, ymin, xmax, ymax, as fractions of the photo"
    what = "classes" if task.kind == "class" else "labels"
    return f"probabilities of the {what}: {', '.join(task.classes)}"


def only_predicts(path: Path, record: ExportRecord) -> str:
    """Say what an export cannot do."""
    return (
        f"{path}: an export, which predicts and measures rows (`predict`, `evaluate`) and does "
        "nothing else: it has no gradients, no training rows and no Keras model. Explain, report, "
        f"fine-tune or export the run it was made from, '{record.run}'."
    )


def is_export(folder: Path) -> bool:
    """Whether there is an export in a folder, be it whole or damaged."""
    return (folder / EXPORT).exists()


def refuse_export(folder: Path) -> None:
    """Raise RunError where a folder holds an export, of which a run is asked."""
    if is_export(folder):
        raise RunError(only_predicts(folder, read_export(folder)))
