"""What the rows and columns of a model's weights belong to: words, categories, columns, groups.

Rows of an embedding belong to words or categories; the sides of a kernel that reads a whole row of
a table belong to its numbers and categories, and those of a fusion's kernel to groups. A name is a
tuple whose first entry says what it belongs to. Weights without names belong to no column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.spec import FittedGroup, FittedSpec
from multimodal.encoders.cells import TabularEncoder

UNKNOWN = "unknown"
Names = list[tuple[Any, ...]]
Axes = dict[int, Names]
_OWN = __name__.partition(".")[0]


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
        elif not _same_reading(now, before[group.name], group):
            found[group.name] = "its columns changed, and its weights do not tell them apart"
    return found


def _same_reading(kind: type, old: FittedGroup, new: FittedGroup) -> bool:
    """Whether the weights of an encoder of class `kind` stand for the same columns."""
    if new.modality == "series":
        lists = len(new.channels) == len(new.columns)
        return not lists or [c.source for c in old.channels] == [c.source for c in new.channels]
    if new.modality != "tabular" or kind.__module__.partition(".")[0] == _OWN:
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
    """Name the sides of the fusion's kernels that read all groups or answer for each of them."""
    pools = {group.name: layers.get(f"{group.name}_pooling") for group in spec.groups}
    widths = {name: pool.output.shape[-1] for name, pool in pools.items() if pool is not None}
    if not widths:
        return {}
    vectors: Names = [(name, i) for name in sorted(widths) for i in range(widths[name])]
    groups: Names = [(name,) for name in sorted(widths)]
    return {
        "fusion/mlp/dense_0/kernel": {0: vectors},
        "fusion/mlp/dense_0/scale_in": {1: vectors},
        "fusion/score/kernel": {0: vectors, 1: groups},
        "fusion/score/bias": {0: groups},
    }
