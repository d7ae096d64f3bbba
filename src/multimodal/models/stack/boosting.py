"""Gradient-boosted trees: grown by scikit-learn, kept as plain arrays.

A pickle of scikit-learn's models would execute code when it is opened, and fit one version only.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.runtime.trees import Forest

MANY_ROWS = 10_000
# A fixed number of slow trees that see a part of the features at each split: of few rows, those set
# aside to stop early are too few to tell (it did worse on real tables).
FEW = {
    "max_iter": 250,
    "learning_rate": 0.03,
    "max_leaf_nodes": 63,
    "min_samples_leaf": 10,
    "max_features": 0.3,
    "l2_regularization": 1.0,
    "early_stopping": False,
}
MANY = {
    "max_iter": 500,
    "learning_rate": 0.05,
    "early_stopping": True,
    "n_iter_no_change": 20,
}
RARE = -10.0  # the logit of a class that no row has


def grow(
    kind: str, features: NDArray[Any], y_true: NDArray[Any], weight: Floats, outputs: int, seed: int
) -> Forest:
    """Grow trees on rows (N, F).

    Args:
        kind: `number` (in the space to predict in), `binary` or `class` (ids (N,)), or `labels` (0
            or 1, (N, C)).
        features: Numbers, NaN where missing.
        y_true: The labels.
        weight: Weights of the rows.
        outputs: Number of raw outputs.
        seed: Fixes what is drawn.
    """
    if kind == "labels":
        each = [grow("binary", features, y_true[:, i], weight, 1, seed) for i in range(outputs)]
        start = np.concatenate([forest.start for forest in each])
        return _joined([replace(f, outputs=f.outputs + i) for i, f in enumerate(each)], start)
    with few_threads(len(y_true)):
        if kind == "number":
            return _regress(features, y_true, weight, seed)
        return _classify(features, y_true, weight, outputs, seed)


def few_threads(rows: int) -> AbstractContextManager[Any]:
    """Return a context in which trees of few rows grow on one core.

    Threads gain little there, and wait for each other without end where others use the machine.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpool_limits(
        1 if rows < MANY_ROWS else None, user_api="openmp"
    )
    return limits


def uneven(weight: NDArray[Any]) -> NDArray[Any] | None:
    """Return the weights of rows, None where all are the same: scikit-learn then bins faster."""
    return None if np.ptp(weight) == 0 else weight


def options_for(rows: int) -> dict[str, Any]:
    """Return the options of scikit-learn's gradient boosting for a number of training rows."""
    return dict(FEW if rows < MANY_ROWS else MANY)


def _regress(features: Floats, y_true: NDArray[Any], weight: Floats, seed: int) -> Forest:
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(random_state=seed, **options_for(len(y_true)))
    model.fit(features, y_true, sample_weight=uneven(weight))
    return _forest(model, np.array([0]), 1)


def _classify(
    features: Floats, y_true: NDArray[Any], weight: Floats, outputs: int, seed: int
) -> Forest:
    from sklearn.ensemble import HistGradientBoostingClassifier

    there, counts = np.unique(y_true, return_counts=True)
    there = there.astype(np.int64)
    if len(there) < 2:
        return _constant(int(there[0]), outputs)
    options = options_for(len(y_true))
    options["max_iter"] = max(options["max_iter"] // outputs, 100)  # a tree per class and iteration
    if counts.min() < 2:  # early stopping parts the rows by class, of which two must be there
        options |= {"early_stopping": False, "max_iter": 100}
    model = HistGradientBoostingClassifier(random_state=seed, **options)
    model.fit(features, y_true, sample_weight=uneven(weight))
    if outputs > 1 and len(there) == 2:
        return _two_of_several(_forest(model, np.array([0]), 1), there, outputs)
    return _forest(model, np.array([0]) if outputs == 1 else there, outputs)


def _forest(model: Any, classes: Ints, outputs: int) -> Forest:
    """Return the trees of a fitted model; tree k of an iteration adds to output `classes[k]`."""
    start = np.full(outputs, RARE if len(classes) < outputs else 0.0)
    # Private attributes: scikit-learn has no public way to the trees that it has grown.
    start[classes] = np.ravel(model._baseline_prediction)
    trees = [
        _tree(tree.nodes, output)
        for iteration in model._predictors
        for tree, output in zip(iteration, classes, strict=True)
    ]
    return _joined(trees, start)


def _tree(nodes: Any, output: int) -> Forest:
    own, leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
    top = np.finfo(np.float64).max  # of a split that parts the missing ones from all others
    return Forest(
        start=np.zeros(0),
        roots=np.array([0]),
        outputs=np.array([output]),
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=np.clip(np.where(leaf, 0.0, nodes["num_threshold"]), -top, top),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        left=np.where(leaf, own, nodes["left"]).astype(np.int64),
        right=np.where(leaf, own, nodes["right"]).astype(np.int64),
        value=np.where(leaf, nodes["value"], 0.0).astype(np.float64),
    )


def _joined(forests: Sequence[Forest], start: Floats) -> Forest:
    """Lay the nodes of several forests one after the other."""
    first = np.cumsum([0, *(len(forest.feature) for forest in forests[:-1])])
    arrays: dict[str, Any] = {}
    for field in fields(Forest):
        parts = [getattr(forest, field.name) for forest in forests]
        if field.name in ("roots", "left", "right"):  # positions of nodes
            parts = [part + offset for part, offset in zip(parts, first, strict=True)]
        arrays[field.name] = np.concatenate(parts)
    return Forest(**arrays | {"start": start})


def _two_of_several(forest: Forest, there: Ints, outputs: int) -> Forest:
    """Return the logit between two classes as half a logit each, the others being rare."""
    halves = [
        replace(forest, outputs=forest.outputs * 0 + output, value=sign * forest.value / 2)
        for output, sign in zip(there, (-1, 1), strict=True)
    ]
    start = np.full(outputs, RARE)
    start[there] = np.array([-0.5, 0.5]) * forest.start[0]
    return _joined(halves, start)


def _constant(chosen: int, outputs: int) -> Forest:
    """Return a forest of one leaf that adds nothing, for rows of one class only."""
    start = np.full(outputs, RARE)
    start[0 if outputs == 1 else chosen] = -RARE if outputs > 1 or chosen else RARE
    arrays: dict[str, Any] = {field.name: np.zeros(1, np.int64) for field in fields(Forest)}
    floats: dict[str, Any] = dict.fromkeys(("threshold", "value"), np.zeros(1))
    return Forest(**arrays | floats | {"start": start, "missing_left": np.zeros(1, bool)})
