"""The sparse linear model in a head: what each feature block adds to the raw outputs of rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.spec import FittedGroup, FittedSpec, SparseFeatures
from multimodal.data.features.cell_arrays import Frame, Readings
from multimodal.data.features.text import words
from multimodal.data.sparse.blocks import (
    baseline_matrices,
    block_matrices,
    keep_largest,
    random_feature_matrix,
    word_matrix,
)
from multimodal.data.sparse.ngrams import OF_TEXTS, Matrix
from multimodal.data.sparse.random_features import random_features_of, to_cells
from multimodal.explain.attribution import floats
from multimodal.layers.stacking import Blend
from multimodal.models.fitted import FittedModel


@dataclass(frozen=True)
class LinearSubmodel:
    """The linear model that is stacked with the networks in a head.

    The raw outputs of the head are
    `network_weight * networks + linear_weight * (terms @ kernel + bias)`.

    Attributes:
        terms: The sparse features that it reads.
        spec: The fitted spec.
        readings: How each source column is read.
        network_weight: Stacking weight of the mean of the networks, (width,).
        linear_weight: Stacking weight of the linear model, (width,).
        kernel: float32 (terms, width).
        bias: (width,).
    """

    terms: SparseFeatures
    spec: FittedSpec
    readings: Readings
    network_weight: Floats
    linear_weight: Floats
    kernel: NDArray[np.float32]
    bias: Floats

    def matrices(self, frame: Frame, without: Collection[str] = ()) -> list[Matrix]:
        """Return the terms of rows that the model reads, (rows, terms) for each block.

        The groups `without` are as in rows that lack them.
        """
        found = block_matrices(self.terms, self.spec, self.readings, frame, without=without)
        return keep_largest(list(found), self.terms.lengths[-1])

    def random_features(self, inputs: Mapping[str, NDArray[Any]]) -> Iterator[tuple[int, Matrix]]:
        """Yield the place of each block of random Fourier features, and those of rows.

        Args:
            inputs: Numbers and categories by input key, as a network reads them; groups that it
                does not hold are left out.
        """
        rows = len(next(iter(inputs.values())))
        empty = np.zeros((rows, 0), np.int64)
        for i, block in enumerate(self.terms.blocks):
            keys = [f"{block.group}_{kind}" for kind in ("numeric", "categorical")]
            if block.waves is not None and any(key in inputs for key in keys):
                arrays = [np.asarray(inputs.get(key, empty)) for key in keys]
                cells = to_cells(self.spec.group(block.group), *arrays)
                features = random_features_of(block.waves, cells)
                yield i, random_feature_matrix(self.terms, i, features)

    def raw(self, matrices: Iterable[Matrix], rows: int) -> Floats:
        """Return what blocks add to the raw outputs of the stacked model, (rows, width)."""
        start = np.zeros((rows, len(self.bias)))
        found = sum((np.asarray(matrix @ self.kernel) for matrix in matrices), start)
        return self.linear_weight * found

    @property
    def constant(self) -> Floats:
        """What is added to the raw outputs of every row, (width,)."""
        return self.linear_weight * self.bias

    def scores(
        self, here: Sequence[Matrix], absent: Sequence[Matrix], direction: Sequence[float]
    ) -> LinearScores:
        """Return what each block adds to the score of a row.

        Args:
            here: The terms of the row, (1, terms) for each block.
            absent: Those of a row that lacks every group.
            direction: The weight of each raw output in the score.
        """
        weights = self.linear_weight * np.array(direction)
        kernel = (self.kernel @ weights.astype(np.float32)).astype(np.float64)
        cases = here, absent, baseline_matrices(self.terms, self.spec)
        each, bare, typical = (
            np.array([float((matrix @ kernel)[0]) for matrix in case]) for case in cases
        )
        total = float(each.sum() + self.bias @ weights)
        return LinearScores(self, here, kernel, each, bare, typical, total)

    def positions(self, groups: Collection[str], column: str | None = None) -> list[int]:
        """Return the places of the blocks of groups, or of one column in them."""
        return [
            i
            for i, block in enumerate(self.terms.blocks)
            if block.group in groups and column in (None, self._column(i))
        ]

    def _column(self, position: int) -> str:
        """Return the column of the table that a block reads, the group of a block of texts."""
        block = self.terms.blocks[position]
        if block.kind == "waves":
            return ""  # random features mix all columns of the group
        if block.kind != "number":
            return block.source
        numeric = self.spec.group(block.group).numeric
        return next((each.source for each in numeric if each.name == block.source), block.source)


def linear_submodel(model: FittedModel, head: str) -> LinearSubmodel | None:
    """Return the linear model in a head of a model, None where there is none."""
    layer = model.model.get_layer(head)
    if not isinstance(layer, Blend) or model.spec.terms is None:
        return None
    networks, linear = floats(layer.shares)[:2]
    return LinearSubmodel(
        terms=model.spec.terms,
        spec=model.spec,
        readings=model.preprocessor.readings,
        network_weight=networks,
        linear_weight=linear,
        kernel=np.asarray(keras.ops.convert_to_numpy(layer.kernel), np.float32)[1:],
        bias=floats(layer.bias),
    )


@dataclass(frozen=True)
class LinearScores:
    """What the feature blocks of the linear model add to the score of one row.

    Attributes:
        model: The linear model.
        terms: The features of the row, (1, terms) for each block.
        kernel: What each term adds to the score, (terms,).
        here: What each block adds.
        absent: The same where its group is absent.
        typical: The same of a typical cell.
        total: What all blocks and the bias add.
    """

    model: LinearSubmodel
    terms: Sequence[Matrix]
    kernel: Floats
    here: Floats
    absent: Floats
    typical: Floats
    total: float

    def groups(self, names: Collection[str]) -> float:
        """Return how much groups moved the score from where they are absent."""
        chosen = self.model.positions(names)
        return float((self.here - self.absent)[chosen].sum())

    def columns(self, groups: Collection[str], names: Sequence[str]) -> Floats:
        """Return how much columns of the table moved the score from where they are typical."""
        moved = self.here - self.typical
        return np.array([moved[self.model.positions(groups, name)].sum() for name in names])

    def reads_letters(self, group: str, column: str) -> bool:
        """Return whether the model reads the letters of the categories of a column."""
        blocks = self.model.terms.blocks
        places = self.model.positions([group], column)
        return any(blocks[i].kind == "value_letters" for i in places)

    def random_features(self, inputs: Mapping[str, NDArray[Any]]) -> Floats:
        """Return what the random features of groups of the table add to scores, (rows,).

        Args:
            inputs: Numbers and categories by input key, as a network reads them; groups that it
                does not hold add nothing.
        """
        found = np.zeros(len(next(iter(inputs.values()))))
        for i, matrix in self.model.random_features(inputs):
            found += matrix @ (self.kernel * (self.terms[i].toarray()[0] != 0))  # not those cut off
        return found

    def words(self, group: FittedGroup, text: str) -> Floats:
        """Return how much each word of a text moved the score, (words,).

        Each term counts for the words that it stands in. What the model says of an absent text is
        taken off by the weight of the terms, so that the scores add up to what `groups` returns.
        """
        found = np.zeros(len(words(text)))
        for i in self.model.positions([group.name]):
            if self.model.terms.blocks[i].kind in OF_TEXTS:
                each = word_matrix(self.model.terms, i, text)
                each = each.multiply(self.terms[i].toarray() != 0).tocsr()  # not those cut off
                weight = np.asarray(abs(each).sum(axis=1)).ravel()
                if not weight.any():
                    weight = np.ones_like(weight)
                own = each @ self.kernel
                rest = self.here[i] - own.sum() - self.absent[i]  # of a text too short for triples
                found += own + rest * weight / weight.sum()
        return found
