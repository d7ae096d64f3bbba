"""Batches of one tensor, for models that take no dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from multimodal.core.config import Modality
from multimodal.core.spec import OUT_OF_VOCABULARY, FittedGroup, FittedSpec

Inputs = Mapping[str, tf.Tensor]


def single_tensor(spec: FittedSpec, modality: Modality, head: str) -> Callable[..., Any]:
    """Return a function that maps a batch to `(tensor, target, weight)` of one modality and head.

    Tables become one-hot codes, numbers (0 where missing) and missing flags, `(B, F)`; texts are
    joined, `(B, sum of lengths)`, with word ids of their own for each group; photos lie side by
    side, `(B, S, S * photos, 3)`; series end together and become channels and missing flags,
    `(B, longest window, F)`.

    Args:
        spec: The fitted spec.
        modality: The modality to keep.
        head: The head whose target and weight to keep.

    Raises:
        ValueError: No group has that modality.
    """
    groups = [group for group in spec.groups if group.modality == modality]
    if not groups:
        names = ", ".join(group.name for group in spec.groups)
        raise ValueError(f"the spec has no group of modality '{modality}'. Received: {names}")

    def to_single(inputs: Inputs, targets: Inputs, weights: Inputs) -> Any:
        return _JOINERS[modality](groups, inputs), targets[head], weights[head]

    return to_single


def _table(groups: list[FittedGroup], inputs: Inputs) -> tf.Tensor:
    parts = []
    for group in groups:
        for i, column in enumerate(group.categorical):
            codes = inputs[f"{group.name}_categorical"][:, i]
            parts.append(tf.one_hot(codes, len(column.categories) + 2))
        if group.numeric:
            numbers = inputs[f"{group.name}_numeric"]
            missing = tf.math.is_nan(numbers)
            known = tf.where(missing, tf.zeros_like(numbers), numbers)
            parts += [known, tf.cast(missing, tf.float32)]
    return tf.concat(parts, axis=1)


def _texts(groups: list[FittedGroup], inputs: Inputs) -> tf.Tensor:
    parts, first = [], OUT_OF_VOCABULARY
    for group in groups:
        tokens = inputs[f"{group.name}_tokens"]
        parts.append(tf.where(tokens > 0, tokens - OUT_OF_VOCABULARY + first, 0))
        first += len(group.vocabulary) + 1
    return tf.concat(parts, axis=1)


def _series(groups: list[FittedGroup], inputs: Inputs) -> tf.Tensor:
    steps = max(group.steps for group in groups)
    parts = []
    for group in groups:
        early = [[0, 0], [steps - group.steps, 0], [0, 0]]
        window = tf.pad(inputs[f"{group.name}_series"], early, constant_values=float("nan"))
        missing = tf.math.is_nan(window)
        parts += [tf.where(missing, tf.zeros_like(window), window), tf.cast(missing, tf.float32)]
    return tf.concat(parts, axis=2)


def _photos_in_a_row(groups: list[FittedGroup], inputs: Inputs) -> tf.Tensor:
    parts = [inputs[f"{g.name}_pixels"][:, k] for g in groups for k in range(g.photos)]
    return tf.concat(parts, axis=2)


_JOINERS: dict[str, Callable[[list[FittedGroup], Inputs], tf.Tensor]] = {
    "tabular": _table,
    "text": _texts,
    "image": _photos_in_a_row,
    "series": _series,
}
