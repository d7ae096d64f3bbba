"""The target of an explanation: one score of a head, a weighted sum of its raw outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import ArrayLike

from multimodal.core.errors import DataError, choices
from multimodal.core.formatting import short_number
from multimodal.evaluation.metrics import best_class
from multimodal.evaluation.task import Task

NARROW = "\u00a0"  # a blank at which no line is broken
NEAR = 0.05  # logarithm of a factor below which a third digit tells it from 1
Unit = Literal["factor", "amount", "odds"]


@dataclass(frozen=True)
class ExplanationTarget:
    """One score of one head.

    Attributes:
        task: What the head is asked.
        name: What is explained, in words: `price`, `mood: glad`.
        direction: The weight of each raw output, `(width,)`.
        unit: What a part of the score does to the answer: a `factor` on it, an `amount` added to
            it, or a factor on the `odds`.
        scale: The size of one raw unit in the answer, or in its logarithm.
    """

    task: Task
    name: str
    direction: Sequence[float]
    unit: Unit
    scale: float = 1.0

    def effect(self, score: float) -> str:
        """Write what a part of the score does to the answer, in the user's units.

        Example:
        >>> price = ExplanationTarget(Task("price"), "price", [1.0], "factor", 0.5)
        >>> rent = ExplanationTarget(Task("rent"), "rent", [1.0], "amount", 30.0)
        >>> price.effect(0.4).split(), rent.effect(-2.0).split()
        (['×', '1.22'], ['−', '60'])
        """
        moved = score * self.scale
        if self.unit == "amount":
            return NARROW.join(["−" if moved < 0 else "+", short_number(abs(moved), 3)])
        # `exp` overflows beyond 709
        factor = math.exp(min(max(moved, -700.0), 700.0))
        digits = 3 if abs(moved) < NEAR else 2
        near = 0.095 <= factor < 99.5
        shown = f"{factor:.{digits}f}" if near else short_number(factor, 2 if factor < 1 else 3)
        return NARROW.join([*["odds"] * (self.unit == "odds"), "×", shown])


def explanation_target(
    task: Task, layer: Any, outputs: ArrayLike, label: str | None = None
) -> ExplanationTarget:
    """Return the score that is explained of a head.

    A number is explained itself, of quantiles the one nearest to the median. Of classes it is the
    predicted one, or the one that is asked for: its logit less the mean of the others', the
    logarithm of its odds. Ordinal classes share one score, which rises with the class. Of labels it
    is the logit of the likeliest one, or the one that is asked for; of a box its size, the sum of
    the logits of width and height.

    Args:
        task: What the head is asked.
        layer: The head.
        outputs: The decoded outputs of the row, (1, width).
        label: The class or label that is asked for.

    Raises:
        DataError: There is no such class, or none at all.
    """
    width = layer.num_outputs
    spare = [0.0] * bool(layer.learned_weight)
    if label is not None and label not in task.classes:
        known = choices(label, task.classes) if task.classes else "It predicts no classes."
        raise DataError(f"head '{task.name}' knows no class '{label}'. {known}")
    if task.kind == "number":
        transform = getattr(layer, "transform", "none")
        scale = 1.0 if transform == "none" else float(layer.scale)
        unit: Unit = "factor" if transform == "log1p" else "amount"
        return ExplanationTarget(task, task.name, _one(width, task.middle) + spare, unit, scale)
    if task.kind == "box":
        return ExplanationTarget(
            task, f"{task.name}: size of the box", [0.0, 0.0, 1.0, 1.0] + spare, "odds"
        )
    if task.ordered:
        return ExplanationTarget(task, f"{task.name}: how high", _one(width, 0) + spare, "odds")
    chosen = _chosen(task, outputs) if label is None else task.classes.index(label)
    name = f"{task.name}: {task.classes[chosen]}"
    if task.kind == "labels":
        return ExplanationTarget(task, name, _one(width, chosen) + spare, "odds")
    if width == 1:
        return ExplanationTarget(task, name, [1.0 if chosen else -1.0] + spare, "odds")
    others = [-1.0 / (width - 1)] * width
    others[chosen] = 1.0
    return ExplanationTarget(task, name, others + spare, "odds")


def _one(width: int, place: int) -> list[float]:
    return [float(i == place) for i in range(width)]


def _chosen(task: Task, outputs: ArrayLike) -> int:
    return int(best_class(outputs, ordered=False)[0])
