"""How much each group of inputs moved each prediction of a model that holds a fusion."""

from __future__ import annotations

from typing import Any

import keras

from multimodal.fusion.base import Fusion, Tensors, gather
from multimodal.fusion.contributions import Rows, filled, shapley_values
from multimodal.fusion.gated import GatedFusion
from multimodal.layers.base import Tensor


def contributions(
    model: keras.Model, inputs: Any, background: Any = None
) -> dict[str, dict[str, Tensor]]:
    """Return how much each group moved each output of each row: exact Shapley values.

    A group is taken out of a row by putting that group of background rows in its place, encoded
    and with its presence. For each row and output the values of all groups add up to the output
    less the mean output of the background. Encoders run once; fusion and heads run
    2**groups times on each pair of a row and a background row.

    Args:
        model: A Functional model with one fusion through which every output goes, such as
            `multimodal.models.build.build` returns.
        inputs: A batch of the model's inputs.
        background: Inputs of the rows to compare with, such as fifty training rows; None compares
            each row with up to eight others of the batch.

    Returns:
        Dict of head -> group -> `(B, outputs)`, in the raw space of the head: in standard
        deviations of the target for a regression, in logits for classes.

    Raises:
        ValueError: The model has no fusion or several, the inputs are not the model's, there are
            more than ten groups, or a batch of one row comes without a background.

    Example:
    >>> import keras, numpy as np
    >>> from multimodal.fusion import GatedFusion
    >>> groups = {name: keras.Input((2,), name=name) for name in ("table", "words")}
    >>> price = keras.layers.Dense(1, name="price")(GatedFusion(4)(groups))
    >>> model = keras.Model(groups, {"price": price})
    >>> rows = {name: np.eye(2, dtype="float32") for name in groups}
    >>> found = contributions(model, rows)["price"]
    >>> sorted(found), tuple(found["table"].shape)
    (['table', 'words'], (2, 1))

    References:
        Lundberg and Lee, A Unified Approach to Interpreting Model Predictions, 2017.
    """
    fusion = find_fusion(model)
    heads = keras.Model(fusion.output, list(model.outputs))
    rows, others = encode(model, inputs), None
    if background is not None:
        others = encode(model, background)
        rows, others = filled(rows, others), filled(others, rows)
    values = shapley_values(
        lambda given: _listed(heads(fusion.fused(given), training=False)), rows, others
    )
    return {
        name: {group: each[i] for i, group in enumerate(sorted(rows))}
        for name, each in zip(model.output_names, values, strict=True)
    }


def gates(model: keras.Model, inputs: Any) -> Tensors:
    """Return the weight that a model's gated fusion gives each group of each row.

    Args:
        model: A Functional model with one `GatedFusion`.
        inputs: A batch of the model's inputs.

    Returns:
        Dict of group -> `(B,)`; 0 where the group is absent.

    Raises:
        ValueError: The model has no gated fusion, or the inputs are not the model's.

    Example:
    >>> import keras, numpy as np
    >>> from multimodal.fusion import GatedFusion
    >>> groups = {name: keras.Input((2,), name=name) for name in ("table", "words")}
    >>> model = keras.Model(groups, keras.layers.Dense(1)(GatedFusion(4)(groups)))
    >>> found = gates(model, {name: np.eye(2, dtype="float32") for name in groups})
    >>> np.round(keras.ops.convert_to_numpy(found["table"] + found["words"]), 4).tolist()
    [1.0, 1.0]
    """
    fusion = find_fusion(model)
    if not isinstance(fusion, GatedFusion):
        raise ValueError(
            "`model` must have a gated fusion, whose weights can be read. "
            f"Received: {type(fusion).__name__}"
        )
    rows = encode(model, inputs)
    presence = {name: row["presence"] for name, row in rows.items() if "presence" in row}
    weights = fusion.gates({name: row["inputs"] for name, row in rows.items()}, presence)
    return {group: weights[:, i] for i, group in enumerate(fusion.groups)}


def find_fusion(model: keras.Model) -> Fusion:
    """Return the one fusion layer of a Functional model; raise ValueError for none or several."""
    found = [layer for layer in model.layers if isinstance(layer, Fusion)]
    if len(found) != 1:
        names = [layer.name for layer in found]
        raise ValueError(f"`model` must have exactly one fusion layer. Received: {names}")
    return found[0]


def encode(model: keras.Model, inputs: Any) -> Rows:
    """Return what a model's fusion is given for these inputs: dict of group -> dict of tensors."""
    wanted = model.input
    if isinstance(wanted, dict) and (
        not isinstance(inputs, dict) or sorted(inputs) != sorted(wanted)
    ):
        keys = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        raise ValueError(f"`inputs` must have the keys {sorted(wanted)}. Received: {keys}")
    encoded: Rows = keras.Model(wanted, fusion_inputs(model))(inputs, training=False)
    return encoded


def fusion_inputs(model: keras.Model) -> Rows:
    """Return the symbolic tensors that a model's fusion is given: group -> dict of tensors."""
    arguments = find_fusion(model)._inbound_nodes[0].arguments
    options = arguments.kwargs
    return gather(arguments.args[0], options.get("presence"), options.get("mask") or {})


def _listed(outputs: Any) -> list[Tensor]:
    return outputs if isinstance(outputs, list) else [outputs]
