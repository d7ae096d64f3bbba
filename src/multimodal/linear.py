"""Linear models of sparse terms, measured on rows that they have not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.penalised import Matrix, fit_penalised
from multimodal.shares import raw_loss

Floats = NDArray[np.float64]
RIDGE = (10.0, 3.0, 1.0, 0.3)  # strengths of regularisation, the strongest first
LOGISTIC = (1 / 3, 1 / 30, 1 / 300)
ROBUST_ROWS = 7_500  # at most, for a second search to be worth its time
LEAST_ROWS = 2  # that hold a term, for it to be one


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

    def known_from(self, learned: NDArray[np.bool_]) -> Matrix:
        """Return the terms (N, V) that at least two of the rows `learned` (N,) hold.

        That is how rows look whose own words the vocabulary does not come from: terms beyond it
        are left out, and the others of their block weigh more.
        """
        import scipy.sparse as sparse

        total: Any = sparse.csr_matrix(self.blocks[0].shape, dtype=np.float32)
        for block, length in zip(self.blocks, self.lengths, strict=True):
            counts = np.bincount(block[learned].indices, minlength=block.shape[1])
            known = block @ sparse.diags((counts >= LEAST_ROWS).astype(np.float32))
            if length is not None:
                norms = np.sqrt(np.asarray(known.multiply(known).sum(axis=1)).ravel())
                scales = np.divide(length, norms, out=np.zeros_like(norms), where=norms > 0)
                known = sparse.diags(scales.astype(np.float32)) @ known
            total = total + known
        return sparse.csr_matrix(total)


@dataclass(frozen=True)
class Labelled:
    """Rows of terms with the labels of one head.

    Attributes:
        kind: `number` (truth float (N,), transformed), `binary` or `class` (ids (N,)), or `labels`
            (0 or 1, (N, C)).
        terms: Terms of N rows.
        truth: The labels.
        weight: Weight of each row (N,); rows of weight 0 are predicted, not learned from.
        folds: Fold of each row (N,); -1 is in every training.
        outputs: Number of raw outputs: classes, labels, or 1.
    """

    kind: str
    terms: Terms
    truth: NDArray[Any]
    weight: Floats
    folds: NDArray[np.int64]
    outputs: int

    def without(self, *folds: int) -> NDArray[np.bool_]:
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
    best = _search(rows, strengths, None, robust=False)
    if best is None:
        return None
    if rows.kind == "number" and len(rows.folds) <= ROBUST_ROWS:
        weaker = min(strengths.index(best.strength) + 1, len(strengths) - 1)
        best = _search(rows, strengths[weaker:], best, robust=True) or best
    kernel, bias = _fit(rows, rows.terms.all, rows.without(), best.strength, robust=best.robust)
    return Linear(kernel, bias, best.out_of_fold, best.strength, best.robust)


class _Measured(NamedTuple):
    """What a strength comes to out of fold."""

    loss: float
    strength: float
    robust: bool
    out_of_fold: Floats


def _search(
    rows: Labelled, strengths: Sequence[float], best: _Measured | None, *, robust: bool
) -> _Measured | None:
    """Go on from the best so far, as long as the next strength is better."""
    for strength in strengths:
        found = _out_of_fold(rows, strength, robust=robust)
        scored = (rows.weight > 0) & np.isfinite(found).all(axis=1)
        if not scored.any():
            return None
        loss = raw_loss(rows.kind, found[scored], rows.truth[scored], rows.weight[scored])
        if best is not None and loss >= best.loss:
            break  # the valley lies behind
        best = _Measured(loss, strength, robust, found)
    return best


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
        kernel, bias = _fit(rows, terms, learned, linear.strength, robust=linear.robust)
        for fold, other in ((first, second), (second, first)):
            own = rows.folds == other
            found[fold][own] = terms[own] @ kernel + bias
    return found


def _out_of_fold(rows: Labelled, strength: float, *, robust: bool) -> Floats:
    found = np.full((len(rows.folds), rows.outputs), np.nan)
    for fold in rows.names:
        learned = rows.without(fold)
        if not learned.any():
            continue
        terms, own = rows.terms.known_from(learned), rows.folds == fold
        kernel, bias = _fit(rows, terms, learned, strength, robust=robust)
        found[own] = terms[own] @ kernel + bias
    return found


def _fit(
    rows: Labelled, terms: Matrix, learned: NDArray[np.bool_], strength: float,
    *, robust: bool,
) -> tuple[Floats, Floats]:  # fmt: skip
    weight = rows.weight / rows.weight[rows.weight > 0].mean()
    known = terms[learned], rows.truth[learned], weight[learned]
    return fit_penalised(rows.kind, *known, strength, rows.outputs, robust=robust)
