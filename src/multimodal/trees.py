"""What a careful person would try first: the median, and scikit-learn's gradient boosting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.data.columns import as_text
from multimodal.data.pipeline import Source
from multimodal.evaluation import ModelScore, regression_metrics
from multimodal.spec import OUT_OF_VOCABULARY, FittedSpec

MAX_CODES = 250
COMPONENTS = 64
Matrix = NDArray[np.float32]


def median_score(
    truth: NDArray[Any], train: NDArray[Any], test: NDArray[Any], weight: NDArray[Any]
) -> ModelScore:
    """Score the median of the training rows on the test rows; `weight` (rows,) counts in both."""
    guess = np.full(len(test), _median(truth[train], weight[train]))
    metrics = regression_metrics(truth[test], guess, weight[test])
    return ModelScore("Median", "constant", "nothing", metrics)


def tree_scores(
    spec: FittedSpec,
    source: Source,
    frame: pd.DataFrame,
    truth: NDArray[Any],
    train: NDArray[Any],
    test: NDArray[Any],
    *,
    weight: NDArray[Any],
    log: bool,
    seed: int,
) -> list[ModelScore]:
    """Score histogram gradient boosting on the table, on TF-IDF of the texts, and on both.

    Args:
        spec: Fitted spec; its tabular and text groups are used.
        source: Arrays of all rows.
        frame: The same rows, raw.
        truth: Targets (rows,) in the user's units.
        train: Positions of the training rows.
        test: Positions of the test rows.
        weight: Row weights (rows,); rows that weigh nothing are not learned from.
        log: Learn the logarithm of the target, as the heads do.
        seed: Seed of the trees and the decomposition.
    """
    train = train[weight[train] > 0]
    table, categorical = _table(spec, source)
    texts = _tfidf(spec, frame, train, seed)
    inputs = [("table", [table], categorical)] if table is not None else []
    inputs += [("text", [texts], [])] if texts is not None else []
    if table is not None and texts is not None:
        inputs.append(("table + text", [table, texts], categorical))
    scores = []
    for name, parts, columns in inputs:
        start = time.perf_counter()
        guess = _boost(np.hstack(parts), columns, truth, weight, train, test, log, seed)
        metrics = regression_metrics(truth[test], guess, weight[test])
        seconds = time.perf_counter() - start
        scores.append(ModelScore("Gradient boosting", "trees", name, metrics, 0, seconds))
    return scores


def _boost(
    features: Matrix, categorical: Sequence[int], truth: NDArray[Any], weight: NDArray[Any],
    train: NDArray[Any], test: NDArray[Any], log: bool, seed: int,
) -> NDArray[np.float64]:  # fmt: skip
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=500, learning_rate=0.05, early_stopping=True, n_iter_no_change=20,
        categorical_features=list(categorical) or None, random_state=seed,
    )  # fmt: skip
    known = np.log1p(truth[train]) if log else truth[train]
    model.fit(features[train], known, sample_weight=weight[train])
    guess: NDArray[np.float64] = model.predict(features[test])
    return np.expm1(guess) if log else guess


def _median(values: NDArray[Any], weight: NDArray[Any]) -> float:
    """Return the weighted median; with equal weights the usual one."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weight[order], dtype=np.float64) / weight.sum(dtype=np.float64)
    middle = np.searchsorted(share, [0.5 - 1e-9, 0.5 + 1e-9])
    return float(values[order][np.minimum(middle, len(order) - 1)].mean())


def _table(spec: FittedSpec, source: Source) -> tuple[Matrix | None, list[int]]:
    """Return numbers and category codes (rows, F), and which columns hold codes."""
    parts: list[Matrix] = []
    categorical: list[int] = []
    for group in spec.groups:
        if f"{group.name}_numeric" in source.inputs:
            parts.append(source.inputs[f"{group.name}_numeric"])
        if f"{group.name}_categorical" in source.inputs:
            codes = source.inputs[f"{group.name}_categorical"]
            first = sum(part.shape[1] for part in parts)
            categorical += range(first, first + codes.shape[1])
            parts.append(np.where(codes < MAX_CODES, codes, OUT_OF_VOCABULARY).astype(np.float32))
    return (np.hstack(parts), categorical) if parts else (None, [])


def _tfidf(spec: FittedSpec, frame: pd.DataFrame, train: NDArray[Any], seed: int) -> Matrix | None:
    """Return TF-IDF of words and pairs of words, reduced to 64 components per text group."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    parts = []
    for group in (group for group in spec.groups if group.modality == "text"):
        columns = [as_text(frame[name]) for name in group.columns]
        texts = [" ".join(cell or "" for cell in row) for row in zip(*columns, strict=True)]
        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), min_df=3, max_features=50_000, sublinear_tf=True
        )
        try:
            known = vectorizer.fit_transform([texts[i] for i in train])
        except ValueError:  # no word occurs three times
            continue
        size = min(COMPONENTS, known.shape[1] - 1)
        if size < 1:
            continue
        svd = TruncatedSVD(size, random_state=seed).fit(known)
        parts.append(svd.transform(vectorizer.transform(texts)).astype(np.float32))
    return np.hstack(parts) if parts else None
