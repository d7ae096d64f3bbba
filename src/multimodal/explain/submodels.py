"""The whole model of a run, cut at its fusions: rows encoded once, scored by networks and terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal.data.features.preprocess import Arrays
from multimodal.explain.attribution import Part, Row, cut, raw_outputs
from multimodal.explain.encoding import floats, whole_inputs
from multimodal.explain.linear import LinearPart, LinearScores, linear_part
from multimodal.explain.records import Floats

if TYPE_CHECKING:
    from multimodal.runs.run import Run


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
    def of(cls, run: Run, head: str) -> Cut:
        """Cut the model of a run for one of its heads."""
        return cls(cut(run.model, head, run.spec.groups), linear_part(run, head))

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
