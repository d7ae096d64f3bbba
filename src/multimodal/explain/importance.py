"""What a model needs: how much worse it gets where one group or column says nothing of its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import tree
from numpy.typing import NDArray

from multimodal.attribution import Part, cut
from multimodal.data.preprocessing import Arrays
from multimodal.evaluation import Task, has_answer, has_truth, measure
from multimodal.evaluation.measures import MAIN, shortfall
from multimodal.explain.columns import sources
from multimodal.explain.encoding import Encoded, encode_rows, floats, take
from multimodal.explain.records import Floats
from multimodal.importance import IMPORTANCE_FILE, HeadImportance, Importance, Need
from multimodal.members import head_layer
from multimodal.spec import FittedGroup

__all__ = ["IMPORTANCE_FILE", "MOST_ROWS", "Importance", "importance"]

if TYPE_CHECKING:
    from multimodal.run import Run

MOST_ROWS, REPEATS, DRAWS, CHUNK = 2000, 5, 100, 256
MOST_COLUMNS = 50


def importance(
    run: Run,
    arrays: Arrays,
    truths: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
    *,
    seed: int = 0,
) -> Importance:
    """Return the permutation importance of every group, and of every column of the table.

    The values of one group or column are shuffled among the rows, five times; encoded rows are
    shuffled where that is the same. The intervals are of bootstraps over the rows, each on one of
    the shuffles. At most 50 columns are looked at.

    Args:
        run: The run.
        arrays: Rows as the model takes them, up to some thousands.
        truths: Labels by head, as `evaluation.measure` takes them; heads may be left out.
        weights: Row weights by head.
        seed: Seed of the shuffles and bootstraps.

    References:
        Breiman, Random Forests, 2001; Fisher et al., All Models are Wrong, but Many are Useful,
        2019.
    """
    heads: dict[str, HeadImportance] = {}
    encoded: list[Encoded] | None = None
    faults: dict[int, str] = {}
    for task in (task for task in run.tasks if task.name in truths):
        parts = cut(run.model, task.name, run.spec.groups)
        if encoded is None:
            encoded, faults = encode_rows(parts, arrays)
        test = _Test(run, task, parts, arrays, encoded)
        truth, weight = truths[task.name], weights[task.name]
        plain = test.outputs({})
        known = has_truth(task, truth) & (weight > 0) & has_answer(plain)
        known[list(faults)] = False
        rows = np.flatnonzero(known)
        if len(rows) > 1:
            heads[task.name] = _head(test, plain, rows, truth, weight, np.random.default_rng(seed))
    return Importance(heads=heads)


class _Test:
    """Decoded outputs of one head, with encoded groups or table columns in another order."""

    def __init__(
        self,
        run: Run,
        task: Task,
        parts: Sequence[Part],
        arrays: Arrays,
        encoded: Sequence[Encoded],
    ) -> None:
        self.task, self.parts, self.arrays, self.encoded = task, parts, arrays, encoded
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

        return self._outputs(changed)

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

        return self._outputs(changed)

    def _outputs(self, changed: Callable[..., Any]) -> Floats:
        size, found = len(tree.flatten(self.encoded[0])[0]), []
        for first in range(0, size, CHUNK):
            places = np.arange(first, min(first + CHUNK, size))
            raw = [
                part.raw(changed(take(rows, places), part, places, i))
                for i, (part, rows) in enumerate(zip(self.parts, self.encoded, strict=True))
            ]
            decoded = self.layer.decode(keras.ops.mean(keras.ops.stack(raw), axis=0))
            found.append(floats(decoded))
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


def _head(
    test: _Test,
    plain: Floats,
    rows: NDArray[np.int64],
    truth: NDArray[Any],
    weight: NDArray[Any],
    random: np.random.Generator,
) -> HeadImportance:
    task = test.task
    metric = next(
        name for name in (*MAIN, "rmse") if name in measure(task, truth[rows], plain[rows],
                                                            weight[rows])
    )  # fmt: skip

    def error(outputs: Floats, chosen: NDArray[np.int64]) -> float:
        found = measure(task, truth[chosen], outputs[chosen], weight[chosen])
        return shortfall(metric, found.get(metric, np.nan))

    drawn = [random.choice(rows, len(rows)) for _ in range(DRAWS)]
    before, base = error(plain, rows), np.array([error(plain, each) for each in drawn])
    size = len(plain)
    orders = [_order(random, rows, size) for _ in range(REPEATS)]

    def need(name: str, kind: Any, shuffled: list[Floats]) -> Need:
        after = float(np.mean([error(each, rows) for each in shuffled]))
        changes = [error(shuffled[i % REPEATS], each) - base[i] for i, each in enumerate(drawn)]
        low, high = np.nanquantile(changes, [0.025, 0.975])
        return Need(name=name, kind=kind, error=after, change=after - before, low=low, high=high)

    needs = [
        need(group.name, "group", [test.outputs({group.name: order}) for order in orders])
        for group in test.groups
    ]
    tables = [group for group in test.groups if group.modality == "tabular"]
    needs += [
        need(column, "column", [test.with_column(column, order) for order in orders])
        for column in sources(tables)[:MOST_COLUMNS]
    ]
    return HeadImportance(metric=metric, error=before, rows=len(rows), repeats=REPEATS, needs=needs)


def _order(random: np.random.Generator, rows: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return an order of all rows in which those that count change places with each other."""
    order = np.arange(size)
    order[rows] = random.permutation(rows)
    return order
