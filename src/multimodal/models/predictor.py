"""A compiled predictor: arrays to decoded outputs of every head.

The networks of a run have one structure, so their forward pass is traced once, as a function of
weights and inputs. On TensorFlow all of them lie in one graph for any number of rows and words,
where XLA would compile each shape anew, for seconds. Other backends get batches of few shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from multimodal.core.arrays import Floats
from multimodal.core.spec import PADDING, SPARSE_KEYS, FittedGroup, FittedSpec
from multimodal.data.features.preprocess import Arrays
from multimodal.models.build import ModelParts
from multimodal.runtime.batches import (
    BATCH,
    Inputs,
    Watch,
    cut_words,
    fixed_lengths,
    predict_batches,
)

MOST_CONSTANT = 2**18  # values of a weight that a graph holds as a constant
Forward = Callable[[Any, Any], Any]
Run = Callable[[Inputs], Mapping[str, Any]]


class Predictor:
    """A model and its spec, ready to predict.

    Args:
        model: What `assemble(config, spec)` returned, one of its networks, or their parts, with
            trained weights, as they are now.
        spec: The fitted spec; without terms for a network.
        raw: Return raw outputs in the head's space, not decoded.
    """

    def __init__(
        self, model: keras.Model | ModelParts, spec: FittedSpec, *, raw: bool = False
    ) -> None:
        self.spec = spec
        self.parts = model if isinstance(model, ModelParts) else ModelParts.of(model)
        network = self.parts.network
        self.widths = {
            name: int(np.prod(network.output[name].shape[1:])) if raw else _width(network, name)
            for name in network.output_names
        }
        self._lengths = fixed_lengths(spec)
        self._any_shape = keras.backend.backend() == "tensorflow"
        idle = self.parts.idle_networks
        self._forward = zero_outputs(network) if idle else _forward_of(network)
        self._run = _all_networks(self.parts, self._forward, raw=raw)

    def warm(self) -> None:
        """Compile the function on an empty row."""
        self._predict(_zeros(self.spec), 1, alone=True)

    def predict(
        self, arrays: Arrays, watch: Watch | None = None
    ) -> tuple[dict[str, Floats], dict[int, str]]:
        """Return decoded outputs (rows, width) by head, and faults of photos by row.

        What the columns stand for follows from the head's `decode`: a number in the user's units,
        its quantiles, probabilities of classes or labels, or the corners of a box as fractions of
        the photo. `watch` is called with the rows of each batch and its inputs, pixels among them.
        """
        alone = arrays.rows == 1

        def predict(batch: Inputs, rows: int) -> dict[str, Floats]:
            return self._predict(batch, rows, alone=alone)

        return predict_batches(arrays, self.widths, predict, watch)

    def _predict(self, batch: Inputs, rows: int, *, alone: bool) -> dict[str, Floats]:
        if self._any_shape:
            batch = self._cut(batch)
        elif alone:
            batch = self._fixed(batch)
        else:
            # with fewer rows a batch is filled up: each other number would be traced anew
            filler = [0] * (BATCH - rows)
            batch = {k: np.concatenate([v, v[filler]]) for k, v in self._cut(batch).items()}
        return {
            name: np.asarray(keras.ops.convert_to_numpy(value), np.float64)[:rows]
            for name, value in self._run(batch).items()
        }

    def _fixed(self, batch: Inputs) -> Inputs:
        """Pad the words of the batch to the greatest fixed length."""
        for key, lengths in self._lengths.items():
            gap = lengths[-1] - batch[key].shape[1]
            batch[key] = np.pad(batch[key], ((0, 0), (0, gap)), constant_values=PADDING)
        return batch

    def _cut(self, batch: Inputs) -> Inputs:
        return cut_words(batch, self._lengths, any_shape=self._any_shape)


def _width(network: keras.Model, head: str) -> int:
    """Return the number of decoded outputs of a head per row."""
    raw = keras.ops.zeros((1, *network.output[head].shape[1:]))
    return int(network.get_layer(head).decode(raw).shape[1])


def _forward_of(network: keras.Model) -> Forward:
    """Return the raw outputs of a network as a function of weights and inputs, traced once."""

    def forward(weights: Any, inputs: Any) -> Any:
        given = list(zip(network.weights, weights, strict=True))
        with keras.StatelessScope(state_mapping=given):
            return network({name: inputs[name] for name in network.input}, training=False)

    compiled: Forward = forward
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        weights = [tf.TensorSpec(each.shape, each.dtype) for each in network.weights]
        inputs = network_signature(network, sparse=False)
        compiled = tf.function(forward, input_signature=[weights, inputs], autograph=False)
    elif keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(forward)
    return compiled


def zero_outputs(network: keras.Model) -> Forward:
    """Return zeros in place of the raw outputs of networks that have no part in the predictions."""
    shapes = {name: tuple(network.output[name].shape)[1:] for name in network.output_names}

    def forward(weights: Any, inputs: Any) -> Any:
        rows = keras.ops.shape(next(iter(inputs.values())))[0]
        return {name: keras.ops.zeros((rows, *shape)) for name, shape in shapes.items()}

    return forward


def joined_heads(parts: ModelParts) -> Callable[[Sequence[Any], Any], dict[str, Any]]:
    """Return what joins the outputs of all networks: their raw outputs and the inputs, by head."""
    network = parts.network

    def join(name: str, outputs: Sequence[Any], inputs: Any) -> Any:
        values = [keras.ops.cast(each[name], "float32") for each in outputs]
        if name in parts.blends:
            blend = parts.blends[name]
            return blend([*values, *(inputs[key] for key in blend.input_keys)])
        return sum(values[1:], values[0]) / len(values)

    return lambda outputs, inputs: {
        name: join(name, outputs, inputs) for name in network.output_names
    }


def _joined(parts: ModelParts, *, raw: bool) -> Callable[[Sequence[Any], Any], dict[str, Any]]:
    """Return what joins the outputs of all networks, and decodes them unless they stay raw."""
    join, network = joined_heads(parts), parts.network

    def decoded(outputs: Sequence[Any], inputs: Any) -> dict[str, Any]:
        found = join(outputs, inputs)
        return {name: network.get_layer(name).decode(each) for name, each in found.items()}

    return join if raw else decoded


def _all_networks(parts: ModelParts, forward: Forward, *, raw: bool) -> Run:
    """Return the joined outputs of all networks of a model, in one graph where there are graphs."""
    joined = _joined(parts, raw=raw)
    if keras.backend.backend() != "tensorflow":
        weights = [[keras.ops.convert_to_tensor(w) for w in each] for each in parts.weights]
        return lambda inputs: joined([forward(each, inputs) for each in weights], inputs)
    import tensorflow as tf

    # As constants, weights are folded into each other and laid out for the processor once: a row
    # takes a fifth less. Large ones gain nothing and would be copied.
    held = [
        [w if w.size <= MOST_CONSTANT else tf.constant(w) for w in each] for each in parts.weights
    ]

    def run(inputs: Any) -> dict[str, Any]:
        own = {name: inputs[name] for name in parts.network.input}
        outputs = [forward([tf.convert_to_tensor(w) for w in each], own) for each in held]
        return joined(outputs, inputs)

    linear = any(blend.num_terms for blend in parts.blends.values())
    signature = [network_signature(parts.network, sparse=linear)]
    compiled = tf.function(run, input_signature=signature, autograph=False)
    return lambda inputs: compiled({name: tf.constant(inputs[name]) for name in signature[0]})


def network_signature(network: keras.Model, *, sparse: bool) -> dict[str, Any]:
    """Return a `tf.TensorSpec` for each input of a network, and of sparse features beside it."""
    import tensorflow as tf

    found = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for name, tensor in network.input.items()
    }
    for key, dtype in zip(SPARSE_KEYS, ("int32", "float32"), strict=True) if sparse else ():
        found[key] = tf.TensorSpec((None, None), dtype, name=key)
    return found


def _features_shape(group: FittedGroup) -> tuple[int, ...]:
    cells, dim = (group.pretrained.cells, group.pretrained.dim) if group.pretrained else (1, 0)
    return 1, max(group.photos, 1) * cells, dim


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
            "features": (_features_shape(group), np.float32),
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
