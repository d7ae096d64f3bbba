"""Permutation importance: how much worse each head gets where a group or column is permuted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd
from keras import tree
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.spec import FittedGroup
from multimodal.data.features.preprocess import Arrays
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.sparse.ngrams import Matrix
from multimodal.evaluation.bootstrap import confidence_interval
from multimodal.evaluation.measures import optimised_metric, shortfall
from multimodal.evaluation.records import (
    IMPORTANCE_FILE,
    HeadImportance,
    Importance,
    PermutationImportance,
)
from multimodal.evaluation.task import Task, has_label, has_prediction, measure
from multimodal.explain.attribution import floats
from multimodal.explain.columns import sources
from multimodal.explain.submodels import Encoded, HeadSubmodels, encode_rows, take
from multimodal.models.build import head_layer
from multimodal.models.fitted import FittedModel

__all__ = ["IMPORTANCE_FILE", "MOST_ROWS", "Importance", "importance"]

MOST_ROWS = 1000
REPEATS = 5  # permutations of each group or column; fewer of many rows, since
PERMUTED_ROWS = 2000  # of so many rows in all the chance of the permutations is small beside theirs
DRAWS = 100  # bootstrap samples of the rows, each on one of the permutations
MOST_COLUMNS = 50
FEWEST, MOST = 256, 2048  # permuted rows predicted at once, so that a fusion is given
CHUNK = 2**22  # numbers at most of them


@dataclass(frozen=True)
class Permutation:
    """What is taken from other rows: all of a group, or one column of the table.

    Attributes:
        order: The row that each row takes it from, (rows,).
        group: The name of the group; None for a column.
        column: The column of the table.
    """

    order: Ints
    group: str | None = None
    column: str | None = None


def importance(
    model: FittedModel,
    rows: pd.DataFrame,
    root: PhotoRoot,
    labels: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
    *,
    seed: int = 0,
) -> Importance:
    """Return the permutation importance of every group, and of every column of the table.

    The values of one group or column are permuted among the rows, up to five times, for networks
    and linear model alike; encoded rows are permuted where that is the same. The intervals are of
    bootstraps over the rows, each on one of the permutations, and so hold the chance of both. At
    most 50 columns are looked at.

    Args:
        model: The fitted model.
        rows: Raw rows, such as a thousand.
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
        plain = head.plain
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
    metric = optimised_metric(head.task, measured)

    def error(outputs: Floats, chosen: Ints) -> float:
        return shortfall(metric, metrics(outputs, chosen).get(metric, np.nan))

    drawn = [random.choice(rows, len(rows)) for _ in range(DRAWS)]
    before, drawn_before = error(plain, rows), [error(plain, each) for each in drawn]
    repeats = int(np.clip(PERMUTED_ROWS // len(rows), 1, REPEATS))
    orders = [_order(random, rows, len(plain)) for _ in range(repeats)]

    def permuted(
        name: str, kind: Literal["group", "column"], outputs: Floats
    ) -> PermutationImportance:
        after = float(np.mean([error(each, rows) for each in outputs]))
        changes = [
            error(outputs[i % repeats], each) - drawn_before[i] for i, each in enumerate(drawn)
        ]
        found = confidence_interval([after - before, *changes])
        return PermutationImportance(
            name=name, kind=kind, error=after, change=found.value, low=found.low, high=found.high
        )

    columns = sources([group for group in head.groups if group.modality == "tabular"])
    names: list[tuple[str, Literal["group", "column"]]] = [(g.name, "group") for g in head.groups]
    names += [(column, "column") for column in columns[:MOST_COLUMNS]]
    wanted = [Permutation(order, **{kind: name}) for name, kind in names for order in orders]
    outputs = head.outputs(wanted).reshape(len(names), repeats, *plain.shape)
    needs = [permuted(*each, one) for each, one in zip(names, outputs, strict=True)]
    return HeadImportance(metric=metric, error=before, rows=len(rows), repeats=repeats, needs=needs)


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
        self.submodels = submodels
        self.arrays, self.encoded, self.terms = arrays, encoded, terms
        self.added: Floats | None = None
        if self.linear is not None:
            self.added = self.linear.raw(terms, arrays.rows) + self.linear.constant
        self.layer = head_layer(model.model, task.name)
        self.groups = model.spec.groups
        size = sum(each[0].size for each in tree.flatten(encoded[0]))  # of one row
        self._added_by: dict[tuple[tuple[str, ...], str | None], Floats] = {}
        self._chunk = int(np.clip(CHUNK // size, FEWEST, MOST))

    @cached_property
    def plain(self) -> Floats:
        """Outputs (rows, width) with everything in its place."""
        found: Floats = self.outputs([Permutation(np.arange(self.arrays.rows))])[0]
        return found

    def outputs(self, permutations: Sequence[Permutation]) -> Floats:
        """Return (permutations, rows, width), several permutations predicted at once.

        A call of a network costs as much as a hundred rows in it do: each of some rows, one for
        each permutation, would be most of the time.
        """
        size = self.arrays.rows
        found = []
        for first in range(0, len(permutations) * size, self._chunk):
            chosen = np.arange(first, min(first + self._chunk, len(permutations) * size))
            found.append(self._of_networks(permutations, chosen // size, chosen % size))
        raw = np.concatenate(found)
        if self.submodels.network_weight is not None:
            raw = self.submodels.network_weight * raw
        if self.linear is not None:
            raw = raw + np.concatenate([self._of_linear(each) for each in permutations])
        if self.submodels.kernels:
            raw = raw + np.concatenate([self._of_kernels(each) for each in permutations])
        decoded = floats(self.layer.decode(keras.ops.convert_to_tensor(raw, dtype="float32")))
        return decoded.reshape(len(permutations), size, -1)

    def _of_networks(
        self, permutations: Sequence[Permutation], which: Ints, places: Ints
    ) -> Floats:
        """Return the mean raw outputs of networks for rows, each with one of the permutations."""
        cases = [(permutations[i], np.flatnonzero(which == i)) for i in np.unique(which)]
        taken = {group.name: places.copy() for group in self.groups}
        for each, rows in cases:
            if each.group is not None:
                taken[each.group][rows] = each.order[places[rows]]
        own: dict[str, dict[str, NDArray[Any]]] = {}
        for each, rows in cases:
            others = each.order[places[rows]]
            for group in self._tables(each.column):
                inputs = own.setdefault(group.name, self._inputs(group, taken[group.name]))
                for key, columns in _columns(group, each.column).items():
                    inputs[key][rows[:, None], columns] = self.arrays.inputs[key][others][
                        :, columns
                    ]
        raw = []
        for network, encoded in zip(self.networks, self.encoded, strict=True):
            given = {name: take({name: encoded[name]}, rows)[name] for name, rows in taken.items()}
            changed = {name: network.encode_group(name, each) for name, each in own.items()}
            raw.append(network.raw(given | changed))
        return floats(keras.ops.mean(keras.ops.stack(raw), axis=0))

    def _of_kernels(self, permutation: Permutation) -> Floats:
        """Return what frozen features add to the raw outputs of all rows."""
        inputs = dict(self.arrays.inputs)
        key = f"{permutation.group}_features"
        if key in inputs:
            inputs[key] = inputs[key][permutation.order]
        return np.asarray(self.submodels.of_kernels(inputs))

    def _of_linear(self, permutation: Permutation) -> Floats:
        """Return what the linear model adds where some blocks are taken from other rows."""
        assert self.linear is not None and self.added is not None
        order, column = permutation.order, permutation.column
        tables = self._tables(column)
        groups = (
            [group.name for group in tables] if permutation.group is None else [permutation.group]
        )
        own = self._blocks(tuple(groups), column)
        linear = self.added + own[order] - own
        inputs: dict[str, NDArray[Any]] = {}
        for group in tables:
            inputs |= self._inputs(group, np.arange(len(order)))
            for key, columns in _columns(group, column).items():
                inputs[key][:, columns] = inputs[key][order][:, columns]
        # random features mix all columns of a group: they are computed anew
        for i, matrix in self.linear.random_features(inputs) if inputs else ():
            kept = matrix.multiply(self.terms[i] != 0)  # a row keeps `lengths` terms at most
            linear = linear + self.linear.raw([kept - self.terms[i]], len(linear))
        return np.asarray(linear)

    def _blocks(self, groups: tuple[str, ...], column: str | None) -> Floats:
        """Return what the blocks of groups, or of a column in them, add to each row."""
        assert self.linear is not None
        if (groups, column) not in self._added_by:
            chosen = [self.terms[i] for i in self.linear.positions(groups, column)]
            self._added_by[groups, column] = self.linear.raw(chosen, self.arrays.rows)
        return self._added_by[groups, column]

    def _tables(self, column: str | None) -> list[FittedGroup]:
        """Return the groups that read a column of the table."""
        return [group for group in self.groups if column is not None and column in sources([group])]

    def _inputs(self, group: FittedGroup, places: Ints) -> dict[str, NDArray[Any]]:
        return {key: self.arrays.inputs[key][places] for key in group.input_keys}


def _columns(group: FittedGroup, column: str | None) -> dict[str, list[int]]:
    """Return where a column of the table lies in the inputs of a group, by input key."""
    kinds = {
        "numeric": [each.source for each in group.numeric],
        "categorical": [each.source for each in group.categorical],
    }
    return {
        f"{group.name}_{kind}": [i for i, name in enumerate(names) if name == column]
        for kind, names in kinds.items()
        if names
    }
