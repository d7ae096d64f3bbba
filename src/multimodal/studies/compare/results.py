"""The record of a comparison: every model's standing, and what each modality adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from multimodal.core.arrays import Bools, Floats, Ints
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
MOST_BYTES = 1 << 26
Kind = Literal["constant", "trees", "sequential", "fusion"]
BASELINES: tuple[Kind, ...] = ("constant", "trees", "sequential")
TEST = (
    "paired bootstrap over the rows of the out-of-fold predictions, rows that belong together "
    "drawn together; beside it the corrected resampled t-test over folds (Nadeau and Bengio 2003)"
)


@dataclass(frozen=True)
class Candidate:
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


class LeaderboardRow(MeasuredRecord):
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
    arm: str  # key of saved comparisons
    without: str
    difference: Difference


class Leaderboard(MeasuredRecord):
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
    standings: list[LeaderboardRow]
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


CONSTANTS: dict[LabelKind, str] = {
    "number": "Median",
    "class": "Class shares",
    "labels": "Label shares",
    "box": "Mean box",
}


@dataclass(frozen=True)
class OutOfFoldPredictions:
    """What models answer to the rows of a table, and what is true of them.

    `folds` (N,) says in which fold a row was tested, `clusters` (N,) what belongs together; `fits`
    holds, by arm and seed, one fit per fold, whose outputs are of the fold's rows in their order.
    """

    labels: Mapping[str, NDArray[Any]]
    weights: Mapping[str, NDArray[Any]]
    folds: Ints
    clusters: Ints
    fits: Mapping[Candidate, Mapping[int, Sequence[Fit]]]

    def outputs(self, candidate: Candidate, seed: int, head: str) -> Floats:
        """Return the outputs (N, width) of all folds together."""
        found = [fit.outputs[head] for fit in self.fits[candidate][seed]]
        together = np.empty((len(self.folds), found[0].shape[1]))
        for fold, outputs in enumerate(found):
            together[self.folds == fold] = outputs
        return together


@dataclass(frozen=True)
class _Series:
    """One model's metrics: per seed (S,), drawn (draws, S), and the main one by fold (folds, S)."""

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
    answered: OutOfFoldPredictions,
    full: str,
    pairs: Sequence[tuple[str, str]],
) -> Leaderboard | None:
    """Return how the models of one head stand; None where no model has answered all rows.

    Args:
        task: What the head is asked.
        column: What it learns.
        answered: What the models answer.
        full: Name of the model whose verdict it is: one fusion of everything.
        pairs: Names of models that differ by a modality: the one that reads it, the other.
    """
    y_true, weight = answered.labels[task.name], answered.weights[task.name]
    rows = has_label(task, y_true) & (weight > 0)
    there = [candidate for candidate, seeds in answered.fits.items() if _serves(seeds, task.name)]
    if not there:
        return None
    metrics = compared_metrics(task, y_true[rows])
    found = _series(task, metrics, answered, there, rows)
    order = sorted(there, key=lambda candidate: found[candidate].error(metrics[0]))
    baseline = next((candidate for candidate in order if candidate.kind in BASELINES), None)
    standings = [
        _standing(
            task, answered, candidate, found, rows, baseline if candidate is not baseline else None
        )
        for candidate in order
    ]
    named = {candidate.name: candidate for candidate in there}
    additions = [
        _addition(named[first], named[second], metrics[0], found)
        for first, second in pairs
        if first in named and second in named
    ]
    return Leaderboard(
        head=task.name,
        column=column,
        kind=task.kind,
        metrics=metrics,
        rows=int(rows.sum()),
        reference=baseline.name if baseline else "",
        full=full,
        standings=standings,
        additions=additions,
    )


def _serves(seeds: Mapping[int, Sequence[Fit]], head: str) -> bool:
    fits = [fit for each in seeds.values() for fit in each]
    return bool(fits) and all(head in fit.outputs for fit in fits)


def _series(
    task: Task,
    metrics: Sequence[str],
    answered: OutOfFoldPredictions,
    candidates: Sequence[Candidate],
    rows: Bools,
) -> dict[Candidate, _Series]:
    """Measure all models on the same draws."""
    y_true, weight = answered.labels[task.name][rows], answered.weights[task.name][rows]
    keys = [
        (candidate, seed) for candidate in candidates for seed in sorted(answered.fits[candidate])
    ]
    result = {
        candidate: _Series(sorted(answered.fits[candidate]), {}, {}, np.empty(0))
        for candidate in candidates
    }
    outputs = {key: answered.outputs(*key, task.name)[rows] for key in keys}
    for metric in reversed(metrics):  # the main one is the last, whose folds stay
        each = [ratio_terms(metric, task, y_true, outputs[key]) for key in keys]
        values, drawn = bootstrap_metrics(metric, each, weight, answered.clusters[rows])
        by_fold = metric_by_cluster(metric, each, weight, answered.folds[rows])
        for candidate in candidates:
            mine = [i for i, key in enumerate(keys) if key[0] is candidate]
            result[candidate].values[metric] = values[mine]
            result[candidate].drawn[metric] = drawn[:, mine]
            result[candidate] = replace(result[candidate], by_fold=by_fold[:, mine])
    return result


def _standing(
    task: Task,
    answered: OutOfFoldPredictions,
    candidate: Candidate,
    found: Mapping[Candidate, _Series],
    rows: Bools,
    baseline: Candidate | None,
) -> LeaderboardRow:
    series, y_true = found[candidate], answered.labels[task.name][rows]
    weight, main = answered.weights[task.name][rows], compared_metrics(task, y_true)[0]
    fits = [fit for each in answered.fits[candidate].values() for fit in each]
    each = [
        measure(task, y_true, answered.outputs(candidate, seed, task.name)[rows], weight)
        for seed in series.seeds
    ]
    shared = [name for name in each[0] if all(name in one for one in each)]
    values = {
        name: (float(value.mean()), *percentile_interval(series.drawn[name].mean(axis=1)))
        for name, value in series.values.items()
    }
    label = candidate.label if candidate.kind != "constant" else CONSTANTS[task.kind]
    return LeaderboardRow(
        name=candidate.name,
        kind=candidate.kind,
        inputs=candidate.inputs,
        fusion=candidate.fusion,
        seeds=series.seeds,
        label="Quantiles" if candidate.kind == "constant" and task.quantiles else label,
        values={name: values[name] for name in compared_metrics(task, y_true)},
        metrics={name: float(np.mean([one[name] for one in each])) for name in shared},
        by_fold=series.by_fold.mean(axis=1).tolist(),
        versus=None if baseline is None else _difference(main, series, found[baseline]),
        parameters=int(np.mean([fit.parameters for fit in fits])),
        seconds=float(np.mean([fit.seconds for fit in fits])),
    )


def _addition(
    candidate: Candidate, without: Candidate, metric: str, found: Mapping[Candidate, _Series]
) -> Addition:
    known = without.inputs.split(" + ")
    adds = " + ".join(name for name in candidate.inputs.split(" + ") if name not in known)
    family = f"the {candidate.fusion} fusion" if candidate.kind == "fusion" else "gradient boosting"
    difference = _difference(metric, found[candidate], found[without])
    return Addition(
        family=family,
        adds=adds,
        to=without.inputs,
        arm=candidate.name,
        without=without.name,
        difference=difference,
    )


def _difference(metric: str, mine: _Series, other: _Series) -> Difference:
    """Compare two models over the seeds that both have."""
    shared = [seed for seed in mine.seeds if seed in other.seeds]
    pairs = []
    for series in (mine, other):
        chosen = [series.seeds.index(seed) for seed in shared]
        pairs.append(
            (
                shortfall(metric, series.values[metric][chosen].mean()),
                shortfall(metric, series.drawn[metric][:, chosen].mean(axis=1)),
                shortfall(metric, series.by_fold[:, chosen].mean(axis=1)),
            )
        )
    (value, drawn, folds), (value_2, drawn_2, folds_2) = pairs
    found = relative_gain(value, value_2, drawn, drawn_2)
    share = 1 / max(1, len(folds) - 1)
    return Difference(
        gain=found.value,
        low=found.low,
        high=found.high,
        p=found.p,
        p_folds=corrected_t_test(folds - folds_2, share),
        folds_won=int((folds < folds_2).sum()),
    )
