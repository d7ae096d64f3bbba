"""Whether probabilities are as high as the share of rows in which they are right."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict

from multimodal.evaluation.classification import best_class
from multimodal.evaluation.metrics import Floats, check_weights

BINS = 15


class ConfidenceBin(BaseModel):
    """Answers of like probability: its mean, the share that was right, how many there were."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: float
    right: float
    n: int


class ConfidenceCheck(BaseModel):
    """Probabilities of one head on the test rows, after and before their temperature.

    `ece` is the expected calibration error: the mean distance of probability and share right over
    15 bins of equally many answers. `bins` are those after.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    temperature: float
    n: int
    ece: float
    ece_before: float
    log_loss: float
    log_loss_before: float
    bins: list[ConfidenceBin] = []


def confidence_bins(
    truth: ArrayLike, probabilities: ArrayLike, weight: ArrayLike | None = None,
    *, ordered: bool = False, bins: int = BINS,
) -> list[ConfidenceBin]:  # fmt: skip
    """Sort answers by their probability into bins of equally many.

    Of classes, an answer is the class named in each row, with its probability; of labels, each
    label of each row with the probability of the side that is named.

    Args:
        truth: Classes (N,), or labels (N, C) of 0 and 1.
        probabilities: (N, C).
        weight: Row weights (N,).
        ordered: Whether classes are grades, of which the median is named.
        bins: How many; fewer where there are fewer answers.

    Example:
    >>> confidence_bins([0, 1], [[0.9, 0.1], [0.7, 0.3]], bins=1)
    [ConfidenceBin(probability=0.8, right=0.5, n=2)]
    """
    y, p = np.asarray(truth), np.asarray(probabilities, np.float64)
    w = np.ones(len(y)) if weight is None else check_weights(weight, len(y))
    if y.ndim == 1:
        best = best_class(p, ordered=ordered)
        sure, right = p[np.arange(len(p)), best], best == y
    else:
        sure, right = np.maximum(p, 1 - p).ravel(), ((p >= 0.5) == (y > 0.5)).ravel()
        w = np.repeat(w, p.shape[1])
    sure, right, w = sure[w > 0], right[w > 0], w[w > 0]
    order = np.argsort(sure, kind="stable")
    return [
        ConfidenceBin(
            probability=float(np.average(sure[rows], weights=w[rows])),
            right=float(np.average(right[rows], weights=w[rows])),
            n=len(rows),
        )
        for rows in np.array_split(order, min(bins, len(order)))
    ]


def expected_calibration_error(bins: list[ConfidenceBin]) -> float:
    """Return the mean distance of probability and share right, by the size of the bins.

    Example:
    >>> expected_calibration_error([ConfidenceBin(probability=0.75, right=0.5, n=2)])
    0.25

    References:
        Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015; Nguyen
        and O'Connor, Posterior Calibration, 2015 (bins of equally many).
    """
    gaps = np.array([abs(each.probability - each.right) for each in bins])
    return float(np.average(gaps, weights=[each.n for each in bins]))


def log_loss(truth: ArrayLike, probabilities: ArrayLike, weight: Floats) -> float:
    """Return the mean negative log-likelihood of classes (N,), or of labels (N, C).

    Example:
    >>> round(log_loss([0], [[0.5, 0.5]], np.ones(1)), 4)
    0.6931
    """
    y, p = np.asarray(truth), np.asarray(probabilities, np.float64)
    if y.ndim == 1:
        share = p[np.arange(len(y)), y.astype(int)] / np.maximum(p.sum(axis=1), 1e-12)
    else:
        share = np.where(y > 0.5, p, 1 - p)
    losses = -np.log(np.clip(share, 1e-7, 1.0)).reshape(len(y), -1).mean(axis=1)
    return float(np.average(losses, weights=weight))
