"""Attributions by gradients: integrated gradients of words, Grad-CAM of photos.

Keras has no gradient of its own: `value_and_gradient` asks the backend that it runs on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from multimodal.core.spec import PADDING
from multimodal.explain.attribution import ScoredRow, Submodel, copies, mean_of
from multimodal.fusion.contributions import Rows
from multimodal.layers.base import Tensor

BACKENDS = ("tensorflow", "jax", "torch")
FEWEST_STEPS, MOST_STEPS = 64, 2048  # of integrated gradients, doubled until the scores add up
CHUNK = 128  # steps computed at once
TOLERANCE = 0.01  # share of the difference that the scores may miss
TINY = 1e-4  # where scores differ by less, rounding is all there is
Function = Callable[[Tensor], Tensor]


def value_and_gradient(function: Function, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values `(B,)` of a function of rows, and each row's gradient, shaped as `inputs`.

    Rows must not depend on each other, so that the gradient of the sum holds that of each row.

    Args:
        function: Tensor `(B, ...)` to `(B,)`.
        inputs: Float tensor `(B, ...)`.

    Raises:
        ValueError: The backend computes no gradients, as the NumPy one.

    Example:
    >>> values, gradient = value_and_gradient(lambda x: ops.sum(x * x, axis=1), ops.ones((1, 2)))
    >>> ops.convert_to_numpy(values).tolist(), ops.convert_to_numpy(gradient).tolist()
    ([2.0], [[2.0, 2.0]])
    """
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise ValueError(
            f"gradients need one of the backends {', '.join(BACKENDS)}. Received: "
            f"KERAS_BACKEND={name!r}"
        )
    found: tuple[Tensor, Tensor] = _GRADIENTS[name](function, ops.convert_to_tensor(inputs))
    return found


def _tensorflow(function: Function, inputs: Tensor) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        values = function(inputs)
    # Zero rather than None where a part does not use its input, as the other backends have it.
    return values, tape.gradient(values, inputs, unconnected_gradients="zero")


def _jax(function: Function, inputs: Tensor) -> tuple[Tensor, Tensor]:
    import jax

    def total(x: Any) -> tuple[Any, Any]:
        values = function(x)
        return values.sum(), values

    (_, values), gradient = jax.value_and_grad(total, has_aux=True)(inputs)
    return values, gradient


def _torch(function: Function, inputs: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    with torch.enable_grad():
        inputs = inputs.detach().requires_grad_(True)
        values = function(inputs)
        (gradient,) = torch.autograd.grad(
            values.sum(), inputs, allow_unused=True, materialize_grads=True
        )
    return values.detach(), gradient


_GRADIENTS: dict[str, Callable[[Function, Tensor], Any]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}


@dataclass(frozen=True)
class Attribution:
    """Scores `(T,)` of the tokens of one row, and what they should add up to.

    `start` is the score at the baseline, `end` that of the row; `steps` were taken between them.
    """

    scores: Tensor
    start: float
    end: float
    steps: int

    @property
    def gap(self) -> float:
        """How far the scores are from adding up to `end - start`."""
        total = float(ops.convert_to_numpy(ops.sum(self.scores)))
        return abs(total - (self.end - self.start))


def word_scores(row: ScoredRow, group: str, *, beside: float = 0.0) -> Attribution:
    """Return the integrated gradients of a row's score over the words of one text group.

    On the straight path from the baseline, in which the vector of each word is that of padding, to
    the text, gradients are taken at the middles of equal steps. The steps are doubled until the
    scores add up within 1 %, or there are 2,048 of them. All else, the number of words too, stays.

    Args:
        row: The row.
        group: A text group whose encoders take embeddings (`embed`).
        beside: What else the words add to the score; 1 % of the whole is aimed at, too.

    Raises:
        ValueError: The backend computes no gradients.

    References:
        Sundararajan et al., Axiomatic Attribution for Deep Networks, 2017.
    """
    tokens = ops.convert_to_tensor(row.inputs[f"{group}_tokens"])
    paths = []
    for submodel, rows in zip(row.submodels, row.encoded, strict=True):
        embed = submodel.encoders[group].embed
        ends = [ops.cast(embed(each), "float32") for each in (ops.zeros_like(tokens), tokens)]
        paths.append((_from_words(row, group, submodel, rows), ends[0], ends[1]))
    start = _first(mean_of([function(low) for function, low, _ in paths]))
    known = zip(row.submodels, row.encoded, strict=True)
    end = _first(mean_of([submodel.score(rows, row.direction) for submodel, rows in known]))
    total, steps = min(abs(end - start), abs(end - start + beside)), FEWEST_STEPS
    while True:
        scores = mean_of([_along(function, low, high, steps) for function, low, high in paths])
        found = Attribution(scores, start, end, steps)
        if steps >= MOST_STEPS or found.gap <= max(TOLERANCE * total, TINY):
            return found
        steps *= 2


def _first(values: Tensor) -> float:
    return float(ops.convert_to_numpy(values)[0])


def _from_words(row: ScoredRow, group: str, submodel: Submodel, rows: Rows) -> Function:
    """Return the function from the vectors of a group's words `(S, L, E)` to scores `(S,)`."""
    own = {key: ops.convert_to_tensor(row.inputs[key]) for key in submodel.keys[group]}
    mask = ops.not_equal(own[f"{group}_tokens"], PADDING)

    def function(words: Tensor) -> Tensor:
        size = words.shape[0]
        tokens = submodel.encoders[group](words, mask=copies(mask, size), training=False)
        many: Rows = copies(rows, size)
        many[group]["inputs"] = submodel.from_tokens(group, tokens, copies(own, size))
        return submodel.score(many, row.direction)

    return function


def _along(function: Function, low: Tensor, high: Tensor, steps: int) -> Tensor:
    """Return the scores `(L,)` of the words on the path from `low` to `high`, `(1, L, E)`."""
    total = ops.zeros_like(high)
    for first in range(0, steps, CHUNK):
        places = ops.arange(first, min(first + CHUNK, steps), dtype="float32")
        # The middles of the steps: the error of a sum over their ends is twice as large.
        fraction = ops.reshape((places + 0.5) / steps, (-1, 1, 1))
        _, gradient = value_and_gradient(function, low + fraction * (high - low))
        total = total + ops.sum(gradient, axis=0, keepdims=True)
    return ops.sum(total * (high - low) / steps, axis=(0, 2))


def token_map(row: ScoredRow, group: str, blank: Mapping[str, Any]) -> Tensor:
    """Return how much each token of a row's photos `(photos, T)` moved its score: Grad-CAM.

    What is looked at is how far the tokens lie from those of blank photos, since a convolution
    marks the edges of a photo whatever it shows. Each feature counts as much as its gradient,
    half-way between the two, on average over the photo. What raises the score is positive, what
    lowers it negative.

    Args:
        row: The row.
        group: A group of photos.
        blank: The group's inputs with blank photos.

    Raises:
        ValueError: The backend computes no gradients.

    References:
        Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
        Localization, 2017; there without a reference and without the negative part.
    """
    found = []
    for submodel, rows in zip(row.submodels, row.encoded, strict=True):
        high, low = (submodel.encode_tokens(group, each) for each in (row.inputs, blank))

        def function(tokens: Tensor, submodel: Submodel = submodel, rows: Rows = rows) -> Tensor:
            inputs = submodel.from_tokens(group, tokens, row.inputs)
            return submodel.score(rows | {group: {**rows[group], "inputs": inputs}}, row.direction)

        _, gradient = value_and_gradient(function, (high + low) / 2)
        weight = ops.mean(gradient, axis=1, keepdims=True)
        found.append(ops.sum(weight * (high - low), axis=-1))
    return mean_of(found)
