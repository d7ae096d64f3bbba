"""Kernel regression on frozen features, as a base model of a stack.

A kernel of the features of photos or texts is fitted by itself, out of fold, and weighted by the
stack. One penalty for these features and the n-grams made both worse, and so did one logistic
regression of both (0.64 instead of 0.83 of the categories of places to stay; their probabilities
multiplied, as a weighted sum of raw outputs does, gave 0.90).

References:
    Williams & Seeger, Using the Nystroem Method to Speed Up Kernel Machines, 2001.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.layers.kernel_regression import KernelRegression, joined_features
from multimodal.models.stack.linear_solvers import Fit, fit_logistic, one_blas_thread
from multimodal.models.stack.sparse_linear import LabelledRows
from multimodal.models.stack.weights import raw_loss

# A distance of 1 is the median of the distances between landmarks: chosen on five tables with
# photos or texts, where 0.7 to 2 differ by 0.2 % of the error.
GAMMA = 1.5
RIDGE = (2.5, 0.75, 0.25, 0.08)  # strengths of regularisation, the strongest first
LOGISTIC = (0.1, 0.01)
# Of boxes in 200 photos: an IoU of .688 at 0.02, .656 at 0.75; .677 with the other GAMMA.
BOX_GAMMA, BOX_RIDGE = 0.7, (0.25, 0.08, 0.02)
LEAST_EIGENVALUE = 1e-6  # of the largest; below, a direction is rounding
ROWS = 4_096  # whose features are joined together


@dataclass(frozen=True)
class FittedKernel:
    """A fitted kernel regression.

    Attributes:
        places: Joined features of the landmarks, (landmarks, features).
        gamma: What squared distances are multiplied by.
        kernel: What the likeness to each landmark counts, (landmarks, outputs).
        bias: (outputs,).
        out_of_fold: Outputs of every row by a model that did not learn from its fold, NaN for rows
            without a fold, (rows, outputs).
        strength: That of the regularisation.
    """

    places: NDArray[np.float32]
    gamma: float
    kernel: Floats
    bias: Floats
    out_of_fold: Floats
    strength: float

    def raw(self, features: Sequence[NDArray[np.float32]], *, maps: bool) -> Floats:
        """Return the outputs of rows (rows, outputs) from the frozen features of each group."""
        vectors = _joined(features, maps=maps)
        likeness = np.exp(-self.gamma * _squared_distances(vectors, self.places))
        return np.asarray(likeness @ self.kernel + self.bias, np.float64)

    def give(self, layer: KernelRegression) -> None:
        """Set the weights of a layer."""
        for variable, value in (
            (layer.places, self.places),
            (layer.gamma, np.float32(self.gamma)),
            (layer.kernel, self.kernel.astype(np.float32)),
            (layer.bias, self.bias.astype(np.float32)),
        ):
            variable.assign(value)


@one_blas_thread()
def fit_kernel_regression(
    features: Sequence[NDArray[np.float32]], rows: LabelledRows, landmarks: int, seed: int
) -> FittedKernel | None:
    """Fit ridge or logistic regression on the likeness to landmarks, the strength out of fold.

    Args:
        features: Frozen features of each group, (rows, K, F).
        rows: Labels, weights and folds; the sparse features are not read.
        landmarks: Number of rows that others are compared with.
        seed: Draws them.

    Returns:
        The model of all rows, None where no row can be measured.
    """
    vectors = _joined(features, maps=rows.kind == "box")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:landmarks])
    places = vectors[chosen]
    between = _squared_distances(places, places)
    apart = between[np.triu_indices(len(places), 1)]
    middle = float(np.median(apart)) if len(apart) else 1.0
    gamma = (BOX_GAMMA if rows.kind == "box" else GAMMA) / middle if middle > 0 else 1.0
    basis = _basis(np.exp(-gamma * between))
    known = np.exp(-gamma * _squared_distances(vectors, places)) @ basis
    found = _best_out_of_fold(rows, known)
    if found is None:
        return None
    strength, out_of_fold = found
    slopes, bias = next(_fits(rows, known, rows.without(), [strength]))
    return FittedKernel(places, gamma, basis @ slopes, bias, out_of_fold, strength)


def _joined(features: Sequence[NDArray[np.float32]], *, maps: bool) -> NDArray[np.float32]:
    """Return what the layer makes of features, in blocks of rows."""
    blocks = [
        keras.ops.convert_to_numpy(
            joined_features([each[i : i + ROWS] for each in features], maps=maps)
        )
        for i in range(0, len(features[0]), ROWS)
    ]
    return np.concatenate(blocks)


def _squared_distances(rows: NDArray[np.float32], places: NDArray[np.float32]) -> Floats:
    squares = (rows**2).sum(axis=1)[:, None] + (places**2).sum(axis=1)
    return np.asarray(np.maximum(squares - 2 * (rows @ places.T), 0), np.float64)


def _basis(likeness: Floats) -> Floats:
    """Return what makes products of kernel values those of the kernel, (landmarks, rank)."""
    values, vectors = np.linalg.eigh(likeness)
    kept = values > LEAST_EIGENVALUE * values[-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def _best_out_of_fold(rows: LabelledRows, known: Floats) -> tuple[float, Floats] | None:
    """Return the strength of least loss out of fold, with the outputs; None without folds."""
    strengths = {"number": RIDGE, "box": BOX_RIDGE}.get(rows.kind, LOGISTIC)
    outputs = [np.full((len(known), rows.outputs), np.nan) for _ in strengths]
    for fold in rows.fold_names:
        learned, own = rows.without(fold), rows.folds == fold
        if learned.any():
            for found, (slopes, bias) in zip(
                outputs, _fits(rows, known, learned, strengths), strict=True
            ):
                found[own] = known[own] @ slopes + bias
    scored = rows.scored(*outputs)
    if not scored.any():
        return None
    y_true, weight = rows.y_true[scored], rows.weight[scored]
    losses = [raw_loss(rows.kind, found[scored], y_true, weight) for found in outputs]
    best = int(np.argmin(losses))
    return strengths[best], outputs[best]


def _fits(
    rows: LabelledRows, known: Floats, learned: Bools, strengths: Sequence[float]
) -> Iterator[Fit]:
    """Yield slopes (rank, outputs) and bias (outputs,) of the rows learned from, per strength."""
    from sklearn.linear_model import Ridge

    weight = rows.weight[learned] / rows.weight[rows.weight > 0].mean()
    given, y_true = known[learned], rows.y_true[learned]
    if rows.kind in ("number", "box"):
        for strength in strengths:
            model = Ridge(alpha=strength, solver="cholesky")
            model.fit(given, y_true, sample_weight=weight)
            yield np.atleast_2d(model.coef_).T, np.atleast_1d(model.intercept_)
    elif rows.kind == "labels":
        columns = y_true.T
        each = [fit_logistic(given, column, weight, strengths, 1) for column in columns]
        for some in zip(*each, strict=True):
            yield np.hstack([k for k, _ in some]), np.concatenate([b for _, b in some])
    else:
        yield from fit_logistic(given, y_true, weight, strengths, rows.outputs)
