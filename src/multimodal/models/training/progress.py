"""What a fit shows while it runs: a progress bar, a line per epoch, and the log file of a run."""

from __future__ import annotations

import csv
import io
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from multimodal.core.budget import Budget
from multimodal.core.files import write_text
from multimodal.core.formatting import rough_percent


class EpochProgress(keras.callbacks.Callback):
    """Show how far a training has come: a line per finished epoch and, on a terminal, bars.

    One bar is of the batches of the running epoch. Where it follows a `Budget`, as `train` makes it
    do, another is of the whole training, with the time left. As a context manager it takes its bars
    off the terminal whatever happens.

    Args:
        console: Where to print; the bars show only on a terminal.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._budget: Budget | None = None
        self._bar: Progress | None = None
        self._whole: TaskID | None = None
        self._task: TaskID | None = None
        self._usual: int | None = None  # epochs of the network before
        self._epochs = 0

    def follow(self, budget: Budget) -> None:
        """Show the steps of a training, whose time `budget` keeps."""
        self._budget, budget.show = budget, self._show_step

    def _show_step(self) -> None:
        bar, budget = self._opened(), self._budget
        assert budget is not None
        self._usual, self._epochs = self._epochs or self._usual, 0
        if self._whole is None:
            self._whole = bar.add_task("", total=1.0)
        bar.update(self._whole, description=budget.step)
        self._show_whole()

    def _advance(self, epochs: float) -> None:
        if self._budget is not None:
            # Most networks stop as early as the one before.
            self._budget.advance(min(epochs / (self._usual or self.params["epochs"]), 1.0))
            self._show_whole()

    def _show_whole(self) -> None:
        if self._bar is not None and self._whole is not None and self._budget is not None:
            self._bar.update(self._whole, completed=self._budget.done())

    def _opened(self) -> Progress:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                _Told(self),
                console=self.console,
                transient=True,
                disable=not self.console.is_terminal,
            )
            self._bar.start()
        return self._bar

    def told(self, task: Task) -> str:
        """Return what stands beside a bar: batches of an epoch, or the time left."""
        if task.id == self._whole and self._budget is not None:
            return f"{rough_percent(task.completed)}  {self._budget.remaining()}"
        return f"{task.completed:.0f}/{task.total or 0:.0f}"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._task is None:
            self._task = self._opened().add_task("training", total=self.params.get("steps"))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._start = epoch, time.perf_counter()
        if self._bar is not None and self._task is not None:
            name = f"epoch {epoch + 1} of {self.params['epochs']}"
            self._bar.reset(self._task, description=name, total=self.params.get("steps"))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._bar is not None and self._task is not None and not self._bar.disable:
            self._bar.update(self._task, completed=batch + 1)
            self._advance(self._epoch + (batch + 1) / self.params["steps"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items()}
        keys = [key for key in values if key.endswith("rmse") or key in ("loss", "val_loss")]
        keys.sort(key=lambda key: (key.startswith("val_"), not key.endswith("loss")))
        shown = "  ".join(f"{key} {values[key]:,.4g}" for key in keys)
        seconds = time.perf_counter() - self._start
        line = f"epoch {epoch + 1}/{self.params['epochs']}  {shown}  {seconds:.1f} s"
        self.console.print(line, highlight=False, soft_wrap=True)
        self._epochs = epoch + 1
        self._advance(self._epochs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._budget is None:
            self.close()
        elif self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None

    def close(self) -> None:
        """Take the bars off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._whole = self._task = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Told(ProgressColumn):
    """What stands beside a bar, as it is whenever it is drawn."""

    def __init__(self, progress: EpochProgress) -> None:
        super().__init__()
        self.progress = progress

    def render(self, task: Task) -> Text:
        return Text(self.progress.told(task))


class NetworkCallback(keras.callbacks.Callback):
    """A callback that is told which network is fitted next: `network`, from 1 on."""

    network: int = 1


class LogFile(keras.callbacks.Callback):
    """Write the losses and metrics of a fit to a CSV file after every epoch.

    Args:
        path: The file.
        logs: By network, one dict of losses and metrics per finished epoch; whoever fits adds to
            them. Of several networks, each line begins with the number of its own, from 1.
    """

    def __init__(self, path: Path, logs: Mapping[int, Sequence[Mapping[str, float]]]) -> None:
        super().__init__()
        self.path = path
        self.logs = logs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        lines: list[Mapping[str, float]] = [
            {"network": i + 1, **entry} if len(self.logs) > 1 else entry
            for i, log in self.logs.items()
            for entry in log
        ]
        # All lines anew: after a kill the file must not keep epochs that the checkpoint has not
        # seen.
        text = io.StringIO()
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        write_text(self.path, text.getvalue())


class EndInTime(keras.callbacks.Callback):
    """End a fit with TimeoutError where a budget is over."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.budget.left() <= self.budget.reserve:
            raise TimeoutError


class EpochSeconds(keras.callbacks.Callback):
    """Measure how long an epoch of the networks takes that are fitted one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._began, self._seconds = 0.0, list[float]()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._seconds.append(time.perf_counter() - self._began)

    def median(self) -> float | None:
        """Return the median, without the first epoch, which compiles; None if it is the only."""
        return statistics.median(self._seconds[1:]) if len(self._seconds) > 1 else None
