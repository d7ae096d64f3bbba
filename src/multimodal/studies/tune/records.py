"""The record of a search: its trials, the best config, and its gain over the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from multimodal.core.json_records import MeasuredRecord
from multimodal.studies.compare.records import Difference
from multimodal.studies.compare.summary import percent, short_label
from multimodal.studies.tune.space import Value
from multimodal.studies.tune.trials import Trial

if TYPE_CHECKING:
    from rich.console import Console

TUNING_FILE, TRIALS_FILE, BEST_FILE = "tuning.json", "trials.csv", "best.yaml"


class TunedHead(MeasuredRecord):
    """One head: by side (`validation`, `test`), the metric of start and best, and their rows.

    `differences` say by which share the best config's error is smaller, with 95 % intervals. Those
    of the validation rows are too good: the best config was chosen by them.
    """

    head: str
    metric: str
    values: dict[str, tuple[float, float, int]]
    differences: dict[str, Difference]


class TuningRecord(MeasuredRecord):
    """The file `tuning.json`.

    `start` and `best` are numbers of trials, `changed` the knobs in which the best one differs,
    `importances` the share of each knob in what moved the error, where there are trials enough.
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


def tuning_verdict(record: TuningRecord) -> str:
    """Say what the search gained, on the rows it was chosen by and on untouched ones."""
    counts = {state: sum(t.state == state for t in record.trials) for state in _STATES}
    tried = f"{len(record.trials)} trial{'s' if len(record.trials) > 1 else ''}"
    ended = [f"{counts[state]} {word}" for state, word in _STATES.items() if counts[state]]
    tried += f" ({', '.join(ended)})" if ended else ""
    if record.best == record.start:
        return f"{tried}: nothing was better than the config it started with."
    return f"{tried}: " + "; ".join(_head_words(head) for head in record.heads) + "."


def show_tuning(record: TuningRecord, console: Console, most: int = 10) -> None:
    """Print the best trials, what the best one changed, which knobs mattered, and the verdict."""
    from rich import box
    from rich.table import Table as Printed

    whole = [trial for trial in record.trials if trial.value is not None]
    ranked = sorted(whole, key=lambda trial: (trial.value, trial.number))[:most]
    start = next(trial for trial in record.trials if trial.number == record.start)
    printed = Printed(
        title="The best trials on the validation rows", box=box.SIMPLE, pad_edge=False,
        caption="error: in shares of that of always one answer, the mean over the heads",
    )  # fmt: skip
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
        console.print(f"what moved the error: {shares}", soft_wrap=True)
    console.print(record.verdict, soft_wrap=True)


def _shown(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


_STATES = {"pruned": "ended early", "failed": "failed"}


def _head_words(head: TunedHead) -> str:
    chosen, tested = head.differences["validation"], head.differences["test"]
    rows = head.values["test"][2]
    word = short_label(head.metric)
    said = f"for {head.head} the best config's error ({word}) is {_smaller(chosen)} than that of "
    said += f"the start on the rows it was chosen by, {_smaller(tested)} on {rows:,} untouched "
    said += "test rows"
    if tested.low > 0 or tested.high < 0:
        return said
    return f"{said}, which may be chance"


def _smaller(found: Difference) -> str:
    word, sign = ("smaller", 1) if found.gain >= 0 else ("larger", -1)
    low, high = sorted((sign * found.low, sign * found.high))
    return f"{percent(abs(found.gain))} % {word} ({percent(low)} to {percent(high)})"
