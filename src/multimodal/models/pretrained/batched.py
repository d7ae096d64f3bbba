"""Running a network on batches: as one graph for any shape, or in few shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.models.predictor import MOST_CONSTANT

Array = NDArray[Any]
Forward = Callable[[Any], Array]
ANY_SHAPE = keras.backend.backend() == "tensorflow"  # one graph; others compile each shape


def forward_of(network: keras.Model) -> Forward:
    """Return a network as a function of arrays, compiled once; nothing is trained with it."""
    if not ANY_SHAPE:  # shapes must be few

        def predict(inputs: Any) -> Array:
            rows = len(keras.tree.flatten(inputs)[0])
            batch = keras.tree.map_structure(filled, inputs)
            return np.asarray(network.predict_on_batch(batch))[:rows]

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


def filled(rows: Array) -> Array:
    """Fill a batch up to a power of two with copies of its first row."""
    wanted = 1 << (len(rows) - 1).bit_length()
    return np.concatenate([rows, np.repeat(rows[:1], wanted - len(rows), axis=0)])
