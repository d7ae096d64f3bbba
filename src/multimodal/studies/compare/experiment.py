"""The fits of a comparison, one after the other, each kept on disk; then how the models stand."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from multimodal.core.arrays import Ints
from multimodal.core.errors import MultimodalError
from multimodal.core.files import replace_file, write_text
from multimodal.core.manifest import write_manifest
from multimodal.data.prepare import Prepared
from multimodal.data.split.folds import fold_splits, resplit, row_weights, strata
from multimodal.report.plots import save
from multimodal.studies.compare.candidates import Job, additions, candidates, fit_job
from multimodal.studies.compare.results import (
    RECORD_FILE,
    TABLE_FILE,
    Candidate,
    ComparisonRecord,
    OutOfFoldPredictions,
    leaderboard,
)
from multimodal.studies.compare.summary import (
    comparison_verdict,
    further_sentences,
    leaderboard_figure,
    leaderboard_frame,
)
from multimodal.studies.fits import Fit, read_fits, tasks, width, write_fits
from multimodal.studies.folder import FITS, write_out_of_fold

logger = logging.getLogger(__name__)

Key = tuple[str, int, int]


@dataclass
class Experiment:
    """All fits of a comparison.

    Args:
        out: Folder to keep them in.
        prepared: The table.
        folds: Each row's fold (N,).
        groups: What belongs together (N,).
        jobs: What to fit on each fold with each seed.
        seeds: The seeds.
        deadline: No fit starts after it, in seconds of the monotonic clock.
        command: The command to keep in the record.
    """

    out: Path
    prepared: Prepared
    folds: Ints
    groups: Ints
    jobs: Sequence[Job]
    seeds: Sequence[int]
    deadline: float
    command: str
    done: dict[Key, dict[str, Fit]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    splits: dict[int, Prepared] = field(default_factory=dict)

    def run(self) -> ComparisonRecord:
        """Fit what is not there yet, sum up, and write it down."""
        plan = [
            (job, fold, seed)
            for seed in self.seeds
            for job in self.jobs
            for fold in range(int(self.folds.max()) + 1)
        ]
        self._take_up(plan)
        try:
            for number, (job, fold, seed) in enumerate(plan, start=1):
                if time.monotonic() >= self.deadline:
                    logger.info("the time is over; the same command goes on")
                    break
                if (job.name, fold, seed) not in self.done and job.name not in self.failed:
                    self._fit(job, fold, seed, f"{number} of {len(plan)}")
        except KeyboardInterrupt:
            logger.info("interrupted; the same command goes on with what is not finished")
            self._sum_up()
            raise
        return self._sum_up()

    def _take_up(self, plan: Sequence[tuple[Job, int, int]]) -> None:
        """Read the fits that are there."""
        for job, fold, seed in plan:
            path = self._path(job, fold, seed)
            if path.exists():
                rows = int((self.folds == fold).sum())
                shapes = {task.name: (rows, width(task)) for task in tasks(self.prepared)}
                self.done[job.name, fold, seed] = read_fits(path, shapes)
        if self.done:
            logger.info(f"going on: {len(self.done):,} of {len(plan):,} fits are there")

    def _path(self, job: Job, fold: int, seed: int) -> Path:
        return self.out / FITS / job.name / f"fold-{fold}-seed-{seed}.npz"

    def _fit(self, job: Job, fold: int, seed: int, which: str) -> None:
        start, split = time.perf_counter(), self._split(fold)
        try:
            found = fit_job(job, split, seed)
        except MultimodalError as error:  # this model fails, others may not
            self.failed[job.name] = str(error)
            logger.warning(f"{job.label} is left out: {error}")
            return
        write_fits(self._path(job, fold, seed), found)
        self.done[job.name, fold, seed] = found
        seconds = time.perf_counter() - start
        logger.info(f"fit {which}: {job.label}, fold {fold + 1}, seed {seed}: {seconds:.1f} s")

    def _split(self, fold: int) -> Prepared:
        """Return the rows with those of a fold to test on; made once for all its models."""
        if fold not in self.splits:
            config = self.prepared.config
            splits = fold_splits(
                self.folds,
                fold,
                self.groups,
                strata(self.prepared),
                config.data.split.validation,
                config.training.seed,
            )
            self.splits[fold] = resplit(self.prepared, splits)
        return self.splits[fold]

    def _sum_up(self) -> ComparisonRecord:
        """Compare the models that have answered every row, and write all files."""
        answered = OutOfFoldPredictions(
            self.prepared.labels,
            dict.fromkeys(self.prepared.labels, row_weights(self.prepared)),
            self.folds,
            self.groups,
            self._whole(),
        )
        asked = tasks(self.prepared)
        full, pairs = self._full(), additions(self.jobs)
        columns = [", ".join(head.columns) for head in self.prepared.spec.heads]
        found = [
            leaderboard(task, column, answered, full, pairs)
            for task, column in zip(asked, columns, strict=True)
        ]
        heads = [head for head in found if head is not None]
        summary = ComparisonRecord(
            source=self.prepared.table.name,
            rows=len(self.folds),
            folds=int(self.folds.max()) + 1,
            seeds=list(self.seeds),
            heads=heads,
            verdicts={head.head: comparison_verdict(head) for head in heads},
            notes=[f"{head.head}: {each}" for head in heads for each in further_sentences(head)],
            left_out=self._left_out(),
            command=self.command,
        )
        write_text(self.out / RECORD_FILE, summary.to_json())
        with replace_file(self.out / TABLE_FILE) as beside:
            leaderboard_frame(summary).to_csv(beside, index=False)
        for head in heads:
            save(leaderboard_figure(head), self.out / f"comparison_{head.head}.png")
        if heads:
            write_out_of_fold(self.out, self.prepared, asked, answered)
        write_manifest(self.out)
        return summary

    def _full(self) -> str:
        """Name the first fusion of everything."""
        fusions = [job for job in self.jobs if job.kind == "fusion"]
        most = max(len(job.reads) for job in fusions)
        return next(job.name for job in fusions if len(job.reads) == most)

    def _whole(self) -> dict[Candidate, dict[int, list[Fit]]]:
        """Return, by model and seed, the fits of all folds, where none is missing."""
        folds, result = range(int(self.folds.max()) + 1), {}
        for job in self.jobs:
            for candidate in candidates(job):
                found = {
                    seed: [
                        self.done.get((job.name, f, seed), {}).get(candidate.name) for f in folds
                    ]
                    for seed in self.seeds
                }
                whole = {
                    seed: [fit for fit in each if fit is not None]
                    for seed, each in found.items()
                    if None not in each
                }
                if whole:
                    result[candidate] = whole
        return result

    def _left_out(self) -> list[str]:
        wanted, found = len(self.seeds) * (int(self.folds.max()) + 1), []
        for job in self.jobs:
            there = sum(1 for name, _, _ in self.done if name == job.name)
            if there < wanted:
                why = f" ({self.failed[job.name]})" if job.name in self.failed else ""
                found.append(f"{job.label}: {wanted - there} of {wanted} fits{why}")
        return found
