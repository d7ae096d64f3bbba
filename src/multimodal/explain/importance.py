"""What a model needs: how much worse it gets where one group or column says nothing of its row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.data.sparse.ngrams import Matrix
from multimodal.evaluation.measures import MAIN, shortfall
from multimodal.evaluation.records import (
    IMPORTANCE_FILE,
    HeadImportance,
    Importance,
    PermutationImportance,
)
from multimodal.evaluation.task import has_label, has_prediction, measure
from multimodal.explain.columns import Shuffled, sources
from multimodal.explain.submodels import Cut, Encoded, encode_rows

__all__ = ["IMPORTANCE_FILE", "MOST_ROWS", "Importance", "importance"]

if TYPE_CHECKING:
    from multimodal.models.fitted import FittedModel

MOST_ROWS, REPEATS, DRAWS = 2000, 5, 100
MOST_COLUMNS = 50


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

    The values of one group or column, and its terms, are shuffled among the rows, five times;
    encoded rows are shuffled where that is the same. The intervals are of bootstraps over the
    rows, each on one of the shuffles. At most 50 columns are looked at.

    Args:
        model: The fitted model.
        rows: Raw rows, up to some thousands.
        root: Folder that photo paths start from.
        labels: Labels by head, as `evaluation.measure` takes them; heads may be left out.
        weights: Row weights by head.
        seed: Seed of the shuffles and bootstraps.

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
        whole = Cut.of(model, task.name)
        if encoded is None:
            encoded, faults = encode_rows(whole.parts, arrays)
        if terms is None and whole.linear is not None:
            terms = whole.linear.matrices(rows)
        test = Shuffled(model, task, whole, arrays, encoded, terms or [])
        y_true, weight = labels[task.name], weights[task.name]
        plain = test.outputs({})
        known = has_label(task, y_true) & (weight > 0) & has_prediction(plain)
        known[list(faults)] = False
        scored = np.flatnonzero(known)
        if len(scored) > 1:
            random = np.random.default_rng(seed)
            heads[task.name] = _head(test, plain, scored, y_true, weight, random)
    return Importance(heads=heads)


def _head(
    test: Shuffled,
    plain: Floats,
    rows: Ints,
    y_true: NDArray[Any],
    weight: NDArray[Any],
    random: np.random.Generator,
) -> HeadImportance:
    task = test.task
    metric = next(
        name
        for name in (*MAIN, "rmse")
        if name in measure(task, y_true[rows], plain[rows], weight[rows])
    )

    def error(outputs: Floats, chosen: Ints) -> float:
        found = measure(task, y_true[chosen], outputs[chosen], weight[chosen])
        return shortfall(metric, found.get(metric, np.nan))

    drawn = [random.choice(rows, len(rows)) for _ in range(DRAWS)]
    before, base = error(plain, rows), np.array([error(plain, each) for each in drawn])
    size = len(plain)
    orders = [_order(random, rows, size) for _ in range(REPEATS)]

    def need(name: str, kind: Any, shuffled: list[Floats]) -> PermutationImportance:
        after = float(np.mean([error(each, rows) for each in shuffled]))
        changes = [error(shuffled[i % REPEATS], each) - base[i] for i, each in enumerate(drawn)]
        low, high = np.nanquantile(changes, [0.025, 0.975])
        return PermutationImportance(
            name=name, kind=kind, error=after, change=after - before, low=low, high=high
        )

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


def _order(random: np.random.Generator, rows: Ints, size: int) -> Ints:
    """Return an order of all rows in which those that count change places with each other."""
    order = np.arange(size)
    order[rows] = random.permutation(rows)
    return order
