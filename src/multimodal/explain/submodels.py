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
from multimodal.explain.linear import LinearScores, LinearSubmodel, linear_submodel
from multimodal.models.fitted import FittedModel
from multimodal.models.predictor import BATCH, batches

FEW = 256  # up to so many rows, encoding them is done sooner than compiling how to
Inputs = dict[str, NDArray[Any]]
Encoded = dict[str, dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class EncodedRow:
    """One row as each submodel takes it.

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
    """A fitted model for one of its heads: its networks, split, and the linear model, if any."""

    networks: Sequence[Submodel]
    linear: LinearSubmodel | None

    @classmethod
    def of(cls, model: FittedModel, head: str) -> HeadSubmodels:
        """Split a fitted model for one of its heads."""
        networks = make_submodels(model.model, head, model.spec.groups)
        return cls(networks, linear_submodel(model, head))

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
        if self.linear is None:
            return found
        linear = self.linear.raw(row.terms, 1) + self.linear.constant
        return self.linear.network_weight * found + linear

    def fused(self, row: EncodedRow) -> Floats:
        """Return the vectors that enter the heads of the networks, side by side, (D,)."""
        known = zip(self.networks, row.networks, strict=True)
        return np.concatenate([floats(network.fused(rows))[0] for network, rows in known])

    def stacking_weights(self, direction: Sequence[float]) -> tuple[float, float] | None:
        """Return the stacking weights of networks and linear model in the strongest raw output."""
        if self.linear is None:
            return None
        strongest = int(np.argmax(np.abs(direction)))
        weights = self.linear.network_weight, self.linear.linear_weight
        return float(weights[0][strongest]), float(weights[1][strongest])

    def scored(
        self, row: EncodedRow, baseline: EncodedRow, direction: Sequence[float]
    ) -> tuple[ScoredRow, LinearScores | None]:
        """Return what the networks and what the linear model add to a score.

        Args:
            row: The row.
            baseline: A row that lacks every group.
            direction: The weight of each raw output in the score.
        """
        if self.linear is None:
            return ScoredRow(self.networks, row.inputs, row.networks, direction), None
        weighted = (np.array(direction) * self.linear.network_weight).tolist()
        scores = self.linear.scores(row.terms, baseline.terms, direction)
        return ScoredRow(self.networks, row.inputs, row.networks, weighted), scores


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
    filled = {key: np.concatenate([array, array[filler]]) for key, array in batch.items()}
    found = network.all_branches.predict_on_batch(filled)
    return tree.map_structure(lambda each: each[:rows], found)
