"""All networks of a model as one TensorFlow function: its inputs to predictions in users' units.

Every format is converted from it. It has what the predictor of a run has: the fold models, what is
stacked with them, and the decoding of each head; and the temperature of its probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from multimodal.core.errors import ConfigError
from multimodal.evaluation.task import Task
from multimodal.models.build import ModelParts
from multimodal.models.predictor import joined_heads, network_signature, zero_outputs
from multimodal.runtime.export_record import RAW, UNCALIBRATED

_TINY = 1e-37  # the least probability whose logarithm float32 has
Outputs = dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """A function of named tensors that can be traced, and what it is traced with.

    Attributes:
        function: A dict of inputs to a dict of outputs.
        signature: A `tf.TensorSpec` for each input; the numbers of rows and of words are open.
        module: A `tf.Module` that holds the weights.
        widths: Of each output, by its name.
    """

    function: Callable[[Outputs], Outputs]
    signature: dict[str, Any]
    module: Any
    widths: dict[str, int]


def check_backend() -> None:
    """Raise ConfigError unless Keras computes with TensorFlow, whose graphs are converted."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ConfigError(
            f"an export is converted from a graph of TensorFlow, and Keras runs on {backend} here. "
            "Set KERAS_BACKEND=tensorflow for the export; a run predicts the same on every backend."
        )


def graph_of(
    parts: ModelParts,
    tasks: list[Task],
    temperatures: Mapping[str, float],
    *,
    raw: frozenset[str] = frozenset(),
    both: bool = False,
) -> Graph:
    """Return the graph of a model.

    A head has the output `<head>`: its prediction in the user's units, calibrated.

    Args:
        parts: The networks and the last layers.
        tasks: What the heads are asked.
        temperatures: By head, where probabilities have one.
        raw: Heads that have `<head>.raw` instead, which something outside of the graph changes.
        both: Give `<head>.uncalibrated`, too, where there is a temperature.

    Raises:
        ConfigError: Keras runs on another backend than TensorFlow.
    """
    check_backend()
    import tensorflow as tf

    network, kinds = parts.network, {task.name: task for task in tasks}
    module = tf.Module()
    idle = parts.idle_networks
    stored = [] if idle else parts.weights
    module.weights = [[tf.Variable(each, trainable=False) for each in own] for own in stored]
    linear = any(blend.num_terms for blend in parts.blends.values())
    signature = network_signature(network, sparse=linear)
    if idle:  # what no output depends on is no input
        read = {key for blend in parts.blends.values() for key in blend.input_keys}
        signature = {name: each for name, each in signature.items() if name in read}
    joined, nothing = joined_heads(parts), zero_outputs(network)

    def networks(inputs: Outputs) -> list[Outputs]:
        own = {name: inputs[name] for name in network.input if name in inputs}
        if idle:
            return [nothing([], inputs)]
        found = []
        for weights in module.weights:
            given = zip(network.weights, map(tf.convert_to_tensor, weights), strict=True)
            with keras.StatelessScope(state_mapping=list(given)):
                found.append(network(own, training=False))
        return found

    def function(inputs: Outputs) -> Outputs:
        found: Outputs = {}
        for name, value in joined(networks(inputs), inputs).items():
            if name in raw:
                found[name + RAW] = tf.identity(value, name + RAW)
                continue
            decoded = network.get_layer(name).decode(value)
            temperature = temperatures.get(name, 1.0)
            if both and temperature != 1.0:
                found[name + UNCALIBRATED] = decoded
            found[name] = tempered(kinds[name], decoded, temperature)
        return {name: keras.ops.cast(each, "float32") for name, each in found.items()}

    return traced(function, signature, module)


def decoder_of(parts: ModelParts, heads: list[str]) -> Graph:
    """Return the graph that decodes raw outputs `<head>.raw` (rows, outputs) of some heads."""
    import tensorflow as tf

    layers = {name: parts.network.get_layer(name) for name in heads}
    shapes = {name: tuple(parts.network.output[name].shape) for name in heads}
    signature = {
        name + RAW: tf.TensorSpec(shape, tf.float32, name=name + RAW)
        for name, shape in shapes.items()
    }

    def function(inputs: Outputs) -> Outputs:
        return {name: layer.decode(inputs[name + RAW]) for name, layer in layers.items()}

    return traced(function, signature, tf.Module())


def traced(function: Callable[[Outputs], Outputs], signature: dict[str, Any], module: Any) -> Graph:
    """Return the graph of a function of a dict of tensors; `module` keeps what it reads."""
    import tensorflow as tf

    compiled = tf.function(function, input_signature=[signature], autograph=False)
    traced = compiled.get_concrete_function()
    # layers beside the networks hold variables of their own, which are saved with the module
    module.captured = list(traced.graph.variables)
    found = traced.structured_outputs
    widths = {name: int(each.shape[-1] or 1) for name, each in found.items()}
    return Graph(compiled, signature, module, widths)


def tempered(task: Task, probabilities: Any, temperature: float) -> Any:
    """Return probabilities as if the logits had been divided by the temperature.

    As `evaluation.calibration.apply_temperature`, in a graph.
    """
    ops, p = keras.ops, probabilities
    if temperature == 1.0 or task.kind not in ("class", "labels"):
        return p
    if task.kind == "labels":
        return _power(p, 1 - p, temperature)
    if task.ordered:
        above = ops.flip(ops.cumsum(ops.flip(p[:, 1:], 1), axis=1), 1)
        changed = _power(above, ops.cumsum(p[:, :-1], axis=1), temperature)
        ends = ops.ones_like(p[:, :1])
        return ops.concatenate([ends, changed], 1) - ops.concatenate([changed, ends * 0], 1)
    return ops.softmax(ops.log(ops.maximum(p, _TINY)) / temperature, axis=-1)


def _power(first: Any, second: Any, temperature: float) -> Any:
    ops = keras.ops
    logs = ops.log(ops.maximum(first, _TINY)) - ops.log(ops.maximum(second, _TINY))
    return ops.sigmoid(logs / temperature)
