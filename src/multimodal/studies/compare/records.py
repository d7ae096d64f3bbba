"""The record of a comparison: every model's standing, and what each modality adds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from multimodal.core.config import LabelKind
from multimodal.core.errors import RunError
from multimodal.core.files import read_text
from multimodal.core.json_records import MeasuredRecord, reason_of

RECORD_FILE, TABLE_FILE, ANSWERS_FILE = "comparison.json", "comparison.csv", "out_of_fold.csv"
MOST_BYTES = 1 << 26
Kind = Literal["constant", "trees", "sequential", "fusion"]
SIMPLE: tuple[Kind, ...] = ("constant", "trees", "sequential")
TEST = (
    "paired bootstrap over the rows of the out-of-fold predictions, rows that belong together "
    "drawn together; beside it the corrected resampled t-test over folds (Nadeau and Bengio 2003)"
)


@dataclass(frozen=True)
class Arm:
    """A model that is compared.

    `name` is that of its files, `inputs` says what it reads ("table + text"), `label` what it is
    called, `fusion` the name of its fusion.
    """

    name: str
    kind: Kind
    inputs: str
    label: str
    fusion: str = ""


class Difference(MeasuredRecord):
    """By which share the first error is smaller than the second: `gain`, its 95 % interval.

    `p` is two-sided, from the rows drawn again; `p_folds` from the corrected resampled t-test over
    folds; `folds_won` counts the folds in which the first is better.
    """

    gain: float
    low: float
    high: float
    p: float
    p_folds: float | None = None
    folds_won: int = 0


class Standing(MeasuredRecord):
    """One model: `values` of the compared metrics with their intervals, beside the best simple one.

    `metrics` has every metric, the mean over the seeds; `by_fold` the main one. `seconds` are those
    of one fit, on average, `parameters` those of the model.
    """

    name: str
    kind: Kind
    inputs: str
    label: str
    fusion: str = ""
    seeds: list[int]
    values: dict[str, tuple[float, float, float]]
    metrics: dict[str, float]
    by_fold: list[float]
    versus: Difference | None = None
    parameters: int = 0
    seconds: float = 0.0


class Addition(MeasuredRecord):
    """What a modality adds: `arm` reads it besides all that `without` reads, in one family."""

    family: str
    adds: str
    to: str
    arm: str
    without: str
    difference: Difference


class HeadStandings(MeasuredRecord):
    """All models of one head, best first; `metrics` are compared, the first one decides.

    `reference` is the best of the simple models, which all others are compared with.
    """

    head: str
    column: str
    kind: LabelKind
    metrics: list[str]
    rows: int
    reference: str
    full: str
    standings: list[Standing]
    additions: list[Addition]


class ComparisonRecord(MeasuredRecord):
    """The file `comparison.json`: how the models of every head stand.

    `left_out` names what was not finished, `verdicts` has one sentence per head, `notes` are
    sentences about what was done. `test` says what differences are tested by.

    Example:
    >>> record = ComparisonRecord(folds=5, seeds=[0])
    >>> ComparisonRecord.model_validate_json(record.to_json()) == record
    True
    """

    version: Literal[1] = 1
    source: str = ""
    rows: int = 0
    folds: int
    seeds: list[int]
    test: str = TEST
    heads: list[HeadStandings] = []
    verdicts: dict[str, str] = {}
    left_out: list[str] = []
    notes: list[str] = []
    command: str = ""

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is in it."""
        return not self.left_out

    def to_json(self) -> str:
        """Return indented JSON; NaN and infinity become strings."""
        return self.model_dump_json(indent=2)

    @classmethod
    def read(cls, folder: Path) -> ComparisonRecord:
        """Read a folder's `comparison.json`; raise RunError if it is missing or damaged."""
        path = folder / RECORD_FILE
        try:
            return cls.model_validate_json(read_text(path, most=MOST_BYTES))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise RunError(
                f"{path}: not the record of a comparison ({reason_of(error)})."
            ) from None
