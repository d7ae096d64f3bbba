"""Checkpoints of a training: complete, verified, the last few of them.

A checkpoint is one `.npz` file (no pickle) whose name ends in the start of its own SHA-256. It is
written beside its place, flushed to the disk and renamed, so that a power cut leaves the previous
one; a file whose content does not match its name is passed over and reported. The best weights lie
in a file of their own, written only when they have changed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.budget import Budget
from multimodal.core.errors import RunError, first_line
from multimodal.core.files import force, sha256_of
from multimodal.core.interrupted import Termination

logger = logging.getLogger(__name__)

# Not `.keras` or `.weights.h5`: Keras writes these over the old file, which a full disk destroys,
# and without a checksum, so that a flipped bit is loaded as a weight.
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
            # The best weights first: a kill between the two leaves no checkpoint that names a
            # missing file. Numbers have leading zeros, so that names sort as numbers do.
            self._write(f"{number:09d}", {**progress, "best_file": self._best[1]}, arrays)
        except OSError as error:
            raise RunError(
                f"{self.folder}: the checkpoint of step {number:,} cannot be written "
                f"({error.strerror or error}). Earlier checkpoints are whole: make room and run "
                "the same command to go on from the last one."
            ) from None
        self._prune()

    def latest(self) -> Checkpoint | None:
        """Return the newest complete checkpoint, None where none was ever written.

        Damaged ones that are newer are said and removed.

        Raises:
            RunError: There are checkpoints, but none is complete.
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
        # Leading zeros: `_read` restores the order by sorting the names.
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
        # A rename survives a power cut only once the folder itself is on the disk.
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
            # whatever else lies in the folder is not ours
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
    """Return the name of the file with a checkpoint's best weights, "" for a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as content:  # of the arrays, none is read
            return str(json.loads(content["progress"].tobytes())["best_file"])
    except Exception:
        return ""


@dataclass(frozen=True)
class FaultTolerance:
    """What guards a training: where checkpoints go, who asks for its end, which rows a batch holds.

    Args:
        checkpoints: Where checkpoints go.
        termination: Whether someone has asked for the end.
        rows: Names the rows of the batch at (epoch, step), for an error.
        every: Seconds of training between checkpoints.
        budget: Ends the training where its time is over, and is told of every checkpoint.
    """

    checkpoints: Checkpoints
    termination: Termination
    rows: Callable[[int, int], str]
    every: float
    budget: Budget = field(default_factory=Budget)
