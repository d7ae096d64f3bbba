"""Label noise: labels that contradict the out-of-fold predictions of a cheap model.

The idea is that of confident learning, whose library, cleanlab, would be one more dependency for
the few lines that it takes here, for numbers as well as for classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.formatting import short_number
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.schema import Schema
from multimodal.data.features.bins import quantile_bins
from multimodal.data.labels.fit import MOST_CLASSES

MARGIN = 0.7  # lead of another class over the labelled one
FAR = 6.0  # robust standard deviations
INFORMATIVE = 0.9  # most error of the model, in errors of a constant
SAMPLE_ROWS, MOST = 10_000, 20
_FOLDS, _BINS, _CATEGORIES, _WORDS = 3, 10, 100, 2**16
_LEAST_ROWS = 60


class LabelIssue(NamedTuple):
    """A label that may be wrong: its row, what it says, what the model expected, how strongly.

    `strength` is the distance from the expectation in robust standard deviations for a number, the
    lead of the expected class over the labelled one for a class (1 is a whole label).
    """

    row: int
    label: str
    expected: str
    strength: float


def find_label_issues(
    frame: pd.DataFrame, schema: Schema, y_true: NDArray[Any], groups: Ints
) -> list[LabelIssue]:
    """Return the labels that out-of-fold predictions contradict most, the strongest first.

    The model is ridge regression on words (TF-IDF), categories and tenths of numbers, fitted on two
    thirds of the rows and asked about the third; duplicates are in one fold. A number is an issue
    from six robust standard deviations on (of logarithms, where all are above 0), a class where
    another one leads by 0.7. Where the model errs nine tenths as much as a constant would, it is
    not informative, and no label is an issue. At most 10,000 rows are looked at, drawn evenly, and
    20 returned. They are rows to look at: an honest rarity can be among them.

    Args:
        frame: the rows.
        schema: the columns to read; others are passed over.
        y_true: (N,) float64 numbers, or objects: classes; NaN or None where missing.
        groups: int64 (N,), duplicates.

    References:
        Northcutt, Jiang and Chuang, Confident learning, 2021, for the idea.
    """
    known = np.flatnonzero(pd.notna(y_true))
    if len(known) > SAMPLE_ROWS:
        known = np.sort(np.random.default_rng(0).choice(known, SAMPLE_ROWS, replace=False))
    if len(known) < _LEAST_ROWS:
        return []
    features = _features(frame.iloc[known], schema)
    if features is None:
        return []
    folds = _folds(groups[known])
    if y_true.dtype == object:
        found = _classes(features, y_true[known], folds)
    else:
        found = _numbers(features, y_true[known].astype(np.float64), folds)
    found.sort(key=lambda each: -each.strength)
    return [each._replace(row=int(known[each.row])) for each in found[:MOST]]


def _folds(groups: Ints) -> Ints:
    """Assign groups to folds at random."""
    names, member = np.unique(groups, return_inverse=True)
    return np.random.default_rng(0).integers(0, _FOLDS, len(names))[member]


def _features(frame: pd.DataFrame, schema: Schema) -> Any:
    """Return a sparse matrix (rows, features), or None if no column can be read."""
    from scipy import sparse
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    codes = [
        1 + quantile_bins(parse_numbers(frame[name], schema.column(name)).values, _BINS)
        for name in schema.names("number")
    ]
    codes += [_commonest(frame[name]) for name in schema.names("category")]
    parts = [_one_hot(each) for each in codes]
    texts = [as_text(frame[name]) for name in schema.names("text")]
    if texts:
        joined = [" ".join(cell or "" for cell in row) for row in zip(*texts, strict=True)]
        counts = HashingVectorizer(
            n_features=_WORDS, alternate_sign=False, norm=None, dtype=np.float32
        ).transform(joined)
        # All words of a row together have length 1, as a single category has; hence the factor.
        parts.append(3 * TfidfTransformer(sublinear_tf=True).fit_transform(counts))
    return sparse.hstack(parts, format="csr") if parts else None


def _commonest(series: pd.Series[Any]) -> Ints:
    codes, names = pd.factorize(as_text(series))
    order = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(names)), kind="stable")
    place = np.zeros(len(names) + 1, np.int64)
    place[order[:_CATEGORIES]] = np.arange(1, min(len(names), _CATEGORIES) + 1)
    return place[codes]  # -1, missing, is the last place: 0


def _one_hot(codes: Ints) -> Any:
    from scipy import sparse

    rows = np.arange(len(codes))
    shape = (len(codes), int(codes.max(initial=0)) + 1)
    return sparse.csr_matrix((np.ones(len(codes), np.float32), (rows, codes)), shape=shape)


def _out_of_fold(features: Any, goal: Floats, folds: Ints) -> Floats:
    """Return the predictions of ridge regression on the other folds, shaped like `goal`."""
    from sklearn.linear_model import Ridge

    found = np.empty_like(goal)
    for fold in range(_FOLDS):
        inside = folds == fold
        if not inside.any():
            continue
        # Conjugate gradients stopped early: rows to look at need no third digit.
        model = Ridge(alpha=1.0, solver="sparse_cg", tol=1e-2).fit(features[~inside], goal[~inside])
        found[inside] = model.predict(features[inside]).reshape(found[inside].shape)
    return found


def _numbers(features: Any, y_true: Floats, folds: Ints) -> list[LabelIssue]:
    logarithms = bool((y_true > 0).all())
    goal = np.log(y_true) if logarithms else y_true
    expected = _out_of_fold(features, goal, folds)
    missed = np.abs(goal - expected)
    # 1.4826 medians of the absolute error are one standard deviation of a normal distribution.
    deviation = 1.4826 * float(np.median(missed))
    if not deviation or np.median(missed) > INFORMATIVE * np.median(np.abs(goal - np.median(goal))):
        return []
    shown = np.exp(expected) if logarithms else expected
    return [
        LabelIssue(
            int(i),
            f"{y_true[i]:,.12g}",
            short_number(shown[i], 3),
            round(float(missed[i] / deviation), 1),
        )
        for i in np.flatnonzero(missed > FAR * deviation)
    ]


def _classes(features: Any, y_true: NDArray[np.object_], folds: Ints) -> list[LabelIssue]:
    codes, names = pd.factorize(y_true)
    if not 2 <= len(names) <= MOST_CLASSES:
        return []
    goal = np.eye(len(names))[codes] if len(names) > 2 else np.eye(2)[codes][:, :1]
    scores = _out_of_fold(features, goal, folds)
    scores = scores if len(names) > 2 else np.hstack([scores, 1 - scores])
    best, rows = scores.argmax(axis=1), np.arange(len(codes))
    if np.mean(best != codes) > INFORMATIVE * (1 - np.bincount(codes).max() / len(codes)):
        return []
    lead = scores[rows, best] - scores[rows, codes]
    return [
        LabelIssue(int(i), str(names[codes[i]]), str(names[best[i]]), round(float(lead[i]), 2))
        for i in np.flatnonzero(lead >= MARGIN)
    ]
