"""Batches of rows as networks read them: photos decoded, texts cut to the words they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.spec import PADDING, SPARSE_KEYS, FittedSpec
from multimodal.data.features.preprocess import Arrays
from multimodal.data.photos.read import PhotoPaths, decode_rows

BATCH = 64
Inputs = dict[str, NDArray[Any]]
Lengths = Mapping[str, Sequence[int]]
Watch = Callable[[Ints, Inputs], None]


def predict_batches(
    arrays: Arrays,
    widths: Mapping[str, int],
    predict: Callable[[Inputs, int], Mapping[str, NDArray[Any]]],
    watch: Watch | None = None,
) -> tuple[dict[str, Floats], dict[int, str]]:
    """Return outputs (rows, width) by head, and faults of photos by row.

    Args:
        arrays: The rows.
        widths: Of the outputs, by head.
        predict: The outputs of a batch; called with its inputs and the number of its rows.
        watch: Called with the rows of each batch and its inputs, pixels among them.
    """
    found = {name: np.zeros((arrays.rows, width)) for name, width in widths.items()}
    faults: dict[int, str] = {}
    for rows, (batch, wrong) in batches(arrays):
        faults |= wrong
        if watch is not None:
            watch(rows, batch)
        for head, values in predict(batch, len(rows)).items():
            found[head][rows] = values
    return found, faults


def fixed_lengths(spec: FittedSpec) -> dict[str, list[int]]:
    """Return the numbers of words that each input of words may be cut to, by its name."""
    found = {key: list(each) for g in spec.groups for key, each in g.token_lengths.items()}
    if spec.terms is not None:
        found |= {key: list(spec.terms.lengths) for key in SPARSE_KEYS}
    return found


def cut_words(batch: Inputs, lengths: Lengths, *, any_shape: bool) -> Inputs:
    """Return the batch with its words cut to the smallest fixed length that holds them.

    With `any_shape`, sparse features are cut to what there are: no kernel is prepared for their
    length.
    """
    for key, fixed in lengths.items():
        # by ids for both: padding is known by its id, whatever a weight may be
        ids = batch[SPARSE_KEYS[0]] if key in SPARSE_KEYS else batch[key]
        longest = int((ids != PADDING).sum(axis=1).max())
        length = next((each for each in fixed if each >= longest), fixed[-1])
        if any_shape and key in SPARSE_KEYS:
            length = min(length, max(longest, 1))
        batch = batch | {key: batch[key][:, :length]}
    return batch


def batches(arrays: Arrays) -> Iterator[tuple[Ints, tuple[Inputs, dict[int, str]]]]:
    """Yield the rows of each batch and the batch; the next one is decoded meanwhile.

    Rows with texts of like length share a batch, so that short ones are not padded to long ones.
    """
    words = [(v != PADDING).sum(axis=1) for k, v in arrays.inputs.items() if k.endswith("_tokens")]
    # Stable, so that the same rows share a batch, and have the same last digits, every time.
    order = np.argsort(sum(words, np.zeros(arrays.rows, int)), kind="stable")
    chunks = [order[start : start + BATCH] for start in range(0, arrays.rows, BATCH)]
    if len(chunks) < 2:
        yield from ((rows, _batch(arrays, rows)) for rows in chunks)
        return
    # One thread, one batch ahead: more would hold the pixels of more batches in memory.
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_batch, arrays, chunks[0])
        for rows, following in zip(chunks, [*chunks[1:], None], strict=True):
            batch = waiting.result()
            if following is not None:
                waiting = pool.submit(_batch, arrays, following)
            yield rows, batch


def _batch(arrays: Arrays, rows: Ints) -> tuple[Inputs, dict[int, str]]:
    batch = {key: array[rows] for key, array in arrays.inputs.items()}
    faults: dict[int, str] = {}
    for group, photos in arrays.photos.items():
        chosen = PhotoPaths([photos.paths[row] for row in rows], photos.size)
        batch[f"{group}_pixels"], batch[f"{group}_present"], wrong = decode_rows(chosen)
        faults |= {int(rows[i]): why for i, why in wrong.items()}
    return batch, faults
