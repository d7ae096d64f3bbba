"""Boosted trees as plain arrays: what a row falls into, without the library that grew them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints

# trees of at most 63 leaves are no deeper; what a damaged file holds ends there, too
MOST_DEPTH = 64
CHUNK = 256  # rows that walk through all trees together


@dataclass(frozen=True)
class Forest:
    """Trees as arrays; the raw outputs of a row are `start` and the leaves it falls into.

    Attributes:
        start: Outputs before the first tree, float64 (outputs,).
        roots: First node of each tree, int64 (trees,).
        outputs: The output that each tree adds to, int64 (trees,).
        feature: Feature that a node looks at, int64 (nodes,).
        threshold: Rows with at most this go left, float64 (nodes,).
        missing_left: Whether rows without the feature go left, bool (nodes,).
        left: Left child, int64 (nodes,), rising along a path; a leaf is its own.
        right: Right child, likewise.
        value: What a leaf adds, float64 (nodes,).
    """

    start: Floats
    roots: Ints
    outputs: Ints
    feature: Ints
    threshold: Floats
    missing_left: Bools
    left: Ints
    right: Ints
    value: Floats

    def raw(self, features: NDArray[Any]) -> Floats:
        """Return raw outputs (rows, outputs) for features (rows, F), NaN where missing."""
        starts = range(0, len(features), CHUNK)
        parts = [self._walk(np.asarray(features[i : i + CHUNK], np.float64)) for i in starts]
        return np.concatenate([*parts, np.zeros((0, len(self.start)))])

    def _walk(self, features: Floats) -> Floats:
        nodes = np.tile(self.roots, (len(features), 1))
        rows = np.arange(len(features))[:, None]
        for _ in range(MOST_DEPTH):
            values = features[rows, self.feature[nodes]]
            missing = np.isnan(values) & self.missing_left[nodes]
            onward = np.where(
                missing | (values <= self.threshold[nodes]), self.left[nodes], self.right[nodes]
            )
            if np.array_equal(onward, nodes):
                break
            nodes = onward
        leaves = self.value[nodes]
        each = [leaves[:, self.outputs == i].sum(axis=1) for i in range(len(self.start))]
        return np.asarray(self.start + np.stack(each, axis=1))

    def check(self, features: int, outputs: int) -> None:
        """Raise ValueError unless these are trees over so many features, with so many outputs."""
        nodes, trees = len(self.feature), len(self.roots)
        shapes = {"start": (outputs,), "roots": (trees,), "outputs": (trees,)}
        # What a walk does with the arrays is checked here, not as it walks: they may come from
        # anybody.
        for field in fields(self):
            array = getattr(self, field.name)
            if array.shape != shapes.get(field.name, (nodes,)) or not np.isfinite(array).all():
                raise ValueError(
                    f"'{field.name}' is not an array of finite numbers as it should be"
                )
        limits = (
            (self.roots, 0, nodes),
            (self.outputs, 0, outputs),
            (self.feature, 0, features),
            (self.left, np.arange(nodes), nodes),
            (self.right, np.arange(nodes), nodes),
        )
        if any((array < low).any() or (array >= high).any() for array, low, high in limits):
            raise ValueError("its trees point to what is not there")
