"""Hyperparameter search: trials by error on the validation rows, then the best beside the start.

Every trial predicts the test rows, too; they are looked at once, at the end, for two trials.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, MultimodalError
from multimodal.core.files import replace_file, write_text
from multimodal.core.manifest import write_manifest
from multimodal.core.presets import ConfigLike, as_config, as_names
from multimodal.data.photos.locate import Images
from multimodal.data.prepare import Prepared, Rows
from multimodal.evaluation.bootstrap import bootstrap_metrics, metric_by_cluster, relative_gain
from multimodal.evaluation.measures import RatioTerms, compared_metrics, ratio_terms, shortfall
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.task import Task, has_label
from multimodal.models.baselines import constant_score
from multimodal.runs.provenance import Request, record
from multimodal.runs.train import prepare_rows
from multimodal.studies.compare.results import Difference
from multimodal.studies.fits import Fit, fit_rows, output_width, read_fits, tasks, write_fits
from multimodal.studies.folder import FITS, study_folder
from multimodal.studies.tune.space import Hyperparameter, apply_hyperparameters, hyperparameters
from multimodal.studies.tune.trials import (
    BEST_FILE,
    TRIALS_FILE,
    TUNING_FILE,
    PruningCallback,
    Trial,
    TrialEnded,
    TunedHead,
    TuningRecord,
    distributions,
    importances,
    make_study,
    optuna,
    read_trials,
    trial_path,
    trial_state,
    tuning_verdict,
    write_trial,
)

logger = logging.getLogger(__name__)

MOST_FAILURES = 10  # one after the other, after which a search ends
SPLITS = VALIDATION, TEST = ("validation", "test")
Outputs = Mapping[str, Floats]
PREDICTIONS = "answers"  # the name in files of earlier versions


def single_network(prepared: Prepared, config: Config) -> Prepared:
    """Return the rows for a single network.

    Of a k-fold ensemble, and of a linear model, every row but the test rows teaches something, so
    no validation error would be honest.
    """
    config = config.merge(training={"fold_models": 1, "linear": False})
    spec = prepared.spec.model_copy(update={"terms": None})
    return replace(prepared, config=config, spec=spec, k_fold=False)


def tune(
    data: Rows,
    targets: str | int | Sequence[str | int] = (),
    *,
    out: str | Path,
    config: ConfigLike = None,
    minutes: float = 30.0,
    weight: str | None = None,
    images: Images = None,
    command: str = "",
) -> TuningRecord:
    """Search for a config that does better on the validation rows, and write it as `best.yaml`.

    The first trial is the config as it is, so that the result is never worse there. Trials that
    do badly are pruned. The test rows are predicted by every trial and looked at once, at the end,
    for the best one and the start. Each trial lies in `out`: the same call goes on with the
    search for another while.

    Args:
        data: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        targets: Column or columns to predict; none stands for those of the config's heads.
        out: Folder of the search: new, empty, or of the same search.
        config: Where to start, as a Config, a dict or the path of a file; what it leaves open is
            inferred.
        minutes: Time for trials; the first one is always finished.
        weight: Column of row weights, for training and for every metric.
        images: Folder that photo paths are relative to; the file's folder by default.
        command: The command to keep in the record.

    Returns:
        What `tuning.json` holds.

    Raises:
        MultimodalError: What is wrong, where, and how to mend it.
        KeyboardInterrupt: After Ctrl-C, once what is finished has been summed up.

    Example:
        record = tune("products.csv", "price", out="tuned", minutes=30)
        multimodal.train("products.csv", "price", out="run", config="tuned/best.yaml")
    """
    optuna()
    columns = as_names(targets)
    start, given = time.monotonic(), as_config(config)
    request = Request(data, columns, given, Path(out), weight, images, command=command)
    prepared = prepare_rows(request)
    if not len(prepared.rows(TEST)):
        raise ConfigError(
            "`data.split.test` is 0; a search needs test rows, which tell what the best config is "
            "worth. Give them a fraction, and train without them afterwards."
        )
    with study_folder(request.out, record(request, prepared)):
        return Search(request.out, prepared, start + 60 * minutes, command).run()


@dataclass
class Search:
    """All trials of a search.

    Args:
        out: Folder to keep them in.
        prepared: The rows, split, with the config to start from.
        deadline: No trial but the first goes on after it, in seconds of the monotonic clock.
        command: The command to keep in the record.
    """

    out: Path
    prepared: Prepared
    deadline: float
    command: str
    trials: list[Trial] = field(default_factory=list)

    def run(self) -> TuningRecord:
        """Try configs while there is time, sum up, and write it down."""
        self.trials = read_trials(self.out / FITS, self.space)
        if self.trials:
            logger.info(f"going on: {len(self.trials):,} trials are there")
        study = make_study(self.space, self.trials, self.prepared.config.training.seed)
        try:
            while not self._started() or time.monotonic() < self.deadline:
                if not self._try(study):
                    break
        except KeyboardInterrupt:
            logger.info("interrupted; the same command goes on with the search")
            if self._started():
                self._sum_up(study)
            raise
        return self._sum_up(study)

    @cached_property
    def space(self) -> list[Hyperparameter]:
        """What may be changed."""
        return hyperparameters(self.prepared.config)

    @cached_property
    def constant(self) -> dict[str, float]:
        """Errors of a constant on the validation rows, by head."""
        return constant_errors(self.prepared)

    def _started(self) -> bool:
        """Whether the start has been tried to its end."""
        return self._start() is not None

    def _start(self) -> Trial | None:
        start = {each.name: each.start for each in self.space}
        return next((t for t in self.trials if t.value is not None and t.values == start), None)

    def _try(self, study: Any) -> bool:
        """Try one config; return whether another may follow."""
        asked, start = study.ask(distributions(self.space)), time.perf_counter()
        number = 1 + max((trial.number for trial in self.trials), default=-1)
        values = {each.name: asked.params[each.name] for each in self.space}
        trial = Trial(number=number, values=values, state="failed")
        watch = PruningCallback(asked, self.deadline if self._started() else math.inf)
        try:
            trial = self._fit(trial, watch)
        except TrialEnded as end:
            # Out of time is no result: the trial is not kept, and a search that goes on draws it
            # anew.
            if not end.pruned:
                return False
            trial = trial.model_copy(update={"state": "pruned"})
        except MultimodalError as error:
            if not self._started():
                raise
            trial = trial.model_copy(update={"reason": str(error)[:500]})
        seconds = time.perf_counter() - start
        trial = trial.model_copy(update={"by_epoch": watch.by_epoch, "seconds": seconds})
        write_trial(self.out / FITS, trial)
        self.trials.append(trial)
        study.tell(asked, trial.value, state=trial_state(trial))
        logger.info(self._news(trial))
        return any(each.state != "failed" for each in self.trials[-MOST_FAILURES:])

    def _fit(self, trial: Trial, watch: PruningCallback) -> Trial:
        """Fit the config of a trial to its end, keep its predictions, and measure them."""
        config = apply_hyperparameters(self.prepared.config, self.space, trial.values)
        fit = fit_rows(single_network(self.prepared, config), SPLITS, callbacks=[watch])
        trial = trial.model_copy(update=self._measured(fit))
        write_fits(self._fit_path(trial), {PREDICTIONS: fit})
        return trial

    def _measured(self, fit: Fit) -> dict[str, Any]:
        """Return what a fit to its end adds to its trial."""
        found, relative = {}, []
        for task in tasks(self.prepared):
            metric = tuned_metric(self.prepared, task)
            error = split_error(self.prepared, task, fit.outputs, VALIDATION)
            found[f"{task.name}_{metric}"] = shortfall(metric, error)
            # Relative to a constant, so that heads of other units count alike.
            relative.append(error / max(self.constant[task.name], 1e-12))
        value = float(np.mean(relative))
        return {"state": "complete", "value": value, "metrics": found, "parameters": fit.parameters}

    def _fit_path(self, trial: Trial) -> Path:
        return trial_path(self.out / FITS, trial.number).with_suffix(".npz")

    def _best(self) -> Trial:
        complete = [trial for trial in self.trials if trial.value is not None]
        return min(complete, key=lambda trial: (trial.value, trial.number))

    def _news(self, trial: Trial) -> str:
        found = ", ".join(f"{name} {value:.4g}" for name, value in trial.metrics.items())
        said = {"complete": found, "pruned": "ended early", "failed": trial.reason}[trial.state]
        best = " (best so far)" if trial is self._best() else ""
        return f"trial {trial.number}: {said}{best}, {trial.seconds:.1f} s"

    def _sum_up(self, study: Any) -> TuningRecord:
        """Compare the best trial with the start, and write all files."""
        best, start = self._best(), self._start()
        assert start is not None
        pair = self._outputs(start), self._outputs(best)
        heads = [tuned_head(self.prepared, task, *pair) for task in tasks(self.prepared)]
        changed = {k: v for k, v in best.values.items() if v != start.values[k]}
        result = TuningRecord(
            source=self.prepared.table.name,
            trials=self.trials,
            start=start.number,
            best=best.number,
            changed=changed,
            heads=heads,
            importances=importances(study),
            command=self.command,
        )
        result = result.model_copy(update={"verdict": tuning_verdict(result)})
        config = apply_hyperparameters(self.prepared.config, self.space, best.values)
        write_text(self.out / BEST_FILE, _as_yaml(config, result.verdict))
        write_text(self.out / TUNING_FILE, result.model_dump_json(indent=2))
        with replace_file(self.out / TRIALS_FILE) as beside:
            pd.DataFrame([_row(trial) for trial in self.trials]).to_csv(beside, index=False)
        write_manifest(self.out)
        return result

    def _outputs(self, trial: Trial) -> Outputs:
        rows = sum(len(self.prepared.rows(split)) for split in SPLITS)
        shapes = {each.name: (rows, output_width(each)) for each in tasks(self.prepared)}
        return read_fits(self._fit_path(trial), shapes)[PREDICTIONS].outputs


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


def tuned_metric(prepared: Prepared, task: Task) -> str:
    """Name the metric to improve: that of a comparison; of classes the log loss, which is finer."""
    y_true = prepared.labels[task.name]
    known = y_true[has_label(task, y_true)]
    return "log_loss" if task.kind == "class" else compared_metrics(task, known)[0]


def split_error(prepared: Prepared, task: Task, outputs: Outputs, split: str) -> float:
    """Return how far a head is from perfect on one split.

    Args:
        prepared: Rows, split.
        task: What the head predicts.
        outputs: By head, of the validation rows, or of them and then the test rows.
        split: One of the two.
    """
    metric = tuned_metric(prepared, task)
    each, weight, _ = _parts(prepared, task, metric, outputs, split)
    value = metric_by_cluster(metric, [each], weight, np.zeros(len(weight)))
    return float(shortfall(metric, float(value[0, 0])))


def constant_errors(prepared: Prepared) -> dict[str, float]:
    """Return the errors of a constant on the validation rows, by head."""
    found: dict[str, Floats] = {}
    for task in tasks(prepared):

        def keep(score: ModelScore, rows: Any, outputs: Any, name: str = task.name) -> None:
            found[name] = outputs

        constant_score(
            task,
            prepared.labels[task.name],
            prepared.rows("train"),
            prepared.rows(VALIDATION),
            prepared.source.weights[task.name],
            keep,
        )
    return {task.name: split_error(prepared, task, found, VALIDATION) for task in tasks(prepared)}


def tuned_head(prepared: Prepared, task: Task, start: Outputs, best: Outputs) -> TunedHead:
    """Compare the predictions of two configs on both splits by a paired bootstrap over the rows."""
    metric = tuned_metric(prepared, task)
    values, differences = {}, {}
    for split in SPLITS:
        each = [_parts(prepared, task, metric, outputs, split) for outputs in (start, best)]
        _, weight, clusters = each[0]
        value, drawn = bootstrap_metrics(metric, [found for found, _, _ in each], weight, clusters)
        first, second = (shortfall(metric, float(v)) for v in value)
        errors = shortfall(metric, drawn)
        found = relative_gain(second, first, errors[:, 1], errors[:, 0])
        values[split] = (float(value[0]), float(value[1]), len(weight))
        differences[split] = Difference(gain=found.value, low=found.low, high=found.high, p=found.p)
    return TunedHead(head=task.name, metric=metric, values=values, differences=differences)


def _parts(
    prepared: Prepared, task: Task, metric: str, outputs: Outputs, split: str
) -> tuple[RatioTerms, NDArray[Any], NDArray[Any]]:
    """Take a metric apart over the labelled rows of a split: parts, weights, clusters."""
    rows, values = prepared.rows(split), outputs[task.name]
    if len(values) > len(rows):
        values = values[: len(rows)] if split == VALIDATION else values[-len(rows) :]
    y_true, weight = prepared.labels[task.name][rows], prepared.source.weights[task.name][rows]
    counts = has_label(task, y_true) & (weight > 0)
    clusters = prepared.groups[rows]
    each = ratio_terms(metric, task, y_true[counts], values[counts])
    return each, weight[counts], clusters[counts]
