"""The experiment of a comparison: the fits of all candidates, kept on disk; then results."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
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
    Leaderboard,
    OutOfFoldPredictions,
    leaderboard,
)
from multimodal.studies.compare.summary import (
    comparison_verdict,
    further_sentences,
    leaderboard_figure,
    leaderboard_frame,
)
from multimodal.studies.fits import Fit, output_width, read_fits, tasks, write_fits
from multimodal.studies.folder import FITS, write_out_of_fold

logger = logging.getLogger(__name__)

Key = tuple[str, int, int]


@dataclass
class Experiment:
    """All fits of a comparison.

    Args:
        out: Folder to keep them in.
        prepared: The rows.
        folds: Each row's fold (N,).
        groups: What belongs together (N,): no group has rows in two folds.
        jobs: What to fit on each fold with each seed.
        seeds: The seeds.
        deadline: No fit starts after it, in seconds of the monotonic clock.
        command: The command to keep in the record.
        done: Finished fits of candidates by job, fold and seed.
        failed: The error that left a job out, by its name.
        splits: The rows split for a fold, made once.
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
            # seed by seed, so that a comparison that ends early has all candidates with one seed
            for seed, job, fold in product(self.seeds, self.jobs, range(self.count))
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
                shapes = {task.name: (rows, output_width(task)) for task in tasks(self.prepared)}
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
            # Kept for all seeds: models differ by their seed alone, not by what they are given.
            self.splits[fold] = resplit(self.prepared, splits)
        return self.splits[fold]

    def _sum_up(self) -> ComparisonRecord:
        """Compare the candidates that have predicted every row, and write all files."""
        predictions = OutOfFoldPredictions(
            labels=self.prepared.labels,
            weights=dict.fromkeys(self.prepared.labels, row_weights(self.prepared)),
            folds=self.folds,
            clusters=self.groups,
            fits=self._complete_fits(),
        )
        asked = tasks(self.prepared)
        columns = [", ".join(head.columns) for head in self.prepared.spec.heads]
        found = [
            leaderboard(task, column, predictions, self._full(), additions(self.jobs))
            for task, column in zip(asked, columns, strict=True)
        ]
        result = self._record([head for head in found if head is not None])
        write_text(self.out / RECORD_FILE, result.to_json())
        with replace_file(self.out / TABLE_FILE) as beside:
            leaderboard_frame(result).to_csv(beside, index=False)
        for head in result.heads:
            save(leaderboard_figure(head), self.out / f"comparison_{head.head}.png")
        if result.heads:
            write_out_of_fold(self.out, self.prepared, asked, predictions)
        write_manifest(self.out)
        return result

    def _record(self, heads: list[Leaderboard]) -> ComparisonRecord:
        return ComparisonRecord(
            source=self.prepared.table.name,
            rows=len(self.folds),
            folds=self.count,
            seeds=list(self.seeds),
            heads=heads,
            verdicts={head.head: comparison_verdict(head) for head in heads},
            notes=[f"{head.head}: {each}" for head in heads for each in further_sentences(head)],
            left_out=self._left_out(),
            command=self.command,
        )

    @property
    def count(self) -> int:
        """The number of folds."""
        return int(self.folds.max()) + 1

    def _full(self) -> str:
        """Name the first fusion of everything."""
        fusions = [job for job in self.jobs if job.kind == "fusion"]
        return max(fusions, key=lambda job: len(job.reads)).name  # the first of the longest

    def _complete_fits(self) -> dict[Candidate, dict[int, list[Fit]]]:
        """Return, by candidate and seed, the fits of all folds, where none is missing."""
        result: dict[Candidate, dict[int, list[Fit]]] = {}
        for job, seed in product(self.jobs, self.seeds):
            by_fold = [self.done.get((job.name, fold, seed), {}) for fold in range(self.count)]
            for candidate in candidates(job):
                if all(candidate.name in fits for fits in by_fold):
                    fits = [fits[candidate.name] for fits in by_fold]
                    result.setdefault(candidate, {})[seed] = fits
        return result

    def _left_out(self) -> list[str]:
        wanted, found = len(self.seeds) * self.count, []
        for job in self.jobs:
            there = sum(1 for name, _, _ in self.done if name == job.name)
            if there < wanted:
                why = f" ({self.failed[job.name]})" if job.name in self.failed else ""
                found.append(f"{job.label}: {wanted - there} of {wanted} fits{why}")
        return found
