"""Trials of a search: their record on disk, the Optuna study over them, and what the search gained.

Each trial is one JSON file. A study is made anew from these files, so that Optuna's own storage,
whose format changes between versions, is not needed.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from multimodal.core.errors import ConfigError, RunError
from multimodal.core.files import read_text, write_text
from multimodal.core.formatting import bare_percent
from multimodal.core.records import MeasuredRecord, reason_of
from multimodal.studies.compare.results import Difference
from multimodal.studies.compare.summary import metric_name
from multimodal.studies.tune.space import Hyperparameter, Value

if TYPE_CHECKING:
    from rich.console import Console

TUNING_FILE, TRIALS_FILE, BEST_FILE = "tuning.json", "trials.csv", "best.yaml"
MOST_BYTES, MOST_EPOCHS = 1 << 20, 10_000  # of a trial's file
WARM_UP_TRIALS, WARM_UP_EPOCHS = 4, 3  # before a trial may be pruned
FIRST_TRIALS, FREE_HYPERPARAMETERS = 8, 3  # random neighbours of the start, before TPE draws
WORST = 1e30  # a loss that is not finite, which JSON and Optuna cannot hold
_STATES = {"pruned": "ended early", "failed": "failed"}


class Trial(BaseModel):
    """One trial: the file `trial-0000.json`.

    Attributes:
        number: From 0.
        values: The value of each hyperparameter.
        state: How it ended.
        value: The validation error that the search lowers: mean over the heads, each relative to
            the error of a constant.
        metrics: The metric of each head on the validation rows.
        by_epoch: The validation loss of every epoch.
        parameters: The number of weights.
        seconds: Wall time.
        reason: Why it failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    number: int = Field(ge=0)
    values: dict[str, Value]
    state: Literal["complete", "pruned", "failed"]
    value: float | None = None
    metrics: dict[str, float] = {}
    by_epoch: list[float] = Field([], max_length=MOST_EPOCHS)
    parameters: int = 0
    seconds: float = 0.0
    reason: str = ""


class TunedHead(MeasuredRecord):
    """One head: by split (`validation`, `test`), the metric of start and best, and their rows.

    `differences` say by which fraction the best config's error is smaller, with 95 % intervals.
    Those of the validation rows are too good: the best config was chosen by them.
    """

    head: str
    metric: str
    values: dict[str, tuple[float, float, int]]
    differences: dict[str, Difference]


class TuningRecord(MeasuredRecord):
    """The file `tuning.json`.

    `start` and `best` are numbers of trials, `changed` the hyperparameters in which the best one
    differs, `importances` those of each hyperparameter, where there are trials enough.
    """

    version: Literal[1] = 1
    source: str = ""
    trials: list[Trial]
    start: int
    best: int
    changed: dict[str, Value] = {}
    heads: list[TunedHead] = []
    importances: dict[str, float] = {}
    verdict: str = ""
    command: str = ""


class TrialEnded(Exception):
    """Raised in a fit whose trial is pruned, or whose time is over."""

    def __init__(self, *, pruned: bool) -> None:
        super().__init__("pruned" if pruned else "the time is over")
        self.pruned = pruned


class PruningCallback(keras.callbacks.Callback):
    """Report the validation loss of every epoch to a study, and end a trial that it prunes.

    Args:
        trial: That of the study.
        deadline: When the trial ends, in seconds of the monotonic clock; with infinity it is never
            ended, nor pruned.
    """

    def __init__(self, trial: Any, deadline: float) -> None:
        super().__init__()
        self.trial = trial
        self.deadline = deadline
        self.by_epoch: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {})["val_loss"])
        loss = loss if math.isfinite(loss) else WORST
        self.by_epoch.append(loss)
        # The best so far, as the weights of the best epoch are kept.
        self.trial.report(min(self.by_epoch), len(self.by_epoch))
        if math.isfinite(self.deadline) and self.trial.should_prune():
            raise TrialEnded(pruned=True)
        if time.monotonic() >= self.deadline:
            raise TrialEnded(pruned=False)


def optuna() -> Any:
    """Return Optuna, silent; raise ConfigError where it is not installed."""
    try:
        found = importlib.import_module("optuna")
    except ImportError:
        raise ConfigError(
            "tuning needs Optuna, which is not installed. Install it with "
            "`pip install 'multimodal-keras[tune]'`, or `pip install optuna`."
        ) from None
    found.logging.set_verbosity(found.logging.ERROR)
    return found


def distributions(space: Sequence[Hyperparameter]) -> dict[str, Any]:
    """Return what Optuna draws each hyperparameter from."""
    found = optuna().distributions
    return {
        each.name: found.CategoricalDistribution(each.choices)
        if each.choices
        else found.FloatDistribution(each.low, each.high, log=True)
        for each in space
    }


def make_study(space: Sequence[Hyperparameter], trials: Sequence[Trial], seed: int) -> Any:
    """Return a study that knows the trials so far and starts with the config itself.

    The next trials change three hyperparameters of the start at random; those that follow are drawn
    by tree-structured Parzen estimators. A trial is pruned whose best validation loss so far is
    worse than the median of those before it.

    References:
        Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011.
        Akiba et al., Optuna, KDD 2019.
    """
    found = optuna()
    sampler = found.samplers.TPESampler(seed=seed + len(trials), n_startup_trials=FIRST_TRIALS)
    pruner = found.pruners.MedianPruner(
        n_startup_trials=WARM_UP_TRIALS, n_warmup_steps=WARM_UP_EPOCHS
    )
    study = found.create_study(direction="minimize", sampler=sampler, pruner=pruner)
    drawn_from = distributions(space)
    for trial in trials:
        losses = trial.by_epoch
        best_so_far = {i: min(losses[:i]) for i in range(1, len(losses) + 1)}
        study.add_trial(
            found.trial.create_trial(
                state=trial_state(trial),
                value=trial.value,
                params=dict(trial.values),
                distributions=drawn_from,
                intermediate_values=best_so_far,
            )
        )
    start = {each.name: each.start for each in space}
    if all(trial.values != start for trial in trials):
        study.enqueue_trial(start)
    # Seeded by the number of the trial: a search that goes on draws what it would have drawn.
    for number in range(max(1, len(trials)), FIRST_TRIALS + 1):
        random = np.random.default_rng((seed, number))
        free = random.choice(
            list(start), min(FREE_HYPERPARAMETERS, len(start)), replace=False
        ).tolist()
        study.enqueue_trial({name: value for name, value in start.items() if name not in free})
    return study


def trial_state(trial: Trial) -> Any:
    """Return how a trial ended, in Optuna's words."""
    states = optuna().trial.TrialState
    return {"complete": states.COMPLETE, "pruned": states.PRUNED}.get(trial.state, states.FAIL)


def importances(study: Any) -> dict[str, float]:
    """Return the importance of each hyperparameter, the greatest first; {} of few trials.

    Importances add up to 1: the fractions of the variance of the value that each explains.

    References:
        Watanabe et al., PED-ANOVA, IJCAI 2023.
    """
    found = optuna()
    complete = [t for t in study.trials if t.state == found.trial.TrialState.COMPLETE]
    if len(complete) < FIRST_TRIALS:
        return {}
    try:
        shares: Mapping[str, float] = found.importance.get_param_importances(study)
    except (RuntimeError, ValueError):  # Optuna's, where all values are the same
        return {}
    return {name: float(share) for name, share in shares.items()}


def write_trial(folder: Path, trial: Trial) -> None:
    """Write a trial into the folder of trials."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(trial_path(folder, trial.number), trial.model_dump_json(indent=2))


def read_trials(folder: Path, space: Sequence[Hyperparameter]) -> list[Trial]:
    """Return the trials of a folder by number.

    Raises:
        RunError: A file is damaged, or of another search space.
    """
    found = []
    for path in sorted(folder.glob("trial-*.json")):
        try:
            trial = Trial.model_validate_json(read_text(path, most=MOST_BYTES))
            _check(trial, space, path)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path}: damaged, or of another version of this package ({reason_of(error)}). "
                "Remove the file, or name another --out."
            ) from None
        found.append(trial)
    return found


def trial_path(folder: Path, number: int) -> Path:
    """Return the file of a trial."""
    return folder / f"trial-{number:04d}.json"


def _check(trial: Trial, space: Sequence[Hyperparameter], path: Path) -> None:
    if path.name != trial_path(path.parent, trial.number).name:
        raise ValueError(f"it says it is trial {trial.number}")
    if set(trial.values) != {each.name for each in space}:
        raise ValueError(f"it changes {', '.join(sorted(trial.values))}")
    for each in space:
        value = trial.values[each.name]
        inside = (
            value in each.choices
            if each.choices
            else (isinstance(value, float | int) and each.low <= value <= each.high)
        )
        if not inside:
            raise ValueError(f"{each.name} is {value!r:.40}")
    if (trial.state == "complete") != (trial.value is not None):
        raise ValueError("a trial is complete if it has a value")


def tuning_verdict(record: TuningRecord) -> str:
    """Say what the search gained, on the rows it was chosen by and on untouched ones."""
    counts = {state: sum(t.state == state for t in record.trials) for state in _STATES}
    tried = f"{len(record.trials)} trial{'s' if len(record.trials) > 1 else ''}"
    ended = [f"{counts[state]} {word}" for state, word in _STATES.items() if counts[state]]
    tried += f" ({', '.join(ended)})" if ended else ""
    if record.best == record.start:
        return f"{tried}: nothing was better than the config it started with."
    return f"{tried}: " + "; ".join(_head_words(head) for head in record.heads) + "."


def _head_words(head: TunedHead) -> str:
    chosen, tested = head.differences["validation"], head.differences["test"]
    rows = head.values["test"][2]
    word = metric_name(head.metric)
    said = f"for {head.head} the best config's error ({word}) is {_smaller(chosen)} than that of "
    said += f"the start on the rows it was chosen by, {_smaller(tested)} on {rows:,} untouched "
    said += "test rows"
    if tested.low > 0 or tested.high < 0:
        return said
    return f"{said}, which may be chance"


def _smaller(found: Difference) -> str:
    word, sign = ("smaller", 1) if found.gain >= 0 else ("larger", -1)
    low, high = map(bare_percent, sorted((sign * found.low, sign * found.high)))
    return f"{bare_percent(abs(found.gain))} % {word} ({low} to {high})"


def show_tuning(record: TuningRecord, console: Console, most: int = 10) -> None:
    """Print the best trials, what they changed, which hyperparameters mattered, and the verdict."""
    from rich import box
    from rich.table import Table as Printed

    complete = [trial for trial in record.trials if trial.value is not None]
    ranked = sorted(complete, key=lambda trial: (trial.value, trial.number))[:most]
    start = next(trial for trial in record.trials if trial.number == record.start)
    printed = Printed(
        title="The best trials on the validation rows",
        box=box.SIMPLE,
        pad_edge=False,
        caption="error: relative to that of a constant, the mean over the heads",
    )
    for name in ("trial", "error", *start.metrics, "s", "differs from the start in"):
        printed.add_column(name, justify="left" if name.startswith("differs") else "right")
    for trial in ranked:
        differs = {k: v for k, v in trial.values.items() if v != start.values[k]}
        words = ", ".join(f"{k} {_shown(v)}" for k, v in differs.items()) or "the start itself"
        metrics = (f"{value:.4g}" for value in trial.metrics.values())
        cells = (str(trial.number), f"{trial.value:.3f}", *metrics, f"{trial.seconds:.0f}", words)
        printed.add_row(*cells)
    console.print(printed)
    if record.importances:
        shares = ", ".join(f"{k} {v:.0%}" for k, v in record.importances.items() if v >= 0.05)
        console.print(f"hyperparameter importance: {shares}", soft_wrap=True)
    console.print(record.verdict, soft_wrap=True)


def _shown(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
