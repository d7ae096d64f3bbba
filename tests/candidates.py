"""Candidates of a comparison whose made-up answers have a known order, gains and doubts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multimodal.evaluation.task import Task
from multimodal.studies.compare.results import (
    Candidate,
    Leaderboard,
    OutOfFoldPredictions,
    leaderboard,
)
from multimodal.studies.fits import Fit

N = 300
RANDOM = np.random.default_rng(0)
FOLDS = np.arange(N) % 5
TRUTH = RANDOM.lognormal(3, 1, N)
TREES = Candidate("trees-table", "trees", "table", "Gradient boosting on table")
MEDIAN = Candidate("constant", "constant", "nothing", "Constant")
TABLE = Candidate("fusion-concat-tabular", "fusion", "table", "concat on table", "concat")
BOTH = Candidate(
    "fusion-concat-tabular-text", "fusion", "table + text", "concat on table + text", "concat"
)
NOISE = RANDOM.normal(0, 1, N)


def answered(
    errors: Mapping[Candidate, float], seeds: int = 2, weight: Any = None, y_true: Any = TRUTH
) -> OutOfFoldPredictions:
    """Models whose log error is the same noise, times a factor, with a little of their own."""
    fits: dict[Candidate, dict[int, list[Fit]]] = {}
    for candidate, size in errors.items():
        fits[candidate] = {}
        for seed in range(seeds):
            own = np.random.default_rng([seed, len(candidate.name)]).normal(0, 0.02, N)
            guess = (np.nan_to_num(y_true, nan=1.0) * np.exp(size * NOISE + own))[:, None]
            fits[candidate][seed] = [
                Fit({"price": guess[FOLDS == fold]}, 10, 2.0) for fold in range(5)
            ]
    weight = np.ones(N) if weight is None else weight
    return OutOfFoldPredictions({"price": y_true}, {"price": weight}, FOLDS, np.arange(N), fits)


def stand(given: OutOfFoldPredictions, pairs: Any = ()) -> Leaderboard:
    found = leaderboard(Task("price", transform="log1p"), "price", given, BOTH.name, pairs)
    assert found is not None
    return found
