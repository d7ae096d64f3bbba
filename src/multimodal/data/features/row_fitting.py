"""What a model is fitted with before any weight: groups, heads and terms of the training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.config import Config
from multimodal.core.spec import FittedSpec, unique_slugs
from multimodal.data.columns.schema import Schema
from multimodal.data.features.fit import fit_spec
from multimodal.data.labels import read
from multimodal.data.prepared import Base, Floats, Labels
from multimodal.data.read.lazy_text import in_memory
from multimodal.data.read.sampling import sample_rows
from multimodal.data.read.table import Table
from multimodal.data.sparse.fit import fit_terms


def fit_rows(
    config: Config, schema: Schema, table: Table, found: Labels, weights: Floats,
    train: NDArray[np.bool_], base: Base | None,
) -> FittedSpec:  # fmt: skip
    """Fit groups on the rows `train` bool (N,), heads on those of them that weigh anything."""
    names = unique_slugs([g.name for g in config.groups] + [h.name for h in config.heads])
    heads = [
        read.fit_head(head, name, found[head.name], train & (weights > 0))
        for head, name in zip(config.heads, names[len(config.groups) :], strict=True)
    ]
    rows = sample_rows(table.frame, np.flatnonzero(train))
    target = found[config.heads[0].name].truth(heads[0].classes)[rows]
    frame = in_memory(table.frame.iloc[rows])
    spec = fit_spec(config, schema, frame, base[1] if base else None, target)
    groups = spec.groups
    if len(rows) < train.sum():  # a group may be absent in a row that was not looked at
        groups = [group.model_copy(update={"optional": True}) for group in groups]
    return spec.model_copy(update={"groups": groups, "heads": heads})


def with_terms(
    spec: FittedSpec, schema: Schema, table: Table, sides: NDArray[Any],
    targets: NDArray[np.float64] | None = None,
) -> FittedSpec:  # fmt: skip
    """Return the spec with the terms that all rows but the test rows hold.

    Targets are those of `waves.wave_targets`, of all rows; without any there are no waves.
    """
    units = {column.name: column.unit for column in schema.columns}
    rows = np.flatnonzero(sides != "test")
    learned = None if targets is None else targets[rows]
    terms = fit_terms(spec, units, table.frame.iloc[rows], learned)
    return spec.model_copy(update={"terms": terms})
