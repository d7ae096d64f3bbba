"""Fine-tuning: carry the weights of a trained model over to another spec, by name.

Where weights belong to words, categories, columns or groups (see `named_axes`), they are carried
over by name. A new word or category starts where the unknown one ended, a new column without
effect. The outputs of a class or label are carried over by its name, too; a new one starts fresh.
Other weights are carried over where their shapes agree, unless it cannot be told what they are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, choices
from multimodal.core.spec import FittedGroup, FittedSpec
from multimodal.encoders.cells import TabularEncoder
from multimodal.models.fitted import FittedModel

UNKNOWN = "unknown"
# A name says what a row or column of a weight belongs to; its first entry is the kind of thing,
# such as "word" or a column. Weights without names belong to no column.
Names = list[tuple[Any, ...]]
Axes = dict[int, Names]
OWN_PACKAGE = __name__.partition(".")[0]


def continue_config(origin: FittedModel, config: Config, targets: Sequence[str]) -> Config:
    """Return the origin's config with the new data and training sections.

    Groups that `config` leaves open come from the origin, without the file of their word vectors,
    and so do heads, where they learn the same targets. The fusion and the size of the photos are
    always the origin's.

    Raises:
        ConfigError: `config` asks for another fusion.
    """
    before = origin.config
    # The default fusion is also what a config has that says nothing of it: no wish for another.
    if config.fusion not in (Config().fusion, before.fusion):
        raise ConfigError(
            f"fusion '{config.fusion.name}' differs from that of the run whose weights it is "
            f"to start from, '{before.fusion.name}'. Leave `fusion` out, or train without --from."
        )
    learned = {column for head in before.heads for column in head.columns}
    same = not targets or learned == set(targets)
    heads = config.heads or (before.heads if same else [])
    sizes = {"image_size": before.data.image_size}
    sizes["max_words"] = max(before.data.max_words, config.data.max_words)
    data = config.data.model_copy(update=sizes)
    known = [group.model_copy(update={"vectors": None}) for group in before.groups]
    kept = {"groups": config.groups or known, "fusion": before.fusion, "data": data}
    return config.model_copy(update={**kept, "heads": heads})


def freeze_groups(
    model: keras.Model, config: Config, spec: FittedSpec, groups: Sequence[str]
) -> None:
    """Let the encoders and poolings of all groups learn but those of `groups`."""
    for group, fitted in zip(config.groups, spec.groups, strict=True):
        parts = {f"{fitted.name}_encoder", f"{fitted.name}_pooling"}  # token fusions do not pool
        for layer in (layer for layer in model.layers if layer.name in parts):
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
    weights = {variable.path: keras.ops.convert_to_numpy(variable) for variable in old.weights}
    outputs, other = _class_outputs(old_spec, new_spec), _other_heads(old_spec, new_spec)
    lost = fresh_encoders(old, old_spec, new, new_spec)
    not_carried = {*other, *(f"{group}_encoder" for group in lost)}
    old_axes, new_axes = named_axes(old, old_spec), named_axes(new, new_spec)
    carried, fresh = 0, []
    # By path rather than position: a group or column more would move all that follow.
    for variable in new.weights:
        path, part = variable.path, variable.path.split("/")[0]
        before, start = weights.get(path), keras.ops.convert_to_numpy(variable)
        if before is None or part in not_carried:
            after = None
        elif part in outputs:
            per_class = _is_per_class(before, variable, *outputs[part])
            after = _moved_outputs(before, start, *outputs[part]) if per_class else None
        else:
            after = moved(path, before, old_axes.get(path, {}), start, new_axes.get(path, {}))
        if after is None:
            fresh.append(path)
            continue
        variable.assign(after)
        carried += 1
    return [
        f"carried over {carried} of {carried + len(fresh)} weights",
        *_changes(old_spec, new_spec),
        *(f"group '{name}': its encoder starts fresh, since {why}" for name, why in lost.items()),
        *_head_changes(outputs, other),
    ] + [f"fresh: {path}" for path in fresh]


def _class_outputs(old: FittedSpec, new: FittedSpec) -> dict[str, tuple[list[str], list[str]]]:
    """Return, by head, the old and the new classes, where they are not one and the same list."""
    before = {head.name: head for head in old.heads}
    return {
        head.name: (before[head.name].classes, head.classes)
        for head in new.heads
        if head.name in before
        and head.kind == before[head.name].kind
        and head.classes != before[head.name].classes
    }


def _other_heads(old: FittedSpec, new: FittedSpec) -> list[str]:
    """Name the heads that learn another kind of label than the head of that name did."""
    before = {head.name: head.kind for head in old.heads}
    return [head.name for head in new.heads if before.get(head.name, head.kind) != head.kind]


def _is_per_class(before: NDArray[Any], after: Any, old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether the last axis of both variables has one place for each class."""
    shape = tuple(after.shape)
    same = before.shape[:-1] == shape[:-1]
    return same and before.shape[-1:] == (len(old),) and shape[-1:] == (len(new),)


def _moved_outputs(
    before: NDArray[Any], fresh: NDArray[Any], old: Sequence[str], new: Sequence[str]
) -> NDArray[Any]:
    """Return `fresh` with the outputs of `before` under the same class names."""
    where = {name: i for i, name in enumerate(old)}
    result = fresh.copy()
    for i, name in enumerate(new):
        if name in where:
            result[..., i] = before[..., where[name]]
    return result


def _head_changes(
    outputs: dict[str, tuple[list[str], list[str]]], other: Sequence[str]
) -> list[str]:
    """Say which classes were known, head by head."""
    found = [f"head '{name}' learns another kind of label and starts fresh" for name in other]
    for name, (old, new) in outputs.items():
        known = len(set(old) & set(new))
        found.append(f"head '{name}': {known:,} classes known, {len(new) - known:,} new")
    return found


def _changes(old: FittedSpec, new: FittedSpec) -> list[str]:
    """Say, group by group, what was known and what is new or gone."""
    before = {group.name: group for group in old.groups}
    after = {group.name: group for group in new.groups}
    found = [f"group '{name}' is new" for name in after if name not in before]
    found += [f"group '{name}' is gone" for name in before if name not in after]
    for name in (name for name in after if name in before):
        found += _group_changes(before[name], after[name])
    return found


def _group_changes(old: FittedGroup, new: FittedGroup) -> list[str]:
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


def named_axes(model: keras.Model, spec: FittedSpec) -> dict[str, Axes]:
    """Return the names along the axes of each weight that has any, by path and number of the axis.

    Example:
    >>> named_axes(keras.Sequential(), FittedSpec(groups=[], heads=[]))
    {}
    """
    layers = {layer.name: layer for layer in model.layers}
    found = _fusion_axes(layers, spec)
    for group in spec.groups:
        encoder = layers.get(f"{group.name}_encoder")
        named: dict[str, Axes] = {}
        if group.modality == "text":
            named["embedding/embeddings"] = {0: _words(group)}
        elif isinstance(encoder, TabularEncoder):
            named = _tabular_axes(encoder, group)
        found |= {f"{group.name}_encoder/{path}": axes for path, axes in named.items()}
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    return {path: axes for path, axes in found.items() if _fits(axes, shapes.get(path, ()))}


def moved(
    path: str, before: NDArray[Any], old: Axes, fresh: NDArray[Any], new: Axes
) -> NDArray[Any] | None:
    """Return `fresh` with the entries of `before` under the same names, or None if neither fits.

    A new word or category starts from the unknown one of its kind. What else is new keeps its fresh
    values in a table, and gets zeros in a kernel, so that it is without effect as yet.
    """
    if old.keys() != new.keys() or before.ndim != fresh.ndim:
        return None
    if any(before.shape[i] != fresh.shape[i] for i in range(fresh.ndim) if i not in new):
        return None
    if old == new:
        return before
    to, source = [], []
    for i in range(fresh.ndim):
        rows = _rows(old[i], new[i]) if i in new else [(k, k) for k in range(fresh.shape[i])]
        to.append([there for there, _ in rows])
        source.append([here for _, here in rows])
    # The kernel that embeds each number by itself is a table: a new column needs values in it.
    kernel = path.endswith("/kernel") and "/numbers/" not in path
    result = np.zeros_like(fresh) if kernel else fresh.copy()
    result[np.ix_(*to)] = before[np.ix_(*source)]
    return result


def fresh_encoders(
    old: keras.Model, old_spec: FittedSpec, new: keras.Model, new_spec: FittedSpec
) -> dict[str, str]:
    """Return the groups whose encoder cannot go on from its weights, and why, by group name."""
    before = {group.name: group for group in old_spec.groups}
    found = {}
    for group in (group for group in new_spec.groups if group.name in before):
        name = f"{group.name}_encoder"
        was, now = type(old.get_layer(name)), type(new.get_layer(name))
        if was is not now:
            found[group.name] = f"it was of another kind ({was.__name__})"
        elif not _same_columns(now, before[group.name], group):
            found[group.name] = "its columns changed, and its weights do not tell them apart"
    return found


def _same_columns(kind: type, old: FittedGroup, new: FittedGroup) -> bool:
    """Whether the weights of an encoder of class `kind` stand for the same columns.

    Of the project's own encoders the axes are named; of anybody else's nothing is known.
    """
    if new.modality == "series":
        lists = len(new.channels) == len(new.columns)
        return not lists or [c.source for c in old.channels] == [c.source for c in new.channels]
    if new.modality != "tabular" or kind.__module__.partition(".")[0] == OWN_PACKAGE:
        return True
    return (old.numeric, old.categorical) == (new.numeric, new.categorical)


def _fits(axes: Axes, shape: Sequence[int]) -> bool:
    return all(i < len(shape) and len(names) == shape[i] for i, names in axes.items())


def _rows(old: Names, new: Names) -> list[tuple[int, int]]:
    """Return pairs (position in `new`, position in `old`) of like names."""
    where = {name: i for i, name in enumerate(old)}
    found = [where.get(name, where.get((name[0], UNKNOWN))) for name in new]
    return [(i, row) for i, row in enumerate(found) if row is not None]


def _words(group: FittedGroup) -> Names:
    # The third entry keeps a word or category that is called "unknown" apart from the unknown one.
    return [("word", "padding"), ("word", UNKNOWN), *(("word", w, 0) for w in group.vocabulary)]


def _categories(group: FittedGroup) -> Names:
    """Name the rows of a table that holds the categories of each column in turn."""
    rows: Names = []
    for column in group.categorical:
        rows += [(column.source, "missing"), (column.source, UNKNOWN)]
        rows += [(column.source, name, 0) for name in column.categories]
    return rows


def _numbers(encoder: TabularEncoder, group: FittedGroup) -> Names:
    """Name the embedded numbers; another way to embed them, or other bins, is another name."""
    kind = encoder.numeric_embedding
    bins = kind == "piecewise_linear"
    return [(c.source, c.part, kind, tuple(c.bins) if bins else ()) for c in group.numeric]


def _row(encoder: TabularEncoder, group: FittedGroup) -> Names:
    """Name the entries of a joined row: numbers and missing flags or vectors, then categories."""
    numbers = getattr(encoder, "numbers", None)
    if numbers is None:
        plain = [(column.source, column.part) for column in group.numeric]
        rows: Names = [(*name, kind) for kind in ("value", "flag") for name in plain]
    else:
        size = range(numbers.embedding_dim)
        rows = [(*name, i) for name in _numbers(encoder, group) for i in size]
    table = getattr(encoder, "embedding", None)
    size = range(0 if table is None else table.output_dim)
    return rows + [(column.source, "category", i) for column in group.categorical for i in size]


def _tabular_axes(encoder: TabularEncoder, group: FittedGroup) -> dict[str, Axes]:
    row, numbers = _row(encoder, group), _numbers(encoder, group)
    found: dict[str, Axes] = {
        "embedding/embeddings": {0: _categories(group)},
        "mlp/dense_0/kernel": {0: row},
        "mlp/dense_0/scale_in": {1: row},
    }
    parts = ("kernel", "bias", "missing", "frequencies")
    found |= {f"numbers/{part}": {0: numbers} for part in parts}
    for i in range(getattr(encoder, "num_layers", 0)):
        found[f"thin_{i}/kernel"] = {0: row}
        full = getattr(encoder, "rank", None) is None
        found[f"cross_{i}/kernel"] = {0: row, 1: row} if full else {1: row}
        found[f"cross_{i}/bias"] = {0: row}
    deep = range(getattr(encoder, "hidden_dims", [0])[-1])
    found["joint/kernel"] = {0: [*row, *(("deep", "output", i) for i in deep)]}
    return found


def _fusion_axes(layers: dict[str, Any], spec: FittedSpec) -> dict[str, Axes]:
    """Name the axes of the fusion's kernels that read all groups or score each of them."""
    pools = {group.name: layers.get(f"{group.name}_pooling") for group in spec.groups}
    widths = {name: pool.output.shape[-1] for name, pool in pools.items() if pool is not None}
    if not widths:
        return {}
    # Sorted, as `fusion.base` takes the groups; as in a dict they would be mixed up without an
    # error.
    vectors: Names = [(name, i) for name in sorted(widths) for i in range(widths[name])]
    groups: Names = [(name,) for name in sorted(widths)]
    return {
        "fusion/mlp/dense_0/kernel": {0: vectors},
        "fusion/mlp/dense_0/scale_in": {1: vectors},
        "fusion/score/kernel": {0: vectors, 1: groups},
        "fusion/score/bias": {0: groups},
    }
