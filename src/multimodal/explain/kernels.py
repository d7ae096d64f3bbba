"""The kernel regressions in a head: what frozen features of photos and texts add to raw outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.explain.attribution import estimate_shapley_values, floats
from multimodal.layers.kernel_regression import KernelRegression
from multimodal.layers.stacking import Blend
from multimodal.models.fitted import FittedModel


@dataclass(frozen=True)
class KernelSubmodel:
    """A kernel regression that is stacked with the networks in a head.

    Attributes:
        layer: The layer.
        groups: The groups whose features it reads.
        weight: Its stacking weight, (width,).
    """

    layer: KernelRegression
    groups: Sequence[str]
    weight: Floats

    def raw(self, inputs: Mapping[str, Any]) -> Floats:
        """Return what it adds to the raw outputs of rows, (rows, width)."""
        given = [ops.convert_to_tensor(inputs[f"{name}_features"]) for name in self.groups]
        return self.weight * floats(self.layer(given))

    def alone(self, inputs: Mapping[str, Any]) -> list[Floats]:
        """Return what it adds to the raw outputs of rows for each of its groups without the others.

        Args:
            inputs: The rows, by input key.

        Returns:
            `(rows, width)` for each group.
        """
        bare = {
            f"{name}_features": np.zeros_like(inputs[f"{name}_features"]) for name in self.groups
        }
        return [self.raw({**bare, key: inputs[key]}) for key in bare]

    def group_scores(
        self,
        inputs: Mapping[str, NDArray[Any]],
        direction: Sequence[float],
        players: Mapping[str, Sequence[str]],
    ) -> dict[str, float]:
        """Return how much each player moved the score of a row from where all are absent.

        Args:
            inputs: The row, `(1, ...)` each.
            direction: The weight of each raw output in the score.
            players: The groups of each player; those of other submodels get 0.
        """
        own = {name: who for name, who in players.items() if set(who) & set(self.groups)}

        def function(there: Bools) -> Floats:
            given = {}
            for i, groups in enumerate(own.values()):
                for key in (f"{group}_features" for group in groups):
                    if key in inputs:
                        given[key] = np.where(there[:, i, None, None], inputs[key], 0.0)
            return np.asarray(self.raw(given) @ np.array(direction))

        if not own:
            return {}
        values, _ = estimate_shapley_values(function, len(own))
        return dict(zip(own, map(float, values), strict=True))


def network_weight(model: FittedModel, head: str) -> Floats | None:
    """Return the stacking weight of the networks in a head, (width,); None without any stack."""
    layer = model.model.get_layer(head)
    return floats(layer.shares)[0] if isinstance(layer, Blend) else None


def kernel_submodels(model: FittedModel, head: str) -> list[KernelSubmodel]:
    """Return the kernel regressions in a head of a model."""
    layer = model.model.get_layer(head)
    if not isinstance(layer, Blend):
        return []
    shares = floats(layer.shares)
    weights = shares[len(shares) - len(layer.features) :]
    return [
        KernelSubmodel(regression, [key.removesuffix("_features") for key in keys], weight)
        for regression, keys, weight in zip(
            layer.kernel_regressions, layer.features, weights, strict=True
        )
    ]
