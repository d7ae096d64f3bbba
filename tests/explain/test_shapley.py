"""Shapley values: exact for few players, complete and near for many."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from multimodal.explain.attribution import EXACT, MOST, shares

RANDOM = np.random.default_rng(0)


def game(players: int) -> Any:
    pairs = RANDOM.normal(size=(players, players))

    def function(who: Any) -> Any:
        each = who.astype(float)
        return each.sum(axis=1) + np.einsum("sp,pq,sq->s", each, pairs, each) ** 2 / players

    return function


@pytest.mark.parametrize("players", [1, 2, 4])
def test_exact_values_are_means_over_all_orders(players: int) -> None:
    function, wanted = game(players), np.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        joined = np.zeros((1, players), bool)
        for player in order:
            before = function(joined)[0]
            joined[0, player] = True
            wanted[player] += (function(joined)[0] - before) / len(orders)
    found, exact = shares(function, players)
    assert exact
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("players", [EXACT, EXACT + 1, 40, 300])
def test_values_add_up(players: int) -> None:
    function = game(players)
    found, exact = shares(function, players)
    none, everyone = function(np.array([[False] * players, [True] * players]))
    assert exact == (players <= EXACT)
    assert found.sum() == pytest.approx(everyone - none, rel=1e-9)


def test_sampled_values_are_near_and_those_of_pairs_right() -> None:
    """Antithetic orders are exact where at most two players act together."""
    pairs = RANDOM.normal(size=(12, 12))

    def function(who: Any) -> Any:
        return np.einsum("sp,pq,sq->s", who.astype(float), pairs, who.astype(float))

    found, _ = shares(function, 12)
    wanted = (pairs.sum(axis=0) + pairs.sum(axis=1)) / 2
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_many_players_cost_a_bounded_number_of_calls() -> None:
    calls = []

    def function(who: Any) -> Any:
        calls.append(len(who))
        return who.sum(axis=1)

    shares(function, 100)
    assert sum(calls) <= MOST
    assert shares(function, 100)[0] == pytest.approx(np.ones(100))
