"""A model cut at its encoders, its fusion and a head, and how much each group moved a score.

A score is a weighted sum of a head's raw outputs, such as one logit. Several models of one kind,
joined by `members.average`, are explained as their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops, tree

from multimodal.core.spec import FittedGroup
from multimodal.explain.contributions import find_fusion, fusion_inputs
from multimodal.fusion.base import Fusion, Tensors
from multimodal.fusion.contributions import Rows, filled, shapley_values
from multimodal.layers.base import Tensor
from multimodal.models.averaging import members


@dataclass(frozen=True)
class Part:
    """One model, cut.

    Attributes:
        fusion: The fusion.
        head: The fused vector to the raw outputs of one head.
        keys: The input keys of each group.
        encoders: The encoder of each group.
        tokens: Inputs of one group, in the order of its keys, to the tokens of its encoder.
        branches: The same to what the fusion is given: `inputs`, `presence`, `mask`.
        whole: The inputs of all groups to what the fusion is given of each.
        after: The tokens of one group, then its inputs, to the `inputs` of the fusion; None where
            these are the tokens.
    """

    fusion: Fusion
    head: keras.Model
    keys: dict[str, list[str]]
    encoders: dict[str, Any]
    tokens: dict[str, keras.Model]
    branches: dict[str, keras.Model]
    whole: keras.Model
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


def cut(model: keras.Model, head: str, groups: Sequence[FittedGroup]) -> list[Part]:
    """Return the parts of a built model, one entry for each model that it is the mean of.

    Args:
        model: What `build` or `average` returned.
        head: The head to explain.
        groups: The groups of the fitted spec.

    Raises:
        ValueError: There is no fusion, or no such head.
    """
    if head not in model.output_names:
        raise ValueError(f"`head` must be one of {model.output_names}. Received: head={head!r}")
    return [_cut(member, head, groups) for member in members(model)]


def _cut(model: keras.Model, head: str, groups: Sequence[FittedGroup]) -> Part:
    fusion, rows = find_fusion(model), fusion_inputs(model)
    keys = {group.name: group.input_keys for group in groups}
    given = {name: [model.input[key] for key in each] for name, each in keys.items()}
    encoders = {name: model.get_layer(f"{name}_encoder") for name in keys}
    after: dict[str, keras.Model | None] = {}
    for name, encoder in encoders.items():
        same = rows[name]["inputs"] is encoder.output
        after[name] = None if same else _after([encoder.output, *given[name]], rows[name]["inputs"])
    return Part(
        fusion=fusion,
        head=keras.Model(fusion.output, model.output[head]),
        keys=keys,
        encoders=encoders,
        tokens={name: keras.Model(given[name], each.output) for name, each in encoders.items()},
        branches={name: keras.Model(given[name], rows[name]) for name in keys},
        whole=keras.Model(model.input, rows),
        after=after,
    )


def _after(inputs: list[Tensor], outputs: Tensor) -> keras.Model:
    """Return a model from tokens on; their mask, which they may carry, is an input of its own."""
    model = keras.Model(inputs, outputs)
    model.supports_masking = True
    return model


@dataclass(frozen=True)
class Row:
    """One row, encoded by each part, and the direction of its raw outputs that is explained."""

    parts: Sequence[Part]
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
        for part, rows in zip(self.parts, self.encoded, strict=True):
            others = {group: part.encode_group(group, variants) for group in groups}
            size = tree.flatten(others)[0].shape[0]
            found.append(part.score(copies(rows, size) | others, self.direction))
        return mean_of(found)


def raw_outputs(parts: Sequence[Part], encoded: Sequence[Rows]) -> Tensor:
    """Return the mean of the parts' raw outputs `(B, width)` for rows that each has encoded."""
    return mean_of([part.raw(rows) for part, rows in zip(parts, encoded, strict=True)])


def group_values(
    row: Row, empty: Sequence[Rows], players: Mapping[str, Sequence[str]]
) -> dict[str, Tensor]:
    """Return how much each player moved the score of a row: exact Shapley values.

    All 2**players coalitions are computed. The values add up to the row's score less that of the
    empty row.

    Args:
        row: The row, or B rows.
        empty: One row in which every group is as in a row that lacks it, encoded by each part.
        players: The groups of each player; each group belongs to one.

    Returns:
        Dict of player -> `(B,)`.

    Raises:
        ValueError: More than ten players.

    References:
        Shapley, A Value for n-Person Games, 1953.
    """
    found = []
    for part, full, bare in zip(row.parts, row.encoded, empty, strict=True):
        rows, others = filled(full, bare), filled(bare, full)

        def function(given: Any, part: Part = part) -> Tensor:
            merged = {group: each for held in given.values() for group, each in held.items()}
            return part.score(merged, row.direction)

        mine, theirs = (
            {name: {group: each[group] for group in held} for name, held in players.items()}
            for each in (rows, others)
        )
        found.append(shapley_values(function, mine, theirs))
    values = mean_of(found)
    return {name: values[i] for i, name in enumerate(sorted(players))}


def mean_of(tensors: Sequence[Tensor]) -> Tensor:
    """Return the mean of tensors of one shape, in float32."""
    return ops.mean(ops.stack([ops.cast(each, "float32") for each in tensors]), axis=0)


def copies(rows: Any, size: int) -> Any:
    """Return each tensor of one row `(1, ...)` as `(size, ...)`."""
    return tree.map_structure(lambda each: ops.repeat(each, size, axis=0), rows)
