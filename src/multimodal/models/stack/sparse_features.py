"""The sparse features of the rows of a run, as its linear model and its trees learn from them."""

from __future__ import annotations

from multimodal.core.arrays import Floats, Ints
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.prepare import Prepared
from multimodal.data.sparse.blocks import block_matrices, random_feature_matrix
from multimodal.data.sparse.ngrams import Matrix
from multimodal.data.sparse.random_features import (
    random_feature_targets,
    random_features_of,
    random_features_out_of_fold,
    read_cells,
)


def sparse_features(prepared: Prepared, rows: Ints) -> list[Matrix]:
    """Return the sparse features of rows, (rows, features) for each block.

    In the random Fourier features of a row, its own fold does not tell what its categories mean.
    """
    features, spec, frame = prepared.spec.terms, prepared.spec, prepared.table.frame.iloc[rows]
    assert features is not None
    targets = known_targets(prepared, rows)
    readings = Preprocessor(spec, prepared.schema).readings
    matrices = list(block_matrices(features, spec, readings, frame))
    for i, block in enumerate(features.blocks):
        if block.waves is not None:
            group = spec.group(block.group)
            cells = read_cells(group, readings, frame)
            # The difference is added, since the block's matrix also says which rows lack the group.
            moved = random_features_out_of_fold(
                block.waves, group, cells, targets, prepared.folds[rows]
            ) - random_features_of(block.waves, cells)
            matrices[i] = matrices[i] + random_feature_matrix(features, i, moved)
    return matrices


def known_targets(prepared: Prepared, rows: Ints) -> Floats:
    """Return the labels of rows that random Fourier features and trees are made by."""
    heads, fitted = prepared.config.heads, prepared.spec.heads
    return random_feature_targets(heads, fitted, prepared.labels)[rows]
