"""The trials of a search, one after the other; then the best config beside the start."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from multimodal.config import Config
from multimodal.data.prepare import Prepared
from multimodal.errors import MultimodalError
from multimodal.evaluation import ModelScore, Task, has_truth
from multimodal.evaluation.measures import shortfall
from multimodal.evaluation.per_row import Parts, compared_metrics, parts
from multimodal.evaluation.resampling import drawn_metrics, gain
from multimodal.files import replace_file, write_text
from multimodal.fit_files import Fit, read_fits, write_fits
from multimodal.fits import fit_rows, tasks, width
from multimodal.manifest import write_manifest
from multimodal.search_space import Knob, knobs, turned
from multimodal.standing_records import Difference
from multimodal.steps import Say
from multimodal.study_folder import FITS
from multimodal.trees import constant_score
from multimodal.trials import (
    Ended,
    Trial,
    Watch,
    distributions,
    importances,
    make_study,
    read_trials,
    trial_path,
    trial_state,
    write_trial,
)
from multimodal.tuning_records import (
    BEST_FILE,
    TRIALS_FILE,
    TUNING_FILE,
    TunedHead,
    TuningRecord,
    tuning_verdict,
)

SIDES = ("validation", "test")
MOST_FAILURES = 10  # one after the other
Outputs = Mapping[str, NDArray[np.float64]]


@dataclass
class Search:
    """All trials of a search.

    Args:
        out: Folder to keep them in.
        prepared: The table, split, with the config to start from.
        deadline: No trial but the first goes on after it, in seconds of the monotonic clock.
        command: The command to keep in the record.
        say: Called with a line of news.
    """

    out: Path
    prepared: Prepared
    deadline: float
    command: str
    say: Say
    trials: list[Trial] = field(default_factory=list)

    def run(self) -> TuningRecord:
        """Try configs while there is time, sum up, and write it down."""
        self.trials = read_trials(self.out / FITS, self.space)
        if self.trials:
            self.say(f"going on: {len(self.trials):,} trials are there")
        study = make_study(self.space, self.trials, self.prepared.config.training.seed)
        try:
            while not self._started() or time.monotonic() < self.deadline:
                if not self._try(study):
                    break
        except KeyboardInterrupt:
            self.say("interrupted; the same command goes on with the search")
            if self._started():
                self._sum_up(study)
            raise
        return self._sum_up(study)

    @cached_property
    def space(self) -> list[Knob]:
        """What may be changed."""
        return knobs(self.prepared.config)

    @cached_property
    def guessed(self) -> dict[str, float]:
        """Errors on the validation rows of always one answer, by head."""
        found: dict[str, NDArray[Any]] = {}
        prepared, (train, checked) = self.prepared, map(self.prepared.rows, ("train", SIDES[0]))
        for task in tasks(prepared):

            def keep(score: ModelScore, rows: Any, outputs: Any, name: str = task.name) -> None:
                found[name] = outputs

            constant_score(
                task, prepared.truths[task.name], train, checked,
                prepared.source.weights[task.name], keep,
            )  # fmt: skip
        return {task.name: self._errors(task, found, SIDES[0])[0] for task in tasks(prepared)}

    def _started(self) -> bool:
        """Whether the start has been tried to its end."""
        return self._start() is not None

    def _start(self) -> Trial | None:
        start = {knob.name: knob.start for knob in self.space}
        return next((t for t in self.trials if t.value is not None and t.values == start), None)

    def _try(self, study: Any) -> bool:
        """Try one config; return whether another may follow."""
        asked, start = study.ask(distributions(self.space)), time.perf_counter()
        first = not self._started()
        values = {knob.name: asked.params[knob.name] for knob in self.space}
        number = 1 + max((trial.number for trial in self.trials), default=-1)
        trial = Trial(number=number, values=values, state="failed")
        watch = Watch(asked, math.inf if first else self.deadline)
        try:
            config = turned(self.prepared.config, self.space, values)
            fit = fit_rows(replace(self.prepared, config=config), SIDES, callbacks=[watch])
            trial = trial.model_copy(update=self._measured(fit))
            write_fits(self._answers(trial), {"answers": fit})
        except Ended as end:
            if not end.pruned:
                return False
            trial = trial.model_copy(update={"state": "pruned"})
        except MultimodalError as error:
            if first:
                raise
            trial = trial.model_copy(update={"reason": str(error)[:500]})
        seconds = time.perf_counter() - start
        trial = trial.model_copy(update={"by_epoch": watch.by_epoch, "seconds": seconds})
        write_trial(self.out / FITS, trial)
        self.trials.append(trial)
        study.tell(asked, trial.value, state=trial_state(trial))
        self.say(self._news(trial))
        return any(each.state != "failed" for each in self.trials[-MOST_FAILURES:])

    def _measured(self, fit: Fit) -> dict[str, Any]:
        """Return what a whole fit adds to its trial."""
        found, shares = {}, []
        for task in tasks(self.prepared):
            error, metric = self._errors(task, fit.outputs, SIDES[0])
            found[f"{task.name}_{metric}"] = shortfall(metric, error)
            shares.append(error / max(self.guessed[task.name], 1e-12))
        value = float(np.mean(shares))
        return {
            "state": "complete", "value": value, "metrics": found, "parameters": fit.parameters
        }  # fmt: skip

    def _errors(self, task: Task, outputs: Outputs, side: str) -> tuple[float, str]:
        """Return the error of a head on one side, and the metric that it is of."""
        metric = self._metric(task)
        each, weight, clusters = self._parts(task, metric, outputs, side)
        value, _ = drawn_metrics(metric, [each], weight, clusters, draws=1)
        return float(shortfall(metric, float(value[0]))), metric

    def _metric(self, task: Task) -> str:
        """Name the metric to mend: that of a comparison; of classes the log loss, as finer."""
        checked = self.prepared.truths[task.name]
        known = checked[has_truth(task, checked)]
        return "log_loss" if task.kind == "class" else compared_metrics(task, known)[0]

    def _parts(
        self, task: Task, metric: str, outputs: Outputs, side: str
    ) -> tuple[Parts, NDArray[Any], NDArray[Any]]:
        """Take a metric apart over the labelled rows of a side: parts, weights, clusters."""
        rows = self.prepared.rows(side)
        values = outputs[task.name]
        if len(values) > len(rows):  # validation rows, then test rows
            values = values[: len(rows)] if side == SIDES[0] else values[-len(rows) :]
        truth, weight = self.prepared.truths[task.name][rows], self.prepared.source.weights
        counts = has_truth(task, truth) & (weight[task.name][rows] > 0)
        groups = self.prepared.groups
        clusters = rows if groups is None else groups[rows]
        each = parts(metric, task, truth[counts], values[counts])
        return each, weight[task.name][rows][counts], clusters[counts]

    def _answers(self, trial: Trial) -> Path:
        return trial_path(self.out / FITS, trial.number).with_suffix(".npz")

    def _best(self) -> Trial:
        whole = [trial for trial in self.trials if trial.value is not None]
        return min(whole, key=lambda trial: (trial.value, trial.number))

    def _news(self, trial: Trial) -> str:
        found = ", ".join(f"{name} {value:.4g}" for name, value in trial.metrics.items())
        said = {"complete": found, "pruned": "ended early", "failed": trial.reason}[trial.state]
        best = " (best so far)" if trial is self._best() else ""
        return f"trial {trial.number}: {said}{best}, {trial.seconds:.1f} s"

    def _sum_up(self, study: Any) -> TuningRecord:
        """Compare the best trial with the start, and write all files."""
        best, start = self._best(), self._start()
        assert start is not None
        heads = [self._head(task, start, best) for task in tasks(self.prepared)]
        changed = {k: v for k, v in best.values.items() if v != start.values[k]}
        result = TuningRecord(
            source=self.prepared.table.name, trials=self.trials, start=start.number,
            best=best.number, changed=changed, heads=heads, importances=importances(study),
            command=self.command,
        )  # fmt: skip
        result = result.model_copy(update={"verdict": tuning_verdict(result)})
        config = turned(self.prepared.config, self.space, best.values)
        write_text(self.out / BEST_FILE, _as_yaml(config, result.verdict))
        write_text(self.out / TUNING_FILE, result.model_dump_json(indent=2))
        with replace_file(self.out / TRIALS_FILE) as beside:
            pd.DataFrame([_row(trial) for trial in self.trials]).to_csv(beside, index=False)
        write_manifest(self.out)
        return result

    def _head(self, task: Task, start: Trial, best: Trial) -> TunedHead:
        """Compare the two on both sides, rows drawn again in pairs."""
        rows = sum(len(self.prepared.rows(side)) for side in SIDES)
        shapes = {each.name: (rows, width(each)) for each in tasks(self.prepared)}
        outputs = [read_fits(self._answers(t), shapes)["answers"].outputs for t in (start, best)]
        metric, values, found = self._metric(task), {}, {}
        for side in SIDES:
            each = [self._parts(task, metric, answers, side) for answers in outputs]
            value, drawn = drawn_metrics(metric, [p for p, _, _ in each], *each[0][1:])
            first, second = (shortfall(metric, float(v)) for v in value)
            errors = 1 - drawn if shortfall(metric, 0.0) == 1 else drawn
            values[side] = (float(value[0]), float(value[1]), len(each[0][1]))
            found[side] = gain(second, first, errors[:, 1], errors[:, 0])
        return TunedHead(
            head=task.name, metric=metric, values=values,
            differences={side: Difference(gain=each.value, low=each.low, high=each.high, p=each.p)
                         for side, each in found.items()},
        )  # fmt: skip


def _row(trial: Trial) -> dict[str, Any]:
    told = {"number": trial.number, "state": trial.state, "value": trial.value, **trial.metrics}
    costs = {"epochs": len(trial.by_epoch), "seconds": trial.seconds}
    return {**told, **costs, "parameters": trial.parameters, **trial.values}


def _as_yaml(config: Config, verdict: str) -> str:
    """Return a config as YAML that `train` takes, under a remark."""
    text = yaml.safe_dump(
        config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )
    return f"# {verdict}\n{text}"
