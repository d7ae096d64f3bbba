"""Linear models of sparse terms, measured on rows that they have not learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.models.stack.penalised import Fit, Matrix, fit_penalised
from multimodal.models.stack.weights import raw_loss

Floats = NDArray[np.float64]
RIDGE = (10.0, 3.0, 1.0, 0.3)  # strengths of regularisation, the strongest first
LOGISTIC = (1 / 3, 1 / 30, 1 / 300)
ROBUST_ROWS = 3_000  # at most, for a second search to be worth its time
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
        pairs = zip(self.blocks, self.lengths, strict=True)
        found = reduce(add, (_known(block, length, learned) for block, length in pairs))
        found.eliminate_zeros()
        return found


def _known(block: Matrix, length: float | None, learned: NDArray[np.bool_]) -> Matrix:
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
            loss = raw_loss(rows.kind, found[scored], rows.truth[scored], rows.weight[scored])
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
    rows: Labelled, terms: Matrix, learned: NDArray[np.bool_], strengths: Sequence[float],
    *, robust: bool,
) -> Iterator[Fit]:  # fmt: skip
    """Yield a fit on the rows learned from, per strength."""
    weight = rows.weight / rows.weight[rows.weight > 0].mean()
    known = terms[learned], rows.truth[learned], weight[learned]
    return fit_penalised(rows.kind, *known, strengths, rows.outputs, robust=robust)
