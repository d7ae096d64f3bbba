"""Several models of one kind as one: the same inputs, the mean of their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

PREFIX = "member_"


def average(models: Sequence[keras.Model]) -> keras.Model:
    """Return one model with the mean of the raw outputs of `models`; one model as it is.

    The models have the same inputs and outputs. They are the layers `member_0`, `member_1`, ... of
    the result, whose outputs are their mean in each head's transformed space. As nested models they
    share nothing but the inputs.

    Example:
    >>> inputs = {"x": keras.Input((1,), name="x")}
    >>> outputs = [keras.layers.Dense(1, kernel_initializer=start) for start in ("zeros", "ones")]
    >>> both = average([keras.Model(inputs, {"y": layer(inputs["x"])}) for layer in outputs])
    >>> float(keras.ops.squeeze(both({"x": keras.ops.ones((1, 1))})["y"]))
    0.5
    """
    if len(models) == 1:
        return models[0]
    first = models[0]
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in first.input.items()
    }
    for i, model in enumerate(models):
        model.name = f"{PREFIX}{i}"
    found = [model(inputs) for model in models]
    outputs = {
        name: keras.layers.Average(name=name, dtype="float32")([output[name] for output in found])
        for name in first.output_names
    }
    return keras.Model(inputs, outputs, name="multimodal")


def members(model: keras.Model) -> list[keras.Model]:
    """Return the models that `average` joined; one that it did not join is its own only member."""
    found = [layer for layer in model.layers if layer.name.startswith(PREFIX)]
    return found or [model]


def head_layer(model: keras.Model, name: str) -> Any:
    """Return the head of that name, which knows its loss, metrics and how to decode raw outputs."""
    return members(model)[0].get_layer(name)
