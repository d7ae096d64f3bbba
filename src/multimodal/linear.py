"""Linear models of sparse terms, measured on rows that they have not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.penalised import Matrix, fit_penalised
from multimodal.shares import raw_loss

Floats = NDArray[np.float64]
RIDGE = (10.0, 3.0, 1.0, 0.3)  # strengths of regularisation, the strongest first
LOGISTIC = (1 / 3, 1 / 30, 1 / 300)
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
    rows without a fold; `strength` is that of the regularisation.
    """

    kernel: Floats
    bias: Floats
    out_of_fold: Floats
    strength: float


def fit_linear(rows: Labelled) -> Linear | None:
    """Fit ridge regression, or logistic regression, with the strength that is best out of fold.

    Returns:
        The model of all rows, None where no row can be measured.
    """
    best: tuple[float, float, Floats] | None = None
    for strength in RIDGE if rows.kind == "number" else LOGISTIC:
        found = _out_of_fold(rows, strength)
        scored = (rows.weight > 0) & np.isfinite(found).all(axis=1)
        if not scored.any():
            return None
        loss = raw_loss(rows.kind, found[scored], rows.truth[scored], rows.weight[scored])
        if best is not None and loss >= best[0]:
            break  # the valley lies behind
        best = loss, strength, found
    assert best is not None
    kernel, bias = _fit(rows, rows.terms.all, rows.without(), best[1])
    return Linear(kernel, bias, best[2], best[1])


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
        kernel, bias = _fit(rows, terms, learned, linear.strength)
        for fold, other in ((first, second), (second, first)):
            own = rows.folds == other
            found[fold][own] = terms[own] @ kernel + bias
    return found


def _out_of_fold(rows: Labelled, strength: float) -> Floats:
    found = np.full((len(rows.folds), rows.outputs), np.nan)
    for fold in rows.names:
        learned = rows.without(fold)
        if not learned.any():
            continue
        terms, own = rows.terms.known_from(learned), rows.folds == fold
        kernel, bias = _fit(rows, terms, learned, strength)
        found[own] = terms[own] @ kernel + bias
    return found


def _fit(
    rows: Labelled, terms: Matrix, learned: NDArray[np.bool_], strength: float
) -> tuple[Floats, Floats]:
    weight = rows.weight / rows.weight[rows.weight > 0].mean()
    known = terms[learned], rows.truth[learned], weight[learned]
    return fit_penalised(rows.kind, *known, strength, rows.outputs)
