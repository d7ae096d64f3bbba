"""Shapley values of a function of who takes part: exact for few players, sampled for many."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import numpy as np
from numpy.typing import NDArray

EXACT, PAIRS, MOST, CHUNK = 8, 32, 4096, 256
Floats = NDArray[np.float64]
Function = Callable[[NDArray[np.bool_]], Floats]


def shares(function: Function, players: int, *, seed: int = 0) -> tuple[Floats, bool]:
    """Return the Shapley values (P,) of the players, and whether they are exact.

    For at most eight players all coalitions are computed. For more, players join one after the
    other in random orders, each order also backwards (antithetic pairs): up to 32 pairs, or as many
    as take 4,096 coalitions. Both add up to `function(all) - function(none)`.

    Args:
        function: Coalitions bool (S, P) to values (S,).
        players: Their number P.
        seed: Seed of the orders.

    Example:
    >>> shares(lambda who: who @ np.array([1.0, 2.0]) + who.all(axis=1), 2)
    (array([1.5, 2.5]), True)

    References:
        Shapley, A Value for n-Person Games, 1953; Castro et al., Polynomial Calculation of the
        Shapley Value Based on Sampling, 2009; Mitchell et al., Sampling Permutations for Shapley
        Value Estimation, 2022 (antithetic pairs).
    """
    if players <= EXACT:
        return _exact(function, players), True
    random = np.random.default_rng(seed)
    pairs = int(np.clip(MOST // (2 * (players + 1)), 1, PAIRS))
    orders = [random.permutation(players) for _ in range(pairs)]
    orders = [each for order in orders for each in (order, order[::-1])]
    joined = np.zeros((len(orders), players + 1, players), bool)
    for i, order in enumerate(orders):
        for step, player in enumerate(order):
            joined[i, step + 1 :, player] = True
    values = _chunked(function, joined.reshape(-1, players)).reshape(len(orders), -1)
    total = np.zeros(players)
    for order, gains in zip(orders, np.diff(values, axis=1), strict=True):
        total[order] += gains
    return total / len(orders), False


def _exact(function: Function, players: int) -> Floats:
    who = (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)
    values, sizes = _chunked(function, who), who.sum(axis=1)
    result = np.zeros(players)
    for player in range(players):
        without = np.flatnonzero(~who[:, player])
        weights = np.array(
            [
                factorial(size) * factorial(players - size - 1) / factorial(players)
                for size in sizes[without].tolist()
            ]
        )
        result[player] = weights @ (values[without | 1 << player] - values[without])
    return result


def _chunked(function: Function, who: NDArray[np.bool_]) -> Floats:
    parts = [function(who[i : i + CHUNK]) for i in range(0, len(who), CHUNK)]
    return np.concatenate(parts).astype(np.float64)
