"""Predictions of files that are larger than memory: part by part, gone on with after a kill.

Each part of the files is predicted by itself and kept in a folder beside the output, `OUT.parts`.
When all are there, by however many processes, they are joined to the output, which is whole or not
there, and the folder goes. Which rows make a part depends on the files alone, so that the output is
the same byte by byte however the work was shared or interrupted.
"""

from __future__ import annotations

import fcntl
import glob
import json
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import pandas as pd

from multimodal.core.errors import DataError, RunError
from multimodal.core.files import read_text, replace_file, sha256_of, write_text
from multimodal.core.formatting import duration
from multimodal.core.interrupted import Plain, check_same
from multimodal.core.manifest import MANIFEST, listed_files
from multimodal.data.photos.locate import Images
from multimodal.data.read import parts
from multimodal.data.read.packed import PACKED_SUFFIXES
from multimodal.data.read.parts import TableFile, open_table_file
from multimodal.data.read.readers import SUFFIXES
from multimodal.data.read.table import AUTO, Dialect
from multimodal.data.shards import ALONE, Worker
from multimodal.runs import raw_rows
from multimodal.runs.raw_rows import RowModel
from multimodal.runs.tables import check_output, join_parts, table_bytes, written

logger = logging.getLogger(__name__)

RECORD, MOST_BYTES = "asked.json", 1 << 24
TELL_SECONDS = 10  # between two lines on how far it is


@dataclass(frozen=True)
class Batch:
    """What became of a prediction of files.

    `finished` says whether all parts are there and the output is written; `parts` of `of` are.
    `counts` and `unused_columns` are those of `Predictions`, over all parts; `rows` are all rows.
    """

    finished: bool
    rows: int
    parts: int
    of: int
    counts: dict[str, int] = field(default_factory=dict)
    unused_columns: list[str] = field(default_factory=list)


def table_files(named: Sequence[str | Path]) -> list[Path]:
    """Return the files that paths, folders and glob patterns name, those of a folder by name.

    Raises:
        DataError: A folder or pattern names none, or two name the same file.
    """
    found: list[Path] = []
    for each in named:
        path = Path(each).expanduser()
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if _is_table(p))
            if not inside:
                raise DataError(f"{path}: a folder without any table. Expected files such as .csv.")
            found += inside
        elif glob.has_magic(str(path)) and not path.exists():
            inside = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
            if not inside:
                raise DataError(f"{path}: no file is named so. Check the pattern.")
            found += [p for p in inside if p.is_file()]
        else:
            found.append(path)
    twice = [path for path, count in Counter(map(os.path.realpath, found)).items() if count > 1]
    if twice:
        raise DataError(f"{twice[0]}: named twice. Name each file once.")
    return found


def _is_table(path: Path) -> bool:
    name = path.name.lower()
    ends = (*SUFFIXES, *(f"{end}{packed}" for end in SUFFIXES for packed in PACKED_SUFFIXES))
    return path.is_file() and not name.startswith(".") and name.endswith(ends)


def predict_files(
    run: RowModel,
    named: Sequence[str | Path],
    out: str | Path,
    *,
    images: Images = None,
    level: float | None = None,
    asked: Dialect = AUTO,
    escape: bool = True,
    worker: Worker = ALONE,
) -> Batch:
    """Predict the rows of files to one file, in bounded memory; go on where it was interrupted.

    The output has the columns of `Run.predict(file).frame` and the same values, and where there are
    several files, the `file` of each row before them. A row is counted within its file.

    Args:
        run: The run, or an export of one.
        named: Files (CSV, TSV, Parquet, JSON Lines, Excel), folders of such, or glob patterns.
        out: CSV, TSV, Parquet or JSON Lines file; beside it a folder, `OUT.parts`, holds what is
            done until all is.
        images: Folder that photo paths are relative to; each file's own by default.
        level: As of `Run.predict`.
        asked: How the files are written, where they do not decide.
        escape: Whether formulas in CSV and TSV are escaped.
        worker: Which share of the parts this process predicts; the last one to finish joins them.

    Raises:
        DataError, RunError, ConfigError: As `Run.predict`; the output cannot be written, is one of
            the inputs, or other predictions lie unfinished beside it.

    Example:
        predict_files(load("run"), ["january.parquet", "february.parquet"], "prices.parquet")
    """
    out, paths = Path(out), table_files(named)
    check_output(out, [*paths, *listed_files(run.path)])
    raw_rows.check_model_level(run, level)
    files = [open_table_file(path, run.schema, asked) for path in paths]
    options = {"images": str(images), "level": level, "dialect": asked._asdict(), "escape": escape}
    job = _Job(run, paths, files, out, images, level, escape)
    with written(out):
        return job.work(worker, {"run": sha256_of(run.path / MANIFEST), **options})


@dataclass(frozen=True)
class _Job:
    run: RowModel
    paths: list[Path]
    files: list[TableFile]
    out: Path
    images: Images
    level: float | None
    escape: bool

    @property
    def folder(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def starts(self) -> list[int]:
        """The number of the first part of each file, and of all parts."""
        return list(accumulate((file.parts for file in self.files), initial=0))

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def work(self, worker: Worker, asked: Plain) -> Batch:
        """Predict the parts of a worker that are not there yet; join all, if all are there."""
        self.folder.mkdir(exist_ok=True)
        try:
            with self._held(f"worker-{worker.number + 1}-of-{worker.of}.lock"):
                with self._held("record.lock", wait=True):  # several may begin at once
                    self._check_asked(asked)
                self._predict(worker)
        except _Taken:
            raise RunError(
                f"{self.out}: another process writes the same share of it. Wait for it, or give "
                "each process a share of its own, such as --worker 1/4."
            ) from None
        except BaseException:
            self._tidy()
            raise
        return self._finish()

    def _check_asked(self, asked: Plain) -> None:
        """Write down what is asked for, or raise RunError where parts of something else are."""
        now = {**asked, "files": {str(p): _state(p) for p in self.paths}, "parts": self.starts[-1]}
        path = self.folder / RECORD
        if path.exists():
            check_same(self.folder, json.loads(read_text(path, most=MOST_BYTES)), now)
            done = sum(self._part(number).exists() for number in range(self.starts[-1]))
            logger.info(f"{self.out}: going on with {done:,} of {self.starts[-1]:,} parts")
        else:
            write_text(path, json.dumps(now, indent=2, default=str))

    def _predict(self, worker: Worker) -> None:
        number, of, total = worker.number, worker.of, self.starts[-1]
        share = range(total * number // of, total * (number + 1) // of)
        missing = [part for part in share if not self._part(part).exists()]
        rate = _Rate(missing, self)
        for at, file in enumerate(self.files):
            first, last = self.starts[at], self.starts[at + 1]
            here = [part - first for part in missing if first <= part < last]
            for numbers in _runs(here):
                for each, table in zip(numbers, file.tables(numbers), strict=True):
                    found = raw_rows.predict_part(
                        self.run, table, self.images, self.level, each * parts.PART
                    )
                    frame = found.frame
                    if len(self.paths) > 1:
                        frame = self._of_file(frame, self.paths[at])
                    said = {"counts": found.counts, "unused": found.unused_columns}
                    self._keep(first + each, frame, said)
                    rate.add(len(frame))

    def _of_file(self, frame: pd.DataFrame, path: Path) -> pd.DataFrame:
        """Return the predictions of one of several files, all with the same columns."""
        frame.insert(0, "file", str(path))
        if self.run.schema.names("identifier") and "id" not in frame:
            frame.insert(2, "id", None)  # this file lacks it
        return frame

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:07d}"

    def _keep(self, number: int, frame: pd.DataFrame, said: Plain) -> None:
        """Write a part so that it is there, whole, or not."""
        content = table_bytes(frame, self.out, escape=self.escape, header=number == 0)
        write_text(self.folder / f"said-{number:07d}.json", json.dumps(said))
        with replace_file(self._part(number)) as beside:
            beside.write_bytes(content)

    def _finish(self) -> Batch:
        """Join the parts, if all are there and no other process is about it."""
        made = [self._part(number) for number in range(self.starts[-1])]
        there = sum(part.exists() for part in made)
        if there < len(made):
            return Batch(False, self.rows, there, len(made))
        try:
            with self._held("join.lock"):
                counts, unused = self._said(len(made))
                join_parts(made, self.out)
                shutil.rmtree(self.folder)
        except _Taken:
            return Batch(False, self.rows, there, there)
        return Batch(True, self.rows, there, there, counts, unused)

    def _said(self, number_of_parts: int) -> tuple[dict[str, int], list[str]]:
        """Return the counts of all parts together, and the columns that the run does not read."""
        counts: Counter[str] = Counter()
        unused: dict[str, None] = {}
        for number in range(number_of_parts):
            path = self.folder / f"said-{number:07d}.json"
            said = json.loads(read_text(path, most=MOST_BYTES))
            counts.update(said["counts"])
            unused |= dict.fromkeys(said["unused"])
        return dict(counts), list(unused)

    @contextmanager
    def _held(self, name: str, *, wait: bool = False) -> Iterator[None]:
        """Hold a file of the folder against other processes; raise _Taken where one has it."""
        path = self.folder / name
        try:
            with path.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if not wait and not path.exists():  # its holder has just finished, and removed it
                    raise BlockingIOError
                try:
                    yield
                finally:
                    if not wait:
                        path.unlink(missing_ok=True)
        except (BlockingIOError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and self.folder.exists():
                raise
            raise _Taken from None

    def _tidy(self) -> None:
        """Remove the folder where it holds nothing to go on from, nor that of another process."""
        kept = [path.name for path in self.folder.iterdir()]
        if not any(name.startswith(("part-", "worker-", "join")) for name in kept):
            with suppress(OSError):
                shutil.rmtree(self.folder)


class _Taken(Exception):
    """Another process holds what this one would."""


class _Rate:
    """Tells how far it is, how many rows a second are predicted, and how long it will take."""

    def __init__(self, missing: Sequence[int], job: _Job) -> None:
        self._rows = sum(_rows_of(job, part) for part in missing)
        self._done = 0
        self._begun = self._told = time.monotonic()

    def add(self, rows: int) -> None:
        self._done += rows
        now, silent = time.monotonic(), self._told == self._begun
        waits = self._done < self._rows or silent  # what was over in seconds needs no word
        if not self._rows or (waits and now - self._told < TELL_SECONDS):
            return
        self._told = now
        rate = self._done / max(now - self._begun, 1e-9)
        left = (self._rows - self._done) / max(rate, 1e-9)
        more = f", {duration(left)} left" if self._done < self._rows else ""
        logger.info(f"{self._done:,} of {self._rows:,} rows, {rate:,.0f} a second{more}")


def _rows_of(job: _Job, part: int) -> int:
    at = next(i for i, end in enumerate(job.starts[1:]) if part < end)
    return min(parts.PART, job.files[at].rows - (part - job.starts[at]) * parts.PART)


def _runs(numbers: Iterable[int]) -> Iterator[range]:
    """Yield consecutive numbers as ranges.

    Example:
    >>> list(_runs([0, 1, 4]))
    [range(0, 2), range(4, 5)]
    """
    found: range | None = None
    for number in numbers:
        if found is not None and number == found.stop:
            found = range(found.start, number + 1)
            continue
        if found is not None:
            yield found
        found = range(number, number + 1)
    if found is not None:
        yield found


def _state(path: Path) -> Plain:
    """Return what tells that a file is another one: its size and when it was written."""
    found = path.stat()
    return {"bytes": found.st_size, "modified": found.st_mtime_ns}
