"""Running a network on batches: as one graph for any shape, or in few shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.models.predictor import MOST_CONSTANT

Array = NDArray[Any]
Forward = Callable[[Any], Array]
BATCH = 32
ANY_SHAPE = keras.backend.backend() == "tensorflow"  # one graph; others compile each shape


def forward_of(network: keras.Model) -> Forward:
    """Return a network as a function of arrays, compiled once; nothing is trained with it."""
    if not ANY_SHAPE:
        predict: Forward = network.predict_on_batch
        return predict
    import tensorflow as tf

    # As constants, weights are folded into each other and laid out for the processor once: a photo
    # takes a quarter less.
    small = [each for each in network.weights if np.prod(each.shape) <= MOST_CONSTANT]
    held = [(each, tf.constant(each)) for each in small]

    def forward(inputs: Any) -> Any:
        with keras.StatelessScope(state_mapping=held):
            return network(inputs, training=False)

    # One graph for any shape: XLA, and `predict`, would compile each anew, for seconds.
    spec = keras.tree.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), network.input)
    compiled = tf.function(forward, input_signature=[spec], autograph=False)
    return lambda inputs: np.asarray(compiled(inputs))


def batches(count: int) -> Iterator[Ints]:
    """Yield the rows of each batch."""
    for start in range(0, count, BATCH):
        yield np.arange(start, min(start + BATCH, count))


def filled(rows: Array) -> Array:
    """Fill a batch up to a power of two with copies of its first row, where shapes must be few."""
    if ANY_SHAPE:
        return rows
    wanted = 1 << (len(rows) - 1).bit_length()
    return np.concatenate([rows, np.repeat(rows[:1], wanted - len(rows), axis=0)])
