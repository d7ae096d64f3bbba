"""Cross-validation: every candidate on the same folds and seeds, from a table to a verdict."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from multimodal.core.arrays import Ints
from multimodal.core.config import Component, Config
from multimodal.core.errors import ConfigError
from multimodal.core.interrupted import digest
from multimodal.core.presets import ConfigLike, as_config, as_names
from multimodal.data.photos.locate import Images
from multimodal.data.prepare import Prepared, Rows
from multimodal.data.split.folds import MOST_FOLDS, deal_folds, read_folds, strata
from multimodal.data.split.splits import leaking_rows
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
    targets: str | int | Sequence[str | int] = (),
    *,
    out: str | Path,
    config: ConfigLike = None,
    folds: int = 5,
    folds_column: str | None = None,
    seeds: int = 3,
    fusions: Sequence[str] = (),
    weight: str | None = None,
    images: Images = None,
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
        folds: Number of folds; duplicates and near duplicates share one, targets are spread
            evenly.
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
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    columns = as_names(targets)
    request = Request(data, columns, as_config(config), Path(out), weight, images, command=command)
    _check_counts(folds, seeds)
    wanted = _config_for_folds(request.config, folds_column)
    chosen = chosen_fusions(wanted, fusions)
    prepared = prepare_rows(replace(request, config=wanted))
    numbers, groups = _folds(prepared, folds, folds_column)
    experiment = _experiment(request, prepared, numbers, groups, chosen, seeds, deadline)
    # Fits lie under the number of a fold: with other folds, those that are there would not fit.
    of_folds = {"folds": folds_column or folds, "folds of rows": digest(numbers)}
    with study_folder(request.out, record(request, prepared) | of_folds):
        return experiment.run()


def _experiment(
    request: Request,
    prepared: Prepared,
    folds: Ints,
    groups: Ints,
    fusions: Sequence[Component],
    seeds: int,
    deadline: float,
) -> Experiment:
    first = request.config.training.seed
    return Experiment(
        out=request.out,
        prepared=prepared,
        folds=folds,
        groups=groups,
        jobs=jobs(prepared, fusions),
        seeds=range(first, first + seeds),
        deadline=deadline,
        command=request.command,
    )


def _check_counts(folds: int, seeds: int) -> None:
    if not 2 <= folds <= MOST_FOLDS or not 1 <= seeds <= MOST_SEEDS:
        raise ConfigError(
            f"expected 2 to {MOST_FOLDS} folds and 1 to {MOST_SEEDS} seeds. Received: folds="
            f"{folds}, seeds={seeds}"
        )


def _config_for_folds(config: Config, column: str | None) -> Config:
    """Return the config that the folds are dealt by, or with which they are read from `column`."""
    if column is not None:
        return _without_folds_column(config, column)
    method = config.data.split.method
    if method in ("time", "column"):
        raise ConfigError(
            f"`data.split` is by {method}, which gives one test split, not folds. Name the column "
            "that holds each row's fold (--folds-column), or split at random; "
            "`multimodal train` compares models on one given split."
        )
    return config


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
        "split": split.model_dump() | {"method": "random", "column": None},
    }
    return config.merge(data=data)


def _folds(prepared: Prepared, folds: int, column: str | None) -> tuple[Ints, Ints]:
    """Return each row's fold, and the groups that stay together, both (N,)."""
    table = prepared.table
    groups = prepared.groups
    if column is None:
        seed = prepared.config.training.seed
        return deal_folds(folds, groups, strata(prepared), seed), groups
    numbers = read_folds(table, column)
    apart = leaking_rows(numbers, groups)
    if len(apart):
        logger.warning(
            f"{len(apart):,} rows have a duplicate, or another row of their group, in another fold "
            f"of column '{column}', "
            f"the first in {table.place(int(apart[0]))}; models have seen what they are tested on."
        )
    return numbers, groups
