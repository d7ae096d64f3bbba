"""Stack the boxes of fold models with the mean box, which never looks at a photo.

Networks that learn from few photos are too sure of where things are. Of their boxes and the mean
box a weighted mean is predicted, by a weight that makes the loss of photos least that a network
did not learn from. It is written into the networks' own heads, which are linear, so that the model
of a run stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from multimodal.core.arrays import Floats, Ints
from multimodal.data.prepare import Prepared
from multimodal.heads.box_ops import centre_and_size
from multimodal.layers.base import LinearHead

WEIGHTS = np.linspace(0.0, 1.0, 21)
_EDGE = 0.02  # least centre, width and height of a mean box: logits of 0 and 1 are infinite


def weigh_boxes(
    prepared: Prepared,
    name: str,
    networks: Sequence[keras.Model],
    rows: Ints,
    raw: Floats,
) -> tuple[Floats, float, str | None]:
    """Move the boxes of networks to the mean box as far as that makes them better out of fold.

    Where they are not better than the mean box by a standard error, it is all that is left.

    Args:
        prepared: Rows and labels.
        name: Of the head.
        networks: The fold models, whose heads are changed in place.
        rows: Positions of rows that no network learned from, (N,).
        raw: Raw outputs of the networks for them, (N, outputs).

    Returns:
        The raw outputs as they are now, the weight of the networks from 0 to 1, and what a report
        must say of them, if anything.
    """
    head = networks[0].get_layer(name)
    y_true, weight, mean = _labels_and_mean(prepared, name)
    scored = weight[rows] > 0
    if not isinstance(head, LinearHead) or not scored.any():
        return raw, 1.0, None
    networks_raw, known = raw[scored, :4], (y_true[rows][scored], weight[rows][scored])
    losses = [_losses(head, known[0], mean + w * (networks_raw - mean)) for w in WEIGHTS]
    best = int(np.argmin([np.average(each, weights=known[1]) for each in losses]))
    lowered = losses[0] - losses[best]
    gain, error = np.average(lowered, weights=known[1]), lowered.std() / math.sqrt(len(lowered))
    chosen = float(WEIGHTS[best]) if gain > error else 0.0
    for network in networks:
        _move(network.get_layer(name), mean, chosen)
    moved = raw.copy()
    moved[:, :4] = mean + chosen * (raw[:, :4] - mean)
    return (
        moved,
        chosen,
        None if chosen else _nothing_learned(name, len(lowered), gain, error, losses),
    )


def worse_than_mean_box(
    prepared: Prepared, head: LinearHead, name: str, rows: Ints, raw: Floats
) -> str | None:
    """Return what a report must say of a stack's boxes, where the mean box is as good.

    Args:
        prepared: Rows and labels.
        head: The head.
        name: Its name.
        rows: Positions of rows that no part of the stack learned from, (N,).
        raw: Raw outputs of the stack for them, (N, 4).
    """
    y_true, weight, mean = _labels_and_mean(prepared, name)
    scored = (weight[rows] > 0) & np.isfinite(raw).all(axis=1)
    if not scored.any():
        return None
    known, alike = y_true[rows][scored], np.tile(mean, (int(scored.sum()), 1))
    lowered = _losses(head, known, alike) - _losses(head, known, raw[scored])
    gain, error = lowered.mean(), lowered.std() / math.sqrt(len(lowered))
    if gain > error:
        return None
    return (
        f"{name}: the boxes are no better than the mean box. On {len(lowered):,} photos that "
        f"nothing was learned from, they lowered its loss by {gain:.3g} (standard error "
        f"{error:.2g})."
    )


def _labels_and_mean(prepared: Prepared, name: str) -> tuple[Floats, Floats, Floats]:
    """Return boxes (N, 4), their weights (N,), and the raw outputs (4,) of the mean box."""
    weight = np.asarray(prepared.source.weights[name], np.float64)
    y_true = np.asarray(prepared.source.targets[name], np.float64)
    learned = (prepared.splits != "test") & (weight > 0)
    mean = np.average(y_true[learned], axis=0, weights=weight[learned])
    return y_true, weight, raw_boxes(mean[None])[0]


def raw_boxes(boxes: Floats) -> Floats:
    """Return the raw outputs (N, 4) of boxes: logits of their centres, widths and heights."""
    tensor = keras.ops.convert_to_tensor(np.asarray(boxes, np.float32))
    parts = keras.ops.convert_to_numpy(centre_and_size(tensor))
    fractions = np.clip(np.asarray(parts, np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(fractions / (1 - fractions)))


def _losses(head: LinearHead, y_true: Floats, raw: Floats) -> Floats:
    """Return the head's loss of each row, (N,), for raw outputs (N, 4)."""
    tensors = (keras.ops.convert_to_tensor(each.astype(np.float32)) for each in (y_true, raw))
    loss = type(head).from_config({**head.get_config(), "learned_weight": False}).make_loss()
    return np.asarray(keras.ops.convert_to_numpy(loss.compare(*tensors)), np.float64)


def _move(head: LinearHead, mean: Floats, weight: float) -> None:
    """Make a linear head predict the weighted mean of what it did and a box."""
    kernel, bias = (
        keras.ops.convert_to_numpy(each) for each in (head.dense.kernel, head.dense.bias)
    )
    head.dense.kernel.assign(weight * kernel)
    head.dense.bias.assign(weight * bias + (1 - weight) * mean)


def _nothing_learned(
    name: str, rows: int, gain: float, error: float, losses: Sequence[Floats]
) -> str:
    scale = max(float(np.mean(losses[0])), 1e-12)
    return (
        f"{name}: the mean box is predicted for every photo. On {rows:,} photos that they did not "
        f"learn from, the networks lowered its loss by {gain / scale:.1%} (standard error "
        f"{error / scale:.1%}), which is too little to tell from chance. More photos may tell more."
    )
