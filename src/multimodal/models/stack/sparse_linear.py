"""Linear models of sparse terms, measured on rows that they have not learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.data.sparse.ngrams import LEAST_ROWS
from multimodal.models.stack.blend import raw_loss
from multimodal.models.stack.ridge import fit_ridge

RIDGE = (10.0, 3.0, 1.0, 0.3)  # strengths of regularisation, the strongest first
LOGISTIC = (1 / 3, 1 / 30, 1 / 300)
ROBUST_ROWS = 3_000  # at most, for a second search to be worth its time


@dataclass(frozen=True)
class Terms:
    """Terms of rows, block by block.

    Attributes:
        blocks: Sparse (N, V), one for each block.
        lengths: L2 norm of each row of a block, None where that differs between rows.
    """

    blocks: Sequence[Matrix]
    lengths: Sequence[float | None]

    @cached_property
    def all(self) -> Matrix:
        """The terms of all blocks, (N, V)."""
        return sum(self.blocks[1:], self.blocks[0])

    def known_from(self, learned: Bools) -> Matrix:
        """Return the terms (N, V) that at least two of the rows `learned` (N,) hold.

        That is how rows look whose own words the vocabulary does not come from: terms beyond it
        are left out, and the others of their block weigh more.
        """
        pairs = zip(self.blocks, self.lengths, strict=True)
        found = reduce(add, (_known(block, length, learned) for block, length in pairs))
        found.eliminate_zeros()
        return found


def _known(block: Matrix, length: float | None, learned: Bools) -> Matrix:
    """Return a block, 0 where too few of the rows learned from hold the term."""
    rows = np.repeat(np.arange(block.shape[0], dtype=np.int32), np.diff(block.indptr))
    counts = np.bincount(block.indices[learned[rows]], minlength=block.shape[1])
    kept = np.where(counts[block.indices] >= LEAST_ROWS, block.data, 0)
    if length is not None:
        norms = np.sqrt(np.bincount(rows, kept * kept, minlength=block.shape[0]))
        kept = kept * np.divide(length, norms, out=np.zeros_like(norms), where=norms > 0)[rows]
    found = block.copy()
    found.data = np.asarray(kept, np.float32)
    return found


@dataclass(frozen=True)
class Labelled:
    """Rows of terms with the labels of one head.

    Attributes:
        kind: `number` (truth float (N,), transformed), `binary` or `class` (ids (N,)), or `labels`
            (0 or 1, (N, C)).
        terms: Terms of N rows.
        y_true: The labels.
        weight: Weight of each row (N,); rows of weight 0 are predicted, not learned from.
        folds: Fold of each row (N,); -1 is in every training.
        outputs: Number of raw outputs: classes, labels, or 1.
    """

    kind: str
    terms: Terms
    y_true: NDArray[Any]
    weight: Floats
    folds: Ints
    outputs: int

    def without(self, *folds: int) -> Bools:
        """Return which rows are learned from where some folds are left out, (N,)."""
        return ~np.isin(self.folds, folds) & (self.weight > 0)

    @property
    def names(self) -> list[int]:
        """The folds, rising."""
        return [int(fold) for fold in np.unique(self.folds[self.folds >= 0])]


@dataclass(frozen=True)
class Linear:
    """A linear model: raw outputs are `terms @ kernel + bias`, (rows, outputs).

    `out_of_fold` has the outputs of every row by a model that did not learn from its fold, NaN for
    rows without a fold; `strength` is that of the regularisation, and `robust` says whether far-off
    rows counted less.
    """

    kernel: Floats
    bias: Floats
    out_of_fold: Floats
    strength: float
    robust: bool = False


def fit_linear(rows: Labelled) -> Linear | None:
    """Fit ridge regression, or logistic regression, with the strength that is best out of fold.

    Numbers of few rows are fitted with Huber's loss, too, from the next weaker strength on, as
    far-off rows need a strong one no more; the squared error out of fold decides.

    Returns:
        The model of all rows, None where no row can be measured.
    """
    strengths = RIDGE if rows.kind == "number" else LOGISTIC
    found = _measured(rows, strengths, robust=False)
    if not found:
        return None
    if rows.kind == "number" and len(rows.folds) <= ROBUST_ROWS:
        plain = min(found, key=lambda each: each.loss)
        weaker = min(strengths.index(plain.strength) + 1, len(strengths) - 1)
        found += _measured(rows, strengths[weaker:], robust=True)
    best = min(found, key=lambda each: each.loss)
    ((kernel, bias),) = _fits(
        rows, rows.terms.all, rows.without(), [best.strength], robust=best.robust
    )
    return Linear(kernel, bias, best.out_of_fold, best.strength, best.robust)


class _Measured(NamedTuple):
    """What a strength comes to out of fold."""

    loss: float
    strength: float
    robust: bool
    out_of_fold: Floats


def _measured(rows: Labelled, strengths: Sequence[float], *, robust: bool) -> list[_Measured]:
    """Measure each strength; none where no row can be."""
    measured = []
    outputs = _out_of_fold(rows, strengths, robust=robust)
    for strength, found in zip(strengths, outputs, strict=True):
        scored = (rows.weight > 0) & np.isfinite(found).all(axis=1)
        if scored.any():
            loss = raw_loss(rows.kind, found[scored], rows.y_true[scored], rows.weight[scored])
            measured.append(_Measured(loss, strength, robust, found))
    return measured


def nested_out_of_fold(rows: Labelled, linear: Linear) -> dict[int, Floats]:
    """Return, for each fold, the outputs of all rows by models that have not learned from it.

    Nor has any of them learned from the fold of the row itself. What learns from these outputs of
    the other folds' rows can be measured on the fold; what learns from `linear.out_of_fold` cannot,
    as that knows the fold's truths.

    Args:
        rows: Those that `linear` was fitted on.
        linear: What `fit_linear` returned.
    """
    found = {fold: linear.out_of_fold.copy() for fold in rows.names}
    for first, second in combinations(rows.names, 2):
        learned = rows.without(first, second)
        if not learned.any():
            continue
        terms = rows.terms.known_from(learned)
        ((kernel, bias),) = _fits(rows, terms, learned, [linear.strength], robust=linear.robust)
        for fold, other in ((first, second), (second, first)):
            own = rows.folds == other
            found[fold][own] = terms[own] @ kernel + bias
    return found


def _out_of_fold(rows: Labelled, strengths: Sequence[float], *, robust: bool) -> list[Floats]:
    """Return, for each strength, the outputs of each row by a model without its fold."""
    outputs = [np.full((len(rows.folds), rows.outputs), np.nan) for _ in strengths]
    for fold in rows.names:
        learned = rows.without(fold)
        if not learned.any():
            continue
        terms, own = rows.terms.known_from(learned), rows.folds == fold
        fits = _fits(rows, terms, learned, strengths, robust=robust)
        for found, (kernel, bias) in zip(outputs, fits, strict=True):
            found[own] = terms[own] @ kernel + bias
    return outputs


def _fits(
    rows: Labelled,
    terms: Matrix,
    learned: Bools,
    strengths: Sequence[float],
    *,
    robust: bool,
) -> Iterator[Fit]:
    """Yield a fit on the rows learned from, per strength."""
    weight = rows.weight / rows.weight[rows.weight > 0].mean()
    known = terms[learned], rows.y_true[learned], weight[learned]
    return fit_penalised(rows.kind, *known, strengths, rows.outputs, robust=robust)


Matrix = Any  # scipy.sparse.csr_matrix, (rows, terms)
EMPHASIS = 0.4  # between no emphasis, 0, and that of the adaptive lasso, 1
Fit = tuple[Floats, Floats]  # kernel (V, outputs) and bias (outputs,)


def fit_penalised(
    kind: str,
    terms: Matrix,
    y_true: NDArray[Any],
    weight: Floats,
    strengths: Sequence[float],
    outputs: int,
    *,
    robust: bool = False,
) -> Iterator[Fit]:
    """Yield kernel (V, outputs) and bias (outputs,) of the linear model of terms, per strength.

    A term's values are multiplied by `|t| ** 0.4`, with its t statistic over the rows, before all
    are regularised alike.

    Args:
        kind: `number`, `binary`, `class` or `labels`, as in `linear.Labelled`.
        terms: Sparse (N, V).
        y_true: The labels.
        weight: Weights of the rows (N,), above 0.
        strengths: Those of the penalty.
        outputs: Number of raw outputs: classes, labels, or 1.
        robust: Whether numbers are fitted with Huber's loss instead of squared error.
    """
    import scipy.sparse as sparse

    factors = adaptive_weights(terms, targets_of(kind, y_true, outputs), weight)
    scaled = sparse.csr_matrix(terms @ sparse.diags(factors.astype(np.float32)))
    options = {"robust": True} if robust else {}
    for kernel, bias in _FITS[kind](scaled, y_true, weight, strengths, outputs, **options):
        yield kernel * factors[:, None], bias


def adaptive_weights(terms: Matrix, targets: Floats, weight: Floats) -> Floats:
    """Return what each term's values are multiplied by, (V,); rows keep their mean length.

    Args:
        terms: Sparse (N, V).
        targets: Numbers (N, T).
        weight: Weights of the rows (N,).
    """
    mean, total = np.average(targets, axis=0, weights=weight), weight.sum()
    centred = (targets - mean) * weight[:, None]
    squares = terms.multiply(terms)
    spread = np.sqrt((centred * (targets - mean)).sum(axis=0) / total)
    found = np.asarray(terms.T @ (centred / np.where(spread > 0, spread, 1.0)))
    power = np.asarray(squares.T @ weight).ravel()
    t = np.divide((found**2).mean(axis=1), power, out=np.zeros(len(power)), where=power > 0)
    factors = t ** (EMPHASIS / 2)
    before, after = power.sum(), (power * factors**2).sum()
    return np.asarray(factors * np.sqrt(before / after) if after > 0 else np.ones(len(power)))


def targets_of(kind: str, y_true: NDArray[Any], outputs: int) -> Floats:
    """Return labels as numbers (N, T): a column for each class, or as they are."""
    if kind == "class":
        return np.eye(outputs)[y_true.astype(np.int64)]
    return np.asarray(y_true, np.float64).reshape(len(y_true), -1)


def _ridge(
    terms: Matrix,
    y_true: NDArray[Any],
    weight: Floats,
    strengths: Sequence[float],
    outputs: int,
    *,
    robust: bool = False,
) -> Iterator[Fit]:
    for slopes, intercept in fit_ridge(terms, y_true, weight, strengths, robust=robust):
        yield slopes[:, None], np.array([intercept])


def _logistic(
    terms: Matrix, y_true: NDArray[Any], weight: Floats, strengths: Sequence[float], outputs: int
) -> Iterator[Fit]:
    """Fit logits of the classes, or of the second of two; a class that is not there is rare."""
    from sklearn.linear_model import LogisticRegression

    there = np.unique(y_true).astype(np.int64)
    rare = -np.log(len(y_true) + 1.0)
    for strength in strengths:
        kernel, bias = np.zeros((terms.shape[1], outputs)), np.full(outputs, rare)
        if len(there) == 1:
            bias[0 if outputs == 1 else there[0]] = -rare if outputs > 1 or there[0] else rare
            yield kernel, bias
            continue
        model = LogisticRegression(C=1 / strength, max_iter=500, tol=1e-5)
        model.fit(terms, y_true, sample_weight=weight)
        slopes, starts = model.coef_.T, model.intercept_
        if len(there) == 2 and outputs > 1:  # one logit for two of several classes
            slopes, starts = slopes * [-0.5, 0.5], starts * [-0.5, 0.5]
        columns = there if outputs > 1 else [0]
        kernel[:, columns], bias[columns] = slopes, starts
        yield kernel, bias


def _one_by_one(
    terms: Matrix, y_true: NDArray[Any], weight: Floats, strengths: Sequence[float], outputs: int
) -> Iterator[Fit]:
    each = [_logistic(terms, y_true[:, i], weight, strengths, 1) for i in range(outputs)]
    for fits in zip(*each, strict=True):
        yield np.hstack([kernel for kernel, _ in fits]), np.concatenate([bias for _, bias in fits])


_FITS: dict[str, Callable[..., Iterator[Fit]]] = {
    "number": _ridge,
    "binary": _logistic,
    "class": _logistic,
    "labels": _one_by_one,
}
