"""Submodels: the model cut at its encoders and fusions; rows encoded once, scored by each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats, Ints
from multimodal.data.features.preprocess import Arrays, ablate
from multimodal.explain.attribution import Part, Row, cut, floats, raw_outputs
from multimodal.explain.linear import LinearPart, LinearScores, linear_part

if TYPE_CHECKING:
    from multimodal.models.fitted import FittedModel
import keras
from keras import tree
from numpy.typing import NDArray

from multimodal.core.spec import SPARSE_KEYS, FittedSpec
from multimodal.data.photos.read import decode_rows
from multimodal.models.predictor import BATCH, batches


@dataclass(frozen=True)
class Encoding:
    """One row as each part of the model takes it.

    Attributes:
        inputs: The inputs of the networks.
        networks: What each network's fusion is given.
        terms: The terms that the linear model reads, (1, terms) for each block.
    """

    inputs: Mapping[str, Any]
    networks: Sequence[Any]
    terms: Sequence[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Cut:
    """A run's model for one head: its networks, cut, and the linear model, where there is one."""

    parts: Sequence[Part]
    linear: LinearPart | None

    @classmethod
    def of(cls, model: FittedModel, head: str) -> Cut:
        """Cut the model of a run for one of its heads."""
        return cls(cut(model.model, head, model.spec.groups), linear_part(model, head))

    def encode(self, arrays: Arrays, frame: pd.DataFrame, *, nothing: bool = False) -> Encoding:
        """Return one row encoded; with `nothing`, its terms are those of a row without anything.

        Args:
            arrays: The row as the model takes it.
            frame: The raw row.
        """
        inputs, _ = whole_inputs(arrays)
        networks = [part.encode(inputs) for part in self.parts]
        if self.linear is None:
            return Encoding(inputs, networks)
        without = [group.name for group in self.linear.spec.groups] if nothing else []
        return Encoding(inputs, networks, self.linear.matrices(frame, without))

    def raw(self, row: Encoding) -> Floats:
        """Return the raw outputs (1, width) of the whole model."""
        found = floats(raw_outputs(self.parts, row.networks))
        if self.linear is None:
            return found
        return self.linear.share * found + self.linear.raw(row.terms, 1) + self.linear.constant

    def fused(self, row: Encoding) -> Floats:
        """Return the vectors that enter the heads of the networks, side by side, (D,)."""
        known = zip(self.parts, row.networks, strict=True)
        vectors = [floats(part.fused(rows))[0] for part, rows in known]
        return np.concatenate(vectors)

    def counted(self, direction: Sequence[float]) -> tuple[float, float] | None:
        """Return what the networks and the linear model count in the strongest raw output."""
        if self.linear is None:
            return None
        strongest = int(np.argmax(np.abs(direction)))
        return float(self.linear.share[strongest]), float(self.linear.linear_share[strongest])

    def scored(
        self, row: Encoding, empty: Encoding, direction: Sequence[float]
    ) -> tuple[Row, LinearScores | None]:
        """Return what the networks and what the linear model add to a score.

        Args:
            row: The row.
            empty: A row without anything.
            direction: The weight of each raw output in the score.
        """
        if self.linear is None:
            return Row(self.parts, row.inputs, row.networks, direction), None
        own = (np.array(direction) * self.linear.share).tolist()
        scores = self.linear.scores(row.terms, empty.terms, direction)
        return Row(self.parts, row.inputs, row.networks, own), scores


FEW = 256
"""Rows that are encoded sooner than the way to encode them is compiled."""
Inputs = dict[str, NDArray[Any]]
Encoded = dict[str, dict[str, NDArray[Any]]]


def encode_rows(parts: Sequence[Part], arrays: Arrays) -> tuple[list[Encoded], dict[int, str]]:
    """Return what each fusion is given of all rows, as arrays in their order; faults by row.

    Terms, which no fusion is given, are left out.

    Args:
        parts: What `cut` returned.
        arrays: The rows as the model takes them.
    """
    places, pieces = [], []
    faults: dict[int, str] = {}
    encode = _eagerly if arrays.rows <= FEW else _compiled
    for rows, (batch, wrong) in batches(arrays):
        places.append(rows)
        faults |= wrong
        for key in SPARSE_KEYS:
            batch.pop(key, None)
        pieces.append([encode(part, batch, len(rows)) for part in parts])
    order = np.argsort(np.concatenate(places))
    found: list[Encoded] = [
        tree.map_structure(lambda *each: np.concatenate(each)[order], *of_part)
        for of_part in zip(*pieces, strict=True)
    ]
    return found, faults


def fused_vectors(parts: Sequence[Part], encoded: Sequence[Encoded], *, chunk: int = 256) -> Floats:
    """Return the vectors (rows, D) that enter the heads; those of several networks side by side.

    Each network has a space of its own, so that a mean of their vectors would mean nothing.
    """
    found = []
    for part, rows in zip(parts, encoded, strict=True):
        size = len(tree.flatten(rows)[0])
        each = [
            floats(part.fused(take(rows, np.arange(i, min(i + chunk, size)))))
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


def nothing(arrays: Arrays, spec: FittedSpec) -> Arrays:
    """Return arrays in which every group is as in a row that lacks it."""
    for modality in dict.fromkeys(group.modality for group in spec.groups):
        arrays = ablate(arrays, spec, modality)
    return arrays


def _eagerly(part: Part, batch: Inputs, rows: int) -> Any:
    return tree.map_structure(keras.ops.convert_to_numpy, part.encode(batch))


def _compiled(part: Part, batch: Inputs, rows: int) -> Any:
    """Encode a batch, filled up to the size of the others."""
    filler = [0] * (BATCH - rows)
    filled = {key: np.concatenate([array, array[filler]]) for key, array in batch.items()}
    return tree.map_structure(lambda each: each[:rows], part.whole.predict_on_batch(filled))
