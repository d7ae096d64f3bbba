"""Several networks of one kind as one model: the same inputs, their outputs averaged or blended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from multimodal.core.spec import TERM_KEYS

PREFIX = "member_"


def average(
    models: Sequence[keras.Model], blends: Mapping[str, keras.layers.Layer] | None = None
) -> keras.Model:
    """Return one model with the mean of the raw outputs of `models`; one model as it is.

    The models have the same inputs and outputs. They are the layers `member_0`, `member_1`, ... of
    the result, whose outputs are their mean in each head's transformed space. As nested models they
    share nothing but the inputs.

    Args:
        models: The networks.
        blends: By head, a layer `Blend` that takes the place of the mean; the result then has the
            inputs `terms_ids` and `terms_weights`, too.

    Example:
    >>> inputs = {"x": keras.Input((1,), name="x")}
    >>> starts = {"kernel_initializer": "zeros"}, {"kernel_initializer": "ones"}
    >>> layers = [keras.layers.Dense(1, **start, name="y") for start in starts]
    >>> both = average([keras.Model(inputs, {"y": layer(inputs["x"])}) for layer in layers])
    >>> float(both.predict({"x": keras.ops.ones((1, 1))}, verbose=0)["y"][0, 0])
    0.5
    """
    if len(models) == 1 and not blends:
        return models[0]
    first = models[0]
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in first.input.items()
    }
    terms = _terms() if blends else {}
    for i, model in enumerate(models):
        model.name = f"{PREFIX}{i}"
    found = [model(inputs) for model in models]
    outputs = {}
    for name in first.output_names:
        raw = [output[name] for output in found]
        if blends and name in blends:
            outputs[name] = blends[name]([*raw, *terms.values()])
        else:
            mean = keras.layers.Average if len(raw) > 1 else keras.layers.Identity
            outputs[name] = mean(name=name, dtype="float32")(raw if len(raw) > 1 else raw[0])
    return keras.Model(inputs | terms, outputs, name="multimodal")


def _terms() -> dict[str, Any]:
    types = zip(TERM_KEYS, ("int32", "float32"), strict=True)
    return {key: keras.Input((None,), dtype=dtype, name=key) for key, dtype in types}


def members(model: keras.Model) -> list[keras.Model]:
    """Return the networks that `average` joined; one that it did not join is its own only one."""
    found = [layer for layer in model.layers if layer.name.startswith(PREFIX)]
    return found or [model]


def head_layer(model: keras.Model, name: str) -> Any:
    """Return the head of that name, which knows its loss, metrics and how to decode raw outputs."""
    return members(model)[0].get_layer(name)


def decoded(model: keras.Model, name: str, raw: Any) -> Any:
    """Return raw outputs (rows, outputs) of a head decoded, as a NumPy array."""
    tensor = keras.ops.convert_to_tensor(raw, dtype="float32")
    return keras.ops.convert_to_numpy(head_layer(model, name).decode(tensor))
