"""A compiled predictor: arrays to decoded outputs of every head.

One row goes through XLA at the greatest fixed text length; many rows go in batches of 64 through
the backend's ordinary graph, where XLA on a processor is slower for convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.spec import PADDING, SPARSE_KEYS, FittedSpec
from multimodal.data.features.preprocess import Arrays
from multimodal.data.photos.read import PhotoPaths, decode_rows
from multimodal.models.build import head_layer

BATCH = 64  # with fewer rows a batch is filled up: each other number would be traced anew
Inputs = dict[str, NDArray[Any]]


class Predictor:
    """A model and its spec, ready to predict.

    Args:
        model: What `assemble(config, spec)` returned, or one of its networks, with trained weights.
        spec: The fitted spec; without terms for a network.
        raw: Return raw outputs in the head's space, not decoded.
    """

    def __init__(self, model: keras.Model, spec: FittedSpec, *, raw: bool = False) -> None:
        self.spec = spec
        widths = {name: tuple(model.output[name].shape)[1:] for name in model.output_names}
        if raw:
            self.widths = {name: int(np.prod(shape)) for name, shape in widths.items()}
        else:
            self.widths = {name: _width(model, name) for name in model.output_names}
        self._lengths = {f"{g.name}_tokens": g.lengths for g in spec.groups if g.lengths}
        if spec.terms is not None:
            self._lengths |= dict.fromkeys(SPARSE_KEYS, spec.terms.lengths)
        self._one = _compiled(model, xla=True, raw=raw)
        self._many = _compiled(model, xla=False, raw=raw)

    def warm(self) -> None:
        """Compile the one-row function on an empty row."""
        self._one(self._fixed(_zeros(self.spec)))

    def predict(
        self, arrays: Arrays, watch: Callable[[Ints, Inputs], None] | None = None
    ) -> tuple[dict[str, Floats], dict[int, str]]:
        """Return decoded outputs (rows, width) by head, and faults of photos by row.

        What the columns stand for follows from the head's `decode`: a number in the user's units,
        its quantiles, probabilities of classes or labels, or the corners of a box as fractions of
        the photo. `watch` is called with the rows of each batch and its inputs, pixels among them.
        """
        found = {name: np.zeros((arrays.rows, width)) for name, width in self.widths.items()}
        faults: dict[int, str] = {}
        for rows, (batch, wrong) in batches(arrays):
            faults |= wrong
            if watch is not None:
                watch(rows, batch)
            for head, values in self._run(batch, len(rows), alone=arrays.rows == 1).items():
                found[head][rows] = values
        return found, faults

    def _run(self, batch: Inputs, rows: int, *, alone: bool) -> dict[str, Floats]:
        if alone:
            raw = self._one(self._fixed(batch))
        else:
            filler = [0] * (BATCH - rows)
            raw = self._many(
                {k: np.concatenate([v, v[filler]]) for k, v in self._cut(batch).items()}
            )
        return {
            name: np.asarray(keras.ops.convert_to_numpy(value), np.float64)[:rows]
            for name, value in raw.items()
        }

    def _fixed(self, batch: Inputs) -> Inputs:
        """Pad the words of the batch to the greatest fixed length."""
        for key, lengths in self._lengths.items():
            gap = lengths[-1] - batch[key].shape[1]
            batch[key] = np.pad(batch[key], ((0, 0), (0, gap)), constant_values=PADDING)
        return batch

    def _cut(self, batch: Inputs) -> Inputs:
        """Cut the words of the batch to the smallest fixed length that holds them."""
        for key, lengths in self._lengths.items():
            ids = batch[SPARSE_KEYS[0]] if key in SPARSE_KEYS else batch[key]
            longest = int((ids != PADDING).sum(axis=1).max())
            fixed = next((length for length in lengths if length >= longest), lengths[-1])
            batch[key] = batch[key][:, :fixed]
        return batch


def batches(arrays: Arrays) -> Iterator[tuple[Ints, tuple[Inputs, dict[int, str]]]]:
    """Yield the rows of each batch and the batch; the next one is decoded meanwhile.

    Rows with texts of like length share a batch, so that short ones are not padded to long ones.
    """
    words = [(v != PADDING).sum(axis=1) for k, v in arrays.inputs.items() if k.endswith("_tokens")]
    order = np.argsort(sum(words, np.zeros(arrays.rows, int)), kind="stable")
    chunks = [order[start : start + BATCH] for start in range(0, arrays.rows, BATCH)]
    if len(chunks) < 2:
        yield from ((rows, _batch(arrays, rows)) for rows in chunks)
        return
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


def _width(model: keras.Model, head: str) -> int:
    """Return the number of decoded outputs of a head per row."""
    raw = keras.ops.zeros((1, *model.output[head].shape[1:]))
    return int(head_layer(model, head).decode(raw).shape[1])


def _compiled(model: keras.Model, *, xla: bool, raw: bool) -> Callable[[Inputs], Mapping[str, Any]]:
    """Return the forward pass with decoded outputs, compiled where the backend can."""
    heads = {name: head_layer(model, name) for name in model.output_names}

    def decode(outputs: Any) -> dict[str, Any]:
        outputs = {n: keras.ops.convert_to_tensor(outputs[n]) for n in heads}
        return outputs if raw else {n: head.decode(outputs[n]) for n, head in heads.items()}

    def forward(inputs: Any) -> dict[str, Any]:
        return decode(model(inputs, training=False))

    # Raw outputs are wanted once, of the rows out of fold: no graph is worth its tracing.
    if keras.backend.backend() == "tensorflow" and not raw:
        import tensorflow as tf

        signature = None if xla else [_signature(model)]
        compiled = tf.function(
            forward, input_signature=signature, jit_compile=xla or None, autograph=False
        )
        return lambda inputs: compiled({k: tf.constant(v) for k, v in inputs.items()})

    def eager(inputs: Inputs) -> dict[str, Any]:
        return decode(model.predict_on_batch(inputs))

    return eager


def _signature(model: keras.Model) -> dict[str, Any]:
    import tensorflow as tf

    return {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for name, tensor in model.input.items()
    }


def _zeros(spec: FittedSpec) -> Inputs:
    """Return one row in which everything is absent."""
    row: Inputs = {}
    for group in spec.groups:
        size = group.image_size
        shapes = {
            "numeric": ((1, len(group.numeric)), np.float32),
            "categorical": ((1, len(group.categorical)), np.int32),
            "tokens": ((1, max(group.lengths, default=1)), np.int32),
            "pixels": ((1, group.photos, size, size, 3), np.uint8),
            "present": ((1, group.photos) if group.photos else (1,), bool),
            "series": ((1, group.steps, len(group.channels)), np.float32),
        }
        for key in group.input_keys:
            shape, dtype = shapes[key.removeprefix(f"{group.name}_")]
            row[key] = np.zeros(shape, dtype)
    if spec.terms is not None:
        length = spec.terms.lengths[-1]
        row |= zip(
            SPARSE_KEYS,
            (np.zeros((1, length), np.int32), np.zeros((1, length), np.float32)),
            strict=True,
        )
    return row
