"""Shapley values of groups and columns, and the submodels that a trained network is split into.

A network is split at its encoders, its fusion and one head, so that the Shapley values of a row
need one pass through the encoders and many through the cheap rest. What is explained is a score: a
weighted sum of a head's raw outputs, such as one logit. Several networks, joined by
`models.build.average`, are explained as their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from multimodal.core.arrays import Bools, Floats
from multimodal.core.spec import FittedGroup
from multimodal.fusion.base import Fusion, Tensors, gather
from multimodal.fusion.contributions import (
    MAX_GROUPS,
    Rows,
    filled,
    shapley_values,
    shapley_weights,
)
from multimodal.fusion.gated import GatedFusion
from multimodal.layers.base import Tensor
from multimodal.models.build import fold_models

EXACT = 8  # players up to which all 2**players coalitions are computed
PAIRS = 32  # random orders, each also backwards, of more players
MOST = 4096  # coalitions at most of these orders
CHUNK = 256  # coalitions computed at once
Function = Callable[[Bools], Floats]


@dataclass(frozen=True)
class Submodel:
    """One network, split at its encoders, its fusion and one head.

    Attributes:
        fusion: The fusion layer.
        head: Model from the fused vector to the raw outputs of the head.
        keys: The input keys of each group.
        encoders: The encoder layer of each group.
        tokens: By group, model from its inputs, in the order of its keys, to its encoder's tokens.
        branches: By group, model from the same to what the fusion is given: `inputs`, `presence`,
            `mask`.
        all_branches: Model from the inputs of all groups to what the fusion is given of each.
        after: By group, model from its tokens, then its inputs, to the `inputs` of the fusion; None
            where these are the tokens.
    """

    fusion: Fusion
    head: keras.Model
    keys: dict[str, list[str]]
    encoders: dict[str, Any]
    tokens: dict[str, keras.Model]
    branches: dict[str, keras.Model]
    all_branches: keras.Model
    after: dict[str, keras.Model | None]

    def encode(self, inputs: Mapping[str, Any]) -> Rows:
        """Return what the fusion is given for inputs of B rows."""
        return {group: self.encode_group(group, inputs) for group in self.keys}

    def encode_group(self, group: str, inputs: Mapping[str, Any]) -> Tensors:
        """Return what the fusion is given of one group."""
        found: Tensors = self.branches[group](self._own(group, inputs), training=False)
        return found

    def encode_tokens(self, group: str, inputs: Mapping[str, Any]) -> Tensor:
        """Return the tokens of a group's encoder; those of photos `(B * photos, T, D)`."""
        return self.tokens[group](self._own(group, inputs), training=False)

    def from_tokens(self, group: str, tokens: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """Return the `inputs` that the fusion is given where a group has these tokens."""
        model = self.after[group]
        if model is None:
            return tokens
        found = model([tokens, *self._own(group, inputs)], training=False)
        return ops.copy(found)  # a tensor without the mask that the tokens carry

    def fused(self, rows: Rows) -> Tensor:
        """Return the vectors `(B, D)` that enter the heads."""
        return self.fusion.fused(rows)

    def raw(self, rows: Rows) -> Tensor:
        """Return the raw outputs `(B, width)` of the head."""
        return self.head(self.fused(rows), training=False)

    def score(self, rows: Rows, direction: Sequence[float]) -> Tensor:
        """Return the scores `(B,)` by the weight of each raw output."""
        raw = self.raw(rows)
        return ops.sum(raw * ops.convert_to_tensor(list(direction), dtype=raw.dtype), axis=-1)

    def _own(self, group: str, inputs: Mapping[str, Any]) -> list[Tensor]:
        return [ops.convert_to_tensor(inputs[key]) for key in self.keys[group]]


def make_submodels(model: keras.Model, head: str, groups: Sequence[FittedGroup]) -> list[Submodel]:
    """Split a built model into submodels, one for each network that it is the mean of.

    Args:
        model: What `build` or `average` returned.
        head: The head to explain.
        groups: The groups of the fitted spec.

    Raises:
        ValueError: There is no fusion, or no such head.
    """
    if head not in model.output_names:
        raise ValueError(f"`head` must be one of {model.output_names}. Received: head={head!r}")
    return [_split(network, head, groups) for network in fold_models(model)]


def _split(model: keras.Model, head: str, groups: Sequence[FittedGroup]) -> Submodel:
    fusion, rows = find_fusion(model), fusion_inputs(model)
    keys = {group.name: group.input_keys for group in groups}
    given = {name: [model.input[key] for key in each] for name, each in keys.items()}
    encoders = {name: model.get_layer(f"{name}_encoder") for name in keys}
    after: dict[str, keras.Model | None] = {}
    for name, encoder in encoders.items():
        same = rows[name]["inputs"] is encoder.output
        after[name] = None if same else _after([encoder.output, *given[name]], rows[name]["inputs"])
    return Submodel(
        fusion=fusion,
        head=keras.Model(fusion.output, model.output[head]),
        keys=keys,
        encoders=encoders,
        tokens={name: keras.Model(given[name], each.output) for name, each in encoders.items()},
        branches={name: keras.Model(given[name], rows[name]) for name in keys},
        all_branches=keras.Model(model.input, rows),
        after=after,
    )


def _after(inputs: list[Tensor], outputs: Tensor) -> keras.Model:
    """Return a model from tokens on; their mask, which they may carry, is an input of its own."""
    model = keras.Model(inputs, outputs)
    model.supports_masking = True
    return model


@dataclass(frozen=True)
class ScoredRow:
    """One row and the score of it that is explained.

    Attributes:
        submodels: The networks.
        inputs: The row's arrays, `(1, ...)` each.
        encoded: What each network's fusion is given of the row.
        direction: The weight of each raw output in the score.
    """

    submodels: Sequence[Submodel]
    inputs: Mapping[str, Any]
    encoded: Sequence[Rows]
    direction: Sequence[float]

    def scores(self, variants: Mapping[str, Any], groups: Sequence[str]) -> Tensor:
        """Return the scores `(S,)` of S rows in which the inputs of some groups are others.

        Args:
            variants: The inputs of those groups, each `(S, ...)`.
            groups: Their names.
        """
        found = []
        for submodel, rows in zip(self.submodels, self.encoded, strict=True):
            others = {group: submodel.encode_group(group, variants) for group in groups}
            size = tree.flatten(others)[0].shape[0]
            found.append(submodel.score(copies(rows, size) | others, self.direction))
        return mean_of(found)


def raw_outputs(submodels: Sequence[Submodel], encoded: Sequence[Rows]) -> Tensor:
    """Return the mean of the networks' raw outputs `(B, width)` for rows that each has encoded."""
    return mean_of([each.raw(rows) for each, rows in zip(submodels, encoded, strict=True)])


def group_values(
    row: ScoredRow, baseline: Sequence[Rows], players: Mapping[str, Sequence[str]]
) -> dict[str, Tensor]:
    """Return how much each player moved the score of a row: exact Shapley values.

    All 2**players coalitions are computed. The values add up to the row's score less that of the
    baseline.

    Args:
        row: The row, or B rows.
        baseline: One row in which every group is as in a row that lacks it, encoded likewise.
        players: The groups of each player; each group belongs to one.

    Returns:
        Dict of player -> `(B,)`.

    Raises:
        ValueError: More than ten players.

    References:
        Shapley, A Value for n-Person Games, 1953.
    """
    names, size = sorted(players), tree.flatten(row.encoded[0])[0].shape[0]
    if len(names) > MAX_GROUPS:
        raise ValueError(
            f"`players` must be at most {MAX_GROUPS}, of which all coalitions are computed. "
            f"Received: {len(names)} players"
        )
    coalitions = np.arange(2 ** len(names))
    who = {
        group: np.repeat(coalitions >> i & 1, size).astype(bool)
        for i, name in enumerate(names)
        for group in players[name]
    }
    own = np.tile(np.arange(size), len(coalitions))
    places = {group: np.where(there, own, size) for group, there in who.items()}
    found = []
    for submodel, rows, bare in zip(row.submodels, row.encoded, baseline, strict=True):
        both = tree.map_structure(
            lambda one, other: ops.concatenate([one, other]), filled(rows, bare), filled(bare, rows)
        )
        parts = [
            submodel.score(_take(both, places, slice(i, i + CHUNK)), row.direction)
            for i in range(0, len(own), CHUNK)
        ]
        found.append(ops.reshape(ops.concatenate(parts), (len(coalitions), size)))
    weights = ops.convert_to_tensor(shapley_weights(len(names)), dtype="float32")
    values = ops.matmul(weights, mean_of(found))
    return {name: values[i] for i, name in enumerate(names)}


def _take(rows: Rows, places: Mapping[str, Any], some: slice) -> Rows:
    """Return some rows, each group taken from places of its own."""
    return {
        group: {key: ops.take(each, places[group][some], axis=0) for key, each in tensors.items()}
        for group, tensors in rows.items()
    }


def mean_of(tensors: Sequence[Tensor]) -> Tensor:
    """Return the mean of tensors of one shape, in float32."""
    return ops.mean(ops.stack([ops.cast(each, "float32") for each in tensors]), axis=0)


def copies(rows: Any, size: int) -> Any:
    """Return each tensor of one row `(1, ...)` as `(size, ...)`."""
    return tree.map_structure(lambda each: ops.repeat(each, size, axis=0), rows)


def contributions(
    model: keras.Model, inputs: Any, background: Any = None
) -> dict[str, dict[str, Tensor]]:
    """Return how much each group moved each output of each row: exact Shapley values.

    A group is taken out of a row by putting that group of background rows in its place, encoded
    and with its presence. For each row and output the values of all groups add up to the output
    less the mean output of the background. Encoders run once; fusion and heads run
    2**groups times on each pair of a row and a background row.

    Args:
        model: A Functional model with one fusion through which every output goes, such as
            `multimodal.models.build.build` returns.
        inputs: A batch of the model's inputs.
        background: Inputs of the rows to compare with, such as fifty training rows; None compares
            each row with up to eight others of the batch.

    Returns:
        Dict of head -> group -> `(B, outputs)`, in the raw space of the head: in standard
        deviations of the target for a regression, in logits for classes.

    Raises:
        ValueError: The model has no fusion or several, the inputs are not the model's, there are
            more than ten groups, or a batch of one row comes without a background.

    Example:
    >>> import keras, numpy as np
    >>> from multimodal.fusion import GatedFusion
    >>> groups = {name: keras.Input((2,), name=name) for name in ("table", "words")}
    >>> price = keras.layers.Dense(1, name="price")(GatedFusion(4)(groups))
    >>> model = keras.Model(groups, {"price": price})
    >>> rows = {name: np.eye(2, dtype="float32") for name in groups}
    >>> found = contributions(model, rows)["price"]
    >>> sorted(found), tuple(found["table"].shape)
    (['table', 'words'], (2, 1))

    References:
        Lundberg and Lee, A Unified Approach to Interpreting Model Predictions, 2017.
    """
    fusion = find_fusion(model)
    heads = keras.Model(fusion.output, list(model.outputs))
    rows, others = encode(model, inputs), None
    if background is not None:
        others = encode(model, background)
        rows, others = filled(rows, others), filled(others, rows)
    values = shapley_values(
        lambda given: _listed(heads(fusion.fused(given), training=False)), rows, others
    )
    return {
        name: {group: each[i] for i, group in enumerate(sorted(rows))}
        for name, each in zip(model.output_names, values, strict=True)
    }


def gates(model: keras.Model, inputs: Any) -> Tensors:
    """Return the weight that a model's gated fusion gives each group of each row.

    Args:
        model: A Functional model with one `GatedFusion`.
        inputs: A batch of the model's inputs.

    Returns:
        Dict of group -> `(B,)`; 0 where the group is absent.

    Raises:
        ValueError: The model has no gated fusion, or the inputs are not the model's.

    Example:
    >>> import keras, numpy as np
    >>> from multimodal.fusion import GatedFusion
    >>> groups = {name: keras.Input((2,), name=name) for name in ("table", "words")}
    >>> model = keras.Model(groups, keras.layers.Dense(1)(GatedFusion(4)(groups)))
    >>> found = gates(model, {name: np.eye(2, dtype="float32") for name in groups})
    >>> np.round(keras.ops.convert_to_numpy(found["table"] + found["words"]), 4).tolist()
    [1.0, 1.0]
    """
    fusion = find_fusion(model)
    if not isinstance(fusion, GatedFusion):
        raise ValueError(
            "`model` must have a gated fusion, whose weights can be read. "
            f"Received: {type(fusion).__name__}"
        )
    rows = encode(model, inputs)
    presence = {name: row["presence"] for name, row in rows.items() if "presence" in row}
    weights = fusion.gates({name: row["inputs"] for name, row in rows.items()}, presence)
    return {group: weights[:, i] for i, group in enumerate(fusion.groups)}


def find_fusion(model: keras.Model) -> Fusion:
    """Return the one fusion layer of a Functional model; raise ValueError for none or several."""
    found = [layer for layer in model.layers if isinstance(layer, Fusion)]
    if len(found) != 1:
        names = [layer.name for layer in found]
        raise ValueError(f"`model` must have exactly one fusion layer. Received: {names}")
    return found[0]


def encode(model: keras.Model, inputs: Any) -> Rows:
    """Return what a model's fusion is given for these inputs: dict of group -> dict of tensors."""
    wanted = model.input
    if isinstance(wanted, dict) and (
        not isinstance(inputs, dict) or sorted(inputs) != sorted(wanted)
    ):
        keys = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        raise ValueError(f"`inputs` must have the keys {sorted(wanted)}. Received: {keys}")
    encoded: Rows = keras.Model(wanted, fusion_inputs(model))(inputs, training=False)
    return encoded


def fusion_inputs(model: keras.Model) -> Rows:
    """Return the symbolic tensors that a model's fusion is given: group -> dict of tensors."""
    # Private: Keras has no public way to the arguments that a layer was called with.
    arguments = find_fusion(model)._inbound_nodes[0].arguments
    options = arguments.kwargs
    return gather(arguments.args[0], options.get("presence"), options.get("mask") or {})


def _listed(outputs: Any) -> list[Tensor]:
    return outputs if isinstance(outputs, list) else [outputs]


def estimate_shapley_values(
    function: Function, players: int, *, seed: int = 0
) -> tuple[Floats, bool]:
    """Return the Shapley values (P,) of players, and whether they are exact.

    For at most eight players all coalitions are computed. For more, players join one after the
    other in random orders, each order also backwards (antithetic pairs): up to 32 pairs, or as many
    as take 4,096 coalitions. Both add up to `function(all) - function(none)`.

    Args:
        function: Coalitions bool (S, P) to values (S,).
        players: Their number P.
        seed: Seed of the orders.

    Example:
    >>> estimate_shapley_values(lambda who: who @ np.array([1.0, 2.0]) + who.all(axis=1), 2)
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
    # Who joins early in one joins late in the other: their errors partly cancel.
    orders = [each for order in orders for each in (order, order[::-1])]
    places = np.argsort(orders, axis=1)[:, None]
    joined = places < np.arange(players + 1)[:, None]  # who is there, by order and step
    values = _chunked(function, joined.reshape(-1, players)).reshape(len(orders), -1)
    total = np.zeros(players)
    for order, gains in zip(orders, np.diff(values, axis=1), strict=True):
        total[order] += gains
    return total / len(orders), False


def _exact(function: Function, players: int) -> Floats:
    coalitions, weights = np.arange(2**players), np.array(shapley_weights(players))
    who = (coalitions[:, None] >> np.arange(players) & 1).astype(bool)
    values, result = _chunked(function, who), np.zeros(players)
    for player in range(players):
        joined = coalitions[who[:, player]]
        # Differences before weights: a player that does nothing gets 0, not what rounding leaves.
        gains = values[joined] - values[joined ^ 1 << player]
        result[player] = weights[player, joined] @ gains
    return result


def _chunked(function: Function, who: Bools) -> Floats:
    parts = [function(who[i : i + CHUNK]) for i in range(0, len(who), CHUNK)]
    return np.concatenate(parts).astype(np.float64)


def floats(tensor: Any) -> Floats:
    """Return a tensor as float64 numbers."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)
