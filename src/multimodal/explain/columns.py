"""How much each column of the table moved the score of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from keras import tree
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.spec import MISSING, FittedGroup
from multimodal.data.columns.cells import as_text
from multimodal.data.features.preprocess import Arrays
from multimodal.data.sparse.ngrams import Matrix
from multimodal.evaluation.task import Task
from multimodal.explain.attribution import Part, Row, floats, shares
from multimodal.explain.linear import LinearScores
from multimodal.explain.records import ColumnScore, ColumnScores
from multimodal.explain.submodels import Cut, Encoded, take
from multimodal.models.build import head_layer

if TYPE_CHECKING:
    from multimodal.models.fitted import FittedModel

MOST_FREQUENT = 2
"""The code of a column's first category; categories are listed by how often they are seen."""
NO_VALUE = "missing"


def explain_columns(
    row: Row,
    groups: Sequence[FittedGroup],
    frame: pd.DataFrame,
    linear: LinearScores | None = None,
) -> ColumnScores | None:
    """Return the Shapley values of the table's columns, None where there are none to explain.

    A cell is compared with a typical value: the median of the training rows, or their most
    frequent category. The parts of a date belong together. Exact for at most eight columns.

    Args:
        row: The row, encoded.
        groups: The groups of the table that the row has.
        frame: The raw row.
        linear: What the linear model of terms adds to the row's score, where there is one.
    """
    names = sources(groups)
    if not names:
        return None
    own = {key: np.asarray(row.inputs[key]) for group in groups for key in group.input_keys}
    places = {name: i for i, name in enumerate(names)}

    def function(who: Bools) -> Floats:
        variants = {key: np.repeat(array, len(who), axis=0) for key, array in own.items()}
        for group in groups:
            for key, columns, typical in _kinds(group):
                kept = who[:, [places[column] for column in columns]]
                variants[key] = np.where(kept, own[key], typical).astype(own[key].dtype)
        found = floats(row.scores(variants, [group.name for group in groups]))
        return found if linear is None else found + linear.waves(variants)

    scores, exact = shares(function, len(names))
    start, end = function(np.array([[False] * len(names), [True] * len(names)])).tolist()
    if linear is not None:
        moved = linear.columns([group.name for group in groups], names)
        scores = scores + moved
        rest = linear.total - float(linear.waves(own)[0])
        start, end = start + rest - float(moved.sum()), end + rest
    typical = _typical(groups)
    columns = [
        ColumnScore(name, _shown(frame[name].iloc[0]), typical[name], float(score))
        for name, score in zip(names, scores, strict=True)
    ]
    return ColumnScores(columns, start, end, exact)


def sources(groups: Sequence[FittedGroup]) -> list[str]:
    """Return the columns that groups of the table read, each once."""
    read: dict[str, None] = {}
    for group in groups:
        read |= dict.fromkeys(number.source for number in group.numeric)
        read |= dict.fromkeys(column.source for column in group.categorical)
    return list(read)


def _kinds(group: FittedGroup) -> list[tuple[str, list[str], Any]]:
    """Return the key, the source columns and the typical values of each input of a group."""
    found: list[tuple[str, list[str], Any]] = []
    if group.numeric:  # they are centred on their median
        found.append((f"{group.name}_numeric", [each.source for each in group.numeric], 0.0))
    if group.categorical:
        codes = [MOST_FREQUENT if each.categories else MISSING for each in group.categorical]
        columns = [each.source for each in group.categorical]
        found.append((f"{group.name}_categorical", columns, np.array(codes)))
    return found


def _typical(groups: Sequence[FittedGroup]) -> dict[str, str]:
    """Return the typical value of each column, as shown."""
    found: dict[str, str] = {}
    for group in groups:
        for number in group.numeric:
            shown = f"{number.centre:.6g}" if number.part is None else "median date"
            found[number.source] = shown
        for column in group.categorical:
            found[column.source] = column.categories[0] if column.categories else NO_VALUE
    return found


def _shown(value: Any) -> str:
    return as_text([value])[0] or NO_VALUE


CHUNK = 256


class Shuffled:
    """Decoded outputs of one head, with encoded groups or table columns in another order.

    Args:
        model: The fitted model.
        task: What the head is asked.
        whole: The run's model, cut for the head.
        arrays: Rows as the model takes them.
        encoded: The rows as each network's fusion is given them.
        terms: Their terms, one matrix for each block; none without a linear model.
    """

    def __init__(
        self,
        model: FittedModel,
        task: Task,
        whole: Cut,
        arrays: Arrays,
        encoded: Sequence[Encoded],
        terms: Sequence[Matrix],
    ) -> None:
        self.task, self.parts, self.arrays, self.encoded = task, whole.parts, arrays, encoded
        self.linear, self.terms = whole.linear, terms
        self.added: Floats | None = None
        if self.linear is not None:
            self.added = self.linear.raw(terms, arrays.rows) + self.linear.constant
        self.layer = head_layer(model.model, task.name)
        self.groups = model.spec.groups

    def outputs(self, shuffled: Mapping[str, Ints]) -> Floats:
        """Return (rows, width), the groups named by `shuffled` taken from other rows."""

        def changed(rows: Any, part: Part, places: Ints, i: int) -> Any:
            others = {
                group: take({group: self.encoded[i][group]}, order[places])[group]
                for group, order in shuffled.items()
            }
            return rows | others

        linear = self.added
        for group, order in shuffled.items():
            linear = self._moved(linear, [group], None, order)
        return self._outputs(changed, linear)

    def with_column(self, column: str, order: Ints) -> Floats:
        """Return (rows, width), one column of the table taken from other rows."""
        groups = [group for group in self.groups if column in sources([group])]
        inputs = dict(self.arrays.inputs)
        for group in groups:
            inputs |= _shuffled(group, column, inputs, order)

        def changed(rows: Any, part: Part, places: Ints, i: int) -> Any:
            others = {}
            for group in groups:
                own = {key: inputs[key][places] for key in group.input_keys}
                others[group.name] = part.encode_group(group.name, own)
            return rows | others

        names = [group.name for group in groups]
        keys = [key for group in groups for key in group.input_keys if key in inputs]
        moved = self._moved(self.added, names, column, order)
        return self._outputs(changed, self._waved(moved, {key: inputs[key] for key in keys}))

    def _waved(self, added: Floats | None, inputs: Mapping[str, Any]) -> Floats | None:
        """Return what the linear model adds where groups have other numbers and categories."""
        if self.linear is None or added is None:
            return None
        for i, matrix in self.linear.waves(inputs):
            kept = matrix.multiply(self.terms[i] != 0)  # some were cut
            added = added + self.linear.raw([kept - self.terms[i]], len(added))
        return added

    def _moved(
        self,
        added: Floats | None,
        groups: Sequence[str],
        column: str | None,
        order: Ints,
    ) -> Floats | None:
        """Return what the linear model adds where some blocks are taken from other rows."""
        if self.linear is None or added is None:
            return None
        chosen = [self.terms[i] for i in self.linear.positions(groups, column)]
        own = self.linear.raw(chosen, len(order))
        moved: Floats = added + own[order] - own
        return moved

    def _outputs(self, changed: Callable[..., Any], linear: Floats | None) -> Floats:
        size, found = len(tree.flatten(self.encoded[0])[0]), []
        for first in range(0, size, CHUNK):
            places = np.arange(first, min(first + CHUNK, size))
            raw = [
                part.raw(changed(take(rows, places), part, places, i))
                for i, (part, rows) in enumerate(zip(self.parts, self.encoded, strict=True))
            ]
            mean = keras.ops.mean(keras.ops.stack(raw), axis=0)
            if self.linear is not None and linear is not None:
                whole = self.linear.share * floats(mean) + linear[places]
                mean = keras.ops.convert_to_tensor(whole, dtype="float32")
            found.append(floats(self.layer.decode(mean)))
        return np.concatenate(found)


def _shuffled(
    group: FittedGroup, column: str, inputs: Mapping[str, Any], order: Ints
) -> dict[str, NDArray[Any]]:
    """Return the inputs of a group with one column in another order."""
    found = {}
    for kind, columns in (
        ("numeric", [number.source for number in group.numeric]),
        ("categorical", [each.source for each in group.categorical]),
    ):
        places = [i for i, each in enumerate(columns) if each == column]
        if places:
            changed = inputs[f"{group.name}_{kind}"].copy()
            changed[:, places] = changed[order][:, places]
            found[f"{group.name}_{kind}"] = changed
    return found
