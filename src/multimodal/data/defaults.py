"""Defaults: the feature groups and training numbers that a config leaves open.

What follows from the table stands here: groups with an encoder per modality, and the numbers that
`training` calls `auto`. What does not, such as the fusion, is a field's default in `core.config`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from multimodal.core.config import Component, Config, Group
from multimodal.core.errors import ConfigError, DataError, choices
from multimodal.core.spec import slug, unique_slugs
from multimodal.data.columns.schema import Schema
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.table import Table
from multimodal.data.split.splits import names_validation

DEFAULT_PARTS: dict[str, tuple[str | dict[str, Any], str]] = {
    "tabular": ({"name": "dense", "options": {"num_members": 8}}, "mean"),
    "text": (
        {
            "name": "convolutional",
            "options": {"filters": 48, "embedding_dim": 32, "kernel_sizes": [3], "num_layers": 2},
        },
        "max",
    ),
    "image": (
        {
            "name": "convolutional",
            "options": {"pool_sizes": [2, 2, 1], "normalization": "batch"},
        },
        "mean",
    ),
    "series": ("recurrent", "mean"),
}
_TABULAR_KINDS = ("number", "category", "date")

# Chosen on folds of real tables: docs/accuracy.md, "What the defaults are made of".
FOLD_MODELS, FOLD_MODEL_ROWS = 5, 12_000  # networks, and the rows beyond which there is one
LEAST_ROWS = 200  # below, a fold is too small to stop its network
EPOCHS, LEAST_EPOCHS = 25, 5
BATCH_SIZE, SMALL_BATCH_SIZE = 64, 16
SMALL_BATCH_ROWS = 2_000  # training rows, up to which batches of 64 would give too few steps
MOST_READ = 600_000  # rows read in all epochs together: bounds the time of a training


def encoder_named(modality: str, name: str) -> Component:
    """Return the encoder of a name; the default one has the options that `DEFAULT_PARTS` gives it.

    Example:
    >>> encoder_named("tabular", "dense").options, encoder_named("tabular", "cross").options
    ({'num_members': 8}, {})
    """
    usual, _ = DEFAULT_PARTS[modality]
    if isinstance(usual, dict) and usual["name"] == name:
        return Component.model_validate(usual)
    return Component(name=name)


def complete(
    config: Config, schema: Schema, targets: Sequence[str], *, adapt: bool = False
) -> Config:
    """Return `config` with groups, checked against the columns of the schema.

    Numbers, categories and dates form one tabular group; every text column is a group of its own;
    all photo columns share one encoder. With `adapt`, given groups lose columns that the table
    lacks and gain those that are new.

    Args:
        config: what the user wants.
        schema: the columns.
        targets: columns that heads learn; no group may read them.
        adapt: whether given groups follow the table.

    Raises:
        ConfigError: A group names an unknown column, or reads a target.
        DataError: There is nothing to predict from.
    """
    inferred = _infer_groups(schema)
    groups = config.groups or inferred
    if adapt and config.groups:
        groups = _adapted(groups, inferred, schema)
    if not groups:
        raise DataError("no feature column is left besides the target; expected at least one.")
    for group in groups:
        _check_columns(group, schema, targets)
    return config.model_copy(update={"groups": groups})


def _adapted(groups: Sequence[Group], inferred: Sequence[Group], schema: Schema) -> list[Group]:
    """Fit known groups to a new table: its columns of one modality join the first such group.

    The columns of a series stay together, whatever they would be taken for alone.
    """
    there = {column for group in inferred for column in group.columns}
    all_columns = {column.name for column in schema.columns}
    for group in groups:
        if group.modality == "series":
            there |= set(group.columns) & all_columns
    known = {column for group in groups for column in group.columns}
    result = []
    for group in groups:
        columns = [column for column in group.columns if column in there]
        result += [group.model_copy(update={"columns": columns})] if columns else []
    for group in inferred:
        fresh = [column for column in group.columns if column not in known]
        first = next((i for i, g in enumerate(result) if g.modality == group.modality), None)
        if fresh and first is not None and group.modality != "text":
            joined = [*result[first].columns, *fresh]
            result[first] = result[first].model_copy(update={"columns": joined})
        elif fresh:
            result.append(group.model_copy(update={"columns": fresh}))
    return result


def _check_columns(group: Group, schema: Schema, targets: Sequence[str]) -> None:
    known = [column.name for column in schema.columns]
    for column in group.columns:
        if column not in known:
            raise ConfigError(
                f"group '{group.name}': no column '{column}'. {choices(column, known)}"
            )
        if column in targets:
            raise ConfigError(f"group '{group.name}' reads the target column '{column}'.")


def _infer_groups(schema: Schema) -> list[Group]:
    table = [c.name for c in schema.columns if c.kind in _TABULAR_KINDS]
    photos = schema.names("image")
    wanted = [("table", "tabular", table)] if table else []
    wanted += [(slug(name), "text", [name]) for name in schema.names("text")]
    wanted += [("photos", "image", photos)] if photos else []
    names = unique_slugs([name for name, _, _ in wanted])
    return [_group(name, *rest[1:]) for name, rest in zip(names, wanted, strict=True)]


def _group(name: str, modality: str, columns: Sequence[str]) -> Group:
    encoder, pooling = DEFAULT_PARTS[modality]
    return Group.model_validate(
        {
            "name": name,
            "modality": modality,
            "columns": columns,
            "encoder": encoder,
            "pooling": pooling,
        }
    )


def resolve_auto(config: Config, table: Table, splits: NDArray[Any]) -> Config:
    """Return the config with numbers where `training` says `auto`.

    `fold_models`: five networks up to 12,000 rows, one beyond, for very few rows and for a table
    larger than memory; networks that share chosen validation rows read `MOST_READ` rows together
    at most.
    `epochs`: fewer the more training rows there are. `batch_size`: small for few rows, so that
    there are steps enough.

    Args:
        config: What the user wants.
        table: The rows.
        splits: Split of each row, object (N,).
    """
    train, kept = int((splits == "train").sum()), int((splits != "test").sum())
    epochs = min(max(MOST_READ // max(train, 1), LEAST_EPOCHS), EPOCHS)
    fold_models = FOLD_MODELS if LEAST_ROWS <= kept <= FOLD_MODEL_ROWS else 1
    if LEAST_ROWS <= kept and _validation_is_chosen(config, table):
        fold_models = min(max(MOST_READ // (EPOCHS * max(train, 1)), 1), FOLD_MODELS)
    resolved = {
        "fold_models": 1 if on_disk(table.frame) else fold_models,
        "epochs": epochs,
        "batch_size": SMALL_BATCH_SIZE if train <= SMALL_BATCH_ROWS else BATCH_SIZE,
    }
    left = {key: n for key, n in resolved.items() if getattr(config.training, key) == "auto"}
    return config.merge(training=left) if left else config


def uses_k_fold(config: Config, table: Table) -> bool:
    """Tell whether each network leaves out a fold of the training and validation rows.

    Validation rows that somebody chose stay validation rows, as do the latest ones.
    """
    return config.training.fold_models != 1 and not _validation_is_chosen(config, table)


def _validation_is_chosen(config: Config, table: Table) -> bool:
    """Tell whether the validation rows are not drawn at random."""
    split = config.data.split
    return split.method == "time" or (
        split.method == "column" and names_validation(table.frame[str(split.column)])
    )
