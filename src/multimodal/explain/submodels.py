"""The model of one head as submodels: its networks, split, and the linear model beside them.

Rows are encoded once; what explains them then runs only the fusions and the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import tree
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.formatting import listed
from multimodal.core.spec import SPARSE_KEYS, FittedSpec
from multimodal.data.features.preprocess import Arrays, ablate
from multimodal.data.photos.read import decode_rows
from multimodal.explain.attribution import (
    ScoredRow,
    Submodel,
    floats,
    make_submodels,
    raw_outputs,
)
from multimodal.explain.kernels import KernelSubmodel, kernel_submodels, network_weight
from multimodal.explain.linear import LinearScores, LinearSubmodel, linear_submodel
from multimodal.models.fitted import FittedModel
from multimodal.runtime.batches import BATCH, batches

FEW = 256  # up to so many rows, encoding them is done sooner than compiling how to
Inputs = dict[str, NDArray[Any]]
Encoded = dict[str, dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class EncodedRow:
    """One row as each submodel takes it; several rows for `HeadSubmodels.contributions`.

    Attributes:
        inputs: The inputs of the networks.
        networks: What each network's fusion is given.
        terms: The sparse features that the linear model reads, (1, terms) for each block.
    """

    inputs: Mapping[str, Any]
    networks: Sequence[Any]
    terms: Sequence[Any] = field(default_factory=list)


@dataclass(frozen=True)
class HeadSubmodels:
    """A fitted model for one of its heads: its networks, split, and what is stacked with them.

    Attributes:
        networks: The networks.
        linear: The linear model, if there is one.
        network_weight: Stacking weight of the mean of the networks, (width,); None where they are
            all of the model.
        kernels: The kernel regressions on frozen features.
    """

    networks: Sequence[Submodel]
    linear: LinearSubmodel | None
    network_weight: Floats | None = None
    kernels: Sequence[KernelSubmodel] = ()

    @classmethod
    def of(cls, model: FittedModel, head: str) -> HeadSubmodels:
        """Split a fitted model for one of its heads."""
        networks = make_submodels(model.model, head, model.spec.groups)
        others = network_weight(model, head), kernel_submodels(model, head)
        return cls(networks, linear_submodel(model, head), *others)

    def encode(self, arrays: Arrays, frame: pd.DataFrame, *, baseline: bool = False) -> EncodedRow:
        """Return one row encoded.

        Args:
            arrays: The row as the model takes it.
            frame: The raw row.
            baseline: Whether the linear model reads what it reads of a row that lacks every group.
        """
        inputs, _ = whole_inputs(arrays)
        networks = [network.encode(inputs) for network in self.networks]
        if self.linear is None:
            return EncodedRow(inputs, networks)
        without = [group.name for group in self.linear.spec.groups] if baseline else []
        return EncodedRow(inputs, networks, self.linear.matrices(frame, without))

    def raw(self, row: EncodedRow) -> Floats:
        """Return the raw outputs (1, width) of the stacked model."""
        found = floats(raw_outputs(self.networks, row.networks))
        if self.network_weight is not None:
            found = self.network_weight * found
        if self.linear is not None:
            found = found + self.linear.raw(row.terms, 1) + self.linear.constant
        return np.asarray(found + self.of_kernels(row.inputs))

    def of_kernels(self, inputs: Mapping[str, Any]) -> Any:
        """Return what kernel regressions add to the raw outputs, (rows, width); 0 without any."""
        return sum(kernel.raw(inputs) for kernel in self.kernels)

    def fused(self, row: EncodedRow) -> Floats:
        """Return the vectors that enter the heads of the networks, side by side, (D,)."""
        known = zip(self.networks, row.networks, strict=True)
        return np.concatenate([floats(network.fused(rows))[0] for network, rows in known])

    @property
    def networks_decide(self) -> bool:
        """Whether the networks have at least half of the stacking weights of all base models."""
        if self.network_weight is None:
            return True
        others = [kernel.weight for kernel in self.kernels]
        if self.linear is not None:
            others.append(self.linear.linear_weight)
        rest = sum(float(np.abs(weight).mean()) for weight in others)
        return float(np.abs(self.network_weight).mean()) >= rest

    def contributions(self, rows: EncodedRow) -> Floats:
        """Return what each part of a stacked model adds to the raw outputs, side by side.

        Parts are the networks, each feature block of the linear model, and each group alone in a
        kernel regression.

        Args:
            rows: One row, or several.

        Returns:
            (rows, parts * width).
        """
        networks = floats(raw_outputs(self.networks, rows.networks))
        parts = [networks if self.network_weight is None else self.network_weight * networks]
        if self.linear is not None:
            parts += [self.linear.raw([block], len(networks)) for block in rows.terms]
        parts += [each for kernel in self.kernels for each in kernel.alone(rows.inputs)]
        return np.concatenate(parts, axis=1)

    def stacking_weights(self, direction: Sequence[float]) -> dict[str, float]:
        """Return the stacking weights of the base models in the strongest raw output, by name."""
        if self.network_weight is None:
            return {}
        weights = {"networks": self.network_weight}
        if self.linear is not None:
            weights["sparse linear model"] = self.linear.linear_weight
        for kernel in self.kernels:
            weights[f"pretrained features of {listed(kernel.groups)}"] = kernel.weight
        strongest = int(np.argmax(np.abs(direction)))
        return {name: float(weight[strongest]) for name, weight in weights.items()}

    def scored(
        self, row: EncodedRow, baseline: EncodedRow, direction: Sequence[float]
    ) -> tuple[ScoredRow, LinearScores | None]:
        """Return what the networks and what the linear model add to a score.

        Args:
            row: The row.
            baseline: A row that lacks every group.
            direction: The weight of each raw output in the score.
        """
        if self.network_weight is None:
            return ScoredRow(self.networks, row.inputs, row.networks, direction), None
        weighted = (np.array(direction) * self.network_weight).tolist()
        scored = ScoredRow(self.networks, row.inputs, row.networks, weighted)
        if self.linear is None:
            return scored, None
        return scored, self.linear.scores(row.terms, baseline.terms, direction)


def encode_rows(
    networks: Sequence[Submodel], arrays: Arrays
) -> tuple[list[Encoded], dict[int, str]]:
    """Return what each fusion is given of all rows, as arrays in their order; faults by row.

    Args:
        networks: What `make_submodels` returned.
        arrays: The rows as the model takes them; sparse features, which no fusion reads, are
            left out.
    """
    places, pieces = [], []
    faults: dict[int, str] = {}
    encode = _eagerly if arrays.rows <= FEW else _compiled
    for rows, (batch, wrong) in batches(arrays):
        places.append(rows)
        faults |= wrong
        for key in SPARSE_KEYS:
            batch.pop(key, None)
        pieces.append([encode(network, batch, len(rows)) for network in networks])
    # Batches come sorted by the length of their texts: back to the order of the rows.
    order = np.argsort(np.concatenate(places))
    found: list[Encoded] = [
        tree.map_structure(lambda *each: np.concatenate(each)[order], *of_network)
        for of_network in zip(*pieces, strict=True)
    ]
    return found, faults


def fused_vectors(
    networks: Sequence[Submodel], encoded: Sequence[Encoded], *, chunk: int = 256
) -> Floats:
    """Return the vectors (rows, D) that enter the heads; those of several networks side by side.

    Each network has a space of its own, so that a mean of their vectors would mean nothing.
    """
    found = []
    for network, rows in zip(networks, encoded, strict=True):
        size = len(tree.flatten(rows)[0])
        each = [
            floats(network.fused(take(rows, np.arange(i, min(i + chunk, size)))))
            for i in range(0, size, chunk)
        ]
        found.append(np.concatenate(each))
    return np.concatenate(found, axis=1)


def contribution_vectors(
    submodels: HeadSubmodels,
    encoded: Sequence[Encoded],
    inputs: Inputs,
    frame: pd.DataFrame,
    *,
    chunk: int = 256,
) -> Floats:
    """Return what each part of a stacked model adds to the raw outputs of rows, (rows, D).

    Args:
        submodels: The model of one head.
        encoded: What `encode_rows` returned.
        inputs: The inputs of the rows, without photos.
        frame: The raw rows.
        chunk: Rows computed at once.
    """
    terms = [] if submodels.linear is None else submodels.linear.matrices(frame)
    found = []
    for i in range(0, len(frame), chunk):
        some = np.arange(i, min(i + chunk, len(frame)))
        rows = EncodedRow(
            {key: array[some] for key, array in inputs.items()},
            [take(each, some) for each in encoded],
            [block[some] for block in terms],
        )
        found.append(submodels.contributions(rows))
    return np.concatenate(found)


def take(rows: Encoded, chosen: Ints) -> Any:
    """Return the chosen rows as tensors."""
    return tree.map_structure(lambda each: keras.ops.convert_to_tensor(each[chosen]), rows)


def whole_inputs(arrays: Arrays) -> tuple[dict[str, NDArray[Any]], dict[int, str]]:
    """Return the inputs of rows with their photos decoded, and faults by row."""
    inputs, faults = dict(arrays.inputs), dict[int, str]()
    for name, photos in arrays.photos.items():
        inputs[f"{name}_pixels"], inputs[f"{name}_present"], wrong = decode_rows(photos)
        faults |= wrong
    return inputs, faults


def baseline_input(arrays: Arrays, spec: FittedSpec) -> Arrays:
    """Return the baseline of an attribution: every group is as in a row that lacks it."""
    for modality in dict.fromkeys(group.modality for group in spec.groups):
        arrays = ablate(arrays, spec, modality)
    return arrays


def _eagerly(network: Submodel, batch: Inputs, rows: int) -> Any:
    return tree.map_structure(keras.ops.convert_to_numpy, network.encode(batch))


def _compiled(network: Submodel, batch: Inputs, rows: int) -> Any:
    # a batch of another size would be traced anew: the last one is filled up
    filler = [0] * (BATCH - rows)
    own = {key: batch[key] for key in network.all_branches.input}
    filled = {key: np.concatenate([array, array[filler]]) for key, array in own.items()}
    found = network.all_branches.predict_on_batch(filled)
    return tree.map_structure(lambda each: each[:rows], found)
