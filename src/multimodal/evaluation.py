"""How wrong the predictions are: metrics of a regression, and the record a run keeps of them.

The functions work on plain arrays in the user's units. :class:`RunMetrics` is the file
`metrics.json` of a run directory: the run writes it, the report and the command line read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from multimodal.errors import DataError, RunError

Floats = NDArray[np.float64]

METRICS_FILE = "metrics.json"
LOG_FLOOR = 1e-3
"""Predictions count as at least this share of the smallest truth before a logarithm is taken."""


def regression_metrics(
    truth: ArrayLike, prediction: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, float]:
    """Measure predictions against the truth, both (N,) or (N, 1) in the user's units.

    Always there: `n` (rows with a weight above 0), `rmse`, `mae` and `r2`; `r2` of a constant
    truth is 1 when every row is exact, else 0. Where no truth is 0: `mape` and `median_ape`, as
    fractions. Where all truths are positive: `log_rmse` and `log_r2`, of natural logarithms, with
    predictions raised to `LOG_FLOOR` times the smallest truth. Every metric but `n` is weighted.

    Raises:
        DataError: shapes differ, there are no rows, a value is not finite, a weight is negative
            or all are 0.

    Example:
    >>> regression_metrics([100.0, 200.0], [110.0, 180.0])["mape"]
    0.1
    """
    y, p = _pair(truth, prediction)
    w = np.ones_like(y) if weight is None else _weights(weight, len(y))
    y, p, w = y[w > 0], p[w > 0], w[w > 0]
    error = np.abs(p - y)
    result = {
        "n": float(len(y)),
        "mae": float(np.average(error, weights=w)),
        **_spread(y, p, w, ""),
    }
    if np.all(y != 0):
        share = error / np.abs(y)
        result["mape"] = float(np.average(share, weights=w))
        result["median_ape"] = _median(share, w)
    if np.all(y > 0):
        result |= _spread(np.log(y), _log(p, y), w, "log_")
    return result


class Decile(TypedDict):
    """Errors of rows whose truth lies in [lower, upper]; `median_ape` is NaN for a truth of 0."""

    decile: int
    lower: float
    upper: float
    n: int
    median_error: float
    mae: float
    median_ape: float


def by_decile(truth: ArrayLike, prediction: ArrayLike) -> list[Decile]:
    """Describe the errors in each tenth of the truth, lowest first; empty tenths are left out.

    `median_error` is signed (prediction - truth), so it shows a bias; `median_ape` is a fraction.

    Example:
    >>> [row["n"] for row in by_decile(range(1, 41), range(1, 41))]
    [4, 4, 4, 4, 4, 4, 4, 4, 4, 4]
    """
    y, p = _pair(truth, prediction)
    tenth = deciles(y)
    return [_describe(int(i), y[tenth == i], p[tenth == i]) for i in np.unique(tenth)]


def deciles(truth: ArrayLike) -> NDArray[np.int64]:
    """Number each row's tenth of the truth, 1 to 10. Equal truths share a number.

    Example:
    >>> deciles([5.0, 1.0, 1.0]).tolist()
    [10, 1, 1]
    """
    y = np.asarray(truth, dtype=np.float64)
    edges = np.quantile(y, np.arange(1, 10) / 10)
    return np.asarray(np.searchsorted(edges, y, side="left") + 1, dtype=np.int64)


def worst_rows(truth: ArrayLike, prediction: ArrayLike, k: int = 20) -> list[int]:
    """Return the positions of the `k` worst rows, worst first.

    Worst is the largest absolute log error when all truths are positive, else the largest absolute
    error.

    Example:
    >>> worst_rows([10.0, 1000.0], [20.0, 1100.0], k=1)
    [0]
    """
    y, p = _pair(truth, prediction)
    error = np.abs(_log(p, y) - np.log(y)) if np.all(y > 0) else np.abs(p - y)
    order = np.argsort(-error, kind="stable")[: max(k, 0)]
    return [int(position) for position in order]


@dataclass(frozen=True)
class ModelScore:
    """One row of the comparison: what a model read, how well it did on the test rows, its cost.

    `inputs` is in words ("table", "text", "photos", "table + text + photos"); `metrics` come from
    :func:`regression_metrics`; `seconds` is the wall time of fitting.
    """

    name: str
    kind: Literal["constant", "trees", "sequential", "fusion"]
    inputs: str
    metrics: dict[str, float]
    parameters: int = 0
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """The name, with what was read where names repeat ("CNN on photos")."""
        known = self.kind in ("constant", "fusion") or self.inputs in self.name
        return self.name if known else f"{self.name} on {self.inputs}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelScore:
        """Check and read what `to_dict` wrote; raise RunError on anything else."""
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            raise RunError(f"not a model score: {error}") from None


def main_metric(scores: Sequence[ModelScore]) -> Literal["log_rmse", "rmse"]:
    """Name the metric to compare by: `log_rmse` if every model has it, else `rmse`."""
    return "log_rmse" if all("log_rmse" in score.metrics for score in scores) else "rmse"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class HeadMetrics(_Record):
    """One head on the test and validation rows; `unit` ("EUR", "kg") is for labels only."""

    column: str
    unit: str = ""
    test: dict[str, float] = {}
    validation: dict[str, float] = {}


class DataSummary(_Record):
    """Row counts: `read` = `kept` + `quarantined`, and `kept` = training + validation + test.

    `reasons` counts the quarantined rows by reason; `warnings` are sentences for the user, such as
    leakage, dropped columns or absent photos.
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


class TrainingSummary(_Record):
    """How the fusion was fitted: epochs done, the one whose weights are kept (from 1), seconds."""

    epochs: int = 0
    best_epoch: int = 0
    seconds: float = 0.0
    precision: str = ""
    parameters: int = 0
    interrupted: bool = False
    seed: int = 0


class RunMetrics(_Record):
    """The file `metrics.json`. Every part may be absent, as in an interrupted run.

    `heads`, `comparison` and `limit` are keyed by head name; a limit is the smallest error anyone
    could reach, by metric (`{"price": {"log_rmse": 0.15}}`), where it is known. `notes` are
    sentences for the user that are no warnings, such as what was carried over from another run.

    Example:
    >>> record = RunMetrics(command="multimodal train houses.csv --target price")
    >>> RunMetrics.model_validate_json(record.to_json()) == record
    True
    """

    heads: dict[str, HeadMetrics] = {}
    comparison: dict[str, list[ModelScore]] = {}
    limit: dict[str, dict[str, float]] = {}
    data: DataSummary = DataSummary()
    training: TrainingSummary = TrainingSummary()
    notes: list[str] = []
    versions: dict[str, str] = {}
    command: str = ""

    def to_json(self) -> str:
        """Return indented JSON; NaN and infinity become strings."""
        return self.model_dump_json(indent=2)

    @classmethod
    def read(cls, run: Path) -> RunMetrics:
        """Read a run's `metrics.json`: empty if it is absent, RunError if it is damaged."""
        path = run / METRICS_FILE
        if not path.exists():
            return cls()
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise RunError(f"{path}: not the metrics of a run. {error}") from None


def _pair(truth: ArrayLike, prediction: ArrayLike) -> tuple[Floats, Floats]:
    y, p = _column(truth, "truth"), _column(prediction, "prediction")
    if len(y) != len(p):
        raise DataError(
            f"truth and prediction must have equal lengths. Received: {len(y)} and {len(p)}"
        )
    if not len(y):
        raise DataError("there are no rows to evaluate. Received: 0 rows")
    return y, p


def _column(values: ArrayLike, name: str) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"`{name}` must hold numbers. Received: {values!r:.200}") from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"`{name}` must have shape (N,) or (N, 1). Received: {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise DataError(
            f"`{name}` must be finite. Received: {array[bad[0]]} at position {bad[0]}, "
            f"{len(bad)} such values in all"
        )
    return array


def _weights(weight: ArrayLike, rows: int) -> Floats:
    w = _column(weight, "weight")
    if len(w) != rows:
        raise DataError(f"`weight` must have one value per row. Received: {len(w)} for {rows} rows")
    if np.any(w < 0) or not np.any(w > 0):
        raise DataError(f"`weight` must be >= 0 and not all 0. Received: {w.min()} to {w.max()}")
    return w


def _spread(y: Floats, p: Floats, w: Floats, prefix: str) -> dict[str, float]:
    squared = float(np.average((p - y) ** 2, weights=w))
    variance = float(np.average((y - np.average(y, weights=w)) ** 2, weights=w))
    exact = 1.0 if squared == 0 else 0.0
    r2 = 1 - squared / variance if np.ptp(y) > 0 else exact
    return {f"{prefix}rmse": float(np.sqrt(squared)), f"{prefix}r2": float(r2)}


def _median(values: Floats, w: Floats) -> float:
    """Weighted median: the middle of the two neighbours where half the weight lies below."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(w[order]) / w.sum()
    low = int(np.searchsorted(share, 0.5 - 1e-12))
    high = int(np.searchsorted(share, 0.5 + 1e-12))
    return float(values[order[low]] + values[order[min(high, len(order) - 1)]]) / 2


def _log(prediction: Floats, truth: Floats) -> Floats:
    floor = max(LOG_FLOOR * float(truth.min()), np.finfo(np.float64).tiny)
    return np.asarray(np.log(np.maximum(prediction, floor)), dtype=np.float64)


def _describe(number: int, y: Floats, p: Floats) -> Decile:
    error = p - y
    share = float(np.median(np.abs(error) / np.abs(y))) if np.all(y != 0) else float("nan")
    return Decile(
        decile=number,
        lower=float(y.min()),
        upper=float(y.max()),
        n=len(y),
        median_error=float(np.median(error)),
        mae=float(np.abs(error).mean()),
        median_ape=share,
    )
