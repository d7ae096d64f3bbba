"""How right predicted classes and labels are, from their probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multimodal.core.errors import DataError
from multimodal.evaluation.metrics import Floats, check_weights

LEAST = 1e-7
"""A probability counts as at least this much before a logarithm is taken."""


def class_metrics(
    truth: ArrayLike,
    probabilities: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    ordered: bool = False,
) -> dict[str, float]:
    """Measure class probabilities (N, C) against the true classes (N,), numbered from 0.

    Always there: `n` (rows with a weight above 0), `accuracy`, `balanced_accuracy` (mean recall of
    the classes there are), `macro_f1` (mean over the classes that are true or predicted anywhere)
    and `log_loss`. Of two classes that both occur: `roc_auc` of the second. Of `ordered` classes:
    `mae_grades`, the mean number of grades between truth and prediction. All but `n` is weighted.

    Raises:
        DataError: Shapes do not match, there are no rows, a class does not exist, a probability is
            not finite, a weight is negative or all are 0.

    Example:
    >>> class_metrics([0, 1], [[0.9, 0.1], [0.6, 0.4]])["accuracy"]
    0.5
    """
    y, p, w = _checked(truth, probabilities, weight)
    classes = p.shape[1]
    best = best_class(p, ordered=ordered)
    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (y, best), w)
    of_truth = np.clip(p[np.arange(len(y)), y] / np.maximum(p.sum(axis=1), LEAST), LEAST, 1)
    result = {
        "n": float(len(y)),
        "accuracy": float(np.trace(matrix) / matrix.sum()),
        "balanced_accuracy": _mean_share(np.diag(matrix), matrix.sum(axis=1)),
        "macro_f1": _mean_share(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)),
        "log_loss": float(np.average(-np.log(of_truth), weights=w)),
    }
    if classes == 2 and len(np.unique(y)) == 2:
        from sklearn.metrics import roc_auc_score

        result["roc_auc"] = float(roc_auc_score(y, p[:, 1], sample_weight=w))
    if ordered:
        result["mae_grades"] = float(np.average(np.abs(best - y), weights=w))
    return result


def best_class(probabilities: ArrayLike, *, ordered: bool = False) -> NDArray[np.int64]:
    """Return the class (N,) to name: the likeliest, or of `ordered` classes the median.

    Example:
    >>> ranks = [[0.4, 0.25, 0.35]]
    >>> int(best_class(ranks)[0]), int(best_class(ranks, ordered=True)[0])
    (0, 1)
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if not ordered:
        return np.asarray(p.argmax(axis=1), dtype=np.int64)
    half = p.sum(axis=1, keepdims=True) / 2
    return np.asarray((p.cumsum(axis=1) < half).sum(axis=1), dtype=np.int64)


def label_metrics(
    truth: ArrayLike, probabilities: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, float]:
    """Measure label probabilities (N, C) against the true labels (N, C) of 0 and 1.

    `n`, `exact` (rows whose labels are all right), `micro_f1`, `macro_f1` (mean over the labels
    that are true or predicted anywhere) and, of labels that occur, the mean `average_precision`. A
    label is predicted from 0.5 on. All but `n` is weighted.

    Raises:
        DataError: As `class_metrics`.

    Example:
    >>> label_metrics([[1, 0], [0, 1]], [[0.9, 0.6], [0.2, 0.8]])["exact"]
    0.5
    """
    p = np.asarray(probabilities, dtype=np.float64)
    y = np.asarray(truth, dtype=np.float64)
    if y.shape != p.shape:
        raise DataError(f"truth and labels must have one shape. Received: {y.shape} and {p.shape}")
    _check_rows(p)
    w = np.ones(len(y)) if weight is None else check_weights(weight, len(y))
    known, p, w = y[w > 0] > 0.5, p[w > 0], w[w > 0]
    guess = p >= 0.5
    hits = (w[:, None] * (known & guess)).sum(axis=0)
    marked = (w[:, None] * known).sum(axis=0) + (w[:, None] * guess).sum(axis=0)
    return {
        "n": float(len(known)),
        "exact": float(np.average((known == guess).all(axis=1), weights=w)),
        "micro_f1": float(2 * hits.sum() / marked.sum()) if marked.sum() else 0.0,
        "macro_f1": _mean_share(2 * hits, marked),
        "average_precision": _mean_precision(known, p, w),
    }


def _mean_precision(y: NDArray[np.bool_], p: Floats, w: Floats) -> float:
    from sklearn.metrics import average_precision_score

    found = [
        average_precision_score(y[:, i], p[:, i], sample_weight=w)
        for i in range(y.shape[1])
        if y[:, i].any()
    ]
    return float(np.mean(found)) if found else 0.0


def _checked(
    truth: ArrayLike, probabilities: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.int64], Floats, Floats]:
    y, p = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    if y.ndim != 1 or p.ndim != 2 or len(y) != len(p):
        raise DataError(
            "classes must have shape (N,) and probabilities (N, C). Received: "
            f"{y.shape} and {p.shape}"
        )
    _check_rows(p)
    y = y.astype(np.int64)
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise DataError(
            f"classes must be from 0 to {p.shape[1] - 1}. Received: {y.min()} to {y.max()}"
        )
    w = np.ones(len(y)) if weight is None else check_weights(weight, len(y))
    return y[w > 0], p[w > 0], w[w > 0]


def _check_rows(p: Floats) -> None:
    if not len(p):
        raise DataError("there are no rows to evaluate. Received: 0 rows")
    if not np.isfinite(p).all():
        bad = int(np.flatnonzero(~np.isfinite(p).all(axis=1))[0])
        raise DataError(f"probabilities must be finite. Received: {p[bad]} at position {bad}")


def _mean_share(part: Floats, whole: Floats) -> float:
    """Return the mean of `part / whole`, of those with a whole."""
    there = whole > 0
    return float((part[there] / whole[there]).mean()) if there.any() else 0.0
