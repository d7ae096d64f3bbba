"""Checkpoints of a training that goes on: whole, verified, the last few of them.

A checkpoint is one `.npz` file (no pickle) whose name ends in the start of its own SHA-256. It is
written beside its place, flushed to the disk and renamed, so that a power cut leaves the previous
one; a file whose content does not match its name is passed over and reported. The best weights lie
in a file of their own, written only when they have changed.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from multimodal.core.errors import RunError, first_line
from multimodal.core.files import force, sha256_of, write_text

logger = logging.getLogger(__name__)

SUFFIX, PARTIAL, DIGITS = ".npz", ".partial", 16
Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands: what it has logged, its arrays and the best weights so far."""

    progress: dict[str, Any]
    arrays: list[NDArray[Any]]
    best: list[NDArray[Any]]


class Checkpoints:
    """The checkpoints in a folder; the last `keep` stay.

    Args:
        folder: Where they lie; made with the first one.
        keep: Number of checkpoints to keep.

    Example:
    >>> import tempfile
    >>> checkpoints = Checkpoints(Path(tempfile.mkdtemp()))
    >>> checkpoints.save(7, {"epoch": 1}, [np.ones(2)], [])
    >>> checkpoints.latest().progress
    {'epoch': 1}
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep
        self._best: tuple[Arrays, str] | None = None

    def save(self, number: int, progress: dict[str, Any], arrays: Arrays, best: Arrays) -> None:
        """Write a checkpoint, then remove those that are no longer kept.

        Args:
            number: Rises from checkpoint to checkpoint, such as the steps done.
            progress: Plain JSON.
            arrays: The state of model and optimizer.
            best: The best weights so far; the same object is not written twice.

        Raises:
            RunError: The disk is full or cannot be written; earlier checkpoints are as they were.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._best is None or self._best[0] is not best:
                self._best = best, self._write(f"best-{number:09d}", {}, best)
            self._write(f"{number:09d}", {**progress, "best_file": self._best[1]}, arrays)
        except OSError as error:
            raise RunError(
                f"{self.folder}: the checkpoint of step {number:,} cannot be written "
                f"({error.strerror or error}). Earlier checkpoints are whole: make room and run "
                "the same command to go on from the last one."
            ) from None
        self._prune()

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, None where none was ever written.

        Damaged ones that are newer are said and removed.

        Raises:
            RunError: There are checkpoints, but none is whole.
        """
        files, damaged = self._files(), []
        for file in files:
            try:
                progress, arrays = _read(file)
                _, best = _read(self.folder / str(progress.pop("best_file")))
            except Exception as error:  # a reader met with damaged bytes may raise anything
                logger.info(f"{file}: damaged, passed over ({first_line(error)})")
                damaged.append(file)
                continue
            for gone in damaged:
                gone.unlink(missing_ok=True)
            return Checkpoint(progress, arrays, best)
        if files:
            raise RunError(
                f"{self.folder}: none of the {len(files)} checkpoints is whole. Remove the run "
                "directory and train anew, or copy the checkpoints again."
            )
        return None

    def _files(self) -> list[Path]:
        """Return the checkpoints, newest first."""
        found = [path for path in self.folder.glob(f"*{SUFFIX}") if path.name[0].isdigit()]
        return sorted(found, reverse=True)

    def _write(self, stem: str, progress: dict[str, Any], arrays: Arrays) -> str:
        """Write a file beside its place, flush and rename it; return its name."""
        beside = self.folder / f"{stem}{PARTIAL}"
        text = np.frombuffer(json.dumps(progress).encode(), np.uint8)
        named = {f"array_{i:06d}": array for i, array in enumerate(arrays)}
        try:
            with beside.open("wb") as file:
                np.savez(file, allow_pickle=False, progress=text, **named)
            force(beside)
            place = self.folder / f"{stem}-{sha256_of(beside)[:DIGITS]}{SUFFIX}"
            beside.replace(place)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        force(self.folder)
        return place.name

    @property
    def there(self) -> bool:
        """Whether any checkpoint lies in the folder."""
        return bool(self._files())

    def _prune(self) -> None:
        kept = self._files()[: self.keep]
        needed = {path.name for path in kept} | {_best_of(path) for path in kept}
        for path in self.folder.iterdir():
            if path.name not in needed and path.suffix in (SUFFIX, PARTIAL):
                path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Return the progress and the arrays of a file that is what its name says."""
    if not path.stem.endswith(f"-{sha256_of(path)[:DIGITS]}"):
        raise ValueError("its checksum is another")
    with np.load(path, allow_pickle=False) as content:
        names = sorted(name for name in content.files if name != "progress")
        progress = json.loads(content["progress"].tobytes())
        return progress, [content[name] for name in names]


def _best_of(path: Path) -> str:
    """Return the name of the file with the best weights of a checkpoint, none of a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as content:  # of the arrays, none is read
            return str(json.loads(content["progress"].tobytes())["best_file"])
    except Exception:
        return ""


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
    """Write the log of a fit to a CSV file after every epoch.

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
