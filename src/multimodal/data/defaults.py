"""Defaults: the feature groups and training numbers that a config leaves open.

What follows from the table stands here: groups with an encoder per modality, and the numbers that
`training` calls `auto`. What does not, such as the fusion, is a field's default in `core.config`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from multimodal.core.config import PRETRAINED_ENCODER, Component, Config, Data, Group
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

# Chosen on folds of real tables: docs/experiments/defaults.md.
FOLD_MODELS, FOLD_MODEL_ROWS = 5, 8_000  # networks, and the rows beyond which there is one
NETWORKS_READ = 250_000  # rows that all networks read in all epochs together, if it is not one
LEAST_ROWS = 200  # below, a fold is too small to stop its network
LEAST_BOXES = 50  # with boxes: a network that sees each photo once only is far from overfitting
EPOCHS, LEAST_EPOCHS = 25, 5
BOX_STEPS, BOX_EPOCHS = 400, 80  # with boxes: steps of a network, and the epochs they may take
PATIENCE = 6
BOX_PIXELS = 224  # that pretrained models see; of boxes in 200 photos, IoU .70 against .67 at 128
BATCH_SIZE, SMALL_BATCH_SIZE = 64, 32
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
    config: Config,
    schema: Schema,
    targets: Sequence[str],
    *,
    adapt: bool = False,
    boxes: bool = False,
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
        boxes: whether a head predicts a box in a photo; a group of photos whose pooling is left
            open then has `grid`, since a mean over the photo forgets where things are.

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
    if boxes:
        groups = [_knowing_places(group) for group in groups]
    groups = [_as_pretrained(group, config.data, boxes=boxes) for group in groups]
    return config.model_copy(update={"groups": groups})


def _knowing_places(group: Group) -> Group:
    """Return a group of photos with a pooling that keeps places, unless another one is named."""
    if group.modality != "image" or "pooling" in group.model_fields_set:
        return group
    return group.model_copy(update={"pooling": Component(name="grid")})


def _as_pretrained(group: Group, data: Data, *, boxes: bool) -> Group:
    """Return the group with the pretrained model asked for all of its modality, and its size."""
    name = {"image": data.photos, "text": data.text}.get(group.modality)
    if name is not None and group.encoder.name != PRETRAINED_ENCODER:
        encoder = Component(name=PRETRAINED_ENCODER, options={"model": name})
        pooling = group.pooling if group.pooling.name == "grid" else Component(name="mean")
        group = group.model_copy(update={"encoder": encoder, "pooling": pooling})
    if group.encoder.name != PRETRAINED_ENCODER or group.modality != "image" or not boxes:
        return group
    # A box is found in parts of a photo, of which a small one has too few.
    sized = Component(
        name=PRETRAINED_ENCODER, options={"size": BOX_PIXELS, **group.encoder.options}
    )
    return group.model_copy(update={"encoder": sized})


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
    values = {"name": name, "modality": modality, "columns": columns, "encoder": encoder}
    # left open where it is a group's own default, so that heads can ask for another
    usual = pooling == Group.model_fields["pooling"].default.name
    return Group.model_validate(values if usual else {**values, "pooling": pooling})


def resolve_auto(
    config: Config, table: Table, splits: NDArray[Any], *, boxes: bool = False
) -> Config:
    """Return the config with numbers where `training` says `auto`.

    `fold_models`: five networks up to 8,000 rows, one beyond, for very few rows and for a table
    larger than memory; where they share chosen validation rows, as `most_networks` says.
    `epochs`: fewer the more training rows there are. `batch_size`: small for few rows, so that
    there are steps enough. Where a head predicts a box, few photos are read more often, since each
    is another one every time (`augment_boxed`), and make several networks, too.

    Args:
        config: What the user wants.
        table: The rows.
        splits: Split of each row, object (N,).
        boxes: Whether a head predicts a box in a photo.
    """
    train, kept = int((splits == "train").sum()), int((splits != "test").sum())
    epochs = min(max(MOST_READ // max(train, 1), LEAST_EPOCHS), EPOCHS)
    batch_size = SMALL_BATCH_SIZE if train <= SMALL_BATCH_ROWS else BATCH_SIZE
    least = LEAST_BOXES if boxes else LEAST_ROWS
    fold_models = FOLD_MODELS if least <= kept <= FOLD_MODEL_ROWS else 1
    if least <= kept and validation_is_chosen(config, table):
        fold_models = most_networks(EPOCHS, train)
    patience = PATIENCE
    if boxes:
        often = BOX_STEPS * batch_size // max(train, 1)
        epochs = max(epochs, min(often, BOX_EPOCHS))
        patience = max(patience, epochs // 3)
    resolved = {
        "fold_models": 1 if on_disk(table.frame) else fold_models,
        "epochs": epochs,
        "batch_size": batch_size,
        "patience": patience,
    }
    left = {key: n for key, n in resolved.items() if getattr(config.training, key) == "auto"}
    return config.merge(training=left) if left else config


def most_networks(epochs: int, rows: int) -> int:
    """Return how many networks that learn from so many rows are worth their time, at least one.

    Example:
    >>> most_networks(25, 800), most_networks(25, 4_000), most_networks(25, 10_000)
    (5, 2, 1)
    """
    return min(max(NETWORKS_READ // (epochs * max(rows, 1)), 1), FOLD_MODELS)


def uses_k_fold(config: Config, table: Table) -> bool:
    """Tell whether each network leaves out a fold of the training and validation rows.

    Validation rows that somebody chose stay validation rows, as do the latest ones.
    """
    return config.training.fold_models != 1 and not validation_is_chosen(config, table)


def validation_is_chosen(config: Config, table: Table) -> bool:
    """Tell whether the validation rows are not drawn at random."""
    split = config.data.split
    return split.method == "time" or (
        split.method == "column" and names_validation(table.frame[str(split.column)])
    )
