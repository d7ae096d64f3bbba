"""The leaderboard of a comparison: metrics of out-of-fold predictions, their intervals, and gains.

Every candidate has predicted every row out of fold, once per seed. Its value is the mean of its
metric over the seeds; its interval, and every comparison with another candidate, come from a
bootstrap over the rows (:mod:`multimodal.evaluation.bootstrap`). That bootstrap is the test that a
verdict goes by; the p-value over folds stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from multimodal.core.arrays import Floats, Ints
from multimodal.core.config import LabelKind
from multimodal.core.errors import RunError
from multimodal.core.files import read_text
from multimodal.core.records import MeasuredRecord, reason_of
from multimodal.evaluation.bootstrap import (
    bootstrap_metrics,
    corrected_t_test,
    metric_by_cluster,
    percentile_interval,
    relative_gain,
)
from multimodal.evaluation.measures import compared_metrics, ratio_terms, shortfall
from multimodal.evaluation.task import Task, has_label, measure
from multimodal.studies.fits import Fit

RECORD_FILE, TABLE_FILE, OUT_OF_FOLD_FILE = "comparison.json", "comparison.csv", "out_of_fold.csv"
MOST_BYTES = 1 << 26  # of comparison.json, before it is parsed
Kind = Literal["constant", "trees", "sequential", "recipe", "fusion"]
BASELINES: tuple[Kind, ...] = ("constant", "trees", "sequential", "recipe")
CONSTANTS: dict[LabelKind, str] = {
    "number": "Median",
    "class": "Class shares",
    "labels": "Label shares",
    "box": "Mean box",
}
TEST = (
    "paired bootstrap over the rows of the out-of-fold predictions, rows that belong together "
    "drawn together; beside it the corrected resampled t-test over folds (Nadeau and Bengio 2003)"
)


@dataclass(frozen=True)
class Candidate:
    """A model that is compared.

    Attributes:
        name: Its name in files, such as `fusion-concat-tabular`.
        kind: A kind of baseline, or `fusion`; `recipe` is what a fusion is on one modality alone.
        inputs: What it reads, such as "table + text".
        label: What it is called in tables.
        fusion: The name of its fusion; empty for baselines.
    """

    name: str
    kind: Kind
    inputs: str
    label: str
    fusion: str = ""


class Difference(MeasuredRecord):
    """By which fraction the first error is smaller than the second: `gain`, its 95 % interval.

    `p` is two-sided, from the bootstrap over rows; `p_folds` from the corrected resampled t-test
    over folds; `folds_won` counts the folds in which the first is better.
    """

    gain: float
    low: float
    high: float
    p: float
    p_folds: float | None = None
    folds_won: int = 0


class LeaderboardRow(MeasuredRecord):
    """One candidate: `values` of the compared metrics with their intervals, and `versus`, its gain
    over the best baseline.

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
    """What a modality adds: the candidate `arm` reads it besides all that `without` reads."""

    family: str
    adds: str
    to: str
    arm: str  # the candidate's name; the key is that of saved comparisons
    without: str
    difference: Difference


class Leaderboard(MeasuredRecord):
    """All candidates of one head, best first; `metrics` are compared, the first one decides.

    `reference` is the best baseline, which all others are compared with.
    """

    head: str
    column: str
    kind: LabelKind
    metrics: list[str]
    rows: int
    reference: str
    full: str
    standings: list[LeaderboardRow]  # the key is that of saved comparisons
    additions: list[Addition]


class ComparisonRecord(MeasuredRecord):
    """The file `comparison.json`: the leaderboard of every head.

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
    heads: list[Leaderboard] = []
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


@dataclass(frozen=True)
class OutOfFoldPredictions:
    """The predictions of all candidates for all rows of a table, each by a model of another fold.

    Attributes:
        labels: By head, what is true of each row (N, ...).
        weights: By head, the row weights (N,).
        folds: The fold in which each row was tested (N,).
        clusters: What belongs together (N,), such as groups of duplicates.
        fits: By candidate and seed, one fit per fold; its outputs are of the fold's rows in order.
    """

    labels: Mapping[str, NDArray[Any]]
    weights: Mapping[str, NDArray[Any]]
    folds: Ints
    clusters: Ints
    fits: Mapping[Candidate, Mapping[int, Sequence[Fit]]]

    def outputs(self, candidate: Candidate, seed: int, head: str) -> Floats:
        """Return the decoded outputs (N, width) of all folds, in the order of the rows."""
        by_fold = [fit.outputs[head] for fit in self.fits[candidate][seed]]
        joined = np.empty((len(self.folds), by_fold[0].shape[1]))
        for fold, outputs in enumerate(by_fold):
            joined[self.folds == fold] = outputs
        return joined

    def serves(self, candidate: Candidate, head: str) -> bool:
        """Whether each fit of a candidate predicts a head; trees do not learn every kind."""
        fits = [fit for each in self.fits[candidate].values() for fit in each]
        return bool(fits) and all(head in fit.outputs for fit in fits)


@dataclass(frozen=True)
class _Scores:
    """A candidate's metrics: per seed (S,), bootstrapped (draws, S), the main one (folds, S)."""

    candidate: Candidate
    seeds: list[int]
    values: dict[str, Floats]
    drawn: dict[str, Floats]
    by_fold: Floats

    def error(self, metric: str) -> float:
        """Return how far the mean over the seeds is from perfect."""
        return float(shortfall(metric, self.values[metric].mean()))


def leaderboard(
    task: Task,
    column: str,
    predictions: OutOfFoldPredictions,
    full: str,
    pairs: Sequence[tuple[str, str]],
) -> Leaderboard | None:
    """Rank the candidates of one head; None where none has predicted all rows.

    Args:
        task: What the head predicts.
        column: The column that it learns.
        predictions: Those of all candidates.
        full: Name of the candidate that the verdict is about: one fusion of everything.
        pairs: Names of candidates that differ by a modality: the one that reads it, the other.
    """
    y_true, weight = predictions.labels[task.name], predictions.weights[task.name]
    rows = np.flatnonzero(has_label(task, y_true) & (weight > 0))
    there = [each for each in predictions.fits if predictions.serves(each, task.name)]
    if not there:
        return None
    metrics = compared_metrics(task, y_true[rows])
    scores = _scores(task, metrics, predictions, there, rows)
    scores.sort(key=lambda each: each.error(metrics[0]))
    best = next((each for each in scores if each.candidate.kind in BASELINES), None)
    named = {each.candidate.name: each for each in scores}
    return Leaderboard(
        head=task.name,
        column=column,
        kind=task.kind,
        metrics=metrics,
        rows=len(rows),
        reference=best.candidate.name if best else "",
        full=full,
        standings=[_row(task, metrics, predictions, rows, each, best) for each in scores],
        additions=[
            _addition(named[more], named[less], metrics[0])
            for more, less in pairs
            if more in named and less in named
        ],
    )


def _scores(
    task: Task,
    metrics: Sequence[str],
    predictions: OutOfFoldPredictions,
    candidates: Sequence[Candidate],
    rows: Ints,
) -> list[_Scores]:
    """Measure all candidates on the same bootstrap draws, so that differences are paired."""
    y_true, weight = predictions.labels[task.name][rows], predictions.weights[task.name][rows]
    keys = [(each, seed) for each in candidates for seed in sorted(predictions.fits[each])]
    outputs = [predictions.outputs(*key, task.name)[rows] for key in keys]
    values, drawn, by_fold = {}, {}, np.empty(0)
    for metric in metrics:
        each = [ratio_terms(metric, task, y_true, one) for one in outputs]
        values[metric], drawn[metric] = bootstrap_metrics(
            metric, each, weight, predictions.clusters[rows]
        )
        if metric == metrics[0]:
            by_fold = metric_by_cluster(metric, each, weight, predictions.folds[rows])
    result = []
    for candidate in candidates:
        mine = [i for i, key in enumerate(keys) if key[0] is candidate]
        result.append(
            _Scores(
                candidate,
                sorted(predictions.fits[candidate]),
                {metric: values[metric][mine] for metric in metrics},
                {metric: drawn[metric][:, mine] for metric in metrics},
                by_fold[:, mine],
            )
        )
    return result


def _row(
    task: Task,
    metrics: Sequence[str],
    predictions: OutOfFoldPredictions,
    rows: Ints,
    scores: _Scores,
    best: _Scores | None,
) -> LeaderboardRow:
    candidate = scores.candidate
    y_true, weight = predictions.labels[task.name][rows], predictions.weights[task.name][rows]
    each = [
        measure(task, y_true, predictions.outputs(candidate, seed, task.name)[rows], weight)
        for seed in scores.seeds
    ]
    shared = [name for name in each[0] if all(name in one for one in each)]
    fits = [fit for several in predictions.fits[candidate].values() for fit in several]
    return LeaderboardRow(
        name=candidate.name,
        kind=candidate.kind,
        inputs=candidate.inputs,
        fusion=candidate.fusion,
        seeds=scores.seeds,
        label=_label(candidate, task),
        values={
            name: (
                float(scores.values[name].mean()),
                *percentile_interval(scores.drawn[name].mean(axis=1)),
            )
            for name in metrics
        },
        metrics={name: float(np.mean([one[name] for one in each])) for name in shared},
        by_fold=scores.by_fold.mean(axis=1).tolist(),
        versus=_difference(metrics[0], scores, best) if best and best is not scores else None,
        parameters=int(np.mean([fit.parameters for fit in fits])),
        seconds=float(np.mean([fit.seconds for fit in fits])),
    )


def _label(candidate: Candidate, task: Task) -> str:
    if candidate.kind != "constant":
        return candidate.label
    return "Quantiles" if task.quantiles else CONSTANTS[task.kind]


def _addition(more: _Scores, less: _Scores, metric: str) -> Addition:
    candidate, without = more.candidate, less.candidate
    known = without.inputs.split(" + ")
    return Addition(
        family=f"the {candidate.fusion} fusion" if candidate.fusion else "gradient boosting",
        adds=" + ".join(name for name in candidate.inputs.split(" + ") if name not in known),
        to=without.inputs,
        arm=candidate.name,
        without=without.name,
        difference=_difference(metric, more, less),
    )


def _difference(metric: str, mine: _Scores, other: _Scores) -> Difference:
    """Compare two candidates over the seeds that both have."""
    shared = [seed for seed in mine.seeds if seed in other.seeds]

    def errors(scores: _Scores) -> tuple[Any, Any, Any]:
        chosen = [scores.seeds.index(seed) for seed in shared]
        drawn = scores.drawn[metric][:, chosen].mean(axis=1)
        value, by_fold = scores.values[metric][chosen].mean(), scores.by_fold[:, chosen]
        return (
            shortfall(metric, value),
            shortfall(metric, drawn),
            shortfall(metric, by_fold.mean(axis=1)),
        )

    (value, drawn, folds), (value_2, drawn_2, folds_2) = errors(mine), errors(other)
    found = relative_gain(value, value_2, drawn, drawn_2)
    return Difference(
        gain=found.value,
        low=found.low,
        high=found.high,
        p=found.p,
        # of K folds of like size, one tests for K - 1 that train
        p_folds=corrected_t_test(folds - folds_2, 1 / max(1, len(folds) - 1)),
        folds_won=int((folds < folds_2).sum()),
    )
