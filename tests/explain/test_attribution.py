"""Submodels and Shapley values: additive for every fusion, exact for few players."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import keras
import numpy as np
import pytest
from explained import FUSIONS, inputs_of, model_of, number, part, row_of, score_of, spec_of

from multimodal.core.config import Config
from multimodal.core.spec import FittedGroup, FittedHead, FittedSpec, NumericColumn
from multimodal.explain.attribution import (
    EXACT,
    MOST,
    Submodel,
    contributions,
    estimate_shapley_values,
    find_fusion,
    gates,
    group_values,
    make_submodels,
    raw_outputs,
)
from multimodal.fusion import ConcatFusion, GatedFusion
from multimodal.models.build import average, build

RANDOM = np.random.default_rng(0)
GROUPS: list[dict[str, Any]] = [
    {
        "name": "table",
        "modality": "tabular",
        "columns": ["w"],
        "encoder": {"name": "dense", "options": {"hidden_dims": [4]}},
    },
    {
        "name": "title",
        "modality": "text",
        "columns": ["t"],
        "encoder": {"name": "recurrent", "options": {"hidden_dim": 2, "embedding_dim": 2}},
    },
]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_submodels_compute_what_the_model_does(fusion: str) -> None:
    spec = spec_of("tabular", "text", "image")
    inputs = inputs_of(spec)
    model = model_of(spec, {}, fusion=part(FUSIONS, fusion))
    row = row_of(model, spec, inputs)
    assert number(raw_outputs(row.submodels, row.encoded)) == pytest.approx(
        score_of(model, inputs), rel=1e-4
    )
    again = row.scores(inputs, [group.name for group in spec.groups])
    assert number(again) == pytest.approx(score_of(model, inputs), rel=1e-4)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("fusion", ["concat", "transformer"])
def test_groups_add_up_from_the_baseline(fusion: str, count: int) -> None:
    spec = spec_of("tabular", "text", "image")
    inputs = inputs_of(spec)
    empty = {key: np.zeros_like(array) for key, array in inputs.items()}
    each = [model_of(spec, {}, fusion=part(FUSIONS, fusion), seed=seed) for seed in range(count)]
    model = average(each)
    row = row_of(model, spec, inputs)
    bare = [one.encode(empty) for one in row.submodels]
    found = group_values(row, bare, {group.name: [group.name] for group in spec.groups})
    assert set(found) == {"tabular", "text", "image"}
    total = sum(map(number, found.values()))
    assert total == pytest.approx(score_of(model, inputs) - score_of(model, empty), abs=1e-4)
    joined = group_values(row, bare, {"a": ["tabular", "text"], "b": ["image"]})
    assert sum(map(number, joined.values())) == pytest.approx(total, abs=1e-4)


def test_an_unknown_head_is_named() -> None:
    spec = spec_of("tabular", "text")
    with pytest.raises(ValueError, match="`head` must be one of .*price.*Received: head='rent'"):
        make_submodels(model_of(spec, {}), "rent", spec.groups)


def test_each_network_is_a_submodel() -> None:
    spec = spec_of("tabular", "text")
    submodels = make_submodels(
        average([model_of(spec, {}, seed=s) for s in (0, 1, 2)]), "price", spec.groups
    )
    assert len(submodels) == 3 and all(isinstance(each, Submodel) for each in submodels)


def two_heads(fusion: Any) -> keras.Model:
    heads = [{"name": name, "column": name} for name in ("rent", "price")]
    config = Config.parse({"groups": GROUPS, "fusion": fusion, "heads": heads})
    column = NumericColumn(name="w", source="w")
    table = FittedGroup(name="table", modality="tabular", columns=["w"], numeric=[column])
    title = FittedGroup(
        name="title", modality="text", columns=["t"], vocabulary=["a", "b"], optional=True
    )
    fitted = [FittedHead(name=name, columns=[name]) for name in ("rent", "price")]
    return build(config, FittedSpec(groups=[table, title], heads=fitted))


def batch_of(rows: int, length: int = 3) -> dict[str, np.ndarray]:
    return {
        "table_numeric": RANDOM.normal(size=(rows, 1)).astype("float32"),
        "title_tokens": RANDOM.integers(1, 4, (rows, length)).astype("int32"),
        "title_present": np.arange(rows) % 3 > 0,
    }


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("fusion", ["concat", "gated", "transformer", "cross_attention"])
def test_values_of_every_head_add_up(fusion: str) -> None:
    model = two_heads(fusion)
    rows, background = batch_of(5), batch_of(4, length=6)
    found = contributions(model, rows, background)
    outputs, base = model(rows), model(background)
    assert set(found) == {"rent", "price"}
    for name, values in found.items():
        assert sorted(values) == ["table", "title"] and values["table"].shape == (5, 1)
        total = array(values["table"]) + array(values["title"])
        expected = array(outputs[name]) - array(base[name]).mean(axis=0)
        np.testing.assert_allclose(total, expected, atol=1e-4)


def test_a_group_without_effect_contributes_nothing() -> None:
    model = two_heads({"name": "concat", "options": {"hidden_dims": [4]}})
    kernel = find_fusion(model).mlp.layers[0].kernel
    changed = array(kernel).copy()
    changed[4:] = 0  # the rows of the title
    kernel.assign(changed)
    found = contributions(model, batch_of(6))["price"]
    assert np.abs(array(found["title"])).max() < 1e-7 < np.abs(array(found["table"])).max()


def test_encoders_run_once() -> None:
    calls = []

    class Counter(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            calls.append(inputs.shape[0])
            return inputs

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    groups = {name: keras.Input((2,), name=name) for name in "ab"}
    fused = ConcatFusion([3])({name: Counter()(tensor) for name, tensor in groups.items()})
    model = keras.Model(groups, keras.layers.Dense(1, name="out")(fused))
    calls.clear()
    found = contributions(model, {name: np.eye(4, 2, dtype="float32") for name in "ab"})
    assert calls == [4, 4] and sorted(found["out"]) == ["a", "b"]


def test_gates_of_a_model() -> None:
    model = two_heads({"name": "gated", "options": {"hidden_dim": 4}})
    rows = batch_of(6)
    found = gates(model, rows)
    assert sorted(found) == ["table", "title"]
    total = array(found["table"]) + array(found["title"])
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert (array(found["title"]) > 0).tolist() == rows["title_present"].tolist()


def test_messages() -> None:
    model, rows = two_heads("concat"), batch_of(4)
    with pytest.raises(ValueError, match="`model` must have a gated fusion"):
        gates(model, rows)
    keys = "`inputs` must have the keys ['table_numeric', 'title_present', 'title_tokens']. "
    with pytest.raises(ValueError, match=re.escape(keys)):
        contributions(model, {**rows, "price": rows["table_numeric"]})
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="must have exactly one fusion layer. Received: "):
        contributions(plain, np.eye(2))
    assert isinstance(find_fusion(two_heads("gated")), GatedFusion)


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
    found, exact = estimate_shapley_values(function, players)
    assert exact
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("players", [EXACT, EXACT + 1, 40, 300])
def test_values_add_up(players: int) -> None:
    function = game(players)
    found, exact = estimate_shapley_values(function, players)
    none, everyone = function(np.array([[False] * players, [True] * players]))
    assert exact == (players <= EXACT)
    assert found.sum() == pytest.approx(everyone - none, rel=1e-9)


def test_sampled_values_are_near_and_those_of_pairs_right() -> None:
    """Antithetic orders are exact where at most two players act together."""
    pairs = RANDOM.normal(size=(12, 12))

    def function(who: Any) -> Any:
        return np.einsum("sp,pq,sq->s", who.astype(float), pairs, who.astype(float))

    found, _ = estimate_shapley_values(function, 12)
    wanted = (pairs.sum(axis=0) + pairs.sum(axis=1)) / 2
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_many_players_cost_a_bounded_number_of_calls() -> None:
    calls = []

    def function(who: Any) -> Any:
        calls.append(len(who))
        return who.sum(axis=1)

    estimate_shapley_values(function, 100)
    assert sum(calls) <= MOST
    assert estimate_shapley_values(function, 100)[0] == pytest.approx(np.ones(100))


def test_a_player_that_does_nothing_gets_nothing_at_all() -> None:
    """No rounding error beside an amount: pages list columns by the size of what they did."""
    found, exact = estimate_shapley_values(lambda who: 123.4567 * who[:, 0] + 998.7654321, 4)
    assert exact
    assert found[1:].tolist() == [0.0, 0.0, 0.0]
    assert found[0] == pytest.approx(123.4567)
