"""How many networks a table has rows for, which rows each learns from, and at what pace."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.data.labels.read import Label
from multimodal.data.prepared import Labels
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.table import Table
from multimodal.data.split.sides import deal, names_validation

MEMBERS, MEMBER_ROWS = 5, 12_000  # networks on parts, up to so many rows; more rows have one
LEAST = 200  # rows, below which a part would be too small to stop a network
EPOCHS, LEAST_EPOCHS = 25, 5
BATCH, BATCH_OF_FEW = 64, 16  # rows of a step
FEW = 2_000  # training rows, up to which there would be too few steps
MOST_READ = 600_000  # rows in all epochs together, beyond which there are fewer epochs, networks
FOLDS = 5  # parts for the linear model, where one network has none


def with_members(config: Config, table: Table, sides: NDArray[Any]) -> Config:
    """Return the config with a number of networks.

    Those that share validation rows are as many as read `MOST_READ` rows together, five at most.
    """
    if config.training.members != "auto":
        return config
    rows, members = int((sides != "test").sum()), 1
    if LEAST <= rows and not on_disk(table.frame):
        members = MEMBERS if rows <= MEMBER_ROWS else 1
        if _chosen(config, table):
            reads = EPOCHS * max(int((sides == "train").sum()), 1)
            members = min(max(MOST_READ // reads, 1), MEMBERS)
    return config.merge(training={"members": members})


def in_parts(config: Config, table: Table) -> bool:
    """Tell whether each network is without a part of the training and validation rows.

    Validation rows that somebody chose stay validation rows, as do the latest ones.
    """
    return config.training.members != 1 and not _chosen(config, table)


def _chosen(config: Config, table: Table) -> bool:
    """Tell whether the validation rows are not drawn at random."""
    split = config.data.split
    return split.method == "time" or (
        split.method == "column" and names_validation(table.frame[str(split.column)])
    )


def with_pace(config: Config, sides: NDArray[Any]) -> Config:
    """Return the config with a number of epochs and of rows in a step.

    The more training rows there are, the fewer are the epochs; the batches of few are small, for
    there to be steps enough.
    """
    rows = max(int((sides == "train").sum()), 1)
    pace = {
        "epochs": min(max(MOST_READ // rows, LEAST_EPOCHS), EPOCHS),
        "batch_size": BATCH_OF_FEW if rows <= FEW else BATCH,
    }
    left = {key: n for key, n in pace.items() if getattr(config.training, key) == "auto"}
    return config.merge(training=left) if left else config


def member_folds(
    config: Config, groups: NDArray[np.int64], sides: NDArray[Any], found: Labels, parts: bool
) -> NDArray[np.int64]:
    """Return the part of the rows, but the test rows, that each is in, -1 for none.

    There are as many as networks where each is without a part (`parts`), else five.

    Raises:
        ConfigError: There are too few rows for `training.members` parts.
    """
    rows = np.flatnonzero(sides != "test")
    targets = [each[rows] for label in found.values() for each in split_targets(label)]
    members = int(config.training.members) if parts else 1
    count, folds = members if members > 1 else FOLDS, np.full(len(sides), -1)
    folds[rows] = deal([1 / count] * count, groups[rows], targets, config.training.seed, rare=-1)
    if members > 1 and len(np.unique(folds[folds >= 0])) < members:
        raise ConfigError(
            f"`training.members` is {members}, but the rows that are no test rows do not make as "
            f"many parts: there are {len(rows):,}, and duplicates stay together. Set it to 1."
        )
    return folds


def split_targets(label: Label) -> list[NDArray[Any]]:
    """Return what a split should share out evenly: numbers, classes, or a box's size."""
    if label.kind == "labels":
        each = label.truth(label.names()).astype(object)
        each[~label.known] = None
        return list(each.T)
    if label.kind == "box":
        return [np.asarray(np.prod(label.values[:, 2:] - label.values[:, :2], axis=1))]
    return [label.values]
