"""The sparse linear base model of a stack; its strength is chosen out of fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.data.sparse.ngrams import LEAST_ROWS, Matrix
from multimodal.models.stack.linear_solvers import Fit, fit_regularised, one_blas_thread
from multimodal.models.stack.weights import raw_loss

# in this order, since `fit_sparse_linear` steps to the next weaker one by its place
RIDGE = (10.0, 3.0, 1.0, 0.3)  # strengths of regularisation, the strongest first
LOGISTIC = (1 / 3, 1 / 30, 1 / 300)
# Beyond, one fold tells strengths apart, and a second search is not worth its time.
MANY_ROWS = 3_000


@dataclass(frozen=True)
class FeatureBlocks:
    """Sparse n-gram features of rows, block by block.

    Attributes:
        blocks: Sparse (N, V), one for each block; its columns are its own.
        lengths: L2 norm of each row of a block, None where that differs between rows.
    """

    blocks: Sequence[Matrix]
    lengths: Sequence[float | None]

    @cached_property
    def all(self) -> Matrix:
        """The features of all blocks, (N, V)."""
        return sum(self.blocks[1:], self.blocks[0])

    def known_from(self, learned: Bools) -> Matrix:
        """Return the features (N, V) that at least two of the rows `learned` (N,) hold.

        That is how rows look whose own words the vocabulary does not come from: features beyond it
        are left out, and the others of their block weigh more.
        """
        pairs = zip(self.blocks, self.lengths, strict=True)
        found = reduce(add, (_known(block, length, learned) for block, length in pairs))
        found.eliminate_zeros()
        return found


def _known(block: Matrix, length: float | None, learned: Bools) -> Matrix:
    """Return a block, 0 where too few of the rows learned from hold the feature."""
    rows = np.repeat(np.arange(block.shape[0], dtype=np.int32), np.diff(block.indptr))
    # As the vocabulary of these rows alone would be: counted over all rows, a word of the fold
    # would be known to a model that has never seen it.
    counts = np.bincount(block.indices[learned[rows]], minlength=block.shape[1])
    kept = np.where(counts[block.indices] >= LEAST_ROWS, block.data, 0)
    if length is not None:
        norms = np.sqrt(np.bincount(rows, kept * kept, minlength=block.shape[0]))
        kept = kept * np.divide(length, norms, out=np.zeros_like(norms), where=norms > 0)[rows]
    found = block.copy()
    found.data = np.asarray(kept, np.float32)
    return found


@dataclass(frozen=True)
class LabelledRows:
    """Sparse features of rows with the labels of one head.

    Attributes:
        kind: `number` (labels float (N,), transformed), `binary` or `class` (ids (N,)), or `labels`
            (0 or 1, (N, C)).
        features: Features of N rows.
        y_true: The labels.
        weight: Weight of each row (N,); rows of weight 0 are predicted, not learned from.
        folds: Fold of each row (N,); -1 is in every training.
        outputs: Number of raw outputs: classes, labels, or 1.
    """

    kind: str
    features: FeatureBlocks
    y_true: NDArray[Any]
    weight: Floats
    folds: Ints
    outputs: int

    def without(self, *folds: int) -> Bools:
        """Return which rows are learned from where some folds are left out, (N,)."""
        return ~np.isin(self.folds, folds) & (self.weight > 0)

    def scored(self, *outputs: Floats) -> Bools:
        """Return which rows have a weight, and outputs (N, outputs) of all models, (N,)."""
        finite = [np.isfinite(each).all(axis=1) for each in outputs]
        return np.asarray((self.weight > 0) & np.all(finite, axis=0))

    @property
    def fold_names(self) -> list[int]:
        """The folds, rising."""
        return [int(fold) for fold in np.unique(self.folds[self.folds >= 0])]


@dataclass(frozen=True)
class SparseLinearModel:
    """A linear model: raw outputs are `features @ kernel + bias`, (rows, outputs).

    `out_of_fold` has the outputs of every row by a model that did not learn from its fold, NaN for
    rows without a fold; `strength` is that of the regularisation, and `robust` says whether Huber's
    loss was taken.
    """

    kernel: Floats
    bias: Floats
    out_of_fold: Floats
    strength: float
    robust: bool = False


@dataclass(frozen=True)
class _Measured:
    """What a strength comes to out of fold."""

    loss: float
    strength: float
    robust: bool
    out_of_fold: Floats


@one_blas_thread()
def fit_sparse_linear(rows: LabelledRows) -> SparseLinearModel | None:
    """Fit ridge regression, or logistic regression, with the strength that is best out of fold.

    Numbers of few rows are fitted with Huber's loss, too, from the next weaker strength on, as
    far-off rows need a strong one no more; the squared error out of fold decides. Of many rows, the
    strength is that which is best on the first fold.

    Returns:
        The model of all rows, None where no row can be measured.
    """
    strengths: Sequence[float] = RIDGE if rows.kind == "number" else LOGISTIC
    many = len(rows.folds) > MANY_ROWS
    if many and rows.fold_names:
        strengths = _best_on_first_fold(rows, strengths) or strengths
    found = _measured(rows, strengths)
    if not found:
        return None
    if rows.kind == "number" and not many:
        plain = min(found, key=_loss)
        weaker = min(strengths.index(plain.strength) + 1, len(strengths) - 1)
        found += _measured(rows, strengths[weaker:], robust=True)
    best = min(found, key=_loss)
    fits = _fits(rows, rows.features.all, rows.without(), [best.strength], best.robust)
    kernel, bias = next(fits)
    return SparseLinearModel(kernel, bias, best.out_of_fold, best.strength, best.robust)


@one_blas_thread()
def nested_out_of_fold(rows: LabelledRows, linear: SparseLinearModel) -> dict[int, Floats]:
    """Return, for each fold, the outputs of all rows by models that have not learned from it.

    Nor has any of them learned from the fold of the row itself. What learns from these outputs of
    the other folds' rows can be measured on the fold; what learns from `linear.out_of_fold` cannot,
    as that knows the fold's labels.

    Args:
        rows: Those that `linear` was fitted on.
        linear: What `fit_sparse_linear` returned.
    """
    found = {fold: linear.out_of_fold.copy() for fold in rows.fold_names}
    for first, second in combinations(rows.fold_names, 2):
        learned = rows.without(first, second)
        if not learned.any():
            continue
        features = rows.features.known_from(learned)
        kernel, bias = next(_fits(rows, features, learned, [linear.strength], linear.robust))
        for fold, other in ((first, second), (second, first)):
            own = rows.folds == other
            found[fold][own] = features[own] @ kernel + bias
    return found


def _loss(measured: _Measured) -> float:
    return measured.loss


def _best_on_first_fold(rows: LabelledRows, strengths: Sequence[float]) -> list[float]:
    """Return the strength after which the loss of the first fold rises; none without rows."""
    learned, own = rows.without(rows.fold_names[0]), rows.folds == rows.fold_names[0]
    own &= rows.weight > 0
    if not (learned.any() and own.any()):
        return []
    features, best, least = rows.features.known_from(learned), strengths[0], np.inf
    fits = _fits(rows, features, learned, strengths, robust=False)
    for strength, (kernel, bias) in zip(strengths, fits, strict=True):
        found = features[own] @ kernel + bias
        loss = raw_loss(rows.kind, found, rows.y_true[own], rows.weight[own])
        if loss > least:  # weaker ones take longest
            break
        best, least = strength, loss
    return [best]


def _measured(
    rows: LabelledRows, strengths: Sequence[float], *, robust: bool = False
) -> list[_Measured]:
    """Measure each strength on rows predicted without their fold; none where no row can be."""
    outputs = [np.full((len(rows.folds), rows.outputs), np.nan) for _ in strengths]
    for fold in rows.fold_names:
        learned = rows.without(fold)
        if not learned.any():
            continue
        features, own = rows.features.known_from(learned), rows.folds == fold
        fits = _fits(rows, features, learned, strengths, robust)
        for found, (kernel, bias) in zip(outputs, fits, strict=True):
            found[own] = features[own] @ kernel + bias
    measured = []
    for strength, found in zip(strengths, outputs, strict=True):
        scored = rows.scored(found)
        if scored.any():
            loss = raw_loss(rows.kind, found[scored], rows.y_true[scored], rows.weight[scored])
            measured.append(_Measured(loss, strength, robust, found))
    return measured


def _fits(
    rows: LabelledRows, features: Matrix, learned: Bools, strengths: Sequence[float], robust: bool
) -> Iterator[Fit]:
    """Yield a fit on the rows learned from, per strength."""
    # The penalty is in units of rows: weights of another scale must not change what it means.
    weight = rows.weight / rows.weight[rows.weight > 0].mean()
    known = features[learned], rows.y_true[learned], weight[learned]
    return fit_regularised(rows.kind, *known, strengths, rows.outputs, robust=robust)
