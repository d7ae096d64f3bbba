"""How compared models stand: values with intervals, and what each modality adds.

Every model has answered every row out of fold, once per seed. A model's value is the mean of its
metric over the seeds; its interval, and every comparison with another model, come from the rows
drawn again (:mod:`multimodal.evaluation.resampling`). That comparison is the test that a verdict
goes by; the p-value over folds stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.config import LabelKind
from multimodal.evaluation.measures import measure_of
from multimodal.evaluation.per_row import compared_metrics, parts
from multimodal.evaluation.resampling import (
    drawn_metrics,
    folds_p_value,
    gain,
    metric_by,
    percentile_interval,
)
from multimodal.evaluation.task import Task, has_truth, measure
from multimodal.studies.compare.records import (
    SIMPLE,
    Addition,
    Arm,
    Difference,
    HeadStandings,
    Standing,
)
from multimodal.studies.fit_files import Fit

Floats = NDArray[np.float64]
CONSTANTS: dict[LabelKind, str] = {
    "number": "Median", "class": "Class shares", "labels": "Label shares", "box": "Mean box",
}  # fmt: skip


@dataclass(frozen=True)
class Answered:
    """What models answer to the rows of a table, and what is true of them.

    `folds` (N,) says in which fold a row was tested, `clusters` (N,) what belongs together; `fits`
    holds, by arm and seed, one fit per fold, whose outputs are of the fold's rows in their order.
    """

    truths: Mapping[str, NDArray[Any]]
    weights: Mapping[str, NDArray[Any]]
    folds: NDArray[np.int64]
    clusters: NDArray[np.int64]
    fits: Mapping[Arm, Mapping[int, Sequence[Fit]]]

    def outputs(self, arm: Arm, seed: int, head: str) -> Floats:
        """Return the outputs (N, width) of all folds together."""
        found = [fit.outputs[head] for fit in self.fits[arm][seed]]
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
        return float(_error(metric, self.values[metric].mean()))


def head_standings(
    task: Task, column: str, answered: Answered, full: str, pairs: Sequence[tuple[str, str]]
) -> HeadStandings | None:
    """Return how the models of one head stand; None where no model has answered all rows.

    Args:
        task: What the head is asked.
        column: What it learns.
        answered: What the models answer.
        full: Name of the model whose verdict it is: one fusion of everything.
        pairs: Names of models that differ by a modality: the one that reads it, the other.
    """
    truth, weight = answered.truths[task.name], answered.weights[task.name]
    rows = has_truth(task, truth) & (weight > 0)
    there = [arm for arm, seeds in answered.fits.items() if _serves(seeds, task.name)]
    if not there:
        return None
    metrics = compared_metrics(task, truth[rows])
    found = _series(task, metrics, answered, there, rows)
    order = sorted(there, key=lambda arm: found[arm].error(metrics[0]))
    simple = next((arm for arm in order if arm.kind in SIMPLE), None)
    standings = [
        _standing(task, answered, arm, found, rows, simple if arm is not simple else None)
        for arm in order
    ]
    named = {arm.name: arm for arm in there}
    additions = [
        _addition(named[first], named[second], metrics[0], found)
        for first, second in pairs
        if first in named and second in named
    ]
    return HeadStandings(
        head=task.name, column=column, kind=task.kind, metrics=metrics, rows=int(rows.sum()),
        reference=simple.name if simple else "", full=full, standings=standings,
        additions=additions,
    )  # fmt: skip


def _serves(seeds: Mapping[int, Sequence[Fit]], head: str) -> bool:
    fits = [fit for each in seeds.values() for fit in each]
    return bool(fits) and all(head in fit.outputs for fit in fits)


def _series(
    task: Task, metrics: Sequence[str], answered: Answered, arms: Sequence[Arm],
    rows: NDArray[np.bool_],
) -> dict[Arm, _Series]:  # fmt: skip
    """Measure all models on the same draws."""
    truth, weight = answered.truths[task.name][rows], answered.weights[task.name][rows]
    keys = [(arm, seed) for arm in arms for seed in sorted(answered.fits[arm])]
    result = {arm: _Series(sorted(answered.fits[arm]), {}, {}, np.empty(0)) for arm in arms}
    outputs = {key: answered.outputs(*key, task.name)[rows] for key in keys}
    for metric in reversed(metrics):  # the main one is the last, whose folds stay
        each = [parts(metric, task, truth, outputs[key]) for key in keys]
        values, drawn = drawn_metrics(metric, each, weight, answered.clusters[rows])
        by_fold = metric_by(metric, each, weight, answered.folds[rows])
        for arm in arms:
            mine = [i for i, key in enumerate(keys) if key[0] is arm]
            result[arm].values[metric] = values[mine]
            result[arm].drawn[metric] = drawn[:, mine]
            result[arm] = replace(result[arm], by_fold=by_fold[:, mine])
    return result


def _standing(
    task: Task, answered: Answered, arm: Arm, found: Mapping[Arm, _Series],
    rows: NDArray[np.bool_], simple: Arm | None,
) -> Standing:  # fmt: skip
    series, truth = found[arm], answered.truths[task.name][rows]
    weight, main = answered.weights[task.name][rows], compared_metrics(task, truth)[0]
    fits = [fit for each in answered.fits[arm].values() for fit in each]
    each = [
        measure(task, truth, answered.outputs(arm, seed, task.name)[rows], weight)
        for seed in series.seeds
    ]
    shared = [name for name in each[0] if all(name in one for one in each)]
    values = {
        name: (float(value.mean()), *percentile_interval(series.drawn[name].mean(axis=1)))
        for name, value in series.values.items()
    }
    label = arm.label if arm.kind != "constant" else CONSTANTS[task.kind]
    return Standing(
        name=arm.name, kind=arm.kind, inputs=arm.inputs, fusion=arm.fusion, seeds=series.seeds,
        label="Quantiles" if arm.kind == "constant" and task.quantiles else label,
        values={name: values[name] for name in compared_metrics(task, truth)},
        metrics={name: float(np.mean([one[name] for one in each])) for name in shared},
        by_fold=series.by_fold.mean(axis=1).tolist(),
        versus=None if simple is None else _difference(main, series, found[simple]),
        parameters=int(np.mean([fit.parameters for fit in fits])),
        seconds=float(np.mean([fit.seconds for fit in fits])),
    )  # fmt: skip


def _addition(arm: Arm, without: Arm, metric: str, found: Mapping[Arm, _Series]) -> Addition:
    known = without.inputs.split(" + ")
    adds = " + ".join(name for name in arm.inputs.split(" + ") if name not in known)
    family = f"the {arm.fusion} fusion" if arm.kind == "fusion" else "gradient boosting"
    difference = _difference(metric, found[arm], found[without])
    return Addition(
        family=family, adds=adds, to=without.inputs, arm=arm.name, without=without.name,
        difference=difference,
    )  # fmt: skip


def _difference(metric: str, mine: _Series, other: _Series) -> Difference:
    """Compare two models over the seeds that both have."""
    shared = [seed for seed in mine.seeds if seed in other.seeds]
    pairs = []
    for series in (mine, other):
        chosen = [series.seeds.index(seed) for seed in shared]
        pairs.append(
            (
                _error(metric, series.values[metric][chosen].mean()),
                _error(metric, series.drawn[metric][:, chosen].mean(axis=1)),
                _error(metric, series.by_fold[:, chosen].mean(axis=1)),
            )
        )
    (value, drawn, folds), (value_2, drawn_2, folds_2) = pairs
    found = gain(value, value_2, drawn, drawn_2)
    share = 1 / max(1, len(folds) - 1)
    return Difference(
        gain=found.value, low=found.low, high=found.high, p=found.p,
        p_folds=folds_p_value(folds - folds_2, share), folds_won=int((folds < folds_2).sum()),
    )  # fmt: skip


def _error(metric: str, value: Any) -> Any:
    """Return how far values are from perfect."""
    return 1 - value if measure_of(metric).better == "higher" else value
