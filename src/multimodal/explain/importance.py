"""Permutation importance: how much worse each head gets where a group or column is permuted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import tree
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.spec import FittedGroup
from multimodal.data.features.preprocess import Arrays
from multimodal.data.sparse.ngrams import Matrix
from multimodal.evaluation.bootstrap import confidence_interval
from multimodal.evaluation.measures import MAIN, shortfall
from multimodal.evaluation.records import (
    IMPORTANCE_FILE,
    HeadImportance,
    Importance,
    PermutationImportance,
)
from multimodal.evaluation.task import Task, has_label, has_prediction, measure
from multimodal.explain.attribution import Submodel, floats
from multimodal.explain.columns import sources
from multimodal.explain.submodels import Encoded, HeadSubmodels, encode_rows, take
from multimodal.models.build import head_layer
from multimodal.models.fitted import FittedModel

__all__ = ["IMPORTANCE_FILE", "MOST_ROWS", "Importance", "importance"]

MOST_ROWS = 2000
REPEATS = 5  # permutations of each group or column
DRAWS = 100  # bootstrap samples of the rows, each on one of the permutations
MOST_COLUMNS = 50
CHUNK = 256


def importance(
    model: FittedModel,
    rows: pd.DataFrame,
    root: Path,
    labels: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
    *,
    seed: int = 0,
) -> Importance:
    """Return the permutation importance of every group, and of every column of the table.

    The values of one group or column are permuted among the rows, five times, for networks and
    linear model alike; encoded rows are permuted where that is the same. The intervals are of
    bootstraps over the rows, each on one of the permutations. At most 50 columns are looked at.

    Args:
        model: The fitted model.
        rows: Raw rows, up to some thousands.
        root: Folder that photo paths start from.
        labels: Labels by head, as `evaluation.measure` takes them; heads may be left out.
        weights: Row weights by head.
        seed: Seed of the permutations and bootstraps.

    References:
        Breiman, Random Forests, 2001; Fisher et al., All Models are Wrong, but Many are Useful,
        2019.
    """
    heads: dict[str, HeadImportance] = {}
    arrays = model.preprocessor.arrays(rows, root)
    encoded: list[Encoded] | None = None
    terms: list[Matrix] | None = None
    faults: dict[int, str] = {}
    for task in (task for task in model.tasks if task.name in labels):
        submodels = HeadSubmodels.of(model, task.name)
        if encoded is None:  # the heads share encoders and fusion
            encoded, faults = encode_rows(submodels.networks, arrays)
        if terms is None and submodels.linear is not None:
            terms = submodels.linear.matrices(rows)
        head = PermutedHead(model, task, submodels, arrays, encoded, terms or [])
        y_true, weight = labels[task.name], weights[task.name]
        plain = head.outputs({})
        known = has_label(task, y_true) & (weight > 0) & has_prediction(plain)
        known[list(faults)] = False
        scored = np.flatnonzero(known)
        if len(scored) > 1:
            random = np.random.default_rng(seed)
            heads[task.name] = _head(head, plain, scored, y_true, weight, random)
    return Importance(heads=heads)


def _head(
    head: PermutedHead,
    plain: Floats,
    rows: Ints,
    y_true: NDArray[Any],
    weight: NDArray[Any],
    random: np.random.Generator,
) -> HeadImportance:
    def metrics(outputs: Floats, chosen: Ints) -> dict[str, float]:
        return measure(head.task, y_true[chosen], outputs[chosen], weight[chosen])

    measured = metrics(plain, rows)
    metric = next(name for name in (*MAIN, "rmse") if name in measured)

    def error(outputs: Floats, chosen: Ints) -> float:
        return shortfall(metric, metrics(outputs, chosen).get(metric, np.nan))

    drawn = [random.choice(rows, len(rows)) for _ in range(DRAWS)]
    before, drawn_before = error(plain, rows), [error(plain, each) for each in drawn]
    orders = [_order(random, rows, len(plain)) for _ in range(REPEATS)]

    def permuted(name: str, kind: Any, outputs: list[Floats]) -> PermutationImportance:
        after = float(np.mean([error(each, rows) for each in outputs]))
        changes = [
            error(outputs[i % REPEATS], each) - drawn_before[i] for i, each in enumerate(drawn)
        ]
        found = confidence_interval([after - before, *changes])
        return PermutationImportance(
            name=name, kind=kind, error=after, change=found.value, low=found.low, high=found.high
        )

    needs = [
        permuted(group.name, "group", [head.outputs({group.name: order}) for order in orders])
        for group in head.groups
    ]
    tables = [group for group in head.groups if group.modality == "tabular"]
    needs += [
        permuted(column, "column", [head.with_column(column, order) for order in orders])
        for column in sources(tables)[:MOST_COLUMNS]
    ]
    return HeadImportance(metric=metric, error=before, rows=len(rows), repeats=REPEATS, needs=needs)


def _order(random: np.random.Generator, rows: Ints, size: int) -> Ints:
    """Return an order of all rows in which the scored ones change places with each other."""
    order = np.arange(size)
    order[rows] = random.permutation(rows)
    return order


class PermutedHead:
    """Decoded outputs of one head, with groups or table columns permuted among the rows.

    Args:
        model: The fitted model.
        task: What the head is asked.
        submodels: The model, split for the head.
        arrays: Rows as the model takes them.
        encoded: The rows as each network's fusion is given them.
        terms: Their sparse features, a matrix for each block; none without a linear model.
    """

    def __init__(
        self,
        model: FittedModel,
        task: Task,
        submodels: HeadSubmodels,
        arrays: Arrays,
        encoded: Sequence[Encoded],
        terms: Sequence[Matrix],
    ) -> None:
        self.task, self.networks, self.linear = task, submodels.networks, submodels.linear
        self.arrays, self.encoded, self.terms = arrays, encoded, terms
        self.added: Floats | None = None
        if self.linear is not None:
            self.added = self.linear.raw(terms, arrays.rows) + self.linear.constant
        self.layer = head_layer(model.model, task.name)
        self.groups = model.spec.groups

    def outputs(self, permuted: Mapping[str, Ints]) -> Floats:
        """Return (rows, width), each group that `permuted` names taken from other rows."""

        def changed(rows: Any, network: Submodel, places: Ints, i: int) -> Any:
            others = {
                group: take({group: self.encoded[i][group]}, order[places])[group]
                for group, order in permuted.items()
            }
            return rows | others

        linear = self.added
        for group, order in permuted.items():
            linear = self._moved(linear, [group], None, order)
        return self._outputs(changed, linear)

    def with_column(self, column: str, order: Ints) -> Floats:
        """Return (rows, width), one column of the table taken from other rows."""
        groups = [group for group in self.groups if column in sources([group])]
        inputs = dict(self.arrays.inputs)
        for group in groups:
            inputs |= _permuted(group, column, inputs, order)

        def changed(rows: Any, network: Submodel, places: Ints, i: int) -> Any:
            others = {}
            for group in groups:
                own = {key: inputs[key][places] for key in group.input_keys}
                others[group.name] = network.encode_group(group.name, own)
            return rows | others

        linear = self._moved(self.added, [group.name for group in groups], column, order)
        if self.linear is not None and linear is not None:
            # random features mix all columns of a group: they are computed anew
            keys = [key for group in groups for key in group.input_keys if key in inputs]
            for i, matrix in self.linear.random_features({key: inputs[key] for key in keys}):
                kept = matrix.multiply(self.terms[i] != 0)  # a row keeps `lengths` terms at most
                linear = linear + self.linear.raw([kept - self.terms[i]], len(linear))
        return self._outputs(changed, linear)

    def _moved(
        self, added: Floats | None, groups: Sequence[str], column: str | None, order: Ints
    ) -> Floats | None:
        """Return what the linear model adds where some blocks are taken from other rows."""
        if self.linear is None or added is None:
            return None
        chosen = [self.terms[i] for i in self.linear.positions(groups, column)]
        own = self.linear.raw(chosen, len(order))
        return np.asarray(added + own[order] - own)

    def _outputs(self, changed: Callable[..., Any], linear: Floats | None) -> Floats:
        size, found = len(tree.flatten(self.encoded[0])[0]), []
        for first in range(0, size, CHUNK):
            places = np.arange(first, min(first + CHUNK, size))
            raw = [
                network.raw(changed(take(rows, places), network, places, i))
                for i, (network, rows) in enumerate(zip(self.networks, self.encoded, strict=True))
            ]
            mean = keras.ops.mean(keras.ops.stack(raw), axis=0)
            if self.linear is not None and linear is not None:
                stacked = self.linear.network_weight * floats(mean) + linear[places]
                mean = keras.ops.convert_to_tensor(stacked, dtype="float32")
            found.append(floats(self.layer.decode(mean)))
        return np.concatenate(found)


def _permuted(
    group: FittedGroup, column: str, inputs: Mapping[str, Any], order: Ints
) -> dict[str, NDArray[Any]]:
    """Return the inputs of a group with one column in another order."""
    found = {}
    for kind, names in (
        ("numeric", [each.source for each in group.numeric]),
        ("categorical", [each.source for each in group.categorical]),
    ):
        places = [i for i, name in enumerate(names) if name == column]
        if places:
            changed = inputs[f"{group.name}_{kind}"].copy()
            changed[:, places] = changed[order][:, places]
            found[f"{group.name}_{kind}"] = changed
    return found
