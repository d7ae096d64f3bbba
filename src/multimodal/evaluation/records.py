"""Records of a run's evaluation: metrics, permutation importance and explained test rows.

A run writes them as `metrics.json`, `importance.json` and `explanations.json`; reports and the
command line read them. Fields are keys of those files: they keep their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from multimodal.core.config import LabelKind
from multimodal.core.records import MeasuredRecord, Record, read_if_there
from multimodal.evaluation.confidence import ConfidenceCheck, IntervalCheck

METRICS_FILE, IMPORTANCE_FILE = "metrics.json", "importance.json"
MOST_METRICS_BYTES = 1 << 28
EXPLANATIONS_FILE, EXPLANATIONS = "explanations.json", "explanations"
MOST_IMPORTANCE_BYTES, MOST_EXPLANATIONS_BYTES, MOST_ROWS = 1 << 22, 1 << 20, 100
_Short = Annotated[str, StringConstraints(max_length=200)]
_Page = Annotated[str, StringConstraints(pattern=rf"^{EXPLANATIONS}/[a-z0-9_]+-[0-9]+\.html$")]


@dataclass(frozen=True)
class ModelScore:
    """One row of the comparison: what a model read, how well it did on the test rows, its cost.

    `inputs` is in words ("table", "text", "photos", "table + text + photos"); `metrics` come from
    :func:`multimodal.evaluation.task.measure`; `seconds` is the wall time of fitting. Of kind
    `recipe` are baselines of one modality by the recipe of the run's own model, `fusion`.
    """

    name: str
    kind: Literal["constant", "trees", "sequential", "recipe", "fusion"]
    inputs: str
    metrics: dict[str, float]
    parameters: int = 0
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """The name, with what was read where names repeat ("CNN on photos")."""
        known = self.kind in ("constant", "fusion") or self.inputs in self.name
        return self.name if known else f"{self.name} on {self.inputs}"


class HeadMetrics(MeasuredRecord):
    """One head on the test and validation rows; `unit` ("EUR", "kg") is for labels only.

    `kind` says what the head predicts, `classes` the names of classes or labels in their order,
    `metric` what models are compared by; runs of earlier versions leave it empty.
    """

    column: str
    kind: LabelKind = "number"
    classes: list[str] = []
    unit: str = ""
    metric: str = ""
    test: dict[str, float] = {}
    validation: dict[str, float] = {}


class ModalityGain(MeasuredRecord):
    """What a modality adds: the recipe of the run with it against the same recipe without it.

    Both are measured by `metric` on the same `rows` out of fold. `gain` is the fraction by which
    the error is smaller with the modality, or the difference where higher is better; `low` to
    `high` its 95 % interval. `networks` went on without the modality from their weights with it,
    for `epochs` at most; where there are none, the linear model alone is compared, which is always
    refitted. `seconds_with` and `seconds_without` are how long the networks take.
    """

    modality: str
    outcome: Literal["earned", "nothing"]
    metric: str
    rows: int
    score_with: float
    score_without: float
    gain: float
    low: float
    high: float
    networks: int = 0
    epochs: int = 0
    seconds_with: float | None = None
    seconds_without: float | None = None


class DataSummary(MeasuredRecord):
    """Row counts: `read` = `kept` + `quarantined`, and `kept` = training + validation + test.

    `reasons` counts the quarantined rows by reason; `warnings` are sentences for the user, such as
    leakage, dropped columns or absent photos. `sha256` is of the file, empty for rows from memory,
    `fingerprint` of the prepared rows and their split.
    """

    source: str = ""
    read: int = 0
    kept: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = {}
    train: int = 0
    validation: int = 0
    test: int = 0
    warnings: list[str] = []
    sha256: str = ""
    fingerprint: str = ""


class TrainingSummary(MeasuredRecord):
    """How the fusion was fitted: epochs done, the one whose weights are kept (from 1), seconds."""

    epochs: int = 0
    best_epoch: int = 0
    seconds: float = 0.0
    precision: str = ""
    parameters: int = 0
    interrupted: bool = False
    seed: int = 0


class RunMetrics(MeasuredRecord):
    """The file `metrics.json`. Every part may be absent, as in an interrupted run.

    `heads`, `comparison` and `limit` are keyed by head name; a limit is the smallest error anyone
    could reach, by metric (`{"price": {"log_rmse": 0.15}}`), where it is known; `modalities` is
    what each modality adds to a recipe that is retrained without it; `withheld` are the metrics of
    the test rows as if they lacked a modality, by head and modality; `intervals` and `confidence`
    are the checks of calibration by head; `unusual` are the fractions of test rows that each check
    for novelty finds, and all together. `notes` are sentences for the user that are
    no warnings, such as what was carried over from another run. `machine` says what it ran on
    (processor, cores, memory), `date` on which day (UTC).

    Example:
    >>> record = RunMetrics(command="multimodal train houses.csv --target price")
    >>> RunMetrics.model_validate_json(record.to_json()) == record
    True
    """

    heads: dict[str, HeadMetrics] = {}
    comparison: dict[str, list[ModelScore]] = {}
    limit: dict[str, dict[str, float]] = {}
    withheld: dict[str, dict[str, dict[str, float]]] = {}
    modalities: dict[str, list[ModalityGain]] = {}
    intervals: dict[str, IntervalCheck] = {}
    confidence: dict[str, ConfidenceCheck] = {}
    unusual: dict[str, float] = {}
    data: DataSummary = DataSummary()
    training: TrainingSummary = TrainingSummary()
    notes: list[str] = []
    versions: dict[str, str] = {}
    machine: dict[str, str] = {}
    date: str = ""
    command: str = ""

    def optimised(self, head: str) -> str:
        """Return the metric that a head was optimised for; empty in runs of earlier versions."""
        return self.heads[head].metric if head in self.heads else ""

    def to_json(self) -> str:
        """Return indented JSON; NaN and infinity become strings."""
        return self.model_dump_json(indent=2)

    @classmethod
    def read(cls, run: Path) -> RunMetrics:
        """Read a run's `metrics.json`: empty if it is absent, RunError if it is damaged."""
        return read_if_there(cls, run / METRICS_FILE, most=MOST_METRICS_BYTES)


class PermutationImportance(Record):
    """Permutation importance of one group or column: the error with its values shuffled.

    `change` is by how much that is above the error of the rows as they are, `low` to `high` its
    95 % interval.
    """

    name: str
    kind: Literal["group", "column"]
    error: float
    change: float
    low: float
    high: float


class HeadImportance(Record):
    """Importance for one head; `error` is the shortfall of `metric` on the `rows` as they are."""

    metric: str
    error: float
    rows: int = Field(ge=0)
    repeats: int = Field(ge=1)
    needs: list[PermutationImportance] = Field(max_length=10_000)

    def ranked(self, kind: Literal["group", "column"]) -> list[PermutationImportance]:
        """Return the groups or the columns, the most important first."""
        return sorted((n for n in self.needs if n.kind == kind), key=lambda need: -need.change)


class Importance(Record):
    """The file `importance.json`.

    Example:
    >>> Importance.model_validate_json(Importance().model_dump_json()).heads
    {}
    """

    heads: dict[str, HeadImportance] = {}

    @classmethod
    def read(cls, run: Path) -> Importance:
        """Read a run's `importance.json`: empty if it is absent, RunError if it is damaged."""
        return read_if_there(cls, run / IMPORTANCE_FILE, most=MOST_IMPORTANCE_BYTES)


class GroupEffect(Record):
    """Contribution of a group to a prediction, in the user's units; `up` where it raised it."""

    name: _Short
    effect: _Short
    up: bool


class ExplainedRow(Record):
    """One test row, explained for one head: its page in the run, and its groups in short.

    `row` is the row's number in the source, `question` what is explained, `nothing` the prediction
    for the baseline input, which has no group.
    """

    head: _Short
    row: int = Field(ge=0)
    page: _Page
    question: _Short
    nothing: _Short
    groups: list[GroupEffect] = Field(max_length=MOST_ROWS)


class ExplainedRows(Record):
    """The file `explanations.json`.

    Example:
    >>> ExplainedRows().of("price", 3) is None
    True
    """

    rows: list[ExplainedRow] = Field([], max_length=MOST_ROWS)

    def of(self, head: str, row: int) -> ExplainedRow | None:
        """Return the explanation of a row for a head, None where there is none."""
        return next((each for each in self.rows if (each.head, each.row) == (head, row)), None)

    @classmethod
    def read(cls, run: Path) -> ExplainedRows:
        """Read a run's `explanations.json`: empty if it is absent, RunError if it is damaged."""
        return read_if_there(cls, run / EXPLANATIONS_FILE, most=MOST_EXPLANATIONS_BYTES)
