"""Cross-validation: every candidate on the same folds and seeds, from a table to a verdict."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from multimodal.core.arrays import Ints
from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.core.interrupted import digest
from multimodal.core.presets import ConfigLike, as_config
from multimodal.data.prepare import Prepared, Rows
from multimodal.data.split.folds import MOST_FOLDS, deal_folds, read_folds, strata
from multimodal.data.split.splits import joined_groups, leaking_rows
from multimodal.runs.provenance import Request, record
from multimodal.runs.train import prepare_rows
from multimodal.studies.compare.candidates import chosen_fusions, jobs
from multimodal.studies.compare.experiment import Experiment
from multimodal.studies.compare.results import ComparisonRecord
from multimodal.studies.folder import study_folder

logger = logging.getLogger(__name__)

MOST_SEEDS = 100


def compare(
    data: Rows,
    targets: str | Sequence[str] = (),
    *,
    out: str | Path,
    config: ConfigLike = None,
    folds: int = 5,
    folds_column: str | None = None,
    seeds: int = 3,
    fusions: Sequence[str] = (),
    weight: str | None = None,
    images: str | Path | None = None,
    minutes: float | None = None,
    command: str = "",
) -> ComparisonRecord:
    """Cross-validate baselines and fusions on the same folds, and say what each modality adds.

    On every fold and with every seed are fitted: a constant, gradient boosting, a Sequential model
    of each modality, the first fusion on every subset of the modalities, the other fusions on all
    of them. All see the same columns and photos; preprocessing is learned from the training rows
    of the fold alone. Each finished fit lies in `out`: the same call goes on where the last one
    ended, more seeds and fusions are added to what is there.

    Args:
        data: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        targets: Column or columns to predict; none stands for those of the config's heads.
        out: Folder of the comparison: new, empty, or of the same comparison.
        config: What the user wants, as a Config, a dict or the path of a file; what it leaves open
            is inferred. `data.split` says which share of the rows validates, and by `group` what
            stays in one fold.
        folds: Number of folds; duplicates share one, targets are spread evenly.
        folds_column: Column that names each row's fold, in place of `folds`; no model reads it.
        seeds: Number of seeds, from the config's on.
        fusions: Names of fusions; the first reads every subset. The config's by default.
        weight: Column of row weights, for training and for every metric.
        images: Folder that photo paths are relative to; the file's folder by default.
        minutes: Time after which no further fit starts.
        command: The command to keep in the record.

    Returns:
        What `comparison.json` holds; `out` also has a table, pictures and all predictions.

    Raises:
        MultimodalError: What is wrong, where, and how to mend it.
        KeyboardInterrupt: After Ctrl-C, once what is finished has been summed up.

    Example:
        record = compare("products.csv", "price", out="comparison", minutes=60)
        record.verdicts["price"]
    """
    columns = [targets] if isinstance(targets, str) else list(targets)
    start, given = time.monotonic(), as_config(config)
    request = Request(data, columns, given, Path(out), weight, images, command=command)
    _check_counts(folds, seeds)
    wanted = given if folds_column is None else _without_folds_column(given, folds_column)
    if folds_column is None:
        _check_split(wanted)
    chosen = chosen_fusions(wanted, fusions)
    prepared = prepare_rows(replace(request, config=wanted))
    numbers, groups = _folds(prepared, folds, folds_column)
    first = wanted.training.seed
    experiment = Experiment(
        out=request.out,
        prepared=prepared,
        folds=numbers,
        groups=groups,
        jobs=jobs(prepared, chosen),
        seeds=range(first, first + seeds),
        deadline=math.inf if minutes is None else start + 60 * minutes,
        command=command,
    )
    of_folds = {"folds": folds_column or folds, "folds of rows": digest(numbers)}
    with study_folder(request.out, record(request, prepared) | of_folds):
        return experiment.run()


def _check_counts(folds: int, seeds: int) -> None:
    if not 2 <= folds <= MOST_FOLDS or not 1 <= seeds <= MOST_SEEDS:
        raise ConfigError(
            f"expected 2 to {MOST_FOLDS} folds and 1 to {MOST_SEEDS} seeds. Received: folds="
            f"{folds}, seeds={seeds}"
        )


def _check_split(config: Config) -> None:
    method = config.data.split.method
    if method in ("time", "column"):
        raise ConfigError(
            f"`data.split` is by {method}, which gives one test split, not folds. Name the column "
            "that holds each row's fold (--folds-column), or split at random or by group; "
            "`multimodal train` compares models on one given split."
        )


def _without_folds_column(config: Config, column: str) -> Config:
    """Return the config with a random split, in which no model reads the column of folds."""
    learned = {column for head in config.heads for column in head.columns}
    read = {column for group in config.groups for column in group.columns}
    if column in learned | read:
        raise ConfigError(
            f"column '{column}' holds the folds, so no group or head may have it. Take it out of "
            "the config."
        )
    split = config.data.split
    ignored = {column, *([str(split.column)] if split.method == "column" else [])}
    data = config.data.model_dump() | {
        "columns": {**config.data.columns, **dict.fromkeys(ignored, "ignored")},
        "split": {"validation": split.validation, "test": split.test},
    }
    return config.merge(data=data)


def _folds(prepared: Prepared, folds: int, column: str | None) -> tuple[Ints, Ints]:
    """Return each row's fold, and the groups that stay together, both (N,)."""
    table, split = prepared.table, prepared.config.data.split
    alone = np.arange(len(table.frame))
    duplicates = alone if prepared.groups is None else prepared.groups
    groups = joined_groups(split, table.frame, duplicates, f"{table.name}: ")
    if column is None:
        seed = prepared.config.training.seed
        return deal_folds(folds, groups, strata(prepared), seed), groups
    numbers = read_folds(table, column)
    apart = leaking_rows(numbers, groups)
    if len(apart):
        logger.warning(
            f"{len(apart):,} rows have a duplicate in another fold of column '{column}', "
            f"the first in {table.place(int(apart[0]))}; models have seen what they are tested on."
        )
    return numbers, groups
