"""Fitting of sparse n-gram features: which a linear model reads, and how rare each is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats, Ints, encode
from multimodal.core.spec import (
    TEXT_STATISTICS,
    FeatureBlock,
    FittedGroup,
    FittedSpec,
    SparseFeatures,
)
from multimodal.data.features.bins import fit_bins
from multimodal.data.features.cell_arrays import Readings
from multimodal.data.sparse.blocks import sparse_matrix
from multimodal.data.sparse.ngrams import (
    LEAST_ROWS,
    HashedFeatures,
    RawRows,
    absent_hash,
    random_feature_hashes,
)
from multimodal.data.sparse.random_features import MOST_ROWS, fit_random_features, read_cells

MOST_LETTERS = 3_000_000  # in a column, above which its runs of letters do not count
MOST_FOR_TRIPLES = 7_000_000  # letters in a column, above which triples do not count
STATISTIC_BINS = 16
MANY_VALUES = 10  # from which the letters of a category are read, too
MOST_FEATURES = 200_000  # of one block
# Length of a row of each kind of block: the larger, the less the penalty shrinks its weights.
SCALES = {
    "words": 1.0,
    "triples": 1.0,
    "letters": 1.0,
    **dict.fromkeys(TEXT_STATISTICS, 0.2),
    "value": 0.7,
    "value_letters": 1.0,
    "number": 0.4,
    "waves": 1.5,
}


def fit_sparse_features(
    spec: FittedSpec, readings: Readings, frame: pd.DataFrame, targets: Floats | None = None
) -> SparseFeatures | None:
    """Learn which features the rows of `frame` hold, and how rare each is.

    Args:
        spec: Fitted groups; tabular and text groups give features.
        readings: How each source column is read.
        frame: The training rows.
        targets: Those of `random_feature_targets`; None for no random Fourier features.

    Returns:
        Features that occur in two rows or more, at most 200,000 of each block; None where no group
        gives any.
    """
    blocks: list[FeatureBlock] = []
    hashes, weights = [], []
    raw = RawRows(spec, readings, frame)
    for block in [*_blocks(raw), *_random_feature_blocks(spec, readings, frame, targets)]:
        if block.waves is not None:
            kept = np.sort(random_feature_hashes(len(blocks), block.waves.count))
            rows = np.full(len(kept), len(frame))
        else:
            kept, rows = _kept(HashedFeatures(raw, [(len(blocks), block)]))
        blocks.append(block)
        hashes.append(np.append(kept, absent_hash(len(blocks) - 1)))
        weights.append(np.append(np.log((1 + len(frame)) / (1 + rows)) + 1, 1.0))
    if not blocks:
        return None
    known, first = np.unique(np.concatenate(hashes), return_index=True)
    idf = np.concatenate(weights)[first]
    # The record asks for a length; the real ones are counted with these very features.
    features = SparseFeatures(
        blocks=blocks, hashes=encode(known, "<u4"), weights=encode(idf, "<f4"), lengths=[1]
    )
    counts = np.diff(sparse_matrix(features, spec, readings, frame).indptr)
    levels = np.quantile(counts, [0.25, 0.5, 0.8, 1.0])
    lengths = sorted({int(-(-max(level, 1) // 64) * 64) for level in levels})
    return features.model_copy(update={"lengths": lengths})


def _blocks(rows: RawRows) -> Iterator[FeatureBlock]:
    for group in rows.spec.groups:
        if group.modality == "text":
            source = rows.source(_block(group, group.name, "words"))
            letters = sum(len(cell or "") for cell in source.cells)
            most = {"words": letters, "triples": MOST_FOR_TRIPLES, "letters": MOST_LETTERS}
            for kind in (kind for kind, limit in most.items() if letters <= limit):
                yield _block(group, group.name, kind)
            for kind in TEXT_STATISTICS:
                block = _block(group, group.name, kind)
                bins = fit_bins(rows.numbers(block), STATISTIC_BINS)
                if len(bins) > 2:
                    yield block.model_copy(update={"bins": bins})
        for category in group.categorical:
            yield _block(group, category.source, "value")
            if len(category.categories) > MANY_VALUES:
                yield _block(group, category.source, "value_letters")
        for number in group.numeric:
            if len(number.bins) > 2:
                yield _block(group, number.name, "number", bins=number.bins)


def _random_feature_blocks(
    spec: FittedSpec, readings: Readings, frame: pd.DataFrame, targets: Floats | None
) -> Iterator[FeatureBlock]:
    if targets is None or not targets.shape[1] or len(frame) > MOST_ROWS:
        return
    for group in spec.groups:
        # A group of one column bends in that alone, which its bins tell already.
        if group.modality == "tabular" and len(group.numeric) + len(group.categorical) > 1:
            fourier = fit_random_features(group, read_cells(group, readings, frame), targets)
            yield _block(group, group.name, "waves", waves=fourier)


def _block(group: FittedGroup, source: str, kind: Any, **options: Any) -> FeatureBlock:
    return FeatureBlock(group=group.name, source=source, kind=kind, scale=SCALES[kind], **options)


def _kept(features: HashedFeatures) -> tuple[Ints, Ints]:
    """Return the hashes worth keeping, rising, and the number of rows that hold each."""
    hashes, columns = np.unique(features.hashes, return_inverse=True)
    held = features.matrix(columns, len(hashes)).indices
    rows = np.bincount(held, minlength=len(hashes))
    common = np.flatnonzero(rows >= LEAST_ROWS)
    common = np.sort(common[np.argsort(-rows[common], kind="stable")[:MOST_FEATURES]])
    return hashes[common], rows[common]
