"""What a fit shows while it runs: a progress bar, a line per epoch, and the log file of a run."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from multimodal.core.files import write_text


class EpochProgress(keras.callbacks.Callback):
    """Show the batches of the running epoch as a bar and each finished epoch as a line.

    As a context manager it takes its bar off the terminal whatever happens.

    Args:
        console: Where to print; the bar shows only on a terminal.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._bar: Progress | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(
            *columns,
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=self.params.get("steps"))
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.perf_counter()
        if self._bar is not None:
            name = f"epoch {epoch + 1} of {self.params['epochs']}"
            self._bar.reset(self._task, description=name, total=self.params.get("steps"))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._bar is not None and not self._bar.disable:
            self._bar.update(self._task, completed=batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items()}
        keys = [key for key in values if key.endswith("rmse") or key in ("loss", "val_loss")]
        keys.sort(key=lambda key: (key.startswith("val_"), not key.endswith("loss")))
        shown = "  ".join(f"{key} {values[key]:,.4g}" for key in keys)
        seconds = time.perf_counter() - self._start
        line = f"epoch {epoch + 1}/{self.params['epochs']}  {shown}  {seconds:.1f} s"
        self.console.print(line, highlight=False, soft_wrap=True)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


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
        text = io.StringIO()
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        write_text(self.path, text.getvalue())
