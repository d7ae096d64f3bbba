"""Answers of a whole model to rows in which a group or column is taken from other rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import tree
from numpy.typing import NDArray

from multimodal.core.spec import FittedGroup
from multimodal.data.features.preprocess import Arrays
from multimodal.data.sparse.ngrams import Matrix
from multimodal.evaluation.task import Task
from multimodal.explain.attribution import Part
from multimodal.explain.columns import sources
from multimodal.explain.encoding import Encoded, floats, take
from multimodal.explain.records import Floats
from multimodal.explain.submodels import Cut
from multimodal.models.averaging import head_layer

if TYPE_CHECKING:
    from multimodal.runs.run import Run

CHUNK = 256


class Shuffled:
    """Decoded outputs of one head, with encoded groups or table columns in another order.

    Args:
        run: The run.
        task: What the head is asked.
        whole: The run's model, cut for the head.
        arrays: Rows as the model takes them.
        encoded: The rows as each network's fusion is given them.
        terms: Their terms, one matrix for each block; none without a linear model.
    """

    def __init__(
        self,
        run: Run,
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
        self.layer = head_layer(run.model, task.name)
        self.groups = run.spec.groups

    def outputs(self, shuffled: Mapping[str, NDArray[np.int64]]) -> Floats:
        """Return (rows, width), the groups named by `shuffled` taken from other rows."""

        def changed(rows: Any, part: Part, places: NDArray[np.int64], i: int) -> Any:
            others = {
                group: take({group: self.encoded[i][group]}, order[places])[group]
                for group, order in shuffled.items()
            }
            return rows | others

        linear = self.added
        for group, order in shuffled.items():
            linear = self._moved(linear, [group], None, order)
        return self._outputs(changed, linear)

    def with_column(self, column: str, order: NDArray[np.int64]) -> Floats:
        """Return (rows, width), one column of the table taken from other rows."""
        groups = [group for group in self.groups if column in sources([group])]
        inputs = dict(self.arrays.inputs)
        for group in groups:
            inputs |= _shuffled(group, column, inputs, order)

        def changed(rows: Any, part: Part, places: NDArray[np.int64], i: int) -> Any:
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
        self, added: Floats | None, groups: Sequence[str], column: str | None,
        order: NDArray[np.int64],
    ) -> Floats | None:  # fmt: skip
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
    group: FittedGroup, column: str, inputs: Mapping[str, Any], order: NDArray[np.int64]
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
