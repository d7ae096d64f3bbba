"""Start from a trained run: keep what is known, add what is new, say which is which.

Rows of an embedding belong to words or categories, rows of a first dense kernel to columns or
groups; they are carried over by name. A new word or category starts where the unknown one ended,
a new column without effect. Weights without such rows are carried over where their shapes agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.config import Config
from multimodal.errors import ConfigError, choices
from multimodal.run import Run
from multimodal.spec import FittedGroup, FittedSpec

Rows = dict[str, list[Any]]
_UNKNOWN = "unknown"


def continue_config(origin: Run, config: Config, targets: Sequence[str]) -> Config:
    """Return the origin's config with the new data and training sections.

    Groups that `config` leaves open come from the origin, and so do heads, where they learn the
    same targets. The fusion and the size of the photos are always the origin's.

    Raises:
        ConfigError: `config` asks for another fusion.
    """
    before = origin.config
    if config.fusion not in (Config().fusion, before.fusion):
        raise ConfigError(
            f"fusion '{config.fusion.name}' differs from that of {origin.path}, whose weights it "
            "is to start from. Leave `fusion` out, or train without --from."
        )
    same = {head.column for head in before.heads} == set(targets)
    heads = config.heads or (before.heads if same else [])
    data = config.data.model_copy(update={"image_size": before.data.image_size})
    kept = {"groups": config.groups or before.groups, "fusion": before.fusion, "data": data}
    return config.model_copy(update={**kept, "heads": heads})


def freeze_groups(
    model: keras.Model, config: Config, spec: FittedSpec, groups: Sequence[str]
) -> None:
    """Let the encoders and poolings of all groups learn but those of `groups`."""
    for group, fitted in zip(config.groups, spec.groups, strict=True):
        for part in ("encoder", "pooling"):
            layer = model.get_layer(f"{fitted.name}_{part}")
            layer.trainable = group.name not in groups and fitted.name not in groups


def check_frozen(config: Config, spec: FittedSpec) -> None:
    """Raise ConfigError unless every frozen name is that of a group, as given or as a slug."""
    known = {group.name for group in config.groups} | {group.name for group in spec.groups}
    for name in config.training.freeze:
        if name not in known:
            raise ConfigError(f"cannot freeze group '{name}'. {choices(name, known)}")


def carry_over(
    old: keras.Model, old_spec: FittedSpec, new: keras.Model, new_spec: FittedSpec
) -> list[str]:
    """Copy the weights of `old` into `new` by name; return sentences that say what was carried.

    Args:
        old: The trained model.
        old_spec: Its spec.
        new: A freshly built model.
        new_spec: Its spec, fitted with `old_spec` as base.
    """
    weights = {variable.path: np.asarray(variable) for variable in old.weights}
    old_rows, new_rows = _named_rows(old, old_spec), _named_rows(new, new_spec)
    carried, fresh = 0, []
    for variable in new.weights:
        path, before = variable.path, weights.get(variable.path)
        if before is not None and path in old_rows and path in new_rows:
            moved = _moved(before, old_rows[path], np.asarray(variable), new_rows[path])
            variable.assign(moved)
        elif before is not None and before.shape == tuple(variable.shape):
            variable.assign(before)
        else:
            fresh.append(path)
            continue
        carried += 1
    return [
        f"carried over {carried} of {carried + len(fresh)} weights",
        *_news(old_spec, new_spec),
    ] + [f"fresh: {path}" for path in fresh]


def _moved(
    before: NDArray[Any], old_names: list[Any], fresh: NDArray[Any], new_names: list[Any]
) -> NDArray[Any]:
    """Return `fresh` with the rows of `before` under the same names.

    A new name starts from the row of the unknown one of its kind; one of an unknown kind keeps its
    fresh row in an embedding table, and gets zeros in a kernel.
    """
    where = {name: i for i, name in enumerate(old_names)}
    embedding = ("word", "padding") in where or any(name[-1] == _UNKNOWN for name in old_names)
    result = fresh.copy() if embedding else np.zeros_like(fresh)
    for i, name in enumerate(new_names):
        row = where.get(name, where.get((name[0], _UNKNOWN)))
        if row is not None:
            result[i] = before[row]
    return result


def _named_rows(model: keras.Model, spec: FittedSpec) -> Rows:
    """Return, for each variable whose rows have names, the names by the variable's path."""
    shapes = {variable.path: tuple(variable.shape) for variable in model.weights}
    found: Rows = {}
    for group in spec.groups:
        namers = {"embedding/embeddings": _codes, "mlp/dense_0/kernel": _features}
        for path, namer in namers.items():
            full = f"{group.name}_encoder/{path}"
            if full in shapes:
                found[full] = namer(group, shapes[full][0])
    widths = {g.name: model.get_layer(f"{g.name}_pooling").output.shape[-1] for g in spec.groups}
    found["fusion/mlp/dense_0/kernel"] = [(g, i) for g in sorted(widths) for i in range(widths[g])]
    return {path: names for path, names in found.items() if len(names) == shapes.get(path, (0,))[0]}


def _codes(group: FittedGroup, size: int) -> list[Any]:
    """Name the rows of an embedding table: words, or the categories of each column in turn."""
    if group.modality == "text":
        return [
            ("word", "padding"),
            ("word", _UNKNOWN),
            *(("word", w, 0) for w in group.vocabulary),
        ]
    rows: list[Any] = []
    for column in group.categorical:
        rows += [(column.source, "missing"), (column.source, _UNKNOWN)]
        rows += [(column.source, name, 0) for name in column.categories]
    return rows


def _features(group: FittedGroup, size: int) -> list[Any]:
    """Name the inputs of a first dense layer: numbers, missing flags, embedded categories."""
    numeric = [(column.source, column.part) for column in group.numeric]
    columns = [column.source for column in group.categorical]
    width = (size - 2 * len(numeric)) // max(len(columns), 1)
    rows: list[Any] = [(*name, kind) for kind in ("value", "flag") for name in numeric]
    return rows + [(name, i) for name in columns for i in range(width)]


def _news(old: FittedSpec, new: FittedSpec) -> list[str]:
    """Say, group by group, what was known and what is new or gone."""
    before = {group.name: group for group in old.groups}
    after = {group.name: group for group in new.groups}
    found = [f"group '{name}' is new" for name in after if name not in before]
    found += [f"group '{name}' is gone" for name in before if name not in after]
    for name in (name for name in after if name in before):
        found += _group_news(before[name], after[name])
    return found


def _group_news(old: FittedGroup, new: FittedGroup) -> list[str]:
    found = []
    gone, fresh = set(old.columns) - set(new.columns), set(new.columns) - set(old.columns)
    for word, columns in (("gone", gone), ("new", fresh)):
        if columns:
            found.append(f"group '{new.name}': columns {word}: {', '.join(sorted(columns))}")
    if new.vocabulary:
        known = len(old.vocabulary)
        found.append(
            f"group '{new.name}': {known:,} words known, {len(new.vocabulary) - known:,} new"
        )
    known_categories = {column.source: set(column.categories) for column in old.categorical}
    for column in new.categorical:
        if column.source in known_categories:
            added = len(set(column.categories) - known_categories[column.source])
            total = len(known_categories[column.source])
            found.append(f"column '{column.source}': {total:,} categories known, {added:,} new")
    return found
